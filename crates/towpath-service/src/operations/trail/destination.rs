//! Where a trail delivers to, as requests say it: bucket, prefix, topic, key, log group. Each part is checked once and
//! is then a member of the trail.

use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use towpath_bucket::DeliveryRefusal;
use towpath_model::{Arn, CloudWatchLogs, Trail};
use towpath_trail::{BucketError, Buckets, KeyPlace, error_code};
use towpath_wire::{ApiError, errors};
use uuid::Uuid;

use crate::caller::Caller;
use crate::operations::Context;
use crate::refusal::refuse;

/// Characters of a prefix.
const MAX_PREFIX: usize = 200;

/// Characters of a topic's name.
const MAX_TOPIC: usize = 256;

/// The time that an endpoint has to answer a probe.
const PROBE_TIME: Duration = Duration::from_secs(20);

/// Checks the name of a bucket (trails.md, section 4).
///
/// # Errors
/// `InvalidS3BucketNameException`.
pub(crate) fn bucket(text: &str) -> Result<String, ApiError> {
    let name: Result<towpath_bucket::BucketName, _> = text.parse();
    match name {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(refuse(errors::INVALID_S3_BUCKET_NAME_EXCEPTION, format!("Bucket name is invalid: {text}"))),
    }
}

/// Checks a prefix; an empty text means none. A slash at its end is dropped, because one follows anyway.
///
/// # Errors
/// `InvalidS3PrefixException` for one that is too long, could not be told from the folders of log files, or is no path
/// that every kind of bucket keeps as it is.
pub(crate) fn prefix(text: &str) -> Result<Option<String>, ApiError> {
    let invalid = |why: &str| Err(refuse(errors::INVALID_S3_PREFIX_EXCEPTION, why));
    if text.chars().count() > MAX_PREFIX {
        return invalid("S3KeyPrefix has at most 200 characters");
    }
    let prefix = text.strip_suffix('/').unwrap_or(text);
    if prefix.is_empty() {
        return if text.is_empty() { Ok(None) } else { invalid("S3KeyPrefix is nothing but a slash; leave it out") };
    }
    if prefix.split('/').any(|part| part == "AWSLogs") {
        return invalid("S3KeyPrefix must not contain AWSLogs/, which follows it");
    }
    if prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return invalid("S3KeyPrefix has an empty part, '.' or '..' between its slashes");
    }
    if prefix.chars().any(|c| c.is_control()) {
        return invalid("S3KeyPrefix has a control character");
    }
    Ok(Some(prefix.to_owned()))
}

/// Reads a topic, by name or ARN; an empty text means none. A name is a topic of the caller's account and region.
///
/// # Errors
/// `InvalidSnsTopicNameException`.
pub(super) fn topic(text: &str, caller: &Caller) -> Result<Option<String>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let plain = |name: &str| {
        (1..=MAX_TOPIC).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    if plain(text) {
        return Ok(Some(format!("arn:aws:sns:{}:{}:{text}", caller.region, caller.account)));
    }
    let arn: Option<Arn> = text.parse().ok();
    // A FIFO topic cannot be written to by CloudTrail; its name has a dot and is no plain one.
    let good = |arn: &Arn| arn.service() == "sns" && arn.account_id().is_some() && plain(arn.resource());
    match arn.filter(good) {
        Some(arn) => Ok(Some(arn.to_string())),
        None => Err(refuse(
            errors::INVALID_SNS_TOPIC_NAME_EXCEPTION,
            "SnsTopicName is the name of a topic, 1 to 256 letters, digits, _ and -, or its ARN",
        )),
    }
}

/// Reads a key in one of its four forms and writes its ARN, or that of the alias; an empty text means none.
///
/// # Errors
/// `InvalidKmsKeyIdException`.
pub(super) fn kms_key(text: &str, caller: &Caller) -> Result<Option<String>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let arn = match text.parse::<Arn>() {
        Ok(arn) => (arn.service() == "kms" && arn.account_id().is_some() && !arn.region().is_empty()).then_some(arn),
        Err(_) => {
            let resource = if text.starts_with("alias/") { text.to_owned() } else { format!("key/{text}") };
            format!("arn:aws:kms:{}:{}:{resource}", caller.region, caller.account).parse().ok()
        }
    };
    let is_key = |arn: &Arn| match arn.resource().split_once('/') {
        Some(("key", id)) => Uuid::try_parse(id).is_ok() || id.strip_prefix("mrk-").is_some_and(hexadecimal),
        Some(("alias", name)) => {
            (1..=250).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-'))
        }
        _ => false,
    };
    match arn.filter(is_key) {
        Some(arn) => Ok(Some(arn.to_string())),
        None => Err(refuse(
            errors::INVALID_KMS_KEY_ID_EXCEPTION,
            "KmsKeyId is the id of a key, alias/<name>, or the ARN of one of them",
        )),
    }
}

