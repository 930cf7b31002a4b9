//! The mapping file: what an OpenAPI document does not say and a record needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use towpath_model::{AccountId, Arn, Region};

/// Why a mapping file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// Not TOML, or with members that do not exist.
    #[error("{0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// A member's value makes no sense.
    #[error("{member}: {why}")]
    Value {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// A mapping file. Its format is described in `docs/gateway.md`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The OpenAPI document, relative to the mapping file.
    pub document: PathBuf,
    /// `eventSource` of the events.
    pub event_source: Arc<str>,
    /// What the events are.
    #[serde(default)]
    pub record: Kind,
    /// The channel that activity events enter by.
    pub channel: Option<Arc<str>>,
    /// The account of the events; the upstream's if it is not given.
    pub account: Option<AccountId>,
    /// `awsRegion` of the events; the upstream's if it is not given.
    pub region: Option<Region>,
    /// The path that the document's paths are below; those of its servers if it is not given.
    pub base_path: Option<String>,
    /// Management or data events.
    #[serde(default)]
    pub category: Category,
    /// The answer's header that holds the request id.
    #[serde(default = "request_id")]
    pub request_id: String,
    /// How to tell who called; the first that a request carries counts.
    #[serde(default)]
    pub caller: Vec<CallerRule>,
    /// Members whose values are hidden.
    #[serde(default)]
    pub hide: Vec<String>,
    /// Members that are left out.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Members of which a hash is recorded.
    #[serde(default)]
    pub hash: Vec<String>,
    /// Members that are recorded although their names or schemas say that they are secret.
    #[serde(default)]
    pub show: Vec<String>,
    /// Resources that events name.
    #[serde(default)]
    pub resource: Vec<ResourceRule>,
    /// What is particular to an operation, by operationId.
    #[serde(default)]
    pub operations: BTreeMap<String, OperationRule>,
}

/// What events are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Records of the type `AwsApiCall`, in an account.
    #[default]
    ApiCall,
    /// ActivityAuditLog events, through a channel.
    Activity,
}

/// The category of API calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Management events.
    #[default]
    Management,
    /// Data events.
    Data,
}

/// How to tell who called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerRule {
    /// A security scheme of the document.
    pub scheme: String,
    /// The claim of a JSON Web Token that names the caller.
    #[serde(default = "subject")]
    pub claim: String,
    /// Names of API keys, by the hash that stands for them in records.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

/// A resource that events name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRule {
    /// Such as `Example::Petstore::Pet`: three words, as selectors want them.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its ARN, with `{account}`, `{region}` and members of the request or the answer in braces. A call without one of
    /// them does not name the resource.
    pub arn: String,
}

/// What is particular to an operation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRule {
    /// The event's name in place of the operationId.
    pub event_name: Option<String>,
    /// Whether it changes nothing; its method tells if this is not given.
    pub read_only: Option<bool>,
    /// Management or data event.
    pub category: Option<Category>,
}

fn request_id() -> String {
    "x-request-id".to_owned()
}

fn subject() -> String {
    "sub".to_owned()
}

impl Mapping {
    /// Reads a mapping file's text.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mapping: Self = toml::from_str(text).map_err(Box::new)?;
        mapping.check()?;
        Ok(mapping)
    }

    fn check(&self) -> Result<(), MappingError> {
        let wrong = |member, why: &str| Err(MappingError::Value { member, why: why.to_owned() });
        if !(1..=256).contains(&self.event_source.len()) || self.event_source.chars().any(char::is_control) {
            return wrong("event_source", "it has 1 to 256 characters");
        }
        if http::HeaderName::try_from(self.request_id.as_str()).is_err() {
            return wrong("request_id", "it is no header's name");
        }
        if self.base_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return wrong("base_path", "it begins with a slash");
        }
        match (self.record, &self.channel) {
            (Kind::ApiCall, Some(_)) => {
                return wrong("channel", "only activity events (record = \"activity\") have one");
            }
            (Kind::Activity, None) => return wrong("channel", "activity events need the ARN of a channel"),
            (Kind::Activity, Some(arn)) => self.check_activity(arn)?,
            (Kind::ApiCall, None) => {}
        }
        let data = self.category == Category::Data
            || self.operations.values().any(|operation| operation.category == Some(Category::Data));
        if data && self.record == Kind::ApiCall && self.resource.is_empty() {
            return wrong("resource", "data events need one: stores and trails select them by its type");
        }
        let three = |kind: &str| kind.split("::").count() == 3 && kind.split("::").all(|word| !word.is_empty());
        if !self.resource.iter().all(|rule| three(&rule.kind)) {
            return wrong("resource", "a type is three words, such as Example::Petstore::Pet");
        }
        let empty = |list: &[String]| list.iter().any(|path| path.split('.').any(str::is_empty));
        for (member, list) in [("hide", &self.hide), ("drop", &self.drop), ("hash", &self.hash), ("show", &self.show)] {
            if empty(list) {
                return wrong(member, "a member's path has an empty name");
            }
        }
        Ok(())
    }

    fn check_activity(&self, channel: &str) -> Result<(), MappingError> {
        let wrong = |member, why: &str| Err(MappingError::Value { member, why: why.to_owned() });
        let Some(owner) = channel_owner(channel) else {
            return wrong("channel", "it is no channel's ARN");
        };
        if self.account.is_some_and(|account| account != owner) {
            return wrong("account", "activity events belong to the channel's account");
        }
        if towpath_admit::names_an_aws_service(&self.event_source) {
            return wrong("event_source", "activity events do not come from AWS services");
        }
        Ok(())
    }
}

/// The account that owns a channel.
pub fn channel_owner(channel: &str) -> Option<AccountId> {
    let arn: Arn = channel.parse().ok()?;
    let mut parts = arn.as_str().splitn(6, ':').skip(4);
    let account = parts.next()?.parse().ok()?;
    parts.next()?.starts_with("channel/").then_some(account)
}
