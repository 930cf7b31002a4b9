//! Senders of calls: each connection has a thread, which writes a call, waits for the answer and notes the time.
//!
//! A thread sleeps to within a tenth of a millisecond of the intended time. The timers of an asynchronous runtime have
//! steps of a millisecond, more than a gateway adds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::calls;
use super::wire::Wire;
use crate::put::load::{Latencies, Outcome, Pace};

/// Makes calls to `address` for `time`, over so many connections.
pub fn run(address: SocketAddr, pace: Pace, time: Duration, connections: usize) -> anyhow::Result<Outcome> {
    let wires: Vec<Wire> = (0..connections).map(|_| Wire::connect(address)).collect::<Result<_, _>>()?;
    let started = Instant::now() + Duration::from_millis(20);
    let schedule = Schedule { pace, started, time, next: AtomicU64::new(0) };
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let schedule = &schedule;
        let threads: Vec<_> = wires.into_iter().map(|wire| scope.spawn(move || send(wire, schedule))).collect();
        threads.into_iter().map(|thread| thread.join().ok().context("a sender ended early")).collect::<Result<_, _>>()
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let mut latencies = Latencies::new();
    let mut errors = BTreeMap::new();
    for part in parts {
        latencies.add(&part.latencies)?;
        for (code, count) in part.errors {
            *errors.entry(code).or_default() += count;
        }
    }
    Ok(Outcome::of(&latencies, latencies.len(), errors, seconds, connections))
}

/// When calls are meant to be sent.
struct Schedule {
    pace: Pace,
    started: Instant,
    time: Duration,
    next: AtomicU64,
}

/// What came of one connection.
struct Part {
    latencies: Latencies,
    errors: BTreeMap<String, u64>,
}

impl Schedule {
    /// The time of the next call, if there is one.
    fn next(&self) -> Option<Instant> {
        let at = match self.pace {
            Pace::Open(rate) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.started + Duration::from_secs_f64(number as f64 / rate)
            }
            Pace::Closed => Instant::now().max(self.started),
        };
        (at < self.started + self.time).then_some(at)
    }
}

fn send(mut wire: Wire, schedule: &Schedule) -> Part {
    let mut part = Part { latencies: Latencies::new(), errors: BTreeMap::new() };
    let call = calls::call();
    while let Some(intended) = schedule.next() {
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        match exchange(&mut wire, &call) {
            Ok(()) => part.latencies.note(intended.elapsed()),
            Err(error) => {
                // Nothing sensible follows on this connection.
                part.errors.insert(format!("{error:#}"), 1);
                break;
            }
        }
    }
    part
}

fn exchange(wire: &mut Wire, call: &[u8]) -> anyhow::Result<()> {
    wire.write(call)?;
    let head = wire.head()?.context("the connection was closed")?;
    wire.skip(head.length)?;
    anyhow::ensure!(head.status() == "200", "{}", head.line);
    Ok(())
}
