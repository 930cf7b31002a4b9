//! The suite that every metadata store must pass: `meta_store_suite!(name, expression that makes an empty store)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use crate::{Expect, Key, MAX_VALUE_BYTES, MetaError, MetaStore, Record, Version, Write};

/// Makes one test per promise, each on a store of its own.
macro_rules! meta_store_suite {
    ($name:ident, $store:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            meta_store_suite!(@tests $store,
                a_record_is_read_as_it_was_written,
                a_listing_has_what_is_under_the_prefix_in_order_and_in_pages,
                a_failed_expectation_writes_nothing_and_says_what_was_found,
                a_version_never_comes_back,
                a_commit_over_the_limits_is_refused_whole,
                of_concurrent_commits_with_one_expectation_exactly_one_wins,
                concurrent_increments_are_never_lost,
                thousands_of_expectations_are_all_checked
            );

            #[test]
            fn random_commits_do_what_a_map_does() {
                $crate::suite::check_against_a_map(|| Box::pin(async { $store }));
            }
        }
    };
    (@tests $store:expr, $($test:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::suite::$test($store).await;
            }
        )*
    };
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(text: &str, value: &str) -> Write {
    Write::Put(key(text), value.to_owned().into())
}

async fn names(store: &impl MetaStore, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let after = after.map(key);
    let page = store.list(&key(prefix), after.as_ref(), limit).await.unwrap();
    page.into_iter().map(|record| record.key.to_string()).collect()
}

pub(crate) async fn a_record_is_read_as_it_was_written(store: impl MetaStore) {
    assert_eq!(store.get(&key("a/b")).await.unwrap(), None);
    let every_byte: Bytes = (0..=255).collect::<Vec<u8>>().into();
    let version = store.commit(&[], &[Write::Put(key("a/b"), every_byte.clone()), put("a/empty", "")]).await.unwrap();

    let read = store.get(&key("a/b")).await.unwrap();
    assert_eq!(read, Some(Record { key: key("a/b"), version, value: every_byte }));
    assert_eq!(store.get(&key("a/empty")).await.unwrap().unwrap().value, "");
    assert_eq!(store.get(&key("a")).await.unwrap(), None);

    store.commit(&[], &[Write::Delete(key("a/b")), Write::Delete(key("never/there"))]).await.unwrap();
    assert_eq!(store.get(&key("a/b")).await.unwrap(), None);
}

pub(crate) async fn a_listing_has_what_is_under_the_prefix_in_order_and_in_pages(store: impl MetaStore) {
    let texts = ["a", "a/b/c", "a/b", "a-/x", "a0/x", "ab/x", "a/B", "a/b.c", "a/~", "A/b", "a/c/d/e"];
    let writes: Vec<_> = texts.iter().map(|text| put(text, "v")).collect();
    store.commit(&[], &writes).await.unwrap();

    let under = ["a/B", "a/b", "a/b.c", "a/b/c", "a/c/d/e", "a/~"];
    assert_eq!(names(&store, "a", None, 100).await, under);
    assert_eq!(names(&store, "a", None, 2).await, under[..2]);
    assert_eq!(names(&store, "a", Some("a/b"), 3).await, under[2..5]);
    assert_eq!(names(&store, "a", Some("a/bb"), 100).await, under[4..]);
    assert_eq!(names(&store, "a/b", None, 100).await, ["a/b/c"]);
    assert!(names(&store, "a", Some("b"), 100).await.is_empty());
    assert_eq!(names(&store, "a", Some("A"), 100).await, under);
    assert!(names(&store, "nothing", None, 100).await.is_empty());
    assert!(names(&store, "a", None, 0).await.is_empty());
}

