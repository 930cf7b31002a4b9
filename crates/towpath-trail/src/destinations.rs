//! What a trail names beside its bucket - topic, key, log group, role - as the services that have them tell of it.
//!
//! Each service is asked where the settings name one; about what no service is named for, nothing is known. Facts are
//! told here; whether a policy lets CloudTrail in is for those to judge who know policies.

use std::time::Duration;

use serde_json::{Value, json};
use towpath_model::{Arn, CloudWatchLogs, Trail};

use crate::notify::endpoint::{element, region_of};
use crate::notify::http::publish;
use crate::notify::log_group::{group_of, operation, stream_of};
use crate::notify::{AwsEndpoint, NotifyError};

/// The time that a service has for each answer.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// What CloudTrail publishes to a topic before it takes it.
const VALIDATION_MESSAGE: &str = "CloudTrail validation message.";

/// The services that know what trails name.
#[derive(Default)]
pub struct Destinations {
    /// Has topics; SNS.
    pub topics: Option<AwsEndpoint>,
    /// Has log groups; CloudWatch Logs.
    pub log_groups: Option<AwsEndpoint>,
    /// Has keys; KMS.
    pub keys: Option<AwsEndpoint>,
    /// Has roles; IAM.
    pub roles: Option<AwsEndpoint>,
}

/// A topic that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its policy, where the service tells it.
    pub policy: Option<String>,
}

/// A key that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its ARN, never that of an alias.
    pub arn: String,
    /// It can be used now.
    pub enabled: bool,
    /// Its policy, where the service tells it.
    pub policy: Option<String>,
}

/// Why something cannot be had from a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It is not there.
    #[error("it does not exist")]
    Missing,
    /// What it is called cannot be a name.
    #[error("its name is not one that the service knows")]
    Invalid,
    /// The service refuses.
    #[error("the service refuses: {0}")]
    Denied(String),
    /// The service did not answer, or not as it should.
    #[error("{0}")]
    Unavailable(String),
}

impl From<NotifyError> for DestinationError {
    fn from(error: NotifyError) -> Self {
        let Some(code) = error.code else { return Self::Unavailable(error.message) };
        match code.rsplit('#').next().unwrap_or(&code) {
            "NotFound"
            | "NotFoundException"
            | "ResourceNotFoundException"
            | "NoSuchEntity"
            | "NoSuchEntityException" => Self::Missing,
            "InvalidParameter"
            | "InvalidParameterException"
            | "InvalidArnException"
            | "ValidationException"
            | "ValidationError" => Self::Invalid,
            "AccessDenied"
            | "AccessDeniedException"
            | "AuthorizationError"
            | "AuthorizationErrorException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "KMSAccessDenied" => Self::Denied(code),
            _ => Self::Unavailable(format!("{}: {code}", error.message)),
        }
    }
}

impl Destinations {
    /// Asks for a topic; nothing where no service is named for topics.
    pub async fn topic(&self, arn: &str) -> Result<Option<Topic>, DestinationError> {
        let Some(endpoint) = &self.topics else { return Ok(None) };
        let parameters = [("Action", "GetTopicAttributes"), ("Version", "2010-03-31"), ("TopicArn", arn)];
        let answer = in_time(endpoint.query("sns", region_of(arn).unwrap_or("us-east-1"), &parameters)).await;
        match answer {
            Ok(xml) => Ok(Some(Topic { policy: attribute(&xml, "Policy") })),
            // Who may publish need not see the policy.
            Err(DestinationError::Denied(_)) => Ok(Some(Topic { policy: None })),
            Err(error) => Err(error),
        }
    }

    /// Publishes the message that says that a trail is about to use the topic; nothing where no service is named.
    pub async fn announce(&self, topic: &str) -> Result<(), DestinationError> {
        let Some(endpoint) = &self.topics else { return Ok(()) };
        in_time(publish(endpoint, topic, VALIDATION_MESSAGE)).await
    }

