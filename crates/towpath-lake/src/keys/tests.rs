//! Runs are written, read, merged, damaged; runs of the first form are read.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::format::{BLOCK, MAGIC_1, hash, seed};
use super::*;
use crate::objects::Objects;

/// Which stores, by number, have which keys.
type Model = BTreeMap<(Vec<u128>, EventKey), EventTime>;

fn store(number: u128) -> StoreId {
    StoreId::from_uuid(Uuid::from_u128(number))
}

fn stores(numbers: &[u128]) -> Stores {
    numbers.iter().map(|number| store(*number)).collect()
}

fn keys(model: &Model) -> Vec<Keys> {
    let of = |((numbers, key), time): (&(Vec<u128>, EventKey), &EventTime)| Keys {
        stores: stores(numbers),
        entries: vec![Entry { key: *key, time: *time }],
    };
    model.iter().map(of).collect()
}

fn write(objects: &Objects, model: &Model) -> Option<Arc<Run>> {
    let (info, bytes) = RunWriter::encode(keys(model))?;
    Some(put(objects, info, bytes))
}

fn put(objects: &Objects, info: RunInfo, bytes: Vec<u8>) -> Arc<Run> {
    assert_eq!(info.size, bytes.len() as u64);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(objects.put(&info.path(), bytes.into())).unwrap();
    Arc::new(Run::open(objects, info).unwrap())
}

fn merged(objects: &Objects, runs: &[Arc<Run>], keep: impl Fn(StoreId) -> Keep) -> Arc<Run> {
    let mut writer = RunWriter::new(runs.iter().map(|run| run.info().entries as usize).sum());
    merge(runs, &mut writer, keep, |_| Ok(())).unwrap();
    let mut bytes = writer.take();
    let (info, rest) = writer.finish();
    bytes.extend(rest);
    put(objects, info, bytes)
}

fn key(number: u128) -> EventKey {
    EventKey::from(Uuid::from_u128(number))
}

fn time(millis: i64) -> EventTime {
    EventTime::from_millis(millis).unwrap()
}

fn is_damage<T>(outcome: &Result<T, LakeError>) -> bool {
    matches!(outcome, Err(LakeError::Keys { .. }))
}

fn models() -> impl Strategy<Value = Model> {
    let near = (0u128..4).prop_map(|last| key(0x0707_0707_0707_0707_0707_0707_0707_0700 + last));
    let key = prop_oneof![any::<[u8; 16]>().prop_map(EventKey::from_bytes), near];
    let seconds = prop_oneof![0i64..86_400, -9_000_000_000i64..200_000_000_000].prop_map(|s| s * 1000);
    let time = (seconds, prop_oneof![9 => Just(0i64), 1 => 0..1000i64]).prop_map(|(s, ms)| time(s + ms));
    let of = prop_oneof![
        4 => (0u128..3).prop_map(|one| vec![one]),
        2 => Just(vec![0, 1]),
        2 => Just(vec![0, 1, 2]),
        1 => Just(vec![1, 3, 4]),
    ];
    prop::collection::btree_map((of, key), time, 1..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn runs_and_their_merge_find_what_was_written_and_nothing_else(left in models(), right in models()) {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let mut right = right;
        right.retain(|at, _| !left.contains_key(at));
        let runs: Vec<_> = [&left, &right].into_iter().filter_map(|model| write(&objects, model)).collect();
        // One store was dropped, another keeps only what is late enough.
        let cutoff = time(43_200_000);
        let keep = |of: StoreId| match of {
            of if of == store(2) => Keep::Nothing,
            of if of == store(1) => Keep::From(Some(cutoff)),
            _ => Keep::From(None),
        };
        let merged = merged(&objects, &runs, keep);

        let all: Vec<_> = left.iter().chain(&right).collect();
        let has = |of: u128, wanted: EventKey| {
            all.iter().filter(move |((numbers, key), _)| numbers.contains(&of) && *key == wanted).map(|(_, time)| **time)
        };
        let index = KeyIndex::new(runs);
        for ((_, key), _) in &all {
            let asked = stores(&[0, 1, 2, 3, 4]);
            let having = index.having(&asked, *key).unwrap();
            for number in 0..5 {
                let found = index.find(store(number), *key).unwrap();
                prop_assert_eq!(found.is_some(), has(number, *key).next().is_some());
                prop_assert!(found.is_none_or(|found| has(number, *key).any(|time| time == found)));
                prop_assert_eq!(found.is_some(), having.contains(&store(number)));
                prop_assert!(found.is_none() || index.may_find(store(number), *key));
            }
            prop_assert_eq!(merged.find(store(2), *key).unwrap(), None);
            prop_assert_eq!(merged.find(store(0), *key).unwrap().is_some(), has(0, *key).next().is_some());
            let late = has(1, *key).any(|time| time >= cutoff);
            prop_assert!(!late || merged.find(store(1), *key).unwrap().is_some());
        }
    }

    #[test]
    fn a_damaged_footer_is_noticed(at in 0usize..10_000, flip in 1u8..=255) {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let model: Model = (0..10).map(|n| ((vec![0, 7], key(n)), time(1))).collect();
        let info = write(&objects, &model).unwrap().info().clone();
        let file = folder.path().join(info.path().to_string());
        let mut bytes = std::fs::read(&file).unwrap();
        let footer = bytes.len() - 10 * 16;
        let place = 10 * 16 + at % footer;
        bytes[place] ^= flip;
        std::fs::write(&file, bytes).unwrap();
        prop_assert!(Run::open(&objects, info).is_err());
    }

    #[test]
    fn a_damaged_block_is_noticed_by_whoever_reads_it(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::local(folder.path()).unwrap();
        let count = 3 * BLOCK as u128;
        let model: Model = (0..count).map(|n| ((vec![1], key(n)), time(n as i64))).collect();
        let info = write(&objects, &model).unwrap().info().clone();
        let file = folder.path().join(info.path().to_string());
        let mut bytes = std::fs::read(&file).unwrap();
        let entry = 18;
        let place = at.index(count as usize * entry);
        bytes[place] ^= flip;
        std::fs::write(&file, bytes).unwrap();
        let run = Arc::new(Run::open(&objects, info).unwrap());
        let hit = place / entry / BLOCK;
        for n in 0..count {
            let found = run.find(store(1), key(n));
            match n as usize / BLOCK == hit {
                true => prop_assert!(is_damage(&found), "block {}", hit),
                false => prop_assert_eq!(found.unwrap(), Some(time(n as i64))),
            }
        }
        let mut writer = RunWriter::new(1);
        let merged = merge(&[run], &mut writer, |_| Keep::From(None), |_| Ok(()));
        prop_assert!(is_damage(&merged), "merged");
    }
}

#[test]
fn a_key_of_many_stores_is_in_the_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::local(folder.path()).unwrap();
    let many: Vec<u128> = (0..1000).collect();
    let model: Model = (0..1000).map(|n| ((many.clone(), key(n)), time(n as i64))).collect();
    let run = write(&objects, &model).unwrap();
    assert_eq!(run.info().entries, 1000);
    assert!(run.info().size < 64 << 10, "{} bytes", run.info().size);
    let index = KeyIndex::new(vec![run]);
    assert_eq!(index.having(&stores(&many), key(17)).unwrap().len(), 1000);
    assert_eq!(index.having(&stores(&many), key(1017)).unwrap().len(), 0);
    assert_eq!(index.find(store(999), key(3)).unwrap(), Some(time(3)));
    assert_eq!(index.find(store(1000), key(3)).unwrap(), None);
}

