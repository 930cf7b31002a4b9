//! Bytes that change on the disk: found, named, never taken for events.

use proptest::prelude::*;
use towpath_model::{Event, Position};

use super::support::{Ledger, append_group, events, open, read_all, small};
use crate::segment::HEADER;
use crate::sim::SimDisk;
use crate::{Log, LogSettings, OpenError, ReadError};

/// A disk with one segment of three groups, and its events.
async fn one_segment(close: bool) -> (SimDisk, Vec<Event>, String) {
    let disk = SimDisk::new(7);
    let log = open(&disk).unwrap();
    let mut all = Vec::new();
    for batches in [vec![events(1)], vec![events(1), events(1)], vec![events(1)]] {
        all.extend(batches.concat());
        append_group(&log, batches).await;
    }
    if close {
        log.close().await;
    }
    disk.kill();
    let names = disk.names();
    assert_eq!(names.len(), 1);
    (disk, all, names[0].clone())
}

/// Where the frames of a segment end and the zeros begin that were written ahead; an event's last byte is none.
fn frames_end(segment: &[u8]) -> usize {
    segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// Opens and reads, and returns the events, or none if the damage was reported.
async fn open_and_read(disk: &SimDisk) -> Option<Vec<Event>> {
    let log = match open(disk) {
        Ok(log) => log,
        Err(OpenError::Damaged { .. } | OpenError::Header { .. } | OpenError::Version { .. }) => return None,
        Err(error) => panic!("another error than damage: {error}"),
    };
    let mut found = Vec::new();
    let mut reader = log.reader(log.start());
    while reader.position() < log.committed() {
        match reader.next(1_000).await {
            Ok(committed) => found.extend(committed.events),
            Err(ReadError::Damaged { .. }) => return None,
            Err(error) => panic!("another error than damage: {error}"),
        }
    }
    Some(found)
}

#[tokio::test]
async fn in_a_log_that_was_closed_any_flipped_byte_is_reported() {
    let (disk, all, name) = one_segment(true).await;
    let sound = disk.bytes(&name).unwrap();
    assert_eq!(open_and_read(&disk).await.unwrap(), all);
    // The seal itself is the last frame; a damaged seal looks as if it had never been written.
    let sealed_at = sound.len() - crate::frame::FRAME_HEADER;
    for at in 0..sealed_at {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.damage(&name, bytes);
        assert_eq!(open_and_read(&disk).await, None, "byte {at}");
        disk.kill();
    }
}

#[tokio::test]
async fn in_a_log_that_was_killed_a_flipped_byte_never_yields_other_events() {
    let (disk, all, name) = one_segment(false).await;
    let sound = disk.bytes(&name).unwrap();
    let end = frames_end(&sound);
    let mut refused = 0;
    for at in (0..sound.len()).step_by(3) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        disk.damage(&name, bytes);
        match open_and_read(&disk).await {
            Some(found) if at >= end => assert_eq!(found, all, "byte {at}"),
            // Nothing on disk proves that the last group was ever confirmed.
            Some(found) => assert_eq!(found, all[..3], "byte {at}"),
            None => refused += 1,
        }
        disk.kill();
    }
    assert!(refused * 3 > end / 2);
}

#[tokio::test]
async fn damage_to_acknowledged_events_names_file_and_offset() {
    let (disk, _, name) = one_segment(false).await;
    let mut bytes = disk.bytes(&name).unwrap();
    bytes[HEADER as usize + 60] ^= 1;
    disk.damage(&name, bytes);
    let error = open(&disk).err().unwrap();
    let OpenError::Damaged { file, offset, .. } = &error else { panic!("{error}") };
    assert_eq!((file, *offset), (&name, HEADER));
    assert!(error.to_string().contains("accept_damage"), "the message names a way out");
}

#[tokio::test]
async fn damage_that_is_accepted_costs_only_the_damaged_frame() {
    let (disk, all, name) = one_segment(true).await;
    let mut bytes = disk.bytes(&name).unwrap();
    bytes[HEADER as usize + 60] ^= 1;
    disk.damage(&name, bytes);
    let settings = LogSettings { accept_damage: true, ..small() };
    let log = Log::builder(disk.process()).settings(settings).open().unwrap();
    assert_eq!(log.recovery().lost, [Position::ZERO..Position::new(1)]);
    assert_eq!(log.committed(), Position::new(4));
    let mut reader = log.reader(Position::ZERO);
    let committed = reader.next(usize::MAX).await.unwrap();
    assert_eq!((committed.first, committed.events), (Position::new(1), all[1..].to_vec()));
    log.append(events(1)).await.unwrap();
    assert_eq!(reader.next(1).await.unwrap().first, Position::new(4));
}

/// A disk with several segments.
async fn many_segments() -> (SimDisk, Vec<String>) {
    let disk = SimDisk::new(8);
    let log = open(&disk).unwrap();
    for _ in 0..30 {
        log.append(events(1)).await.unwrap();
    }
    log.close().await;
    let names = disk.names();
    assert!(names.len() > 5);
    (disk, names)
}

