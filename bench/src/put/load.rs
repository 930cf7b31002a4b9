//! Load: batches offered on a schedule, whether or not earlier ones were answered.
//!
//! In an open loop each batch has an intended time, and its latency counts from there: if the server falls behind, the
//! waiting shows. A closed loop sends the next batch when the last is answered and finds the most a server can take.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

/// Something that takes batches.
pub trait Target: Send + Sync + 'static {
    /// A connection to it.
    type Connection: Connection;
    /// Opens a connection.
    fn connect(&self) -> impl Future<Output = anyhow::Result<Self::Connection>> + Send;
}

/// A connection that sends one batch at a time.
pub trait Connection: Send + 'static {
    /// Sends batch `number`; returns how many events were acknowledged, or the code of the error.
    fn send(&mut self, number: u64) -> impl Future<Output = Result<u64, String>> + Send;
}

/// When batches are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many batches a second, evenly.
    Open(f64),
    /// Each when the one before is answered.
    Closed,
}

/// What came of a load.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Events acknowledged a second.
    pub events_per_second: f64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Batches and events that were not, by code.
    pub errors: BTreeMap<String, u64>,
    /// Latencies of acknowledgements in milliseconds.
    pub p50: f64,
    /// 90 of 100 are at most so long.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// Seconds from the first intended send to the last answer.
    pub seconds: f64,
    /// Connections used.
    pub connections: usize,
}

/// Times that were measured, in microseconds.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds and digits are in range"))
    }

    /// Notes one.
    pub fn note(&mut self, time: Duration) {
        self.0.saturating_record(time.as_micros() as u64);
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// How many they are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }
}

impl Outcome {
    /// What came of a load that took `seconds` and had `events` acknowledged.
    pub fn of(
        latencies: &Latencies,
        events: u64,
        errors: BTreeMap<String, u64>,
        seconds: f64,
        connections: usize,
    ) -> Self {
        let millis = |share: f64| latencies.0.value_at_quantile(share) as f64 / 1000.0;
        Self {
            events_per_second: events as f64 / seconds,
            batches: latencies.len(),
            errors,
            p50: millis(0.5),
            p90: millis(0.9),
            p99: millis(0.99),
            p999: millis(0.999),
            max: latencies.0.max() as f64 / 1000.0,
            seconds,
            connections,
        }
    }
}

struct Worker {
    latencies: Latencies,
    events: u64,
    errors: BTreeMap<String, u64>,
}

/// Loads a target for `time` over `connections`. `first` is the number of the first batch.
pub async fn run<T: Target>(
    target: &T,
    pace: Pace,
    time: Duration,
    connections: usize,
    first: u64,
) -> anyhow::Result<Outcome> {
    let next = Arc::new(AtomicU64::new(0));
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(target.connect().await.context("cannot connect")?);
    }
    let started = Instant::now() + Duration::from_millis(20);
    let workers: Vec<_> = open
        .into_iter()
        .map(|connection| tokio::spawn(work(connection, pace, started, time, next.clone(), first)))
        .collect();
    let mut total = Worker::new();
    for worker in workers {
        let worker = worker.await?;
        total.latencies.add(&worker.latencies)?;
        total.events += worker.events;
        for (code, count) in worker.errors {
            *total.errors.entry(code).or_default() += count;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Outcome::of(&total.latencies, total.events, total.errors, seconds, connections))
}

impl Worker {
    fn new() -> Self {
        Self { latencies: Latencies::new(), events: 0, errors: BTreeMap::new() }
    }
}

async fn work<C: Connection>(
    mut connection: C,
    pace: Pace,
    started: Instant,
    time: Duration,
    next: Arc<AtomicU64>,
    first: u64,
) -> Worker {
    let mut worker = Worker::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let intended = match pace {
            Pace::Open(rate) => started + Duration::from_secs_f64(number as f64 / rate),
            Pace::Closed => Instant::now().max(started),
        };
        if intended >= started + time {
            return worker;
        }
        tokio::time::sleep_until(intended).await;
        match connection.send(first + number).await {
            Ok(events) => {
                worker.events += events;
                worker.latencies.note(intended.elapsed());
            }
            Err(code) => *worker.errors.entry(code).or_default() += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each batch after a time, and refuses every tenth.
    struct Slow(Duration);

    impl Target for Slow {
        type Connection = Slow;
        async fn connect(&self) -> anyhow::Result<Slow> {
            Ok(Slow(self.0))
        }
    }

    impl Connection for Slow {
        async fn send(&mut self, number: u64) -> Result<u64, String> {
            tokio::time::sleep(self.0).await;
            if number % 10 == 9 { Err("Refused".to_owned()) } else { Ok(100) }
        }
    }

    #[tokio::test]
    async fn an_open_loop_counts_the_time_that_batches_wait_for_a_connection() {
        // One connection that takes 20 ms cannot keep up with 100 batches a second: the last waits for half the run.
        let outcome =
            run(&Slow(Duration::from_millis(20)), Pace::Open(100.0), Duration::from_millis(600), 1, 0).await.unwrap();
        assert!(outcome.max > 250.0, "{outcome:?}");
        assert_eq!((outcome.batches, outcome.errors["Refused"]), (54, 6));
    }

    #[tokio::test]
    async fn a_closed_loop_sends_as_fast_as_answers_come() {
        let outcome =
            run(&Slow(Duration::from_millis(10)), Pace::Closed, Duration::from_millis(500), 2, 0).await.unwrap();
        // A busy machine may be slow; nothing can make it faster than the answers.
        assert!((10..=100).contains(&outcome.batches), "{outcome:?}");
    }
}
