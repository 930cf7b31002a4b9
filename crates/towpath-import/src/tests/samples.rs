//! Real records, from a folder into a real log.

use std::path::PathBuf;

use towpath_log::{FileLogStorage, Log};

use super::*;

#[tokio::test]
async fn the_sample_data_are_imported_from_a_folder_into_a_real_log() {
    let root = std::env::var_os("TOWPATH_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let folder = root.join("data/cloudtrail");
    if !folder.exists() {
        eprintln!("skipped: {} is absent", folder.display());
        return;
    }
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let log = Log::builder(Arc::new(FileLogStorage::open(dir.path()).unwrap())).open().unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let settings = ImporterSettings::default();
    let importer =
        Importer::new(meta, Arc::new(log.clone()), Arc::new(Sources::default()), fixture.clock.clone(), settings);
    let source = ImportSource::Folder { path: folder.display().to_string() };
    let import = importer.start(NewImport { source, ..fixture.request("") }).await.unwrap();
    let import = loop {
        let import = importer.get(&owner(), import.id).await.unwrap();
        if !import.status.is_running() {
            break import;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };

    // Every record is an event or reported: 124 of the samples have no usable time or are no events of the AWS API.
    assert_eq!(import.statistics.events_completed, 24_520 - 124);
    assert_eq!(log.committed().as_u64(), 24_520 - 124);
    assert_eq!((import.status, import.statistics.files_completed), (ImportStatus::Failed, 7));
    let failures = importer.failures(&owner(), import.id, None, 100).await.unwrap().items;
    let message = |name: &str| {
        let failure = failures.iter().find(|failure| failure.location.ends_with(name));
        failure.map(|failure| failure.message.clone()).unwrap_or_default()
    };
    assert_eq!(failures.len(), 5);
    assert!(message("cloud-custodian.json.gz").starts_with("1 of 25 records are no events: record "));
    assert!(
        message("otrf-security-datasets.json.gz")
            .starts_with("103 of 103 records are no events: record 1 at byte 12: ")
    );
    assert!(message("streamalert.json.gz").starts_with("20 of 65 records"));
    assert!(message("delivery.ndjson.gz").starts_with("3872 of 3872 records"));
    assert_eq!(message("files.tsv"), "the file is not JSON text");
    importer.shutdown().await;
    log.close().await;
}
