//! STS: the two actions that clients probe for or need, GetCallerIdentity and AssumeRole.
//!
//! Parameters that would narrow or widen the session and that Towpath does not evaluate are refused by name: a session
//! must never be wider than its caller asked for. Lengths and patterns are those of the sts 2011-06-15 service model.

use bytes::Bytes;
use http::{Response, Uri};
use serde_json::{Map, Value};

use crate::decode::typed;
use crate::error::ApiError;
use crate::form::{Item, Parameters};
use crate::limits::{MAX_FORM_BODY, MAX_QUERY_BYTES};
use crate::protocol::Protocol;
use crate::request_id::RequestId;
use crate::response::bare;
use crate::shape::{Kind, Location, Member, Pattern, Shape};
use crate::validate::validate;
use crate::violation::describe;
use crate::xml::Xml;

/// The XML namespace of STS answers.
pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

const VERSION: &str = "2011-06-15";

/// Parameters of AssumeRole that change what the session may do and are not evaluated here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("PolicyArns", "there are no managed policies; pass the policy itself as Policy"),
    ("ProvidedContexts", "there are no context providers; assume the role without it"),
    ("SerialNumber", "there are no MFA devices; assume the role without it"),
    ("TokenCode", "there are no MFA devices; assume the role without it"),
];

/// A decoded STS request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsRequest {
    /// Who am I?
    GetCallerIdentity,
    /// Give me a session of a role.
    AssumeRole(AssumeRole),
}

/// The parameters of AssumeRole.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssumeRole {
    /// The role, 20 to 2048 characters.
    pub role_arn: String,
    /// The name of the session, 2 to 64 characters of `[\w+=,.@-]`.
    pub role_session_name: String,
    /// The length of the session, 900 to 43200 seconds, 3600 if not given.
    #[serde(default = "one_hour")]
    pub duration_seconds: u32,
    /// The external identifier that the role's trust policy may ask for, 2 to 1224 characters.
    pub external_id: Option<String>,
    /// A session policy: the session may do only what it allows too. IAM JSON, at most 2048 characters.
    pub policy: Option<String>,
    /// A name that stays with the session and those assumed from it, 2 to 64 characters of `[\w+=,.@-]`.
    pub source_identity: Option<String>,
    /// What is said about the session: keys and values, in the order of the request. Not checked here.
    #[serde(skip)]
    pub tags: Vec<(String, String)>,
    /// The keys of those tags that go on into sessions made by this one. Not checked here.
    #[serde(skip)]
    pub transitive_tag_keys: Vec<String>,
}

fn one_hour() -> u32 {
    3600
}

impl StsRequest {
    /// The names of all actions.
    pub const NAMES: [&'static str; 2] = ["GetCallerIdentity", "AssumeRole"];

    /// Reads the action and its parameters from the query string and form body.
    pub fn decode(uri: &Uri, body: &[u8]) -> Result<Self, ApiError> {
        let query = uri.query().unwrap_or_default();
        if body.len() > MAX_FORM_BODY {
            return Err(ApiError::too_large(MAX_FORM_BODY));
        }
        if query.len() > MAX_QUERY_BYTES {
            return Err(ApiError::new("MalformedQueryString", "the query string is too long"));
        }
        let mut parameters = Parameters::default();
        parameters.add(query.as_bytes())?;
        parameters.add(body)?;

        let action = parameters.get("Action").ok_or_else(|| ApiError::new("MissingAction", "Action is missing"))?;
        let version = parameters.get("Version").unwrap_or("NO_VERSION_SPECIFIED");
        match (action, version) {
            ("GetCallerIdentity", VERSION) => Ok(Self::GetCallerIdentity),
            ("AssumeRole", VERSION) => Ok(Self::AssumeRole(AssumeRole::decode(parameters)?)),
            _ => Err(ApiError::new(
                "InvalidAction",
                "no such action and version: GetCallerIdentity and AssumeRole of 2011-06-15 are available",
            )),
        }
    }

    /// The action's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole(_) => "AssumeRole",
        }
    }
}

impl AssumeRole {
    fn decode(mut parameters: Parameters) -> Result<Self, ApiError> {
        if let Some((name, why)) = REFUSED.iter().find(|(name, _)| parameters.mentions(name)) {
            return Err(ApiError::validation(format!("{name} is not supported: {why}")));
        }
        let tags = tags(&parameters)?;
        let transitive_tag_keys =
            parameters.list("TransitiveTagKeys")?.into_values().map(|item| item.only("TransitiveTagKeys"));
        let transitive_tag_keys = transitive_tag_keys.collect::<Result<_, _>>()?;
        let mut input = Map::new();
        for member in ASSUME_ROLE.members() {
            let Some(text) = parameters.take(member.name) else { continue };
            let value = match member.shape.kind {
                Kind::Integer { .. } => text.parse::<i64>().map_or(Value::from(text), Value::from),
                _ => Value::from(text),
            };
            input.insert(member.name.to_owned(), value);
        }
        let violations = validate(&ASSUME_ROLE, &mut input)
            .map_err(|wrong| ApiError::validation(format!("'{}' must be {}", wrong.path, wrong.wanted)))?;
        if !violations.is_empty() {
            return Err(ApiError::validation(describe(&violations)));
        }
        let typed: Self = typed(input).map_err(ApiError::from)?;
        Ok(Self { tags, transitive_tag_keys, ..typed })
    }
}

/// Reads `Tags.member.N.Key` and `.Value`.
fn tags(parameters: &Parameters) -> Result<Vec<(String, String)>, ApiError> {
    let tag = |(number, mut item): (u32, Item)| {
        let mut take = |name: &str| {
            let missing = || ApiError::validation(format!("Tags.member.{number} has no {name}"));
            item.take(name).ok_or_else(missing)
        };
        let (key, value) = (take("Key")?, take("Value")?);
        item.finish("Tags")?;
        Ok((key, value))
    };
    parameters.list("Tags")?.into_iter().map(tag).collect()
}

