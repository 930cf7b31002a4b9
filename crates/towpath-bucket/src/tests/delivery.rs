use serde_json::json;
use towpath_iam::Context;
use towpath_model::Arn;

use super::*;

const ACCOUNT: &str = "111111111111";

fn trail() -> Arn {
    "arn:aws:cloudtrail:us-east-1:111111111111:trail/audit".parse().unwrap()
}

/// The policy that the CloudTrail guide recommends.
fn policy(root: &str, condition: serde_json::Value) -> String {
    let mut put = condition.clone();
    put["StringEquals"]["s3:x-amz-acl"] = json!("bucket-owner-full-control");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "AclCheck", "Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"},
             "Action": "s3:GetBucketAcl", "Resource": "arn:aws:s3:::logs", "Condition": condition},
            {"Sid": "Write", "Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"},
             "Action": "s3:PutObject", "Resource": format!("arn:aws:s3:::logs/{root}/*"), "Condition": put},
        ]
    })
    .to_string()
}

async fn check(world: &World, prefix: Option<&str>, organization: Option<&str>) -> Result<(), DeliveryRefusal> {
    world.buckets.check_delivery("logs", prefix, ACCOUNT.parse().unwrap(), organization, &trail())
}

async fn set(world: &World, policy: String) {
    world.buckets.set_policy(&"logs".parse().unwrap(), Some(policy)).await.unwrap();
}

#[tokio::test]
async fn cloudtrail_delivers_where_the_policy_lets_it() {
    let world = World::new().await;
    assert!(matches!(check(&world, None, None).await, Err(DeliveryRefusal::InsufficientPolicy(_))));
    let by_arn = json!({"StringEquals": {"aws:SourceArn": trail().as_str()}});
    set(&world, policy("AWSLogs/111111111111", by_arn.clone())).await;
    check(&world, None, None).await.unwrap();
    assert!(check(&world, Some("prefix"), None).await.is_err());
    assert!(check(&world, None, Some("o-abc")).await.is_err());

    set(&world, policy("prefix/AWSLogs/111111111111", by_arn)).await;
    check(&world, Some("prefix"), None).await.unwrap();
    let by_account = json!({"StringEquals": {"aws:SourceAccount": ACCOUNT}});
    set(&world, policy("AWSLogs", by_account)).await;
    check(&world, None, Some("o-abc")).await.unwrap();
    let another = json!({"StringEquals": {"aws:SourceArn": "arn:aws:cloudtrail:us-east-1:111111111111:trail/other"}});
    set(&world, policy("AWSLogs/111111111111", another)).await;
    assert!(matches!(check(&world, None, None).await, Err(DeliveryRefusal::InsufficientPolicy(_))));
}

