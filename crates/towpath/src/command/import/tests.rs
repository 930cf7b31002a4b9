//! Imports against a server with a script.

use std::fs;

use super::*;
use crate::client::fake::{Fake, Seen, error};

const STORE: &str = "arn:aws:cloudtrail:eu-west-1:000000000000:eventdatastore/11111111-2222-3333-4444-555555555555";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..5 {
        fs::create_dir_all(folder.path().join("a b")).unwrap();
        fs::write(folder.path().join(format!("a b/{n}.json")), format!("{{\"n\":{n}}}")).unwrap();
    }
    folder
}

/// The files that a request sends.
fn uploaded(seen: &Seen) -> Vec<String> {
    if let Some((_, query)) = seen.target.split_once("/files?name=") {
        let (name, version) = query.split_once("&version=").unwrap();
        assert!(version.starts_with(&format!("{}-", seen.body.len())), "{version}");
        return vec![percent_encoding::percent_decode_str(name).decode_utf8().unwrap().into_owned()];
    }
    if !seen.target.ends_with("/batches") {
        return Vec::new();
    }
    let (mut names, mut rest) = (Vec::new(), &seen.body[..]);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line: Value = serde_json::from_slice(&rest[..end]).unwrap();
        let length = line["Length"].as_u64().unwrap() as usize;
        assert!(line["Version"].as_str().unwrap().starts_with(&format!("{length}-")), "{line}");
        assert_eq!(rest[end + 1], b'{');
        rest = &rest[end + 1 + length..];
        names.push(line["Name"].as_str().unwrap().to_owned());
    }
    assert!(rest.is_empty());
    names
}

fn taken(name: &str) -> Value {
    if name.ends_with("3.json") {
        return json!({"FileStatus": "FAILED", "EventsCompleted": 1, "EventsSkipped": 0,
            "Failures": [{"RecordNumber": 2, "ErrorType": "InvalidData", "ErrorMessage": "no eventTime"}]});
    }
    json!({"FileStatus": "COMPLETED", "EventsCompleted": 2, "EventsSkipped": 1, "Failures": []})
}

fn server(seen: &Seen, completed: &[&str]) -> (u16, Value) {
    match seen.operation.as_str() {
        "ListEventDataStores" => (200, json!({"EventDataStores": [{"EventDataStoreArn": STORE, "Name": "audit"}]})),
        "StartUploadImport" => (200, json!({"ImportId": "import-1"})),
        "ListPendingFiles" => {
            let names = seen.input["Files"].as_array().unwrap().iter().map(|file| file["Name"].as_str().unwrap());
            let pending: Vec<_> = names.filter(|name| !completed.contains(name)).collect();
            (200, json!({"Pending": pending}))
        }
        "FinishUploadImport" => (200, json!({"ImportId": "import-1", "ImportStatus": "COMPLETED"})),
        _ => match uploaded(seen).as_slice() {
            [] => error(400, "Unexpected", &seen.operation),
            [name] if !seen.target.ends_with("/batches") => (200, taken(name)),
            names => (200, json!({"Files": names.iter().map(|name| taken(name)).collect::<Vec<_>>()})),
        },
    }
}

#[tokio::test]
async fn every_file_is_sent_and_failures_are_told_with_file_and_record() {
    let fake = Fake::start(|seen| server(seen, &[])).await;
    let folder = folder();
    let mut report = Report::default();
    Folder { root: folder.path(), store: "audit", parallel: 3 }.import(&fake.client(), &mut report).await.unwrap();
    assert_eq!((report.files_completed, report.files_failed), (4, 1));
    assert_eq!((report.events_completed, report.events_skipped), (9, 4));
    assert_eq!((report.failures[0].file.as_str(), report.failures[0].record), ("a b/3.json", Some(2)));
    assert_eq!(report.status, "COMPLETED");
    let mut names: Vec<_> = fake.seen().iter().flat_map(uploaded).collect();
    names.sort();
    assert_eq!(names, (0..5).map(|n| format!("a b/{n}.json")).collect::<Vec<_>>());
    let start = fake.seen().into_iter().find(|seen| seen.operation == "StartUploadImport").unwrap();
    assert_eq!(start.input["EventDataStore"], STORE);
    assert!(start.input["Source"].as_str().unwrap().starts_with("file://"));
    assert_eq!(fake.operations().last().unwrap(), "FinishUploadImport");
}

#[tokio::test]
async fn files_that_an_earlier_run_completed_are_not_sent_again() {
    let fake = Fake::start(|seen| server(seen, &["a b/0.json", "a b/1.json"])).await;
    let folder = folder();
    let mut report = Report::default();
    Folder { root: folder.path(), store: STORE, parallel: 2 }.import(&fake.client(), &mut report).await.unwrap();
    assert_eq!(report.files_resumed, 2);
    let mut names: Vec<_> = fake.seen().iter().flat_map(uploaded).collect();
    names.sort();
    assert_eq!(names, ["a b/2.json", "a b/3.json", "a b/4.json"]);
}