#[tokio::test]
async fn damage_in_an_older_segment_is_reported_by_the_reader_that_meets_it() {
    let (disk, names) = many_segments().await;
    let mut bytes = disk.bytes(&names[2]).unwrap();
    bytes[HEADER as usize + 50] ^= 1;
    disk.damage(&names[2], bytes);
    let log = open(&disk).unwrap();
    let mut reader = log.reader(Position::ZERO);
    let error = loop {
        if let Err(error) = reader.next(100).await {
            break error;
        }
    };
    let ReadError::Damaged { file, offset, position, .. } = error else { panic!("{error}") };
    assert_eq!((file, offset), (names[2].clone(), HEADER));
    assert_eq!(reader.position(), position, "the reader stands before the damage");
    assert!(matches!(reader.next(100).await, Err(ReadError::Damaged { .. })), "and says so each time");

    let settings = LogSettings { accept_damage: true, ..small() };
    let log = Log::builder(disk.process()).settings(settings).open().unwrap();
    let mut reader = log.reader(Position::ZERO);
    let (mut found, mut gaps) = (0, 0);
    while reader.position() < log.committed() {
        let due = reader.position();
        let committed = reader.next(100).await.unwrap();
        gaps += committed.first.since(due);
        found += committed.events.len() as u64;
    }
    assert_eq!((found, gaps), (29, 1));
}

#[tokio::test]
async fn a_missing_segment_is_reported() {
    let (disk, names) = many_segments().await;
    disk.lose(&names[3]);
    let error = open(&disk).err().unwrap();
    assert!(matches!(&error, OpenError::Chain { file, previous, .. } if *file == names[4] && *previous == names[2]));
}

#[tokio::test]
async fn a_segment_that_lost_its_end_is_reported() {
    let (disk, names) = many_segments().await;
    let mut bytes = disk.bytes(&names[1]).unwrap();
    bytes.truncate(frames_end(&bytes));
    disk.damage(&names[1], bytes.clone());
    open(&disk).unwrap();
    bytes.pop();
    disk.damage(&names[1], bytes);
    assert!(matches!(open(&disk).err(), Some(OpenError::Damaged { file, .. }) if file == names[1]));
}

#[tokio::test]
async fn a_segment_of_a_later_version_is_refused() {
    let (disk, names) = many_segments().await;
    let mut bytes = disk.bytes(&names[0]).unwrap();
    bytes[8] = 2;
    disk.damage(&names[0], bytes);
    let error = open(&disk).err().unwrap();
    assert!(matches!(error, OpenError::Version { version: 2, known: 1, .. }));
}

#[tokio::test]
async fn a_segment_of_another_log_is_not_taken_for_ours() {
    let (disk, names) = many_segments().await;
    let (other, _) = many_segments().await;
    disk.damage(&names[2], other.bytes(&names[2]).unwrap());
    assert!(matches!(open(&disk).err(), Some(OpenError::Chain { .. })));
}

#[tokio::test]
async fn a_reader_of_a_log_that_lost_its_newest_segments_is_told() {
    let (disk, names) = many_segments().await;
    disk.lose(names.last().unwrap());
    let log = open(&disk).unwrap();
    let from = Position::new(30);
    let error = log.reader(from).next(100).await.unwrap_err();
    assert!(matches!(error, ReadError::Beyond { from: at, end } if at == from && end < from));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_tail_torn_anywhere_ends_the_log_before_it(cut in 0.0f64..1.0, garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        runtime().block_on(async {
            let (disk, all, name) = one_segment(false).await;
            let mut bytes = disk.bytes(&name).unwrap();
            let last = HEADER as usize + ((bytes.len() - HEADER as usize) as f64 * cut) as usize;
            bytes.truncate(last);
            bytes.extend(garbage);
            disk.damage(&name, bytes);
            // Garbage after a cut proves nothing about what was there.
            let log = open(&disk).unwrap();
            let found: Vec<_> = read_all(&log).await.into_iter().map(|(_, event)| event).collect();
            assert_eq!(found, all[..found.len()]);
            let mut ledger = Ledger::default();
            ledger.append(&log, vec![events(2)]).await;
            assert_eq!(ledger.acknowledged(), 1);
            disk.power_on();
            let log = open(&disk).unwrap();
            assert_eq!(log.committed(), Position::new(found.len() as u64 + 2));
        });
    }

    #[test]
    fn any_file_in_place_of_a_segment_is_refused_or_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), keep in 0usize..200) {
        runtime().block_on(async {
            let (disk, _, name) = one_segment(true).await;
            let mut forged = disk.bytes(&name).unwrap();
            forged.truncate(keep);
            forged.extend(bytes);
            disk.damage(&name, forged);
            let _ = open_and_read(&disk).await;
        });
    }
}