macro_rules! text {
    ($name:literal, $min:literal, $max:literal, $pattern:expr) => {
        Shape {
            name: $name,
            kind: Kind::String { min: Some($min), max: Some($max), pattern: Some(&$pattern), values: &[] },
        }
    };
}

static NAME_PATTERN: Pattern = Pattern::new(r"[\w+=,.@-]*", r"\A(?:[A-Za-z0-9_+=,.@-]*)\z");
static EXTERNAL_ID_PATTERN: Pattern = Pattern::new(r"[\w+=,.@:\/-]*", r"\A(?:[A-Za-z0-9_+=,.@:/-]*)\z");
static TEXT_PATTERN: Pattern = Pattern::new(r"[\u0009\u000A\u000D\u0020-\u00FF]+", r"\A(?:[\t\n\r\u{20}-\u{FF}]+)\z");

static ARN_TYPE: Shape = text!("arnType", 20, 2048, TEXT_PATTERN);
static ROLE_SESSION_NAME: Shape = text!("roleSessionNameType", 2, 64, NAME_PATTERN);
static EXTERNAL_ID: Shape = text!("externalIdType", 2, 1224, EXTERNAL_ID_PATTERN);
static SESSION_POLICY: Shape = text!("unrestrictedSessionPolicyDocumentType", 1, 2048, TEXT_PATTERN);
static SOURCE_IDENTITY: Shape = text!("sourceIdentityType", 2, 64, NAME_PATTERN);
static DURATION: Shape =
    Shape { name: "roleDurationSecondsType", kind: Kind::Integer { min: Some(900), max: Some(43200) } };

/// What AssumeRole's parameters must look like.
pub(crate) static ASSUME_ROLE: Shape = Shape {
    name: "AssumeRoleRequest",
    kind: Kind::Structure(&[
        Member { name: "RoleArn", required: true, location: Location::Body, shape: &ARN_TYPE },
        Member { name: "RoleSessionName", required: true, location: Location::Body, shape: &ROLE_SESSION_NAME },
        Member { name: "DurationSeconds", required: false, location: Location::Body, shape: &DURATION },
        Member { name: "ExternalId", required: false, location: Location::Body, shape: &EXTERNAL_ID },
        Member { name: "Policy", required: false, location: Location::Body, shape: &SESSION_POLICY },
        Member { name: "SourceIdentity", required: false, location: Location::Body, shape: &SOURCE_IDENTITY },
    ]),
};

/// The answer of GetCallerIdentity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The caller's account.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
    /// The caller's unique identifier, with the session name for a role session.
    pub user_id: String,
}

impl CallerIdentity {
    /// Writes the answer.
    pub fn response(&self, request_id: &RequestId) -> Response<Bytes> {
        let mut xml = Xml::new();
        xml.open_with_namespace("GetCallerIdentityResponse", NAMESPACE);
        xml.open("GetCallerIdentityResult");
        xml.leaf("Arn", &self.arn);
        xml.leaf("UserId", &self.user_id);
        xml.leaf("Account", &self.account);
        xml.close("GetCallerIdentityResult");
        finish(xml, "GetCallerIdentityResponse", request_id)
    }
}

/// The answer of AssumeRole. Its `Debug` form hides the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct AssumedRole {
    /// The access key of the session.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The token that goes with it.
    pub session_token: String,
    /// When the session ends.
    pub expiration: jiff::Timestamp,
    /// The session's unique identifier: the role's and the session name, joined by `:`.
    pub assumed_role_id: String,
    /// The session's ARN, `arn:aws:sts::account:assumed-role/role/session`.
    pub arn: String,
    /// The source identity that was asked for.
    pub source_identity: Option<String>,
    /// How much of the room for session policy and tags is taken, in percent; none without them.
    pub packed_policy_size: Option<u8>,
}

impl AssumedRole {
    /// Writes the answer.
    pub fn response(&self, request_id: &RequestId) -> Response<Bytes> {
        let mut xml = Xml::new();
        xml.open_with_namespace("AssumeRoleResponse", NAMESPACE);
        xml.open("AssumeRoleResult");
        xml.open("AssumedRoleUser");
        xml.leaf("AssumedRoleId", &self.assumed_role_id);
        xml.leaf("Arn", &self.arn);
        xml.close("AssumedRoleUser");
        xml.open("Credentials");
        xml.leaf("AccessKeyId", &self.access_key_id);
        xml.leaf("SecretAccessKey", &self.secret_access_key);
        xml.leaf("SessionToken", &self.session_token);
        xml.leaf("Expiration", &self.expiration.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        xml.close("Credentials");
        if let Some(percent) = self.packed_policy_size {
            xml.leaf("PackedPolicySize", &percent.to_string());
        }
        if let Some(source_identity) = &self.source_identity {
            xml.leaf("SourceIdentity", source_identity);
        }
        xml.close("AssumeRoleResult");
        finish(xml, "AssumeRoleResponse", request_id)
    }
}

impl std::fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssumedRole").field("arn", &self.arn).finish_non_exhaustive()
    }
}

fn finish(mut xml: Xml, root: &str, request_id: &RequestId) -> Response<Bytes> {
    xml.open("ResponseMetadata");
    xml.leaf("RequestId", &request_id.to_string());
    xml.close("ResponseMetadata");
    xml.close(root);
    bare(Protocol::Query, request_id, xml.into_bytes())
}

#[cfg(test)]
mod tests;
