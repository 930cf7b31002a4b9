//! Where the records of objects are in the metadata store: under their bucket, in the order of their keys.
//!
//! A metadata key has at most 1,024 bytes, and the encoded key of an object may have twice as many. A key that is too
//! long for one *level* is cut: its first part names a lower level, and a *door* record beside the objects says that
//! the level exists, so that a listing finds it at the right place. Almost every key is short enough for the first
//! level. Doors are written with the objects behind them and go with their bucket.

use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};

use towpath_meta::{Key, MetaError, MetaStore, Record, Write};

use crate::order;

/// Longest part of an encoded key in one level, in bytes; the metadata key around it has room for the rest.
const LEVEL: usize = 900;

/// What a door has behind the first part of the keys it stands for.
const DOOR: char = '~';

/// The records of the objects of one bucket.
#[derive(Clone, Debug)]
pub(crate) struct KeySpace {
    /// The metadata key above the first level, and the id of the bucket.
    area: &'static str,
    bucket: String,
}

/// A record and the key of its object.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) record: Record,
}

/// The place of one object: its record, and the doors that must be there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) record: Key,
    pub(crate) doors: Vec<Write>,
}

impl KeySpace {
    pub(crate) fn new(area: &'static str, bucket: &str) -> Self {
        Self { area, bucket: bucket.to_owned() }
    }

    /// The metadata key above one level.
    fn level(&self, level: &str) -> Key {
        Key::from_parts([self.area, "object", self.bucket.as_str(), level]).expect("areas, ids and levels are short")
    }

    /// Finds the place of an object.
    pub(crate) fn place(&self, key: &str) -> Place {
        let encoded = order::encode(key);
        let (mut level, mut rest, mut doors) = (first_level(), encoded.as_str(), Vec::new());
        while rest.len() > LEVEL {
            let (part, below) = rest.split_at(LEVEL);
            let door = self.child(&level, &format!("{part}{DOOR}"));
            doors.push(Write::Put(door, Default::default()));
            level = lower(&level, part);
            rest = below;
        }
        Place { record: self.child(&level, rest), doors }
    }

    fn child(&self, level: &str, part: &str) -> Key {
        self.level(level).child(part).expect("a level's part is short enough and plain")
    }

    /// Lists up to `limit` objects behind `after`, an encoded key or the end of an encoded prefix; `""` is the
    /// beginning. Fewer than `limit` means that there are no more.
    pub(crate) async fn list(&self, meta: &dyn MetaStore, after: &str, limit: usize) -> Result<Vec<Entry>, MetaError> {
        let mut found = Vec::new();
        self.walk(meta, &first_level(), "", after, limit, &mut found).await?;
        Ok(found)
    }

    fn walk<'a>(
        &'a self,
        meta: &'a dyn MetaStore,
        level: &'a str,
        above: &'a str,
        after: &'a str,
        limit: usize,
        found: &'a mut Vec<Entry>,
    ) -> BoxFuture<'a, Result<(), MetaError>> {
        async move {
            let mut last = if after.len() > LEVEL {
                let (part, below) = after.split_at(LEVEL);
                self.walk(meta, &lower(level, part), &format!("{above}{part}"), below, limit, found).await?;
                Some(self.child(level, &format!("{part}{DOOR}")))
            } else if after.is_empty() {
                None
            } else {
                Some(self.child(level, after))
            };
            let folder = self.level(level);
            while found.len() < limit {
                let want = limit - found.len();
                let page = meta.list(&folder, last.as_ref(), want).await?;
                let complete = page.len() < want.min(towpath_meta::MAX_PAGE);
                last = page.last().map(|record| record.key.clone());
                for record in page {
                    if found.len() >= limit {
                        return Ok(());
                    }
                    let part = record.key.last_part().into_owned();
                    match part.strip_suffix(DOOR).filter(|door| door.len() == LEVEL) {
                        Some(door) => {
                            let above = format!("{above}{door}");
                            self.walk(meta, &lower(level, door), &above, "", limit, found).await?;
                        }
                        None => {
                            let key = order::decode(&format!("{above}{part}")).ok_or_else(|| damaged(&record.key))?;
                            found.push(Entry { key, record });
                        }
                    }
                }
                if complete {
                    break;
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// The metadata key above all levels of the bucket.
    pub(crate) fn root(&self) -> Key {
        Key::from_parts([self.area, "object", self.bucket.as_str()]).expect("areas and ids are short")
    }
}

fn damaged(key: &Key) -> MetaError {
    MetaError::Damaged(format!("{key} does not hold the key of an object"))
}

fn first_level() -> String {
    "0".to_owned()
}

/// The name of the level behind a door.
fn lower(level: &str, part: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(level.as_bytes());
    digest.update(b"/");
    digest.update(part.as_bytes());
    hex::encode(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use towpath_meta::MemoryMetaStore;

    use super::*;

    async fn filled(keys: &[String]) -> (KeySpace, MemoryMetaStore) {
        let (space, meta) = (KeySpace::new("bucket", "b1"), MemoryMetaStore::new());
        for key in keys {
            let place = space.place(key);
            let mut writes = place.doors;
            writes.push(Write::Put(place.record, key.clone().into()));
            meta.commit(&[], &writes).await.unwrap();
        }
        (space, meta)
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Keys that share long beginnings, so that levels lie below levels.
    fn key() -> impl Strategy<Value = String> {
        let long = prop_oneof![
            Just(0usize),
            Just(447),
            Just(449),
            Just(450),
            Just(451),
            Just(899),
            Just(900),
            Just(901),
            Just(1000)
        ];
        (prop_oneof![Just("a"), Just("/"), Just("中")], long, "[ab/~é]{0,3}")
            .prop_map(|(unit, count, tail)| {
                let mut key = unit.repeat(count.min(1020 / unit.len()));
                key.push_str(&tail);
                key
            })
            .prop_filter("keys are not empty", |key| !key.is_empty())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn objects_list_in_the_order_of_their_keys_from_any_place(
            mut keys in prop::collection::vec(key(), 1..20),
            after in key(),
            limit in 1usize..12,
        ) {
            keys.sort();
            keys.dedup();
            run(async {
                let (space, meta) = filled(&keys).await;
                let listed = space.list(&meta, &order::encode(&after), limit).await.unwrap();
                let listed: Vec<_> = listed.into_iter().map(|entry| entry.key).collect();
                let expected: Vec<_> = keys.iter().filter(|key| **key > after).take(limit).cloned().collect();
                assert_eq!(listed, expected);

                let behind = format!("{}{}", order::encode(&after), order::END);
                let listed = space.list(&meta, &behind, 100).await.unwrap();
                let listed: Vec<_> = listed.into_iter().map(|entry| entry.key).collect();
                let expected: Vec<_> =
                    keys.iter().filter(|key| **key > after && !key.starts_with(&after)).cloned().collect();
                assert_eq!(listed, expected);

                for key in &keys {
                    let record = meta.get(&space.place(key).record).await.unwrap().unwrap();
                    assert_eq!(record.value, key.as_bytes());
                }
            });
        }
    }
}
