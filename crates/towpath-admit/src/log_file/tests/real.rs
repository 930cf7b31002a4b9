//! Real log files.

use std::path::PathBuf;

use super::*;

fn shared(path: &str) -> PathBuf {
    let root = std::env::var_os("TOWPATH_SHARED").map(PathBuf::from);
    root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")))
        .join("data/cloudtrail")
        .join(path)
}

/// Opens a file of the sample data; `None`, said aloud, where the folder is absent.
fn sample(name: &str) -> Option<Vec<u8>> {
    let path = shared(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(std::fs::read(path).unwrap())
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut GzDecoder::new(bytes), &mut text).unwrap();
    text
}

#[test]
fn every_real_record_becomes_an_event_or_is_reported() {
    let files = [
        ("cloud-custodian", 24, 1),
        ("cloudtrail-lake-detections", 9, 0),
        ("cloudtrail2sightings", 15, 0),
        ("mozdef", 3, 0),
        ("otrf-security-datasets", 0, 103),
        ("plaso", 6, 0),
        ("sans504-s3-ransomware", 23_981, 0),
        ("stratus-red-team", 310, 0),
        ("streamalert", 45, 20),
        ("trailscraper", 3, 0),
    ];
    for (name, events, problems) in files {
        let Some(packed) = sample(&format!("{name}.json.gz")) else { return };
        let read = Read::of(&packed);
        assert!(read.error.is_none(), "{name}: {:?}", read.error);
        assert_eq!((read.records.len(), read.problems.len()), (events, problems), "{name} {:?}", read.reasons());

        let text = gunzip(&packed);
        let whole: Value = serde_json::from_slice(&text).unwrap();
        let records = whole["Records"].as_array().unwrap();
        assert_eq!(records.len(), events + problems, "{name}");
        for record in &read.records {
            let place = record.offset() as usize;
            assert_eq!(&text[place..place + record.text().len()], &record.text()[..], "{name}");
            let value: Value = serde_json::from_slice(record.text()).unwrap();
            assert_eq!(value, records[record.number() as usize - 1], "{name}");
        }
        for problem in &read.problems {
            let time = &records[problem.number as usize - 1]["eventTime"];
            let expected = match &problem.reason {
                Reason::NoTime => time.is_null(),
                Reason::BadTime => time.as_str().is_some_and(|time| !time.starts_with("20")),
                Reason::Category(_) => true,
                _ => false,
            };
            assert!(expected, "{name} {problem}");
        }
    }
}

#[test]
fn the_delivered_files_hold_every_record_and_repeats_have_the_same_key() {
    let Some(packed) = sample("sans504-s3-ransomware.json.gz") else { return };
    let Some(delivery) = sample("sans504-s3-ransomware.delivery.ndjson.gz") else { return };
    let records = Read::of(&packed).clean().records;
    let by_key: std::collections::HashMap<_, _> = records.iter().map(|record| (record.key(), record.text())).collect();
    let (mut files, mut total, mut keys) = (0, 0, std::collections::HashSet::new());
    for line in gunzip(&delivery).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let file: Value = serde_json::from_slice(line).unwrap();
        let ids =
            file["eventIDs"].as_array().unwrap().iter().map(|id| EventKey::of_event_id(id.as_str().unwrap()).unwrap());
        let texts: Vec<_> = ids.map(|key| &by_key[&key][..]).collect();
        let object = [&b"{\"Records\":["[..], &texts.join(&b","[..]), b"]}"].concat();

        let read = Read::of(&object).clean();

        assert!(read.records.iter().map(|record| &record.text()[..]).eq(texts));
        keys.extend(read.records.iter().map(ImportedRecord::key));
        (files, total) = (files + 1, total + read.records.len());
    }
    assert_eq!((files, total, keys.len()), (3872, 30_477, 23_981));
}

#[test]
#[ignore = "prints a rate; meant for the release profile"]
fn the_rate_of_reading_plain_text() {
    let Some(packed) = sample("sans504-s3-ransomware.json.gz") else { return };
    let text = gunzip(&packed);
    for (name, bytes) in [("plain", &text), ("gzip", &packed)] {
        let start = std::time::Instant::now();
        for _ in 0..5 {
            let mut file = LogFile::open(&bytes[..], LogFileLimits::default()).unwrap();
            while file.next_item().unwrap().is_some() {}
        }
        let rate = 5.0 * text.len() as f64 / 1e6 / start.elapsed().as_secs_f64();
        eprintln!("{name}: {rate:.0} MB of text per second");
    }
}
