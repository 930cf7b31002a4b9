//! Measures the log alone: how many durable events a second, and what the log costs in processor time.
//!
//! ```text
//! cargo run -p towpath-log --example append_load -- [SECONDS] [CALLERS] [none|lz4] [DIR]
//! ```
//! Each of the callers appends batches of 100 events of about 1.2 KB and waits for the answer before the next. One reader
//! follows. Events are made in advance, so the processor time shown is the log's own, encoding included.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use towpath_log::{Compression, FileLogStorage, Log, LogSettings};
use towpath_model::{Event, Position};
use towpath_testkit::{TestDir, TestEvent};

const BATCH: usize = 100;

fn batch(number: usize) -> Vec<Event> {
    let filler =
        |seed: usize| format!("{:064x}", (seed as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let event = |at: usize| {
        let id = number * BATCH + at;
        let parameters =
            serde_json::json!({ "documentName": filler(id), "requestToken": filler(id ^ 7), "path": filler(id / 9) });
        TestEvent::management("PutDocument").request(parameters).to_history().build()
    };
    (0..BATCH).map(event).collect()
}

/// Processor seconds that this process has used.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |field: usize| after_name.split_whitespace().nth(field).and_then(|text| text.parse::<f64>().ok());
    // utime and stime, in hundredths of a second.
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(5.0, |text| text.parse().expect("SECONDS is a number"));
    let callers: usize = arguments.next().map_or(32, |text| text.parse().expect("CALLERS is a number"));
    let compression = match arguments.next().as_deref() {
        None | Some("none") => Compression::None,
        Some("lz4") => Compression::Lz4,
        Some(other) => panic!("{other} is neither none nor lz4"),
    };
    let kept = TestDir::new("append-load");
    let dir = arguments.next().map_or_else(|| kept.path().to_owned(), PathBuf::from);

    let storage = Arc::new(FileLogStorage::open(&dir).expect("the directory can be used"));
    let settings = LogSettings { compression, ..LogSettings::default() };
    let log = Log::builder(storage).settings(settings).open().expect("the log opens");
    let batches: Arc<Vec<Vec<Event>>> = Arc::new((0..64).map(batch).collect());
    let bytes: usize = batches.iter().flatten().map(|event| event.json.len()).sum();
    println!("{} bytes an event, {callers} callers, {compression:?}", bytes / (64 * BATCH));

    let first = log.committed();
    let (started, processor) = (Instant::now(), processor_seconds());
    let until = started + Duration::from_secs_f64(seconds);
    let reader = tokio::spawn({
        let mut reader = log.reader(first);
        async move {
            let mut read = 0;
            while let Ok(committed) = reader.next(4 << 20).await {
                read += committed.events.len();
            }
            read
        }
    });
    let callers = (0..callers).map(|caller| {
        let (log, batches) = (log.clone(), batches.clone());
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < until {
                let events = batches[(caller + waits.len()) % batches.len()].clone();
                let asked = Instant::now();
                log.append(events).await.expect("the log takes events");
                waits.push(asked.elapsed());
            }
            waits
        })
    });
    let mut waits = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        waits.extend(caller.await.expect("callers do not panic"));
    }
    let (elapsed, processor) = (started.elapsed().as_secs_f64(), processor_seconds() - processor);
    let events = log.committed().since(first);
    log.close().await;
    let read = reader.await.expect("the reader does not panic");
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    let disk: u64 = std::fs::read_dir(&dir)
        .expect("the directory can be listed")
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum();
    println!(
        "{:.0} events/s, {:.1} MB/s of text, read {read}",
        events as f64 / elapsed,
        bytes as f64 / 6_400.0 * events as f64 / elapsed / 1e6
    );
    println!(
        "{:.0} ns of processor time an event, {:.0} bytes on disk an event",
        processor / events as f64 * 1e9,
        disk as f64 / log.committed().since(Position::ZERO) as f64
    );
    println!("append p50 {:?} p99 {:?} max {:?}", at(0.5), at(0.99), at(1.0));

    let reopened = Instant::now();
    let storage = Arc::new(FileLogStorage::open(&dir).expect("the directory can be used"));
    let log = Log::builder(storage).open().expect("the log opens again");
    println!("opened again in {:?} with {} segments", reopened.elapsed(), log.recovery().segments);
}
