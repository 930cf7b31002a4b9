//! Lists in pages: hostile tokens and sizes.

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn sizes_out_of_range_are_refused_and_pages_put_together_are_the_list() {
    let world = World::new().await;
    for operation in ["ListEventDataStores", "ListChannels"] {
        for size in [0, -1, 1001] {
            let answer = world.test.as_root().call(operation, json!({ "MaxResults": size })).await;
            let code = answer.code();
            assert!(["InvalidMaxResultsException", "ValidationException"].contains(&code.as_str()), "{size}: {code}");
        }
    }
    let root = world.test.as_root();
    let mut names = Vec::new();
    let mut token = Value::Null;
    loop {
        let page = root.call("ListEventDataStores", json!({ "MaxResults": 2, "NextToken": token })).await.ok();
        names.extend(page["EventDataStores"].as_array().unwrap().iter().map(|store| store["Name"].clone()));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    // All were made at one moment, so their order is that of their ids.
    names.sort_by_key(|name| name.to_string());
    assert_eq!(names, ["activity", "pending", "plain", "protected", "stopped"]);
}

#[tokio::test]
async fn a_token_is_good_for_its_own_list_alone() {
    let world = World::new().await;
    let root = world.test.as_root();
    let page = root.call("ListEventDataStores", json!({ "MaxResults": 1 })).await.ok();
    let token = json!({ "NextToken": page["NextToken"] });
    root.call("ListEventDataStores", token.clone()).await.ok();
    world.refuses("ListChannels", &[(token.clone(), "InvalidNextTokenException")]).await;
    // Another account has a list of its own.
    let other = world.test.account("222222222222").await;
    let answer = world.test.caller(&other).call("ListEventDataStores", token).await;
    assert_eq!(answer.code(), "InvalidNextTokenException");
}

#[test]
fn no_text_that_was_not_given_out_is_a_token() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let texts = prop_oneof![".{4,80}", "[A-Za-z0-9_-]{4,120}", "[A-Za-z0-9+/=]{4,100}"];
    runner
        .run(&texts, |text| {
            runtime.block_on(async {
                for operation in ["ListEventDataStores", "ListChannels", "ListQueries", "ListImports", "LookupEvents"] {
                    let mut input = json!({ "NextToken": text });
                    if operation == "ListQueries" {
                        input["EventDataStore"] = json!(world.plain);
                    }
                    let answer = world.test.as_root().call(operation, input).await;
                    let code = answer.code();
                    let refused = ["InvalidNextTokenException", "InvalidParameterException", "ValidationException"];
                    prop_assert!(refused.contains(&code.as_str()), "{operation} {text:?}: {}", answer.text);
                }
                Ok(())
            })
        })
        .unwrap();
}