pub(crate) async fn a_failed_expectation_writes_nothing_and_says_what_was_found(store: impl MetaStore) {
    let old = store.commit(&[], &[put("k/1", "old")]).await.unwrap();
    let new = store.commit(&[Expect::Version(key("k/1"), old)], &[put("k/1", "new")]).await.unwrap();

    for (expect, found) in [
        (Expect::Absent(key("k/1")), Some(new)),
        (Expect::Version(key("k/1"), old), Some(new)),
        (Expect::Version(key("k/2"), old), None),
        (Expect::Exists(key("k/2")), None),
    ] {
        let error = store.commit(&[Expect::Exists(key("k/1")), expect.clone()], &[put("k/3", "x")]).await.unwrap_err();
        match error {
            MetaError::Conflict { expected, found: actual } => assert_eq!((expected, actual), (expect, found)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.get(&key("k/3")).await.unwrap(), None);
    assert_eq!(store.get(&key("k/1")).await.unwrap().unwrap().value, "new");
    store.commit(&[Expect::Absent(key("k/3")), Expect::Exists(key("k/1"))], &[put("k/3", "x")]).await.unwrap();
}

pub(crate) async fn a_version_never_comes_back(store: impl MetaStore) {
    let first = store.commit(&[], &[put("k", "same")]).await.unwrap();
    let deleted = store.commit(&[], &[Write::Delete(key("k"))]).await.unwrap();
    let again = store.commit(&[Expect::Absent(key("k"))], &[put("k", "same")]).await.unwrap();

    assert!(first < deleted && deleted < again);
    assert!(store.commit(&[Expect::Version(key("k"), first)], &[put("k", "x")]).await.unwrap_err().is_conflict());
    assert!(store.commit(&[], &[]).await.unwrap() > again);
}

pub(crate) async fn a_commit_over_the_limits_is_refused_whole(store: impl MetaStore) {
    let large: Bytes = vec![0; MAX_VALUE_BYTES].into();
    let larger: Bytes = vec![0; MAX_VALUE_BYTES + 1].into();
    store.commit(&[], &[Write::Put(key("large"), large.clone())]).await.unwrap();
    assert_eq!(store.get(&key("large")).await.unwrap().unwrap().value.len(), MAX_VALUE_BYTES);

    let refused = store.commit(&[], &[put("x", "1"), Write::Put(key("y"), larger)]).await;
    assert!(matches!(refused, Err(MetaError::TooLarge { .. })));
    let many: Vec<_> = (0..17).map(|n| Write::Put(key("many").child_number(n).unwrap(), large.clone())).collect();
    assert!(matches!(store.commit(&[], &many).await, Err(MetaError::TooLarge { .. })));
    let twice = store.commit(&[], &[put("x", "1"), Write::Delete(key("x"))]).await;
    assert!(matches!(twice, Err(MetaError::WrittenTwice(key)) if key.as_str() == "x"));
    assert_eq!(store.get(&key("x")).await.unwrap(), None);
}

pub(crate) async fn of_concurrent_commits_with_one_expectation_exactly_one_wins(store: impl MetaStore + 'static) {
    let store = Arc::new(store);
    let seen = store.commit(&[], &[put("k", "start")]).await.unwrap();
    for (expect, target) in [(Expect::Version(key("k"), seen), "k"), (Expect::Absent(key("new")), "new")] {
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let (store, expect, write) = (store.clone(), expect.clone(), put(target, &n.to_string()));
                tokio::spawn(async move { (n, store.commit(&[expect], &[write]).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (n, Ok(version)) => winners.push((n, version)),
                (_, Err(error)) => assert!(error.is_conflict(), "{error:?}"),
            }
        }
        let [(winner, version)] = winners[..] else { panic!("{} winners", winners.len()) };
        let record = store.get(&key(target)).await.unwrap().unwrap();
        assert_eq!((record.value, record.version), (winner.to_string().into(), version));
    }
}

pub(crate) async fn concurrent_increments_are_never_lost(store: impl MetaStore + 'static) {
    let store = Arc::new(store);
    store.commit(&[], &[put("n", "0")]).await.unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    loop {
                        let read = store.get(&key("n")).await.unwrap().unwrap();
                        let next = std::str::from_utf8(&read.value).unwrap().parse::<u32>().unwrap() + 1;
                        let expect = Expect::Version(key("n"), read.version);
                        match store.commit(&[expect], &[put("n", &next.to_string())]).await {
                            Ok(_) => break,
                            Err(error) => assert!(error.is_conflict(), "{error:?}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.get(&key("n")).await.unwrap().unwrap().value, "20");
}

pub(crate) async fn thousands_of_expectations_are_all_checked(store: impl MetaStore) {
    let keys: Vec<_> = (0..2000).map(|n| key("m").child_number(n).unwrap()).collect();
    let writes: Vec<_> = keys.iter().map(|key| Write::Put(key.clone(), "v".into())).collect();
    let absent: Vec<_> = keys.iter().cloned().map(Expect::Absent).collect();
    let version = store.commit(&absent, &writes).await.unwrap();

    let mut expect: Vec<_> = keys.iter().map(|key| Expect::Version(key.clone(), version)).collect();
    let deletes: Vec<_> = keys.iter().cloned().map(Write::Delete).collect();
    expect[1999] = Expect::Version(keys[1999].clone(), Version(version.0 + 1));
    assert!(store.commit(&expect, &deletes).await.unwrap_err().is_conflict());
    assert_eq!(store.list(&key("m"), None, 10_000).await.unwrap().len(), 2000);
    expect.pop();
    store.commit(&expect, &deletes).await.unwrap();
    assert!(store.list(&key("m"), None, 10_000).await.unwrap().is_empty());
}

/// One step of the property: expectations about, and writes to, a few keys.
#[derive(Clone, Debug)]
struct Step {
    expect: Vec<(usize, u8)>,
    writes: BTreeMap<usize, Option<u8>>,
}

const KEYS: [&str; 5] = ["p/a", "p/a/b", "p/b", "q/a", "p"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expect = prop::collection::vec((0..KEYS.len(), 0..4_u8), 0..2);
    let writes = prop::collection::btree_map(0..KEYS.len(), prop::option::of(any::<u8>()), 0..4);
    prop::collection::vec((expect, writes).prop_map(|(expect, writes)| Step { expect, writes }), 1..20)
}

/// Runs random commits on the store and on a map, and compares answers and content.
pub(crate) fn check_against_a_map<S: MetaStore>(make: impl Fn() -> std::pin::Pin<Box<dyn Future<Output = S>>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 16, ..Default::default() });
    let outcome = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let store = make().await;
            let mut model: BTreeMap<Key, (Version, Bytes)> = BTreeMap::new();
            for step in steps {
                apply(&store, &mut model, step).await;
            }
            for prefix in ["p", "p/a", "q"].map(key) {
                let listed = store.list(&prefix, None, 100).await.unwrap();
                let expected = model.iter().filter(|(key, _)| key.is_under(&prefix)).map(|(key, (version, value))| {
                    Record { key: key.clone(), version: *version, value: value.clone() }
                });
                assert_eq!(listed, expected.collect::<Vec<_>>());
            }
            for text in KEYS.map(key) {
                let got = store.get(&text).await.unwrap().map(|record| (record.version, record.value));
                assert_eq!(got.as_ref(), model.get(&text));
            }
        });
        Ok(())
    });
    outcome.unwrap();
}

