//! The folder of real data: CloudTrail records and partner events that nobody on this project wrote.
//!
//! The folder lies beside the checkout (`../shared`) or where `TOWPATH_SHARED` says; its README describes the files.
//! Tests that use it run whenever it is there. Under continuous integration (`CI` is set) it must be.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

const DELIVERED: &str = "sans504-s3-ransomware";

/// The folder of real data.
#[derive(Clone, Debug)]
pub struct SharedData {
    root: PathBuf,
}

/// One log file as CloudTrail delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredFile {
    /// The name of the object.
    pub name: String,
    /// Its uncompressed bytes.
    pub bytes: Vec<u8>,
    /// How many records it has.
    pub records: usize,
}

impl SharedData {
    /// Finds the folder; `None` where there is none. Panics if it is missing and `CI` is set, or if `TOWPATH_SHARED`
    /// names a folder without data.
    pub fn find() -> Option<Self> {
        let named = std::env::var_os("TOWPATH_SHARED").map(PathBuf::from);
        let root = named.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
        if root.join("data/cloudtrail").is_dir() {
            return Some(Self { root });
        }
        let must = named.is_some() || std::env::var_os("CI").is_some();
        assert!(
            !must,
            "no real data in {}: set TOWPATH_SHARED to the folder that holds data/cloudtrail",
            root.display()
        );
        eprintln!("skipped: no real data in {}", root.display());
        None
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The paths of all CloudTrail log files, sorted: gzip, each `{"Records":[...]}`.
    pub fn cloudtrail_files(&self) -> Vec<PathBuf> {
        self.files("data/cloudtrail", ".json.gz")
    }

    /// The names of the sources of CloudTrail records, sorted.
    pub fn cloudtrail_sources(&self) -> Vec<String> {
        self.cloudtrail_files().iter().map(|path| stem(path, ".json.gz")).collect()
    }

    /// The uncompressed bytes of a source's log file.
    pub fn cloudtrail_bytes(&self, source: &str) -> Vec<u8> {
        gunzip(&self.root.join(format!("data/cloudtrail/{source}.json.gz")))
    }

    /// The records of a source in order, each exactly the text that the file holds.
    pub fn cloudtrail_records(&self, source: &str) -> Vec<Box<RawValue>> {
        #[derive(Deserialize)]
        struct LogFile {
            #[serde(rename = "Records")]
            records: Vec<Box<RawValue>>,
        }
        let file: LogFile = serde_json::from_slice(&self.cloudtrail_bytes(source))
            .unwrap_or_else(|error| panic!("{source} is not a CloudTrail log file: {error}"));
        file.records
    }

    /// The log files of the largest source as they were delivered, repeats included, every byte as it was.
    pub fn delivered_files(&self) -> impl Iterator<Item = DeliveredFile> {
        #[derive(Deserialize)]
        struct Line {
            file: String,
            #[serde(rename = "eventIDs")]
            event_ids: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Identified {
            #[serde(rename = "eventID")]
            event_id: String,
        }
        let of_id = |record: Box<RawValue>| {
            let identified: Identified =
                serde_json::from_str(record.get()).expect("every delivered record has an eventID");
            (identified.event_id, record)
        };
        let records: HashMap<String, Box<RawValue>> =
            self.cloudtrail_records(DELIVERED).into_iter().map(of_id).collect();
        let list = gunzip(&self.root.join(format!("data/cloudtrail/{DELIVERED}.delivery.ndjson.gz")));
        let list = String::from_utf8(list).expect("the list of delivered files is text");
        let lines: Vec<Line> = list
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line names a file and its events"))
            .collect();
        lines.into_iter().map(move |line| {
            let texts: Vec<&str> = line.event_ids.iter().map(|id| records[id].get()).collect();
            let bytes = format!("{{\"Records\":[{}]}}", texts.join(",")).into_bytes();
            DeliveredFile { name: line.file, bytes, records: texts.len() }
        })
    }

    /// The names of the partners whose audit events are there, sorted.
    pub fn partners(&self) -> Vec<String> {
        self.files("data/partners", ".ndjson").iter().map(|path| stem(path, ".ndjson")).collect()
    }

    /// The audit events of a partner, one JSON text each.
    pub fn partner_events(&self, partner: &str) -> Vec<String> {
        let path = self.root.join(format!("data/partners/{partner}.ndjson"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }

    /// The published sample records: file name and text.
    pub fn samples(&self) -> Vec<(String, String)> {
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (stem(&path, ".json"), text)
        };
        self.files("data/samples", ".json").into_iter().map(read).collect()
    }

    fn files(&self, dir: &str, suffix: &str) -> Vec<PathBuf> {
        let dir = self.root.join(dir);
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let paths = entries.map(|entry| entry.expect("the folder can be read").path());
        let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(suffix)).collect();
        paths.sort();
        paths
    }
}

fn stem(path: &Path, suffix: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(suffix).unwrap_or(&name).to_owned()
}

fn gunzip(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let read = MultiGzDecoder::new(std::io::BufReader::new(file)).read_to_end(&mut bytes);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_of_every_source_is_there() {
        let Some(data) = SharedData::find() else { return };
        let records: usize = data.cloudtrail_sources().iter().map(|source| data.cloudtrail_records(source).len()).sum();
        assert_eq!(records, 24_520);
    }

    #[test]
    fn a_record_is_the_text_of_its_file() {
        let Some(data) = SharedData::find() else { return };
        let records = data.cloudtrail_records("stratus-red-team");
        let texts: Vec<_> = records.iter().map(|record| record.get()).collect();
        let whole = format!("{{\"Records\":[{}]}}", texts.join(","));
        assert!(whole.as_bytes() == data.cloudtrail_bytes("stratus-red-team").trim_ascii_end());
    }

    #[test]
    fn delivered_files_hold_repeats() {
        let Some(data) = SharedData::find() else { return };
        let (files, records) =
            data.delivered_files().fold((0, 0), |(files, sum), file| (files + 1, sum + file.records));
        assert_eq!((files, records), (3_872, 30_477));
    }

    #[test]
    fn partner_events_are_objects() {
        let Some(data) = SharedData::find() else { return };
        let events: Vec<_> = data.partners().iter().flat_map(|partner| data.partner_events(partner)).collect();
        assert_eq!(events.len(), 324);
        for event in events {
            assert!(serde_json::from_str::<serde_json::Value>(&event).unwrap().is_object(), "{event}");
        }
        assert_eq!(data.samples().len(), 8);
    }
}
