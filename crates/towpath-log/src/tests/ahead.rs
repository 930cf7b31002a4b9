//! Space that is written ahead: small groups fill it, and what is left of it is no part of the log.

use towpath_model::Position;

use super::support::{events, read_all};
use crate::segment::segment_name;
use crate::sim::{Fault, SimDisk};
use crate::{Log, Truncated};

fn open(disk: &SimDisk) -> Log {
    Log::builder(disk.process()).open().unwrap()
}

fn first_segment(disk: &SimDisk) -> Vec<u8> {
    disk.bytes(&segment_name(Position::ZERO)).unwrap()
}

/// Where the frames end: their last byte is the end of an event's text.
fn frames_end(segment: &[u8]) -> usize {
    segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn small_groups_do_not_make_the_file_longer_each_time() {
    let disk = SimDisk::new(1);
    let log = open(&disk);
    log.append(events(1)).await.unwrap();
    let (frames, file) = (frames_end(&first_segment(&disk)), first_segment(&disk).len());
    assert!(file > 10 * frames);
    for _ in 0..50 {
        log.append(events(1)).await.unwrap();
    }
    assert_eq!(first_segment(&disk).len(), file);
    assert!(frames_end(&first_segment(&disk)) > 40 * frames);
}

#[tokio::test]
async fn a_group_that_reaches_the_end_writes_ahead_again() {
    let disk = SimDisk::new(1);
    let log = open(&disk);
    let mut lengths = Vec::new();
    for _ in 0..60 {
        log.append(events(20)).await.unwrap();
        lengths.push(first_segment(&disk).len());
    }
    lengths.dedup();
    assert!((2..=6).contains(&lengths.len()), "{lengths:?}");
    assert_eq!(read_all(&log).await.len(), 1200);
}

#[tokio::test]
async fn a_large_group_puts_nothing_behind_itself() {
    let disk = SimDisk::new(1);
    let log = open(&disk);
    log.append(events(500)).await.unwrap();
    let segment = first_segment(&disk);
    assert_eq!(frames_end(&segment), segment.len());
}

#[tokio::test]
async fn what_was_written_ahead_is_no_torn_tail() {
    for cut in [SimDisk::kill, SimDisk::power_on] {
        let disk = SimDisk::new(1);
        let log = open(&disk);
        for _ in 0..3 {
            log.append(events(2)).await.unwrap();
        }
        cut(&disk);
        let log = open(&disk);
        assert_eq!((&log.recovery().truncated, log.committed()), (&None, Position::new(6)));
        let segment = first_segment(&disk);
        assert_eq!(frames_end(&segment), segment.len(), "the zeros are given back");
        log.append(events(1)).await.unwrap();
        assert_eq!(read_all(&log).await.len(), 7);
    }
}

#[tokio::test]
async fn a_torn_group_among_zeros_is_cut_off_and_told() {
    let disk = SimDisk::new(1);
    let log = open(&disk);
    log.append(events(2)).await.unwrap();
    disk.kill();
    let (file, mut segment) = (segment_name(Position::ZERO), first_segment(&disk));
    let end = frames_end(&segment);
    segment[end + 5..end + 50].fill(7);
    disk.damage(&file, segment);
    let log = open(&disk);
    let truncated = Truncated { file, offset: end as u64, bytes: 50 };
    assert_eq!((&log.recovery().truncated, log.committed()), (&Some(truncated), Position::new(2)));
}

#[tokio::test]
async fn a_disk_without_room_for_zeros_takes_events_all_the_same() {
    let disk = SimDisk::new(1);
    let log = open(&disk);
    // The segment's header is written and synced, renamed, and the directory synced; then comes the group.
    disk.fail(disk.calls() + 5, 1, Fault::NoSpace);
    for _ in 0..3 {
        log.append(events(1)).await.unwrap();
        let segment = first_segment(&disk);
        assert_eq!(frames_end(&segment), segment.len(), "nothing is written ahead where it does not fit");
    }
    disk.power_on();
    assert_eq!(read_all(&open(&disk)).await.len(), 3);
    // Without room for the frames either they are refused.
    let log = open(&disk);
    disk.fail(disk.calls() + 5, 3, Fault::NoSpace);
    log.append(events(1)).await.unwrap_err();
}

#[tokio::test]
async fn an_orderly_end_gives_the_zeros_back() {
    let disk = SimDisk::new(1);
    let log = open(&disk);
    log.append(events(1)).await.unwrap();
    let before = first_segment(&disk).len();
    log.close().await;
    assert!(first_segment(&disk).len() * 10 < before);
    assert_eq!(read_all(&open(&disk)).await.len(), 1);
}
