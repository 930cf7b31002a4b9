//! Every event is in one file of each trail that wants it.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use towpath_model::{Category, EventKey};

use super::*;

fn event(number: u32, trails: &[TrailId], account: u8, region: &str, category: Category) -> Event {
    let json = format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(number as usize % 50));
    Event {
        key: EventKey::of(None, json.as_bytes()),
        time: EventTime::from_millis(i64::from(number) * 1000).unwrap(),
        admitted: "2026-01-01T00:00:00Z".parse().unwrap(),
        category,
        account: format!("{account:012}").parse().unwrap(),
        region: region.parse().unwrap(),
        destinations: Default::default(),
        trails: trails.iter().copied().collect(),
        json: json.into(),
    }
}

fn trail(number: u8) -> TrailId {
    TrailId::from_uuid(uuid::Uuid::from_u128(u128::from(number)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_event_is_in_one_file_of_each_trail_that_wants_it(
        events in prop::collection::vec((0u8..3, 0u8..2, 0u8..2, 0u8..3), 0..400),
        file_bytes in 1_024u64..4_000,
        buffer_bytes in 500usize..100_000,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let settings = TrailSettings { file_bytes, buffer_bytes, ..TrailSettings::default() };
        let stagers = Arc::new(Stagers::start(folder.path(), 2, 1).unwrap());
        let mut files = LogFiles::begin(stagers, Arc::new(settings), 7);
        let mut expected: BTreeMap<Group, Vec<String>> = BTreeMap::new();
        for (number, (trails, account, region, category)) in events.iter().enumerate() {
            let trails: Vec<TrailId> = (0..*trails).map(trail).collect();
            let region = ["us-east-1", "eu-central-1"][*region as usize];
            let category = [Category::Management, Category::Data, Category::NetworkActivity][*category as usize];
            let event = event(number as u32, &trails, *account, region, category);
            for trail in trails {
                let group = Group { trail, account: event.account, region: event.region.clone(), folder: Folder::of(category) };
                expected.entry(group).or_default().push(String::from_utf8(event.json.to_vec()).unwrap());
            }
            files.add(&event).unwrap();
        }
        let mut found: BTreeMap<Group, Vec<String>> = BTreeMap::new();
        for filled in files.finish(folder.path()).unwrap() {
            let mut text = String::new();
            let packed = std::fs::read(folder.path().join(&filled.file)).unwrap();
            GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
            prop_assert_eq!(text.len() as u64, filled.facts.bytes);
            prop_assert!(filled.facts.bytes <= file_bytes);
            let hash = { use sha2::Digest; hex::encode(sha2::Sha256::digest(&text)) };
            prop_assert_eq!(&filled.facts.hash, &hash);
            prop_assert!(!text.contains('\n'));
            let records: serde_json::Value = serde_json::from_str(&text).unwrap();
            let records = records["Records"].as_array().unwrap().clone();
            prop_assert_eq!(records.len() as u64, filled.facts.events);
            let times: Vec<i64> = records.iter().map(|record| record["n"].as_i64().unwrap() * 1000).collect();
            prop_assert_eq!(times.iter().min(), Some(&filled.facts.oldest.as_millis()));
            prop_assert_eq!(times.iter().max(), Some(&filled.facts.newest.as_millis()));
            let texts = records.iter().map(|record| {
                let (number, pad) = (&record["n"], &record["pad"]);
                format!("{{\"n\":{number},\"pad\":{pad}}}")
            });
            found.entry(filled.group).or_default().extend(texts);
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_busy_group_fills_files_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let stagers = Arc::new(Stagers::start(folder.path(), 2, 1).unwrap());
    let mut files = LogFiles::begin(stagers, Arc::new(TrailSettings::default()), 0);
    let mut one = event(1, &[trail(1)], 1, "us-east-1", Category::Management);
    one.json = format!("{{\"pad\":\"{}\"}}", "y".repeat(100_000)).into();
    for _ in 0..100 {
        files.add(&one).unwrap();
    }
    let filled = files.finish(folder.path()).unwrap();
    assert_eq!(filled.len(), 2);
    assert_eq!(filled.iter().map(|file| file.facts.events).sum::<u64>(), 100);
    assert_eq!(filled.iter().map(|file| file.part).collect::<Vec<_>>(), [0, 1]);
}