async fn apply(store: &impl MetaStore, model: &mut BTreeMap<Key, (Version, Bytes)>, step: Step) {
    let expect: Vec<_> = step
        .expect
        .iter()
        .map(|(at, kind)| {
            let key = key(KEYS[*at]);
            let current = model.get(&key).map(|(version, _)| *version);
            match kind {
                0 => Expect::Absent(key),
                1 => Expect::Exists(key),
                2 => Expect::Version(key, Version(1)),
                _ => Expect::Version(key, current.unwrap_or(Version(2))),
            }
        })
        .collect();
    let writes: Vec<_> = step
        .writes
        .iter()
        .map(|(at, value)| match value {
            Some(byte) => Write::Put(key(KEYS[*at]), vec![*byte; usize::from(*byte)].into()),
            None => Write::Delete(key(KEYS[*at])),
        })
        .collect();
    let met = expect.iter().all(|expect| {
        let found = model.get(expect.key()).map(|(version, _)| *version);
        match expect {
            Expect::Absent(_) => found.is_none(),
            Expect::Exists(_) => found.is_some(),
            Expect::Version(_, version) => found == Some(*version),
        }
    });

    match store.commit(&expect, &writes).await {
        Ok(version) => {
            assert!(met);
            assert!(model.values().all(|(earlier, _)| *earlier < version));
            for write in writes {
                match write {
                    Write::Put(key, value) => model.insert(key, (version, value)),
                    Write::Delete(key) => model.remove(&key),
                };
            }
        }
        Err(error) => assert!(!met && error.is_conflict(), "{error:?}"),
    }
}