fn hexadecimal(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Checks a log group and its role: together or not at all, empty texts mean none.
///
/// # Errors
/// `InvalidCloudWatchLogsLogGroupArnException`, `InvalidCloudWatchLogsRoleArnException`.
pub(super) fn cloud_watch_logs(
    group: Option<&str>,
    role: Option<&str>,
    trail: &Arn,
) -> Result<Option<CloudWatchLogs>, ApiError> {
    let bad_group = |why: &str| Err(refuse(errors::INVALID_CLOUD_WATCH_LOGS_LOG_GROUP_ARN_EXCEPTION, why));
    let bad_role = |why: &str| Err(refuse(errors::INVALID_CLOUD_WATCH_LOGS_ROLE_ARN_EXCEPTION, why));
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let (group, role) = match (given(group), given(role)) {
        (None, None) => return Ok(None),
        (Some(_), None) => return bad_role("You must specify a role ARN as well as a log group."),
        (None, Some(_)) => return bad_group("You must specify a log group ARN as well as a role."),
        (Some(group), Some(role)) => (group, role),
    };
    let group_arn: Option<Arn> = group.parse().ok();
    let name = |arn: &Arn| {
        let name = arn.resource().strip_prefix("log-group:")?.trim_end_matches(":*").to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
        ((1..=512).contains(&name.len()) && name.chars().all(plain)).then_some(name)
    };
    match group_arn.filter(|arn| arn.service() == "logs" && name(arn).is_some()) {
        None => return bad_group("a log group's ARN has the form arn:aws:logs:<region>:<account>:log-group:<name>:*"),
        Some(arn) if arn.account() != trail.account() => {
            return bad_group("the log group must be of the account that owns the trail");
        }
        Some(arn) if arn.region() != trail.region() => {
            return bad_group("the log group must be in the home region of the trail");
        }
        Some(_) => {}
    }
    let role_arn: Option<Arn> = role.parse().ok();
    let is_role =
        |arn: &Arn| arn.service() == "iam" && arn.resource().strip_prefix("role/").is_some_and(|n| !n.is_empty());
    match role_arn.filter(is_role) {
        Some(arn) if arn.account() == trail.account() => {}
        Some(_) => return bad_role("the role must be of the account that owns the trail"),
        None => return bad_role("a role's ARN has the form arn:aws:iam::<account>:role/<name>"),
    }
    Ok(Some(CloudWatchLogs { group_arn: group, role_arn: role }))
}

/// Makes sure that a trail can deliver to its bucket: the bucket exists and its policy lets CloudTrail write.
///
/// An embedded bucket is asked by its policy. Into one behind an S3-compatible endpoint an empty object is put where log
/// files will be, and removed again.
///
/// # Errors
/// `S3BucketDoesNotExistException`, `InsufficientS3BucketPolicyException`; `ServiceUnavailable` when the endpoint does
/// not answer.
pub(super) async fn require_deliverable(context: &Context<'_>, trail: &Trail) -> Result<(), ApiError> {
    let (bucket, account) = (trail.bucket.as_str(), trail.account);
    let insufficient = || {
        refuse(
            errors::INSUFFICIENT_S3_BUCKET_POLICY_EXCEPTION,
            format!("Incorrect S3 bucket policy is detected for bucket: {bucket}"),
        )
    };
    let missing = || refuse(errors::S3_BUCKET_DOES_NOT_EXIST_EXCEPTION, format!("S3 bucket {bucket} does not exist!"));
    let buckets = &context.parts.buckets;
    let organization = trail.organization.as_ref().map(|id| id.as_str());
    match buckets.check_delivery(bucket, trail.prefix.as_deref(), account, organization, &trail.arn()) {
        Ok(()) => return Ok(()),
        Err(DeliveryRefusal::InsufficientPolicy(_)) => return Err(insufficient()),
        Err(DeliveryRefusal::InvalidName(name)) => return Err(self::bucket(&name).err().unwrap_or_else(missing)),
        Err(DeliveryRefusal::NoSuchBucket(_)) => {}
    }
    match probe(context.parts.trail_buckets.as_ref(), trail).await {
        Ok(()) => Ok(()),
        Err(BucketError { code: Some(code), .. }) if code == "NoSuchBucket" => Err(missing()),
        Err(BucketError { code: Some(code), message, .. }) => {
            tracing::info!(bucket, code, message, "a bucket refuses a trail");
            Err(insufficient())
        }
        Err(BucketError { code: None, message, .. }) => {
            tracing::warn!(bucket, message, "a trail's bucket cannot be reached");
            Err(ApiError::new("ServiceUnavailable", format!("bucket {bucket} cannot be reached; try again later")))
        }
    }
}

/// Puts an empty object beside where log files will be, and removes it. That it cannot be removed is no failure: the
/// right to delete is none that a trail needs.
async fn probe(buckets: &dyn Buckets, trail: &Trail) -> Result<(), BucketError> {
    let refused = |error: &object_store::Error| BucketError {
        bucket: trail.bucket.clone(),
        code: error_code(error),
        message: error.to_string(),
    };
    let key = format!("{}CloudTrail/towpath-probe", KeyPlace::of(trail, trail.account).root());
    let probing = async {
        let store = buckets.open_for(&trail.bucket, trail).await?;
        let path = Path::parse(&key).map_err(|cause| refused(&cause.into()))?;
        store.put(&path, PutPayload::new()).await.map_err(|error| refused(&error))?;
        let _ = store.delete(&path).await;
        Ok(())
    };
    let late = |_| BucketError { bucket: trail.bucket.clone(), code: None, message: "no answer in time".to_owned() };
    tokio::time::timeout(PROBE_TIME, probing).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(outcome: Result<T, ApiError>) -> String {
        outcome.unwrap_err().code().to_owned()
    }

    fn caller() -> Caller {
        crate::caller::testing::root("000000000001", "eu-central-1")
    }

    fn trail() -> Arn {
        "arn:aws:cloudtrail:eu-central-1:000000000001:trail/t".parse().unwrap()
    }

    #[test]
    fn prefixes_are_paths_that_do_not_hide_the_folders_of_log_files() {
        for (given, kept) in [("", None), ("a", Some("a")), ("a/b/", Some("a/b")), ("AWSLogsX", Some("AWSLogsX"))] {
            assert_eq!(prefix(given).unwrap().as_deref(), kept, "{given}");
        }
        for bad in ["/", "//", "/a", "a//b", "a/../b", "AWSLogs/", "a/AWSLogs", "a\nb", &"p".repeat(201)] {
            assert_eq!(code(prefix(bad)), "InvalidS3PrefixException", "{bad}");
        }
        assert!(prefix(&"p".repeat(200)).is_ok());
    }

    #[test]
    fn a_topic_is_named_alone_or_by_its_arn() {
        let arn = "arn:aws:sns:eu-central-1:000000000001:topic";
        assert_eq!(topic("topic", &caller()).unwrap().as_deref(), Some(arn));
        let foreign = "arn:aws:sns:us-east-1:000000000002:topic-2";
        assert_eq!(topic(foreign, &caller()).unwrap().as_deref(), Some(foreign));
        assert_eq!(topic("", &caller()).unwrap(), None);
        for bad in ["a b", "topic.fifo", "arn:aws:sns:us-east-1:000000000002:", "arn:aws:sqs:x:000000000002:q"] {
            assert_eq!(code(topic(bad, &caller())), "InvalidSnsTopicNameException", "{bad}");
        }
        assert_eq!(code(topic(&"t".repeat(257), &caller())), "InvalidSnsTopicNameException");
    }

    #[test]
    fn a_key_has_four_names_and_one_arn() {
        let id = "12345678-1234-1234-1234-123456789012";
        let key = format!("arn:aws:kms:eu-central-1:000000000001:key/{id}");
        for (given, kept) in [
            (id, key.as_str()),
            (key.as_str(), key.as_str()),
            ("alias/mine", "arn:aws:kms:eu-central-1:000000000001:alias/mine"),
            ("arn:aws:kms:us-east-2:000000000002:alias/x", "arn:aws:kms:us-east-2:000000000002:alias/x"),
        ] {
            assert_eq!(kms_key(given, &caller()).unwrap().as_deref(), Some(kept));
        }
        for bad in ["key", "alias/", "arn:aws:kms:us-east-2:000000000002:key/x", "arn:aws:s3:::b", "a b"] {
            assert_eq!(code(kms_key(bad, &caller())), "InvalidKmsKeyIdException", "{bad}");
        }
    }

    #[test]
    fn a_log_group_and_its_role_come_together_and_belong_to_the_trail() {
        let group = "arn:aws:logs:eu-central-1:000000000001:log-group:g:*";
        let role = "arn:aws:iam::000000000001:role/r";
        assert!(cloud_watch_logs(Some(group), Some(role), &trail()).unwrap().is_some());
        assert!(cloud_watch_logs(Some(""), Some(""), &trail()).unwrap().is_none());
        let (group_code, role_code) =
            ("InvalidCloudWatchLogsLogGroupArnException", "InvalidCloudWatchLogsRoleArnException");
        for (group, role, expected) in [
            (Some(group), None, role_code),
            (None, Some(role), group_code),
            (Some("arn:aws:logs:eu-central-1:000000000002:log-group:g:*"), Some(role), group_code),
            (Some("arn:aws:logs:us-east-1:000000000001:log-group:g:*"), Some(role), group_code),
            (Some("g"), Some(role), group_code),
            (Some(group), Some("arn:aws:iam::000000000002:role/r"), role_code),
            (Some(group), Some("arn:aws:iam::000000000001:user/r"), role_code),
        ] {
            assert_eq!(code(cloud_watch_logs(group, role, &trail())), expected, "{group:?} {role:?}");
        }
    }
}
