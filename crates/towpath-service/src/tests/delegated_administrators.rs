//! Event data stores of an organization in the hands of its delegated administrators, and of those who are none.

use towpath_wire::sigv4::Credentials;

use super::*;

const ADMINISTRATOR: &str = "000000000002";
const MEMBER: &str = "000000000003";

struct Organized {
    test: TestService,
    administrator: Credentials,
    member: Credentials,
}

impl Organized {
    async fn new() -> Self {
        let test = TestService::new().await;
        let (administrator, member) = (test.account(ADMINISTRATOR).await, test.account(MEMBER).await);
        let root = test.as_root();
        root.towpath("CreateOrganization", json!({})).await.ok();
        for account in [ADMINISTRATOR, MEMBER] {
            root.towpath("AddAccountToOrganization", json!({ "AccountId": account })).await.ok();
        }
        let register = json!({ "MemberAccountId": ADMINISTRATOR });
        root.call("RegisterOrganizationDelegatedAdmin", register).await.ok();
        Self { administrator, member, test }
    }

    async fn shared(&self) -> String {
        let more = json!({ "OrganizationEnabled": true });
        store(&self.test.caller(&self.administrator), "shared", more).await
    }
}

#[tokio::test]
async fn a_delegated_administrator_makes_and_manages_stores_that_the_management_account_owns() {
    let world = Organized::new().await;
    let administrator = world.test.caller(&world.administrator);
    let arn = world.shared().await;
    assert!(arn.contains(&format!(":{ACCOUNT}:eventdatastore/")), "{arn}");
    let id = arn.rsplit('/').next().unwrap();
    let listed = administrator.call("ListEventDataStores", json!({})).await.ok();
    assert_eq!(listed["EventDataStores"][0]["EventDataStoreArn"], arn.as_str());
    let name = |name: &str| json!({ "EventDataStore": name });
    for named in [arn.as_str(), id] {
        let shown = administrator.call("GetEventDataStore", name(named)).await.ok();
        assert_eq!((&shown["OrganizationEnabled"], &shown["EventDataStoreArn"]), (&json!(true), &json!(arn)));
        for operation in ["StopEventDataStoreIngestion", "StartEventDataStoreIngestion", "GetEventConfiguration"] {
            administrator.call(operation, name(named)).await.ok();
        }
        let renamed = json!({ "EventDataStore": named, "RetentionPeriod": 30 });
        assert_eq!(administrator.call("UpdateEventDataStore", renamed).await.ok()["RetentionPeriod"], 30);
    }
    let tags = json!({ "ResourceId": arn, "TagsList": [{ "Key": "k" }] });
    administrator.call("AddTags", tags).await.ok();
    administrator.call("ListTags", json!({ "ResourceIdList": [arn] })).await.ok();
    // What the management account makes for the organization is the administrator's to manage as well.
    let second = store(&world.test.as_root(), "second", json!({ "OrganizationEnabled": true })).await;
    for operation in ["DeleteEventDataStore", "RestoreEventDataStore"] {
        administrator.call(operation, name(&second)).await.ok();
    }
}