    /// Asks for a key by its ARN or that of an alias; nothing where no service is named for keys.
    pub async fn key(&self, arn: &str) -> Result<Option<Key>, DestinationError> {
        let Some(endpoint) = &self.keys else { return Ok(None) };
        let region = region_of(arn).unwrap_or("us-east-1");
        let call = |operation: &str, input: Value| {
            let target = format!("TrentService.{operation}");
            async move { endpoint.json("kms", region, &target, &input).await }
        };
        let described = in_time(call("DescribeKey", json!({ "KeyId": arn }))).await?;
        let metadata = &described["KeyMetadata"];
        let Some(key) = metadata["Arn"].as_str() else {
            return Err(DestinationError::Unavailable("kms told no ARN of the key".to_owned()));
        };
        let enabled = match metadata["KeyState"].as_str() {
            Some(state) => state == "Enabled",
            None => metadata["Enabled"].as_bool().unwrap_or(false),
        };
        let policy = in_time(call("GetKeyPolicy", json!({ "KeyId": key, "PolicyName": "default" }))).await;
        let policy = match policy {
            Ok(answer) => answer["Policy"].as_str().map(str::to_owned),
            // Who may use a key need not see its policy.
            Err(DestinationError::Denied(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Some(Key { arn: key.to_owned(), enabled, policy }))
    }

    /// Makes the stream that a trail writes to in its log group; nothing where no service is named for log groups.
    pub async fn log_stream(&self, trail: &Trail, logs: &CloudWatchLogs) -> Result<(), DestinationError> {
        let Some(endpoint) = &self.log_groups else { return Ok(()) };
        let (region, group) = group_of(&logs.group_arn).ok_or(DestinationError::Invalid)?;
        let names = json!({ "logGroupName": group, "logStreamName": stream_of(trail, trail.account) });
        let made = async {
            match operation(endpoint, region, "CreateLogStream", &names).await {
                Err(error) if error.code.as_deref() == Some("ResourceAlreadyExistsException") => Ok(()),
                other => other,
            }
        };
        in_time(made).await
    }

    /// Asks for the trust policy of a role; nothing where no service is named for roles.
    pub async fn trust(&self, role: &Arn) -> Result<Option<String>, DestinationError> {
        let Some(endpoint) = &self.roles else { return Ok(None) };
        let name = role.resource().rsplit('/').next().unwrap_or_default();
        let parameters = [("Action", "GetRole"), ("Version", "2010-05-08"), ("RoleName", name)];
        let xml = in_time(endpoint.query("iam", "us-east-1", &parameters)).await?;
        if element(&xml, "Arn").is_some_and(|arn| arn != role.as_str()) {
            return Err(DestinationError::Missing);
        }
        let encoded = element(&xml, "AssumeRolePolicyDocument").unwrap_or_default();
        // The document is written as in an address.
        let decoded = form_urlencoded::parse(encoded.as_bytes()).next().map(|(text, _)| text.into_owned());
        Ok(Some(decoded.unwrap_or_default()))
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, NotifyError>>) -> Result<T, DestinationError> {
    let late = |_| DestinationError::Unavailable("no answer in time".to_owned());
    Ok(tokio::time::timeout(ANSWER_TIME, answer).await.map_err(late)??)
}

/// The value of an attribute in the answer of GetTopicAttributes.
fn attribute(xml: &str, name: &str) -> Option<String> {
    let mut entries = xml.split("<entry>").skip(1);
    let entry = entries.find(|entry| element(entry, "key") == Some(name))?;
    let value = quick_xml::escape::unescape(element(entry, "value")?).ok()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::http::tests::Server;
    use crate::testing::{START, trail};

    const TOPIC: &str = "arn:aws:sns:eu-central-1:000000000001:topic";
    const ALIAS: &str = "arn:aws:kms:eu-central-1:000000000001:alias/audit";

    #[tokio::test]
    async fn nothing_is_known_where_nobody_can_be_asked() {
        let nobody = Destinations::default();
        assert_eq!(nobody.topic(TOPIC).await, Ok(None));
        assert_eq!(nobody.announce(TOPIC).await, Ok(()));
        assert_eq!(nobody.key(ALIAS).await, Ok(None));
        assert_eq!(nobody.trust(&"arn:aws:iam::000000000001:role/r".parse().unwrap()).await, Ok(None));
    }

    #[tokio::test]
    async fn a_topic_tells_its_policy_and_hears_a_message() {
        let attributes = "<Attributes><entry><key>Owner</key><value>1</value></entry>\
            <entry><key>Policy</key><value>{&quot;a&quot;:&#34;&lt;b&gt;&#34;}</value></entry></Attributes>";
        let missing = "<ErrorResponse><Error><Code>NotFound</Code></Error></ErrorResponse>";
        let denied = "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>";
        let server =
            Server::answering(vec![(200, attributes), (404, missing), (403, denied), (200, ""), (500, "")]).await;
        let destinations = Destinations { topics: Some(server.endpoint()), ..Destinations::default() };
        let topic = destinations.topic(TOPIC).await.unwrap().unwrap();
        assert_eq!(topic.policy.as_deref(), Some(r#"{"a":"<b>"}"#));
        assert_eq!(destinations.topic(TOPIC).await, Err(DestinationError::Missing));
        assert_eq!(destinations.topic(TOPIC).await, Ok(Some(Topic { policy: None })));
        destinations.announce(TOPIC).await.unwrap();
        assert!(server.asked.lock()[3].contains("Message=CloudTrail+validation+message."));
        assert!(matches!(destinations.announce(TOPIC).await, Err(DestinationError::Unavailable(_))));
    }

    #[tokio::test]
    async fn an_alias_leads_to_its_key() {
        let described = r#"{"KeyMetadata":{"Arn":"arn:aws:kms:eu-central-1:1:key/k","KeyState":"PendingDeletion"}}"#;
        let missing = r#"{"__type":"NotFoundException"}"#;
        let answers = vec![(200, described), (200, r#"{"Policy":"{}"}"#), (400, missing)];
        let server = Server::answering(answers).await;
        let destinations = Destinations { keys: Some(server.endpoint()), ..Destinations::default() };
        let key = destinations.key(ALIAS).await.unwrap().unwrap();
        assert_eq!((key.arn.as_str(), key.enabled), ("arn:aws:kms:eu-central-1:1:key/k", false));
        assert_eq!(key.policy.as_deref(), Some("{}"));
        assert_eq!(destinations.key(ALIAS).await, Err(DestinationError::Missing));
        assert!(server.asked.lock()[0].contains("TrentService.DescribeKey"));
    }

    #[tokio::test]
    async fn a_stream_that_is_there_is_as_good_as_one_that_was_made() {
        let exists = r#"{"__type":"ResourceAlreadyExistsException"}"#;
        let missing = r#"{"__type":"ResourceNotFoundException"}"#;
        let server = Server::answering(vec![(200, "{}"), (400, exists), (400, missing)]).await;
        let destinations = Destinations { log_groups: Some(server.endpoint()), ..Destinations::default() };
        let trail = trail("main", "bucket", START.parse().unwrap());
        let group_arn = "arn:aws:logs:us-east-1:000000000001:log-group:g:*".to_owned();
        let logs = CloudWatchLogs { group_arn, role_arn: String::new() };
        assert_eq!(destinations.log_stream(&trail, &logs).await, Ok(()));
        assert_eq!(destinations.log_stream(&trail, &logs).await, Ok(()));
        assert_eq!(destinations.log_stream(&trail, &logs).await, Err(DestinationError::Missing));
    }

    #[tokio::test]
    async fn a_role_tells_whom_it_trusts() {
        let role = "<Role><Arn>arn:aws:iam::000000000001:role/r</Arn>\
            <AssumeRolePolicyDocument>%7B%22a%22%3A%20%221%2B1%22%7D</AssumeRolePolicyDocument></Role>";
        let missing = "<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>";
        let server = Server::answering(vec![(200, role), (200, role), (404, missing)]).await;
        let destinations = Destinations { roles: Some(server.endpoint()), ..Destinations::default() };
        let arn = |name: &str| -> Arn { format!("arn:aws:iam::000000000001:role/{name}").parse().unwrap() };
        assert_eq!(destinations.trust(&arn("r")).await.unwrap().as_deref(), Some(r#"{"a": "1+1"}"#));
        assert_eq!(destinations.trust(&arn("path/r")).await, Err(DestinationError::Missing));
        assert_eq!(destinations.trust(&arn("r")).await, Err(DestinationError::Missing));
    }
}
