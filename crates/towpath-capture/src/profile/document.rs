//! The TOML of a profile, as `docs/profiles.md` documents it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use towpath_admit::Plane;
use towpath_model::Region;

use super::filling::Filling;
use super::names::Pattern;
use super::paths::MemberPath;
use super::template::Template;

/// A profile as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Document {
    pub(super) event_source: String,
    #[serde(default)]
    pub(super) services: Vec<String>,
    #[serde(default)]
    pub(super) signing_names: Vec<String>,
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    #[serde(default)]
    pub(super) targets: Vec<String>,
    #[serde(default)]
    pub(super) region: RegionRule,
    pub(super) api_version: Option<String>,
    #[serde(default)]
    pub(super) form: Form,
    pub(super) times: Option<TimeForm>,
    pub(super) sensitive: Option<SensitiveMembers>,
    #[serde(default)]
    pub(super) user_agent_in_brackets: bool,
    #[serde(default)]
    pub(super) error_code_prefix: bool,
    #[serde(default)]
    pub(super) wire_names: Vec<Pattern>,
    #[serde(default)]
    pub(super) classic: Vec<Pattern>,
    #[serde(default)]
    pub(super) sets: HashMap<String, String>,
    #[serde(default)]
    pub(super) error_codes: HashMap<String, String>,
    #[serde(default, rename = "operation")]
    pub(super) operations: Vec<OperationRule>,
    #[serde(default, rename = "resource")]
    pub(super) resources: Vec<ResourceDocument>,
    #[serde(default)]
    pub(super) additional: Vec<Additional>,
}

/// The region that records name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum RegionRule {
    /// The region that the call was signed for.
    #[default]
    Signed,
    /// Always the same: a service of one region, or a global one.
    Fixed(Region),
}

impl TryFrom<String> for RegionRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match &*text {
            "signed" => Ok(Self::Signed),
            "global" => Ok(Self::Fixed(towpath_model::GLOBAL_SERVICE_REGION.parse().expect("the name of a region"))),
            name => name.parse().map(Self::Fixed).map_err(|cause| format!("region {name:?}: {cause}")),
        }
    }
}

impl RegionRule {
    pub(super) fn of(&self, called: &Region) -> Region {
        match self {
            Self::Signed => called.clone(),
            Self::Fixed(region) => region.clone(),
        }
    }
}

/// How requestParameters and responseElements are formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The members of the model with a small first letter.
    #[default]
    Members,
    /// As Amazon S3 does: names of the wire, the request's XML under its root.
    S3,
    /// As Amazon EC2 does: lists are `{"items":[..]}` under names of their own.
    Ec2,
}

/// How moments are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeForm {
    /// `Jul 10, 2023 12:25:04 PM`
    Words,
    /// `Jul 30, 2024, 9:46:15 PM`
    WordsWithComma,
    /// `2024-08-01T13:56:39.482702201Z`, as many digits of a second as there are, by threes.
    Iso,
    /// Seconds since 1970.
    Epoch,
    /// Milliseconds since 1970.
    EpochMillis,
}

/// What becomes of members that the model marks as sensitive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SensitiveMembers {
    /// `HIDDEN_DUE_TO_SECURITY_REASONS` stands in place of the value.
    #[default]
    Hide,
    /// They are left out.
    Drop,
    /// They are printed: the service is known to.
    Show,
}

/// Whether a call is a management or a data event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EventCategory {
    #[default]
    Management,
    Data,
}

impl From<EventCategory> for Plane {
    fn from(category: EventCategory) -> Self {
        match category {
            EventCategory::Management => Self::Management,
            EventCategory::Data => Self::Data,
        }
    }
}

/// What holds for the operations whose names match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct OperationRule {
    pub(super) names: Vec<Pattern>,
    pub(super) event_name: Option<String>,
    #[serde(default)]
    pub(super) unmodelled: bool,
    pub(super) read_only: Option<bool>,
    pub(super) category: Option<EventCategory>,
    pub(super) answer: Option<bool>,
    #[serde(default)]
    pub(super) fill: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) request: SideRule,
    #[serde(default)]
    pub(super) response: SideRule,
}

impl OperationRule {
    pub(super) fn applies_to(&self, operation: &str) -> bool {
        self.names.iter().any(|pattern| pattern.matches(operation))
    }
}