#[tokio::test]
async fn a_deny_or_half_a_policy_is_not_enough() {
    let world = World::new().await;
    let mut half: serde_json::Value =
        serde_json::from_str(&policy("AWSLogs/111111111111", json!({"StringEquals": {}}))).unwrap_or_default();
    half["Statement"].as_array_mut().unwrap().remove(0);
    half["Statement"][0]["Condition"] = json!({"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}});
    set(&world, half.to_string()).await;
    assert!(check(&world, None, None).await.is_err());

    let by_arn = json!({"StringEquals": {"aws:SourceArn": trail().as_str()}});
    let mut denied: serde_json::Value = serde_json::from_str(&policy("AWSLogs/111111111111", by_arn)).unwrap();
    denied["Statement"].as_array_mut().unwrap().push(json!(
        {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs/*"}
    ));
    set(&world, denied.to_string()).await;
    assert!(check(&world, None, None).await.is_err());
}

#[tokio::test]
async fn names_that_are_none_and_buckets_that_are_missing_are_told_apart() {
    let world = World::new().await;
    let of = |bucket: &str| world.buckets.check_delivery(bucket, None, ACCOUNT.parse().unwrap(), None, &trail());
    assert!(matches!(of("Bad_Name"), Err(DeliveryRefusal::InvalidName(_))));
    assert!(matches!(of("missing"), Err(DeliveryRefusal::NoSuchBucket(_))));
}

#[tokio::test]
async fn a_delivering_store_follows_the_policy_as_it_is_now() {
    use object_store::ObjectStoreExt;
    let world = World::new().await;
    let by_arn = json!({"StringEquals": {"aws:SourceArn": trail().as_str()}});
    set(&world, policy("AWSLogs/111111111111", by_arn)).await;
    let store = world.buckets.store("logs").delivering(&trail());
    store.put(&"AWSLogs/111111111111/CloudTrail/x".into(), "x".into()).await.unwrap();
    let refused = store.put(&"elsewhere/x".into(), "x".into()).await;
    assert!(matches!(refused, Err(object_store::Error::PermissionDenied { .. })));
    world.buckets.set_policy(&"logs".parse().unwrap(), None).await.unwrap();
    let refused = store.put(&"AWSLogs/111111111111/CloudTrail/y".into(), "y".into()).await.unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().downcast_ref::<BucketError>().unwrap();
    assert_eq!(source.code(), "AccessDenied");
}

#[tokio::test]
async fn a_policy_that_is_none_or_speaks_of_another_bucket_is_refused() {
    let world = World::new().await;
    let foreign =
        policy("AWSLogs", json!({"StringEquals": {"aws:SourceAccount": ACCOUNT}})).replace(":::logs", ":::other");
    let no_resource = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}]});
    let neighbour = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::logs-2/*"}]});
    for text in ["{}", "nonsense", &foreign, &no_resource.to_string(), &neighbour.to_string()] {
        let refused = world.buckets.set_policy(&"logs".parse().unwrap(), Some(text.to_string())).await;
        assert!(matches!(refused, Err(BucketError::MalformedPolicy(_))), "{text}");
    }
}

#[tokio::test]
async fn a_policy_is_not_about_another_user_of_the_same_name() {
    use towpath_iam::{Directory, KeyOwner, PolicyHolder, SecretKey};
    let world = World::new().await;
    let key = SecretKey::generate().unwrap();
    let directory = Directory::open(Arc::new(MemoryMetaStore::new()), &key, world.clock.clone()).await.unwrap();
    let account: towpath_model::AccountId = "222222222222".parse().unwrap();
    directory.ensure_root(account, None).await.unwrap();
    let name: towpath_iam::EntityName = "jane".parse().unwrap();
    let caller = async || {
        directory.create_user(account, name.clone(), "/".parse().unwrap()).await.unwrap();
        let made = directory.create_access_key(account, KeyOwner::User(name.clone())).await.unwrap();
        let everything = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        let policy = "all".parse().unwrap();
        directory
            .put_inline_policy(account, PolicyHolder::User(name.clone()), policy, everything.to_owned())
            .await
            .unwrap();
        (Caller::from(&directory.resolve(made.id.as_str(), None, jiff::Timestamp::UNIX_EPOCH).unwrap()), made.id)
    };
    let (first, id) = caller().await;
    let shared = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:user/jane"},
        "Action": "s3:GetObject", "Resource": "arn:aws:s3:::logs/*"}]});
    let ids = |policy: &towpath_iam::Policy| directory.ids_of(policy);
    world.buckets.set_policy_about(&"logs".parse().unwrap(), Some(shared.to_string()), ids).await.unwrap();
    let may = |buckets: &Buckets, caller: &Caller| {
        buckets.authorize(caller, "s3:GetObject", "logs", Some("k"), &Context::new()).is_ok()
    };
    assert!(may(&world.buckets, &first));

    directory.delete_access_key(account, id).await.unwrap();
    directory.delete_inline_policy(account, PolicyHolder::User(name.clone()), "all".parse().unwrap()).await.unwrap();
    directory.delete_user(account, name.clone()).await.unwrap();
    let (second, _) = caller().await;
    assert!(!may(&world.buckets, &second));
    assert!(!may(&world.reopened().await, &second));
}

#[tokio::test]
async fn strangers_need_the_policy_of_the_bucket() {
    let world = World::new().await;
    let anyone = Caller::anonymous();
    let may = |action: &str| world.buckets.authorize(&anyone, action, "logs", Some("public/x"), &Context::new());
    assert!(matches!(may("s3:GetObject"), Err(BucketError::AccessDenied(_))));
    let public = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::logs/public/*"}]});
    set(&world, public.to_string()).await;
    may("s3:GetObject").unwrap();
    assert!(may("s3:PutObject").is_err());
}
