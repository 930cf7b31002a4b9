//! Real records, in twice, out once.

use std::time::Duration;

use towpath_model::{EventKey, StoreKind};

use crate::testing::{TestLake, event_of, real_records, records_of, shared, store};

#[tokio::test]
async fn all_real_records_go_in_twice_and_come_out_once_byte_for_byte() {
    let mut test = TestLake::new().await;
    let records = real_records();
    let events: Vec<_> =
        records.iter().enumerate().map(|(at, json)| event_of(at as u64, json.clone(), &[store(0)])).collect();
    for (round, again) in [false, true].into_iter().enumerate() {
        for (at, events) in events.chunks(5000).enumerate() {
            test.append(events.to_vec());
            test.apply().await.unwrap();
            // Leave some in the hot tail, some in files, some in joined files.
            if at % 2 == 0 {
                test.lake.flush().await.unwrap();
            }
            test.clock.advance(Duration::from_secs(120));
            test.lake.maintain().await.unwrap();
        }
        let distinct: std::collections::HashSet<EventKey> = events.iter().map(|event| event.key).collect();
        assert_eq!(test.lake.stats(store(0)).rows, distinct.len() as u64, "round {round}, again {again}");
        test.check().await;
        test.crash().await;
    }
    test.check().await;

    let stats = test.lake.stats(store(0));
    let keys: u64 = test.lake.inner.keys.runs().iter().map(|run| run.info().size).sum();
    println!(
        "{} rows, {} bytes of text, {} of Parquet, {} of keys",
        stats.rows, stats.raw_bytes, stats.file_bytes, keys
    );
}

#[tokio::test]
async fn every_real_event_is_found_by_its_key_with_the_time_of_its_admission() {
    let mut test = TestLake::new().await;
    let records = real_records();
    let events: Vec<_> = records
        .iter()
        .step_by(97)
        .enumerate()
        .map(|(at, json)| event_of(at as u64, json.clone(), &[store(0)]))
        .collect();
    test.append(events.clone());
    test.apply().await.unwrap();
    for phase in ["hot", "flushed", "joined"] {
        for event in &events {
            let first = events.iter().find(|first| first.key == event.key).unwrap();
            let located = test.lake.find(store(0), event.key).await.unwrap().unwrap();
            assert_eq!(located.time, first.time);
            assert_eq!(located.files.is_empty(), phase == "hot");
            assert_eq!(test.lake.admitted_at(store(0), event.key).await.unwrap(), Some(first.admitted), "{phase}");
            assert!(test.lake.find(store(1), event.key).await.unwrap().is_none());
        }
        assert!(test.lake.find(store(0), EventKey::of(None, b"no such record")).await.unwrap().is_none());
        test.lake.flush().await.unwrap();
        if phase == "flushed" {
            test.append(events[..1].iter().cloned().map(|mut event| {
                event.key = EventKey::of(None, b"another");
                event
            }));
            test.apply().await.unwrap();
            test.lake.flush().await.unwrap();
            test.clock.advance(Duration::from_secs(120));
            test.lake.maintain().await.unwrap();
            assert!(test.lake.snapshot(&[(store(0), StoreKind::CloudTrail)], test.lake.applied()).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_settled_store_takes_less_than_three_fifths_of_the_gzip_files_it_came_from() {
    let mut test = TestLake::new().await;
    // The source that was delivered by CloudTrail, whose files' sizes are known; repeats included there, not here.
    let delivered = std::fs::read_to_string(shared().join("data/cloudtrail/sans504-s3-ransomware.files.tsv")).unwrap();
    let gzip: u64 =
        delivered.lines().skip(1).map(|line| line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()).sum();
    let records = records_of("sans504-s3-ransomware");
    let events: Vec<_> =
        records.into_iter().enumerate().map(|(at, json)| event_of(at as u64, json, &[store(0)])).collect();
    for events in events.chunks(8000) {
        test.append(events.to_vec());
        test.apply().await.unwrap();
        test.lake.flush().await.unwrap();
    }
    test.clock.advance(Duration::from_secs(1200));
    test.lake.maintain().await.unwrap();

    let stats = test.lake.stats(store(0));
    assert_eq!(stats.rows, 23_981);
    // Six days; what came late to a large one waits for more of its kind.
    assert!(stats.files <= 9, "{} files", stats.files);
    let keys: u64 = test.lake.inner.keys.runs().iter().map(|run| run.info().size).sum();
    let stored = stats.file_bytes + keys;
    println!("{stored} bytes stored of {gzip} gzip, {} of text", stats.raw_bytes);
    assert!(stored * 100 < gzip * 58, "{stored} of {gzip}");
    assert!(keys < stats.rows * 22, "{keys} bytes of keys");
}
