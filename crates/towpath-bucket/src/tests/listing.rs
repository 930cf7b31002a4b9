use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// S3's rules, written down naively: all keys behind the marker that have the prefix, rolled up, one entry each.
fn model(keys: &BTreeSet<String>, request: &ListRequest) -> (Vec<String>, Vec<String>, Option<String>) {
    let mut entries: Vec<(String, bool)> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(&request.prefix)) {
        let after = request.after.as_deref().unwrap_or_default();
        if key.as_str() <= after {
            continue;
        }
        let rest = &key[request.prefix.len()..];
        let at = request.delimiter.as_deref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        let entry = match at {
            Some(at) => (key[..request.prefix.len() + at].to_owned(), true),
            None => (key.clone(), false),
        };
        // A prefix that the marker lies in was shown before.
        if !(entry.1 && after.starts_with(&entry.0)) && entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    let more = entries.len() > request.limit && request.limit > 0;
    entries.truncate(request.limit);
    let next = entries.last().filter(|_| more).map(|entry| entry.0.clone());
    let (prefixes, objects): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.1);
    let names = |entries: Vec<(String, bool)>| entries.into_iter().map(|entry| entry.0).collect();
    (names(objects), names(prefixes), next)
}

fn names(page: &Page) -> Vec<String> {
    page.objects.iter().map(|listed| listed.key.to_string()).collect()
}

/// Fills a bucket by its records alone; content is of no matter to listings.
async fn filled(keys: &BTreeSet<String>) -> World {
    let world = World::new().await;
    let bucket = world.buckets.inner.bucket("logs").unwrap();
    let object = world.put("template", "").await.unwrap();
    world.buckets.remove("logs", &key("template"), Conditions::default(), Bypass::No).await.unwrap();
    let mut writes = Vec::new();
    for key in keys {
        let place = bucket.objects.place(key);
        writes.extend(place.doors);
        writes.push(towpath_meta::Write::json(place.record, &object).unwrap());
    }
    let mut seen = BTreeSet::new();
    writes.retain(|write| seen.insert(write.key().clone()));
    for chunk in writes.chunks(50_000) {
        use towpath_meta::MetaStore;
        world.meta.commit(&[], chunk).await.unwrap();
    }
    world
}

fn text() -> impl Strategy<Value = String> {
    "[a-b/.-]{0,5}"
}

fn long_key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-b/.-]{1,6}",
        1 => "[a-b/]{1,3}".prop_map(|tail| "a".repeat(900) + &tail),
        1 => "[/b]{1,3}".prop_map(|tail| "/".repeat(450) + &tail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn listings_are_what_the_naive_model_says(
        keys in prop::collection::btree_set(long_key(), 0..40),
        prefix in text(),
        delimiter in prop_oneof![Just(None), Just(Some("/".to_owned())), Just(Some("a/".to_owned())), Just(Some("-".to_owned()))],
        after in prop_oneof![Just(None), text().prop_map(Some), long_key().prop_map(Some)],
        limit in 0usize..12,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = filled(&keys).await;
            let mut request = ListRequest { prefix, delimiter, after: after.filter(|after| !after.is_empty()), limit };
            let page = world.buckets.list("logs", &request).await.unwrap();
            let found = (names(&page), page.prefixes.clone(), page.next.clone());
            assert_eq!(found, model(&keys, &request));

            // Page by page it is the same as at once.
            request.limit = limit.max(1);
            let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
            let start = request.after.clone();
            loop {
                let page = world.buckets.list("logs", &request).await.unwrap();
                objects.extend(names(&page));
                prefixes.extend(page.prefixes);
                match page.next {
                    Some(next) => request.after = Some(next),
                    None => break,
                }
            }
            let whole = model(&keys, &ListRequest { limit: 1000, after: start, ..request });
            assert_eq!((objects, prefixes), (whole.0, whole.1));
        });
    }
}

#[tokio::test]
async fn pages_of_a_hundred_thousand_objects_take_milliseconds() {
    let keys: BTreeSet<_> =
        (0..100_000).map(|number| format!("AWSLogs/{:03}/{number:06}.json.gz", number % 100)).collect();
    let world = filled(&keys).await;
    let (mut after, mut count, mut longest) = (None, 0, std::time::Duration::ZERO);
    loop {
        let begun = std::time::Instant::now();
        let request = ListRequest { prefix: "AWSLogs/".to_owned(), delimiter: None, after, limit: 1000 };
        let page = world.buckets.list("logs", &request).await.unwrap();
        longest = longest.max(begun.elapsed());
        count += page.objects.len();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(count, 100_000);
    // Generous for a busy machine; a page that reads all before it would take minutes.
    assert!(longest < std::time::Duration::from_millis(500), "{longest:?}");

    let request =
        ListRequest { prefix: "AWSLogs/".to_owned(), delimiter: Some("/".to_owned()), after: None, limit: 1000 };
    let page = world.buckets.list("logs", &request).await.unwrap();
    assert_eq!((page.objects.len(), page.prefixes.len(), page.next), (0, 100, None));
}
