//! What a trail names beside its bucket must be there and let CloudTrail in (trails.md, sections 4 to 7).
//!
//! Each part is looked at where the settings name the service that has it. A policy is judged as the service itself would,
//! with CloudTrail as the caller that speaks for the trail.

use towpath_iam::{Context as PolicyContext, Policy, PolicyKind, Principal, Request, evaluate, evaluate_trust};
use towpath_model::{Arn, Trail};
use towpath_trail::DestinationError;
use towpath_wire::{ApiError, errors};

use crate::operations::Context;
use crate::refusal::refuse;

/// The service that delivers.
const SERVICE: &str = "cloudtrail.amazonaws.com";

/// What CloudTrail does with a key. Data keys are made with or without their plain text; a policy usually names both as
/// `kms:GenerateDataKey*`.
const KEY_ACTIONS: [&str; 2] = ["kms:GenerateDataKey", "kms:DescribeKey"];

/// Makes sure that the topic is there and takes messages. The topic hears of it.
///
/// # Errors
/// `InsufficientSnsTopicPolicyException` for a topic that is missing or refuses, `InvalidSnsTopicNameException` for a name
/// that the service does not know; `ServiceUnavailable` when it does not answer.
pub(super) async fn require_topic(context: &Context<'_>, trail: &Trail) -> Result<(), ApiError> {
    let Some(topic) = &trail.sns_topic_arn else { return Ok(()) };
    let refused = |error| match error {
        DestinationError::Missing | DestinationError::Denied(_) => insufficient_topic(),
        DestinationError::Invalid => {
            refuse(errors::INVALID_SNS_TOPIC_NAME_EXCEPTION, format!("SNS topic {topic} has no usable name"))
        }
        DestinationError::Unavailable(cause) => unavailable("SNS topic", topic, &cause),
    };
    let destinations = &context.parts.destinations;
    let found = destinations.topic(topic).await.map_err(refused)?;
    let policy = found.and_then(|topic| topic.policy);
    if policy.is_some_and(|policy| !allows(&policy, "SNS:Publish", topic, &facts(trail))) {
        return Err(insufficient_topic());
    }
    destinations.announce(topic).await.map_err(refused)
}

fn insufficient_topic() -> ApiError {
    let message = "SNS Topic does not exist or the topic policy is incorrect!";
    refuse(errors::INSUFFICIENT_SNS_TOPIC_POLICY_EXCEPTION, message)
}

/// Makes sure that the key can be used, and returns its ARN, also for an alias. Where no service is named for keys it is
/// kept as it was given.
///
/// # Errors
/// `KmsKeyNotFoundException`, `InvalidKmsKeyIdException`, `KmsException` for a key that is not enabled,
/// `InsufficientEncryptionPolicyException`; `ServiceUnavailable` when the service does not answer.
pub(super) async fn usable_key(context: &Context<'_>, trail: &Trail) -> Result<Option<String>, ApiError> {
    let Some(key) = &trail.kms_key_id else { return Ok(None) };
    let found = context.parts.destinations.key(key).await.map_err(|error| match error {
        DestinationError::Missing => {
            refuse(errors::KMS_KEY_NOT_FOUND_EXCEPTION, format!("KMS key {key} does not exist"))
        }
        DestinationError::Invalid => refuse(errors::INVALID_KMS_KEY_ID_EXCEPTION, format!("{key} names no KMS key")),
        DestinationError::Denied(_) => insufficient_key(key),
        DestinationError::Unavailable(cause) => unavailable("KMS key", key, &cause),
    })?;
    let Some(found) = found else { return Ok(Some(key.clone())) };
    if !found.enabled {
        return Err(refuse(errors::KMS_EXCEPTION, format!("KMS key {key} is not enabled")));
    }
    let facts = facts(trail).with("kms:EncryptionContext:aws:cloudtrail:arn", trail.arn().as_str());
    let facts = facts.with_all("kms:EncryptionContextKeys", ["aws:cloudtrail:arn".to_owned()]);
    let lets_in = |policy: &str| KEY_ACTIONS.iter().all(|action| allows(policy, action, &found.arn, &facts));
    if found.policy.as_deref().is_some_and(|policy| !lets_in(policy)) {
        return Err(insufficient_key(key));
    }
    Ok(Some(found.arn))
}

fn insufficient_key(key: &str) -> ApiError {
    let message = format!("the policy of KMS key {key} does not let CloudTrail use it");
    refuse(errors::INSUFFICIENT_ENCRYPTION_POLICY_EXCEPTION, message)
}

