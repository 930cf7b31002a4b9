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
        let torn = bytes[bytes.len() - 60..][..cut].to_vec();
        bytes.extend(torn);
        disks.spill.damage(&name, bytes);
        log.away(false);
        let recording = start(&log, &disks);
        until("the replay", || log.calls_in().len() >= 10).await;
        timeout(LONG, call(&recording, &closed, 11).durable()).await.unwrap().unwrap();
        until("the next", || log.calls_in() == (1..=11).collect::<Vec<_>>()).await;
    }
}
