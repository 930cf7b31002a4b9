//! What the tests of this crate share: real records, made-up events, a failing object store.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::value::RawValue;

use towpath_model::{EventKey, EventTime, Position};

use crate::batch::Row;

/// The folder with real data; tests fail without it.
pub(crate) fn shared() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    std::env::var_os("TOWPATH_SHARED").map_or_else(|| default.into(), PathBuf::from)
}

/// Every real CloudTrail record, source text untouched.
pub(crate) fn real_records() -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct File<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    static RECORDS: OnceLock<Vec<String>> = OnceLock::new();
    let read = || {
        let folder = shared().join("data/cloudtrail");
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} holds the real data: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with(".json.gz"))
            .collect();
        files.sort();
        let mut records = Vec::new();
        for path in files {
            let mut text = String::new();
            flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
            let file: File<'_> = serde_json::from_str(&text).unwrap();
            records.extend(file.records.into_iter().map(|raw| raw.get().to_owned()));
        }
        records
    };
    RECORDS.get_or_init(read).clone()
}

/// The row that admission would make of a record; a time in 2021 where it has none.
pub(crate) fn row_of(position: u64, json: String) -> Row {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "eventID")]
        id: Option<serde_json::Value>,
        #[serde(rename = "eventTime")]
        time: Option<serde_json::Value>,
    }
    let head: Head = serde_json::from_str(&json).unwrap_or(Head { id: None, time: None });
    let key = match head.id.as_ref().and_then(|id| id.as_str()) {
        Some(id) => EventKey::of_event_id(id),
        None => EventKey::of_record(json.as_bytes()),
    };
    let time = head.time.as_ref().and_then(|time| EventTime::parse(time.as_str()?).ok());
    Row {
        position: Position::new(position),
        key,
        time: time.unwrap_or(EventTime::from_millis(1_627_480_923_000).unwrap()),
        admitted: Timestamp::from_microsecond(1_700_000_000_000_000 + position as i64).unwrap(),
        json: json.into(),
    }
}
