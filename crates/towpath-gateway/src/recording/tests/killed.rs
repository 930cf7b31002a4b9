//! Processes that are killed, and what the next one finds.

use super::*;

#[tokio::test]
async fn after_a_kill_what_waited_on_disk_is_sent_and_the_time_that_nobody_knows_is_a_gap() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let closed = upstream(Policy::FailClosed);
    {
        let recording = start(&log, &disks);
        log.away(true);
        for number in 1..=20 {
            timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
        }
        disks.kill(recording);
    }
    log.away(false);
    let recording = start(&log, &disks);
    until("the replay", || log.calls_in().len() >= 20).await;
    assert_eq!(log.calls_in(), (1..=20).collect::<Vec<_>>());
    until("the gap record", || !log.gaps_in().is_empty()).await;
    assert_eq!(log.gaps_in(), [("closed".to_owned(), "UNCLEAN_STOP".to_owned(), 0)]);
    recording.close(LONG).await;

    // This time it stopped in order: nothing is sent again, and there is no gap.
    let recording = start(&log, &disks);
    timeout(LONG, call(&recording, &closed, 21).durable()).await.unwrap().unwrap();
    recording.close(LONG).await;
    assert_eq!(log.calls_in().len(), 21);
    assert_eq!(log.gaps_in().len(), 1);
}

#[tokio::test]
async fn after_a_kill_the_gap_says_how_many_calls_had_begun_at_least() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let (open, closed) = (upstream(Policy::FailOpen), upstream(Policy::FailClosed));
    {
        let recording = start(&log, &disks);
        timeout(LONG, call(&recording, &closed, 1).durable()).await.unwrap().unwrap();
        let under_way: Vec<_> = [&open, &open, &open, &closed].map(|one| recording.begin(one).unwrap()).into();
        timeout(LONG, call(&recording, &closed, 2).durable()).await.unwrap().unwrap();
        // Noted with the record of the second call.
        disks.kill(recording);
        drop(under_way);
    }
    let recording = start(&log, &disks);
    until("the gap records", || log.gaps_in().len() == 2).await;
    let gap = |upstream: &str, calls| (upstream.to_owned(), "UNCLEAN_STOP".to_owned(), calls);
    let mut told = log.gaps_in();
    told.sort();
    assert_eq!(told, [gap("closed", 1), gap("open", 3)]);
    recording.close(LONG).await;
    // They were told, and are not told again.
    disks.kill(start(&log, &disks));
    let recording = start(&log, &disks);
    timeout(LONG, call(&recording, &closed, 3).durable()).await.unwrap().unwrap();
    recording.close(LONG).await;
    assert!(log.gaps_in()[2..].iter().all(|(_, _, calls)| *calls == 0), "{:?}", log.gaps_in());
}

#[tokio::test]
async fn after_a_power_cut_calls_that_were_counted_as_lost_are_told_with_their_reason() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let (open, closed) = (upstream(Policy::FailOpen), upstream(Policy::FailClosed));
    {
        let recording = start_with(&log, Some(&disks), RecordingSettings { queue_calls: 3, ..settings() });
        timeout(LONG, call(&recording, &closed, 1).durable()).await.unwrap().unwrap();
        log.away(true);
        disks.spill.fail(disks.spill.calls(), u64::MAX, Fault::NoSpace);
        (2..=4).for_each(|number| drop(call(&recording, &open, number)));
        until("nobody takes records", || recording.is_stuck()).await;
        for _ in 0..7 {
            assert!(!recording.begin(&open).unwrap().is_recorded());
        }
        until("the note", || recording.shared.gaps.is_kept()).await;
        disks.cut_power(recording);
    }
    disks.spill.heal();
    log.away(false);
    let recording = start_in("another boot", &log, Some(&disks), settings());
    until("the gap records", || log.gaps_in().len() == 3).await;
    let gap = |upstream: &str, reason: &str, calls| (upstream.to_owned(), reason.to_owned(), calls);
    let mut told = log.gaps_in();
    told.sort();
    let unclean = "UNCLEAN_STOP";
    assert_eq!(told, [gap("closed", unclean, 0), gap("open", "QUEUE_FULL", 7), gap("open", unclean, 0)]);
    recording.close(LONG).await;
    start_in("another boot", &log, Some(&disks), settings()).close(LONG).await;
    assert_eq!(log.gaps_in().len(), 3, "they are told once");
}

