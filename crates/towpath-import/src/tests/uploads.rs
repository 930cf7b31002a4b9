//! Imports whose files a client sends.

use super::*;

#[tokio::test]
async fn an_upload_takes_files_in_any_form_and_tells_what_became_of_each() {
    let fixture = Fixture::new();
    let upload = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    let plain = format!("{}\n{}\n", record(1, 0), record(1, 1));
    let report = upload.offer(mark("a.json", "1"), Input::Bytes(plain.into())).await.unwrap();
    assert_eq!((report.events, report.failure()), (2, None));

    let bytes = Bytes::from(log_file(&[record(1, 2), record(1, 3), "{}".to_owned()]));
    let pieces: Vec<_> = bytes.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let report = upload.offer(mark("b.gz", "1"), Input::Stream(futures::stream::iter(pieces).boxed())).await.unwrap();
    assert_eq!((report.events, report.problem_count, report.problems[0].number), (2, 1, 3));
    assert_eq!(report.failure().unwrap().0, FailureKind::InvalidFormat);

    let broken: Vec<std::io::Result<Bytes>> = vec![Ok("[".into()), Err(std::io::ErrorKind::ConnectionReset.into())];
    let report = upload.offer(mark("c", "1"), Input::Stream(futures::stream::iter(broken).boxed())).await.unwrap();
    assert_eq!(report.failure().unwrap().0, FailureKind::SourceUnavailable);
    assert_eq!(upload.status().await.unwrap().statistics.failed_entries, 2);

    // A file that is offered again in a better state is no failure any more.
    let report = upload.offer(mark("c", "2"), Input::Bytes("[]".into())).await.unwrap();
    assert_eq!(report.failure(), None);
    let import = upload.finish().await.unwrap();

    assert_eq!((import.status, import.statistics.failed_entries), (ImportStatus::Failed, 1));
    assert_eq!((import.statistics.files_completed, import.statistics.events_completed), (2, 4));
    assert_eq!(fixture.failures(import.id).await["c"].status, FailureStatus::Succeeded);
    assert_eq!(fixture.sink.keys().len(), 4);
    let closed = fixture.importer.upload(&owner(), import.id).await;
    assert!(matches!(closed, Err(ImportError::NotAnUpload(_))));
}

#[tokio::test]
async fn small_files_share_appends_and_each_has_its_own_report() {
    let fixture = Fixture::new();
    let upload = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    assert!(!upload.is_resumed());
    let mut files: Vec<_> = (0..50usize)
        .map(|file| {
            let records: Vec<_> = (0..=file % 3).map(|number| record(1, 10 * file + number)).collect();
            (mark(&format!("{file}.gz"), "1"), Bytes::from(log_file(&records)))
        })
        .collect();
    files[10].1 = Bytes::from_static(b"no log file");
    files[20].1 = Bytes::from(log_file(&[record(1, 7000), "{}".to_owned(), record(1, 7001)]));
    files[30].1.truncate(30);
    let reports = upload.offer_all(files.clone()).await.unwrap();

    assert_eq!(fixture.sink.plan.lock().appends, 1);
    let failed: Vec<_> = (0..50).filter(|file| reports[*file].failure().is_some()).collect();
    assert_eq!(failed, [10, 20, 30]);
    assert_eq!((reports[20].events, reports[20].problems[0].number), (2, 2));
    for file in (0..50).filter(|file| !failed.contains(file)) {
        assert_eq!(reports[file].events as usize, file % 3 + 1, "{file}");
    }
    let appended: u64 = reports.iter().map(|report| report.events).sum();
    assert_eq!(fixture.sink.keys().len() as u64, appended);
    let import = upload.status().await.unwrap();
    assert_eq!((import.statistics.files_completed, import.statistics.failed_entries), (47, 3));
    assert_eq!(import.statistics.events_completed, appended);

    // Offered again in a better state, before and after the state was written.
    files[10].1 = Bytes::from(log_file(&[record(2, 0)]));
    upload.offer_all(vec![files[10].clone()]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    files[30].1 = Bytes::from(log_file(&[record(2, 1)]));
    upload.offer_all(vec![files[30].clone()]).await.unwrap();
    let import = upload.finish().await.unwrap();
    assert_eq!((import.statistics.files_completed, import.statistics.failed_entries), (49, 1));
    let failures = fixture.failures(import.id).await;
    assert_eq!(failures.values().filter(|failure| failure.status == FailureStatus::Failed).count(), 1);
}

#[tokio::test]
async fn events_of_a_batch_that_the_log_refuses_are_counted_with_their_file() {
    let fixture = Fixture::new();
    fixture.sink.plan.lock().too_long = Some(400);
    let upload = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    let long = record(1, 5).replace("\"X\"", &format!("\"{}\"", "X".repeat(500)));
    let files = [vec![record(1, 0), record(1, 1)], vec![record(1, 2), long.clone(), record(1, 3)], vec![long]];
    let files = files.iter().enumerate().map(|(n, records)| (mark(&n.to_string(), "1"), log_file(records).into()));
    let reports = upload.offer_all(files.collect()).await.unwrap();
    let events: Vec<_> = reports.iter().map(|report| report.events).collect();
    assert_eq!(events, [2, 2, 0]);
    assert_eq!(fixture.sink.keys().len(), 4);
    assert_eq!(reports[0].failure(), None);
    assert_eq!(reports[1].failure().unwrap().1, "1 events are larger than the log takes");
}

#[tokio::test]
async fn an_interrupted_upload_is_found_again_and_asks_for_the_rest() {
    let fixture = Fixture::new();
    let first = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    for name in ["a", "b"] {
        first.offer(mark(name, "1"), Input::Bytes(record(1, 0).into())).await.unwrap();
    }
    fixture.importer.shutdown().await;

    let reborn = fixture.reborn();
    let second = reborn.importer.open_upload(upload(&fixture)).await.unwrap();
    assert_eq!(second.id(), first.id());
    assert!(second.is_resumed());
    let pending = second.pending(&[mark("a", "1"), mark("b", "2"), mark("c", "1")]).await.unwrap();
    assert_eq!(pending, [false, true, true]);
    assert!(reborn.importer.runs_into(fixture.destination.store).await.unwrap());
    second.offer(mark("c", "1"), Input::Bytes(record(1, 1).into())).await.unwrap();
    let import = second.finish().await.unwrap();
    assert_eq!((import.status, import.statistics.files_completed), (ImportStatus::Completed, 3));
    assert!(!reborn.importer.runs_into(fixture.destination.store).await.unwrap());

    let third = reborn.importer.open_upload(upload(&fixture)).await.unwrap();
    assert_ne!(third.id(), first.id());
    let stopped = reborn.importer.stop(&owner(), third.id()).await.unwrap();
    assert_eq!(stopped.status, ImportStatus::Stopped);
}