/// Makes sure that the role trusts CloudTrail and that the log group takes the trail's stream.
///
/// # Errors
/// `InvalidCloudWatchLogsRoleArnException`, `InvalidCloudWatchLogsLogGroupArnException`,
/// `CloudWatchLogsDeliveryUnavailableException` when a service does not answer.
pub(super) async fn require_log_group(context: &Context<'_>, trail: &Trail) -> Result<(), ApiError> {
    let Some(logs) = &trail.cloud_watch_logs else { return Ok(()) };
    let bad_role = |why: &str| refuse(errors::INVALID_CLOUD_WATCH_LOGS_ROLE_ARN_EXCEPTION, why);
    let undeliverable = |error: DestinationError| {
        tracing::warn!(%error, group = logs.group_arn, "a log group cannot be probed");
        let message = "Cannot deliver test events to the specified CloudWatch Logs log group.";
        refuse(errors::CLOUD_WATCH_LOGS_DELIVERY_UNAVAILABLE_EXCEPTION, message)
    };
    let destinations = &context.parts.destinations;
    let role: Arn = logs.role_arn.parse().map_err(|_| bad_role("the role's ARN cannot be read"))?;
    let trust = destinations.trust(&role).await.map_err(|error| match error {
        DestinationError::Missing | DestinationError::Invalid => bad_role("the role does not exist"),
        DestinationError::Denied(_) => bad_role("Access denied. Check the permissions for your role."),
        error @ DestinationError::Unavailable(_) => undeliverable(error),
    })?;
    if trust.is_some_and(|trust| !trusts(&trust, &role, &facts(trail))) {
        return Err(bad_role("Access denied. Check the trust relationships for your role."));
    }
    destinations.log_stream(trail, logs).await.map_err(|error| match error {
        DestinationError::Missing | DestinationError::Invalid => refuse(
            errors::INVALID_CLOUD_WATCH_LOGS_LOG_GROUP_ARN_EXCEPTION,
            "CloudTrail cannot validate the specified log group ARN.",
        ),
        DestinationError::Denied(_) => bad_role("Access denied. Check the permissions for your role."),
        error @ DestinationError::Unavailable(_) => undeliverable(error),
    })
}

fn unavailable(what: &str, name: &str, cause: &str) -> ApiError {
    tracing::warn!(what, name, cause, "what a trail names cannot be looked at");
    ApiError::new("ServiceUnavailable", format!("{what} {name} cannot be looked at; try again later"))
}

/// What CloudTrail says about itself when it acts for a trail.
fn facts(trail: &Trail) -> PolicyContext {
    PolicyContext::new()
        .with("aws:SourceArn", trail.arn().as_str())
        .with("aws:SourceAccount", trail.account.to_string())
        .with("aws:SecureTransport", "true")
}

/// True when a policy lets CloudTrail do something; one that cannot be read does not.
fn allows(policy: &str, action: &str, resource: &str, facts: &PolicyContext) -> bool {
    let principal = Principal::Service(SERVICE.to_owned());
    let Some(resource_account) = resource.parse::<Arn>().ok().and_then(|arn| arn.account_id()) else { return false };
    let policy = Policy::from_stored(policy, PolicyKind::Resource);
    let request = Request { principal: &principal, action, resource, resource_account, context: facts };
    evaluate::<Policy>(&request, &[], Some(&policy), None).is_allow()
}

/// True when a trust policy lets CloudTrail assume the role.
fn trusts(policy: &str, role: &Arn, facts: &PolicyContext) -> bool {
    let principal = Principal::Service(SERVICE.to_owned());
    let Some(resource_account) = role.account_id() else { return false };
    let policy = Policy::from_stored(policy, PolicyKind::Trust);
    let (action, resource) = ("sts:AssumeRole", role.as_str());
    let request = Request { principal: &principal, action, resource, resource_account, context: facts };
    evaluate_trust::<Policy>(&request, &[], &policy, None).is_allow()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn statement(action: Value, extra: Value) -> String {
        let mut statement = json!({
            "Effect": "Allow", "Principal": { "Service": SERVICE }, "Action": action, "Resource": "*",
        });
        statement.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
    }

    const TRAIL: &str = "arn:aws:cloudtrail:eu-central-1:000000000001:trail/t";
    const TOPIC: &str = "arn:aws:sns:eu-central-1:000000000001:topic";
    const KEY: &str = "arn:aws:kms:eu-central-1:000000000001:key/k";

    fn context() -> PolicyContext {
        PolicyContext::new().with("aws:SourceArn", TRAIL).with("kms:EncryptionContext:aws:cloudtrail:arn", TRAIL)
    }

    #[test]
    fn the_policies_of_the_user_guide_let_cloudtrail_in() {
        let topic =
            statement(json!("SNS:Publish"), json!({ "Condition": { "StringEquals": { "aws:SourceArn": TRAIL } } }));
        assert!(allows(&topic, "SNS:Publish", TOPIC, &context()));
        let like = json!({ "StringLike": { "kms:EncryptionContext:aws:cloudtrail:arn": "arn:aws:cloudtrail:*:000000000001:trail/*" } });
        let key = statement(json!(["kms:GenerateDataKey*", "kms:DescribeKey"]), json!({ "Condition": like }));
        assert!(KEY_ACTIONS.iter().all(|action| allows(&key, action, KEY, &context())));
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": SERVICE }, "Action": "sts:AssumeRole",
        }] });
        assert!(trusts(&trust.to_string(), &"arn:aws:iam::000000000001:role/r".parse().unwrap(), &context()));
    }

    #[test]
    fn other_policies_do_not() {
        let other_trail = json!({ "Condition": { "StringEquals": { "aws:SourceArn": format!("{TRAIL}2") } } });
        let owner = json!({ "Principal": { "AWS": "arn:aws:iam::000000000001:root" } });
        for policy in [
            "",
            "{}",
            &statement(json!("SNS:Publish"), other_trail),
            &statement(json!("SNS:*"), owner),
            &statement(json!("SNS:Subscribe"), json!({})),
        ] {
            assert!(!allows(policy, "SNS:Publish", TOPIC, &context()), "{policy}");
        }
    }
}