/// The file that the first form of runs had for one store with whole seconds.
fn first_form(of: StoreId, entries: &[(EventKey, i64)]) -> (RunInfo, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut filter = filter::Filter::for_keys(entries.len());
    for (key, seconds) in entries {
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(*seconds as u8);
        filter.insert(hash(seed(&[of]), *key));
    }
    let mut footer = Vec::new();
    for count in [1, entries.len().div_ceil(BLOCK), filter.words().len()] {
        footer.extend_from_slice(&(count as u64).to_le_bytes());
    }
    footer.extend_from_slice(of.uuid().as_bytes());
    // Entries, offset, earliest and latest time, unit, width, first block.
    for number in [entries.len() as u64, 0, 0, 255_000] {
        footer.extend_from_slice(&number.to_le_bytes());
    }
    footer.extend_from_slice(&1000u32.to_le_bytes());
    footer.push(1);
    footer.extend_from_slice(&0u64.to_le_bytes());
    entries.chunks(BLOCK).for_each(|block| footer.extend_from_slice(block[0].0.as_bytes()));
    filter.words().iter().for_each(|word| footer.extend_from_slice(&word.to_le_bytes()));
    bytes.extend_from_slice(&footer);
    bytes.extend_from_slice(&(footer.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&xxh3_64(&footer).to_le_bytes());
    bytes.extend_from_slice(MAGIC_1);
    (RunInfo { id: Uuid::new_v4(), entries: entries.len() as u64, size: bytes.len() as u64 }, bytes)
}

#[test]
fn a_run_of_the_first_form_is_read_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::local(folder.path()).unwrap();
    let entries: Vec<_> = (0..700u128).map(|n| (key(n), n as i64 % 256)).collect();
    let (info, bytes) = first_form(store(5), &entries);
    let old = put(&objects, info, bytes);
    let new = write(&objects, &(700..900).map(|n| ((vec![5], key(n)), time(n as i64 * 1000))).collect()).unwrap();
    let merged = merged(&objects, &[old.clone(), new], |_| Keep::From(None));
    for (key, seconds) in entries {
        assert_eq!(old.find(store(5), key).unwrap(), Some(time(seconds * 1000)));
        assert_eq!(merged.find(store(5), key).unwrap(), Some(time(seconds * 1000)));
    }
    assert_eq!(merged.info().entries, 900);
    assert_eq!(old.find(store(5), key(800)).unwrap(), None);
}
