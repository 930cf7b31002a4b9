//! Records that cannot be kept: calls are refused, counted and told of.

use super::*;

#[tokio::test]
async fn with_the_log_away_and_the_disk_full_calls_are_refused_or_counted_until_one_of_them_is_back() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let recording = start_with(&log, Some(&disks), RecordingSettings { queue_calls: 3, ..settings() });
    let (open, closed) = (upstream(Policy::FailOpen), upstream(Policy::FailClosed));
    timeout(LONG, call(&recording, &closed, 1).durable()).await.unwrap().unwrap();
    timeout(LONG, call(&recording, &open, 2).durable()).await.unwrap().unwrap();
    until("the first records", || log.calls_in().len() == 2).await;

    log.away(true);
    disks.spill.fail(disks.spill.calls(), u64::MAX, Fault::NoSpace);
    let waiting = call(&recording, &closed, 3);
    until("nobody takes records", || recording.shared.place.stuck.load(Ordering::Relaxed)).await;
    assert_eq!(recording.begin(&closed).err(), Some(Unrecordable::Full), "a call that would only wait is refused");
    // Two more wait in memory; then fail-open calls pass uncounted for by a record, and are counted.
    drop(call(&recording, &open, 4));
    drop(call(&recording, &open, 5));
    for _ in 0..7 {
        let ticket = recording.begin(&open).unwrap();
        assert!(!ticket.is_recorded());
        timeout(LONG, ticket.finish(exchange(99), Routed::to(&open)).durable()).await.unwrap().unwrap();
    }
    disks.spill.heal();
    timeout(LONG, waiting.durable()).await.unwrap().unwrap();
    log.away(false);
    until("all that was taken", || log.calls_in().iter().collect::<BTreeSet<_>>().len() == 5).await;
    until("the gap record", || !log.gaps_in().is_empty()).await;
    assert_eq!(log.gaps_in(), [("open".to_owned(), "QUEUE_FULL".to_owned(), 7)]);
    timeout(LONG, call(&recording, &closed, 6).durable()).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_spill_is_bounded() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let recording = start_with(&log, Some(&disks), RecordingSettings { spill_bytes: 1000, ..settings() });
    let closed = upstream(Policy::FailClosed);
    log.away(true);
    let mut taken = 0;
    while let Ok(ticket) = recording.begin(&closed) {
        let answer = ticket.finish(exchange(taken), Routed::to(&closed));
        match timeout(WAITS, answer.durable()).await {
            Ok(durable) => durable.unwrap(),
            Err(_) => break,
        }
        taken += 1;
    }
    assert!((5..20).contains(&taken), "{taken} records of about a hundred bytes");
    assert!(recording.begin(&closed).is_err());
    log.away(false);
    until("all that was taken", || log.calls_in().len() as u128 == taken + 1).await;
    until("room again", || recording.begin(&closed).is_ok()).await;
}

#[tokio::test]
async fn what_the_log_refuses_for_good_is_told_to_the_caller_and_in_a_gap_record() {
    for spilled in [false, true] {
        let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
        let recording = start(&log, &disks);
        let closed = upstream(Policy::FailClosed);
        *log.never.lock() = Some(Uuid::from_u128(2));
        log.away(spilled);
        let answers: Vec<_> = (1..=3).map(|number| call(&recording, &closed, number)).collect();
        let mut told = Vec::new();
        for answer in answers {
            told.push(timeout(LONG, answer.durable()).await.unwrap());
        }
        let refused = if spilled { Ok(()) } else { Err(NotDurable::Refused) };
        assert_eq!(told, [Ok(()), refused, Ok(())]);
        log.away(false);
        until("the others", || log.calls_in() == [1, 3]).await;
        until("the gap record", || !log.gaps_in().is_empty()).await;
        let (upstream, reason, count) = log.gaps_in().remove(0);
        assert_eq!((&*reason, count), ("RECORD_REFUSED", 1));
        assert_eq!(upstream, if spilled { "spill" } else { "closed" });
    }
}

#[tokio::test]
async fn a_ticket_that_is_dropped_is_a_call_without_a_record() {
    let log = Arc::new(TestLog::default());
    let recording = start_with(&log, None, settings());
    drop(recording.begin(&upstream(Policy::FailClosed)).unwrap());
    until("the gap record", || !log.gaps_in().is_empty()).await;
    assert_eq!(log.gaps_in(), [("closed".to_owned(), "CALL_GIVEN_UP".to_owned(), 1)]);
}

#[tokio::test]
async fn closing_waits_for_records_and_gaps_and_what_it_cannot_wait_for_is_a_gap_of_the_next_start() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let recording = start_with(&log, Some(&disks), RecordingSettings { gap_quiet: LONG, ..settings() });
    let (open, closed) = (upstream(Policy::FailOpen), upstream(Policy::FailClosed));
    for number in 1..=50 {
        drop(call(&recording, &open, number));
    }
    drop(recording.begin(&open).unwrap());
    recording.close(LONG).await;
    assert_eq!(log.calls_in().len(), 50);
    assert_eq!(log.gaps_in().len(), 1, "a gap that is open is told before the end");
    assert_eq!(recording.begin(&closed).err(), Some(Unrecordable::Stopping));

    let recording = start_with(&log, Some(&disks), RecordingSettings { appends: 1, ..settings() });
    log.away(true);
    disks.spill.fail(disks.spill.calls(), u64::MAX, Fault::NoSpace);
    let tried = call(&recording, &closed, 51);
    until("nobody takes records", || recording.is_stuck()).await;
    let behind = call(&recording, &open, 52);
    recording.close(WAITS).await;
    assert_eq!(timeout(LONG, tried.durable()).await.unwrap(), Err(NotDurable::Stopped));
    drop(behind);
    disks.spill.heal();
    log.away(false);
    let recording = start(&log, &disks);
    until("the gap records", || log.gaps_in().len() == 3).await;
    // What was tried may be there after all; what stood behind it was in nobody's hands.
    let gap = |upstream: &str, calls| (upstream.to_owned(), "STOPPED".to_owned(), calls);
    assert_eq!(log.gaps_in()[1..], [gap("closed", 0), gap("open", 1)]);
    recording.close(LONG).await;
}
