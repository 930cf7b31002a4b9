//! A store takes records up to its maximum event size; others are reported, and are there once it takes them.

use super::*;

fn long_record(number: usize, bytes: usize) -> String {
    let head = record(4, number);
    let head = head.strip_suffix('}').unwrap();
    let pad = bytes - head.len() - r#","pad":""}"#.len();
    format!(r#"{head},"pad":"{}"}}"#, "a".repeat(pad))
}

#[tokio::test]
async fn a_record_too_long_for_the_store_is_reported_and_imported_once_the_store_takes_it() {
    const STANDARD: usize = 256 * 1024;
    let fixture = Fixture::new();
    let records = [record(4, 0), long_record(1, STANDARD), long_record(2, STANDARD + 1), record(4, 3)];
    fixture.store.put_text(&path(4, 0), log_file(&records)).await;
    let request = NewImport { record_bytes: STANDARD, ..fixture.request("s3://bucket") };
    let import = fixture.importer.start(request).await.unwrap();
    let over = fixture.over(import.id).await;

    assert_eq!((over.status, over.statistics.events_completed), (ImportStatus::Failed, 3));
    let failures = fixture.failures(import.id).await;
    let failure = &failures[&format!("s3://bucket/{}", path(4, 0))];
    assert_eq!(failure.kind, FailureKind::InvalidFormat);
    assert!(failure.message.contains("record 3 at byte"), "{}", failure.message);
    assert!(failure.message.contains("longer than 262144 bytes"), "{}", failure.message);
    assert!(!fixture.sink.texts().contains(&records[2]));

    fixture.importer.retry(&owner(), import.id, None, RECORD_BYTES).await.unwrap();
    let over = fixture.over(import.id).await;
    assert_eq!(over.status, ImportStatus::Completed, "{:?}", fixture.failures(import.id).await);
    assert_eq!(fixture.sink.texts(), records.into_iter().collect());
}
