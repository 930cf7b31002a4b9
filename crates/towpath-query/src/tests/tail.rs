//! Following a store live.

use std::time::Duration;

use towpath_model::Position;

use super::*;

#[tokio::test]
async fn events_come_in_order_of_position_from_files_and_the_hot_tail() {
    let test = TestEngine::new().await;
    // Time runs backwards, so that the order of files is not the order of positions.
    let events: Vec<_> = minutes(3000).collect();
    test.ingest_in(events.iter().rev().take(2000).cloned()).await;
    test.lake.flush().await.unwrap();
    test.ingest_in(events.iter().rev().skip(2000).cloned()).await;

    let mut after = None;
    let mut positions = Vec::new();
    loop {
        let page = test.engine.tail(test.store, StoreKind::CloudTrail, after, Some(700), Duration::ZERO).await.unwrap();
        if page.events.is_empty() {
            break;
        }
        for event in &page.events {
            let expected = events[2999 - event.position.as_u64() as usize].json();
            assert_eq!(event.event_json, expected);
            positions.push(event.position.as_u64());
        }
        after = page.next;
    }
    assert_eq!(positions, (0..3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn tail_waits_for_an_event_of_the_store() {
    let test = Arc::new(TestEngine::new().await);
    test.ingest_in(minutes(10)).await;
    let after = Some(Position::new(9));
    let tail = |wait| test.engine.tail(test.store, StoreKind::CloudTrail, after, None, wait);
    let nothing = tail(Duration::from_millis(20)).await.unwrap();
    assert_eq!((nothing.events.len(), nothing.next), (0, after));

    let later = {
        let test = test.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            test.ingest(vec![TestEvent::management("Other").to(StoreId::random()).build()]).await;
            test.ingest_in([TestEvent::management("Mine")]).await;
        })
    };
    let page = tail(Duration::from_secs(20)).await.unwrap();
    later.await.unwrap();
    assert_eq!(page.events.len(), 1);
    assert_eq!(page.next, Some(Position::new(11)));
    assert!(page.events[0].event_json.contains("\"Mine\""));
}