#[tokio::test]
async fn records_that_were_lost_between_disk_and_log_are_told_though_the_process_is_killed_before() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let closed = upstream(Policy::FailClosed);
    let slow = || RecordingSettings { gap_quiet: LONG, ..settings() };
    {
        let recording = start_with(&log, Some(&disks), slow());
        *log.never.lock() = Some(Uuid::from_u128(2));
        log.away(true);
        for number in 1..=3 {
            timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
        }
        log.away(false);
        until("the replay", || !recording.shared.place.spilling.load(Ordering::Relaxed)).await;
        assert!(log.gaps_in().is_empty());
        disks.cut_power(recording);
    }
    let recording = start_in("another boot", &log, Some(&disks), settings());
    until("the gap records", || log.gaps_in().len() == 2).await;
    let told: BTreeSet<_> = log.gaps_in().into_iter().collect();
    assert!(told.contains(&("spill".to_owned(), "RECORD_REFUSED".to_owned(), 1)), "{told:?}");
    recording.close(LONG).await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_the_replay_loses_nothing() {
    let disks = Disks::new();
    let closed = upstream(Policy::FailClosed);
    let first = Arc::new(TestLog::default());
    first.away(true);
    let small = || RecordingSettings { batch_bytes: 20, ..settings() };
    {
        let recording = start_with(&first, Some(&disks), small());
        for number in 1..=40 {
            timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
        }
        first.enough.store(5, Ordering::Relaxed);
        first.away(false);
        until("a part of the replay", || first.calls_in().len() >= 5).await;
        disks.kill(recording);
    }
    let second = Arc::new(TestLog::default());
    let _recording = start_with(&second, Some(&disks), small());
    until("the rest", || second.calls_in().contains(&40)).await;
    let both: BTreeSet<_> = first.calls_in().into_iter().chain(second.calls_in()).collect();
    assert_eq!(both, (1..=40).collect(), "together the logs have every record");
    assert!(second.calls_in().is_sorted());
}

#[tokio::test]
async fn a_torn_tail_of_the_spill_costs_only_what_was_never_acknowledged() {
    for cut in [1, 7, 30] {
        let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
        let closed = upstream(Policy::FailClosed);
        {
            let recording = start(&log, &disks);
            log.away(true);
            for number in 1..=10 {
                timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
            }
            disks.kill(recording);
        }
        // A write that was on its way when the power went.
        let name = disks.spill.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
        let mut bytes = disks.spill.bytes(&name).unwrap();
        let end = written(&bytes);
        bytes.copy_within(end - 60..end - 60 + cut, end + LAST_ZEROS);
        disks.spill.damage(&name, bytes);
        log.away(false);
        let recording = start(&log, &disks);
        until("the replay", || log.calls_in().len() >= 10).await;
        timeout(LONG, call(&recording, &closed, 11).durable()).await.unwrap().unwrap();
        until("the next", || log.calls_in() == (1..=11).collect::<Vec<_>>()).await;
    }
}

/// Bytes in which the last record of a segment may end, although they are zeros.
const LAST_ZEROS: usize = 16;

/// Where the records of a segment end and the zeros begin that the log writes ahead.
fn written(segment: &[u8]) -> usize {
    segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn records_that_were_damaged_on_disk_are_counted_and_the_others_follow() {
    for place in [3, 5, 8] {
        let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
        let closed = upstream(Policy::FailClosed);
        {
            let recording = start(&log, &disks);
            log.away(true);
            for number in 1..=30 {
                timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
            }
            disks.kill(recording);
        }
        let name = disks.spill.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
        let mut bytes = disks.spill.bytes(&name).unwrap();
        let at = written(&bytes) * place / 10;
        bytes[at] ^= 0x40;
        disks.spill.damage(&name, bytes);
        log.away(false);
        let recording = start(&log, &disks);
        timeout(LONG, call(&recording, &closed, 31).durable()).await.unwrap().unwrap();
        until("the last call", || log.calls_in().contains(&31)).await;
        recording.close(LONG).await;
        let arrived = log.calls_in();
        assert!(arrived.is_sorted() && arrived.len() < 31, "{arrived:?}");
        let lost = 31 - arrived.len() as u64;
        assert!(log.gaps_in().contains(&("spill".to_owned(), "SPILL_DAMAGED".to_owned(), lost)), "{:?}", log.gaps_in());
    }
}