#[tokio::test]
async fn small_files_go_together_and_a_new_import_is_not_asked_what_it_has() {
    let fake = Fake::start(|seen| match seen.operation.as_str() {
        "StartUploadImport" => (200, json!({"ImportId": "import-1", "Resumed": false})),
        _ => server(seen, &[]),
    })
    .await;
    let folder = folder();
    fs::write(folder.path().join("long.json"), format!("{{{}", " ".repeat(2 << 20))).unwrap();
    let mut report = Report::default();
    let import = Folder { root: folder.path(), store: STORE, parallel: 1 };
    import.import(&fake.client(), &mut report).await.unwrap();
    let sent: Vec<_> = fake.seen().iter().filter(|seen| seen.target.contains("/imports/")).cloned().collect();
    let batches: Vec<_> = sent.iter().filter(|seen| seen.target.ends_with("/batches")).map(uploaded).collect();
    assert_eq!(batches, [(0..5).map(|n| format!("a b/{n}.json")).collect::<Vec<_>>()]);
    assert!(sent.iter().any(|seen| seen.target.contains("/files?name=long.json&version=2097153-")));
    assert!(!fake.operations().contains(&"ListPendingFiles".to_owned()));
}

#[tokio::test]
async fn a_batch_that_is_refused_is_sent_file_by_file() {
    let fake = Fake::start(|seen| match uploaded(seen).as_slice() {
        names if seen.target.ends_with("/batches") && names.iter().any(|name| name.ends_with("4.json")) => {
            error(400, "ValidationException", "no")
        }
        [name] if name.ends_with("4.json") => error(400, "ValidationException", "no"),
        _ => server(seen, &[]),
    })
    .await;
    let folder = folder();
    let mut report = Report::default();
    Folder { root: folder.path(), store: STORE, parallel: 2 }.import(&fake.client(), &mut report).await.unwrap();
    assert_eq!((report.files_completed, report.files_failed), (3, 2));
    assert_eq!(report.failures[1].file, "a b/4.json");
}

#[tokio::test]
async fn a_server_that_says_no_ends_it_and_leaves_the_import_to_be_resumed() {
    let fake = Fake::start(|seen| match uploaded(seen).len() {
        0 => server(seen, &[]),
        _ => error(400, "AccessDeniedException", "no"),
    })
    .await;
    let folder = folder();
    let mut report = Report::default();
    let import = Folder { root: folder.path(), store: STORE, parallel: 1 };
    assert!(import.import(&fake.client(), &mut report).await.is_err());
    assert!(!fake.operations().contains(&"FinishUploadImport".to_owned()));
}

#[tokio::test]
async fn an_import_from_a_bucket_is_started_and_waited_for() {
    let mut looks = 0;
    let fake = Fake::start(move |seen| match seen.operation.as_str() {
        "StartImport" => (200, json!({"ImportId": "i"})),
        "GetImport" => {
            looks += 1;
            let status = if looks == 1 { "IN_PROGRESS" } else { "FAILED" };
            (200, json!({"ImportStatus": status, "ImportStatistics": {"FilesCompleted": 3, "EventsCompleted": 70}}))
        }
        "ListImportFailures" => (
            200,
            json!({"Failures": [
                {"Location": "s3://b/x.json", "Status": "FAILED", "ErrorType": "InvalidFormat", "ErrorMessage": "not gzip"},
                {"Location": "s3://b/y.json", "Status": "SUCCEEDED"},
            ]}),
        ),
        _ => server(seen, &[]),
    })
    .await;
    let mut report = Report::default();
    let bucket = Bucket { location: "s3://b/p", store: "audit", region: None, role: None, start: Some(1.5), end: None };
    bucket.import(&fake.client(), &mut report).await.unwrap();
    assert_eq!((report.events_completed, report.files_completed, report.files_failed), (70, 3, 1));
    assert_eq!(report.failures[0].file, "s3://b/x.json");
    let start = fake.seen().into_iter().find(|seen| seen.operation == "StartImport").unwrap();
    assert_eq!(
        start.input,
        json!({
            "Destinations": [STORE],
            "ImportSource": {"S3": {
                "S3LocationUri": "s3://b/p", "S3BucketRegion": "eu-west-1",
                "S3BucketAccessRoleArn": "arn:aws:iam::000000000000:role/TowpathImport",
            }},
            "StartEventTime": 1.5,
        })
    );
}

#[test]
fn a_long_plain_file_is_compressed_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.json");
    fs::write(&path, vec![b'a'; (64 << 20) + 1]).unwrap();
    let body = folder::read(&path).unwrap().unwrap();
    assert!(body.starts_with(&[0x1f, 0x8b]) && body.len() < 1 << 20);
    fs::write(&path, [&[0x1f, 0x8b][..], &vec![0; 64 << 20]].concat()).unwrap();
    assert!(folder::read(&path).unwrap().is_none());
}