#[tokio::test]
async fn a_delegated_administrator_does_not_do_what_the_management_account_alone_may() {
    let world = Organized::new().await;
    let administrator = world.test.caller(&world.administrator);
    let arn = world.shared().await;
    let plain = store(&world.test.as_root(), "plain", json!({})).await;
    let own = store(&administrator, "own", json!({})).await;
    let convert = |store: &str, to: bool| json!({ "EventDataStore": store, "OrganizationEnabled": to });
    let refused = "NotOrganizationMasterAccountException";
    for input in [convert(&arn, false), convert(&own, true)] {
        let answer = administrator.call("UpdateEventDataStore", input).await;
        assert_eq!(answer.code(), refused, "{}", answer.text);
    }
    let policy = json!({ "ResourceArn": arn, "ResourcePolicy": "{}" });
    assert_eq!(administrator.call("PutResourcePolicy", policy).await.code(), "AccessDeniedException");
    let configured = json!({ "EventDataStore": arn, "MaxEventSize": "Large" });
    assert_eq!(administrator.call("PutEventConfiguration", configured).await.code(), "AccessDeniedException");
    let name = json!({ "EventDataStore": plain });
    assert_eq!(administrator.call("GetEventDataStore", name).await.code(), "AccessDeniedException");
    // The identity policies of the administrator's users decide as for its own stores.
    let other = world.test.caller(&world.member);
    let name = json!({ "EventDataStore": arn });
    for operation in ["GetEventDataStore", "DeleteEventDataStore", "StopEventDataStoreIngestion"] {
        assert_eq!(other.call(operation, name.clone()).await.code(), "AccessDeniedException", "{operation}");
    }
    let made = json!({ "Name": "mine", "OrganizationEnabled": true });
    assert_eq!(other.call("CreateEventDataStore", made).await.code(), refused);
    // Who is an administrator no more, manages no more.
    let deregister = json!({ "DelegatedAdminAccountId": ADMINISTRATOR });
    world.test.as_root().call("DeregisterOrganizationDelegatedAdmin", deregister).await.ok();
    assert_eq!(administrator.call("GetEventDataStore", name).await.code(), "AccessDeniedException");
    assert_eq!(
        administrator.call("ListEventDataStores", json!({})).await.ok()["EventDataStores"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_delegated_administrator_queries_the_stores_of_its_organization_as_its_own() {
    let world = Organized::new().await;
    let administrator = world.test.caller(&world.administrator);
    let arn = world.shared().await;
    let statement = format!("SELECT count(*) AS n FROM {}", arn.rsplit('/').next().unwrap());
    let started = administrator.call("StartQuery", json!({ "QueryStatement": statement })).await.ok();
    let id = json!({ "QueryId": started["QueryId"] });
    assert_eq!(started["EventDataStoreOwnerAccountId"], ACCOUNT);
    let described = loop {
        let described = administrator.call("DescribeQuery", id.clone()).await.ok();
        if !matches!(described["QueryStatus"].as_str(), Some("QUEUED" | "RUNNING")) {
            break described;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!(described["QueryStatus"], "FINISHED", "{described}");
    let results = administrator.call("GetQueryResults", id.clone()).await.ok();
    assert!(results["QueryResultRows"][0][0]["n"].is_string(), "{results}");
    let listed = administrator.call("ListQueries", json!({ "EventDataStore": arn })).await.ok();
    assert_eq!(listed["Queries"][0]["QueryId"], started["QueryId"]);
    let other = world.test.caller(&world.member);
    assert_eq!(other.call("DescribeQuery", id).await.code(), "QueryIdNotFoundException");
    let answer = other.call("StartQuery", json!({ "QueryStatement": statement })).await;
    assert_eq!(answer.code(), "EventDataStoreNotFoundException", "{}", answer.text);
}

#[tokio::test]
async fn the_policy_of_an_organization_store_says_what_delegated_administrators_may_do() {
    let world = Organized::new().await;
    let (arn, root) = (world.shared().await, world.test.as_root());
    let shown = root.call("GetResourcePolicy", json!({ "ResourceArn": arn })).await.ok();
    assert!(shown.get("ResourcePolicy").is_none(), "{shown}");
    let generated: Value = serde_json::from_str(shown["DelegatedAdminResourcePolicy"].as_str().unwrap()).unwrap();
    let statement = &generated["Statement"][0];
    assert_eq!(statement["Principal"]["AWS"], json!([format!("arn:aws:iam::{ADMINISTRATOR}:root")]));
    assert_eq!(statement["Resource"], arn.as_str());
    assert!(statement["Action"].as_array().unwrap().contains(&json!("cloudtrail:StartQuery")));
    let plain = store(&root, "plain", json!({})).await;
    let answer = root.call("GetResourcePolicy", json!({ "ResourceArn": plain })).await;
    assert_eq!(answer.code(), "ResourcePolicyNotFoundException");
    // A denial of the store's own policy holds for administrators too.
    let denial = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny", "Resource": arn,
        "Principal": { "AWS": format!("arn:aws:iam::{ADMINISTRATOR}:root") }, "Action": "cloudtrail:GetEventDataStore" }] });
    let put = json!({ "ResourceArn": arn, "ResourcePolicy": denial.to_string() });
    assert!(root.call("PutResourcePolicy", put).await.ok()["DelegatedAdminResourcePolicy"].is_string());
    let administrator = world.test.caller(&world.administrator);
    assert_eq!(
        administrator.call("GetEventDataStore", json!({ "EventDataStore": arn })).await.code(),
        "AccessDeniedException"
    );
}