/// What is done with requestParameters or responseElements.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SideRule {
    #[serde(default)]
    pub(super) show: Vec<String>,
    #[serde(default)]
    pub(super) drop: Vec<String>,
    #[serde(default)]
    pub(super) hide: Vec<String>,
    #[serde(default)]
    pub(super) hash: Vec<String>,
    #[serde(default)]
    pub(super) replace: BTreeMap<String, String>,
    pub(super) only: Option<Vec<String>>,
    #[serde(default)]
    pub(super) rename: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) order: Vec<String>,
    #[serde(default)]
    pub(super) add: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) headers: Vec<Header>,
    pub(super) unwrap: Option<bool>,
    pub(super) leave_out_empty: Option<bool>,
    pub(super) times: Option<TimeForm>,
}

/// A header of the answer that responseElements print.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) default: Option<String>,
}

/// A resource that calls concern.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ResourceDocument {
    #[serde(default = "every_operation")]
    pub(super) operations: Vec<Pattern>,
    pub(super) r#type: Option<String>,
    pub(super) arn: Option<OneOrMore>,
    pub(super) arn_prefix: Option<OneOrMore>,
    #[serde(default = "yes")]
    pub(super) account: bool,
}

fn every_operation() -> Vec<Pattern> {
    vec![Pattern::new("*")]
}

const fn yes() -> bool {
    true
}

/// A template, or several of which the first that can be filled counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn templates(&self) -> Result<Vec<Template>, String> {
        match self {
            Self::One(text) => Ok(vec![Template::parse(text)?]),
            Self::More(texts) => texts.iter().map(|text| Template::parse(text)).collect(),
        }
    }
}

/// A field of `additionalEventData`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Additional {
    pub(super) name: String,
    pub(super) from: AdditionalFrom,
}

/// Where a field of `additionalEventData` comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AdditionalFrom {
    /// `SigV4` or `SigV2`.
    SignatureVersion,
    /// `AuthHeader` or `QueryString`.
    AuthenticationMethod,
    /// The cipher suite of the caller's connection.
    CipherSuite,
    /// How many bytes the request's body had.
    BytesIn,
    /// How many bytes the answer's body had.
    BytesOut,
    /// A header of the answer.
    Header(String),
    /// Always the same text.
    Text(String),
}

impl TryFrom<String> for AdditionalFrom {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.split_once(':') {
            Some(("header", name)) if http::HeaderName::try_from(name).is_ok() => Ok(Self::Header(name.to_owned())),
            Some(("text", text)) => Ok(Self::Text(text.to_owned())),
            _ => match &*text {
                "signature-version" => Ok(Self::SignatureVersion),
                "authentication-method" => Ok(Self::AuthenticationMethod),
                "cipher-suite" => Ok(Self::CipherSuite),
                "bytes-in" => Ok(Self::BytesIn),
                "bytes-out" => Ok(Self::BytesOut),
                _ => Err(format!("{text:?} is nothing that additional event data can come from")),
            },
        }
    }
}

impl Document {
    /// True if both are about the same service.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        let shared = self.services.iter().any(|service| other.services.contains(service));
        self.event_source == other.event_source && (shared || (self.services.is_empty() && other.services.is_empty()))
    }

    /// Looks for what would otherwise be found when a call comes. The error says what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.event_source.is_empty() || self.event_source.len() > 255 {
            return Err("event-source has 1 to 255 characters".to_owned());
        }
        for rule in &self.operations {
            if rule.names.is_empty() {
                return Err("an [[operation]] without names holds for nothing".to_owned());
            }
            for (name, value) in &rule.fill {
                Filling::parse(value).map_err(|cause| format!("fill.{name}: {cause}"))?;
            }
            for side in [&rule.request, &rule.response] {
                let listed = [&side.show, &side.drop, &side.hide, &side.hash].into_iter().flatten();
                for path in listed.chain(side.replace.keys()).chain(side.rename.keys()) {
                    MemberPath::parse(path)?;
                }
            }
            let headers = rule.response.headers.iter().chain(&rule.request.headers);
            if let Some(header) = headers.into_iter().find(|header| http::HeaderName::try_from(&header.name).is_err()) {
                return Err(format!("{:?} is no name of a header", header.name));
            }
        }
        for resource in &self.resources {
            if resource.arn.is_none() == resource.arn_prefix.is_none() {
                return Err("a [[resource]] has either arn or arn-prefix".to_owned());
            }
            for templates in [&resource.arn, &resource.arn_prefix].into_iter().flatten() {
                templates.templates()?;
            }
        }
        Ok(())
    }
}
