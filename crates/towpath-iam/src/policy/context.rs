//! What a request says about itself: the keys that conditions and variables of policies look at.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use towpath_model::AccountId;

use super::pattern::fold;
use crate::Principal;
use crate::principal::RoleSession;

/// Values of condition keys, by key without regard to case. A key without values is absent.
///
/// Keys about the caller (`aws:PrincipalArn`, `aws:username`, ...) are not set here: they follow from the
/// [`Principal`] of the request, and no request can claim them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// Makes a context without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the one value of a key.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set(key, [value.into()]);
        self
    }

    /// Sets the one value of a key if there is one.
    pub fn with_some(self, key: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Sets all values of a key; none leave it absent.
    pub fn with_all(mut self, key: &str, values: impl IntoIterator<Item = String>) -> Self {
        self.set(key, values);
        self
    }

    /// Sets all values of a key, such as `aws:TagKeys`.
    pub fn set(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        self.values.insert(fold(key).into_owned(), values.into_iter().collect());
    }

    /// Sets `aws:CurrentTime` and `aws:EpochTime`.
    pub fn at(self, now: Timestamp) -> Self {
        let text = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.with("aws:CurrentTime", text).with("aws:EpochTime", now.as_second().to_string())
    }

    /// Sets `aws:SourceIp`. An IPv4 address in IPv6 clothes is the IPv4 address.
    pub fn source_ip(self, address: IpAddr) -> Self {
        self.with("aws:SourceIp", address.to_canonical().to_string())
    }

    /// Sets `aws:SecureTransport`.
    pub fn secure_transport(self, secure: bool) -> Self {
        self.with("aws:SecureTransport", secure.to_string())
    }

    /// Sets `aws:RequestTag/...` and `aws:TagKeys` from the tags of a request.
    pub fn request_tags<'a>(mut self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut keys = Vec::new();
        for (key, value) in tags {
            keys.push(key.to_owned());
            self.set(&format!("aws:RequestTag/{key}"), [value.to_owned()]);
        }
        self.set("aws:TagKeys", keys);
        self
    }

    /// Sets `aws:ResourceTag/...` from the tags of the resource.
    pub fn resource_tags<'a>(mut self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        for (key, value) in tags {
            self.set(&format!("aws:ResourceTag/{key}"), [value.to_owned()]);
        }
        self
    }

    /// Returns the values of a key; `None` when it has none.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(&*fold(key)).map(Vec::as_slice).filter(|values| !values.is_empty())
    }
}

/// One question to the policies: may this caller do this to that?
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What for, such as `cloudtrail:GetChannel`.
    pub action: &'a str,
    /// To what: an ARN, or `*` for actions that concern no one resource.
    pub resource: &'a str,
    /// The account that owns the resource.
    pub resource_account: AccountId,
    /// What else is known about the request.
    pub context: &'a Context,
}

impl Request<'_> {
    /// Returns the values that a condition key has in this request, those that follow from the caller included; `None`
    /// when the request does not have the key.
    pub fn values(&self, key: &str) -> Option<Vec<String>> {
        Facts::of(self).get(key).map(<[_]>::to_vec)
    }
}

/// Keys that only the principal answers, lower case.
const PRINCIPAL_KEYS: &[&str] = &[
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principaltype",
    "aws:principalisawsservice",
    "aws:principalservicename",
    "aws:userid",
    "aws:username",
    "aws:sourceidentity",
    "aws:tokenissuetime",
    "aws:multifactorauthpresent",
];

/// What the keys of the caller's tags begin with, lower case.
const PRINCIPAL_TAG: &str = "aws:principaltag/";

/// All keys of one request: its context, and what follows from its principal.
pub(crate) struct Facts<'a> {
    pub(crate) request: &'a Request<'a>,
    principal: Context,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(request: &'a Request<'a>) -> Self {
        Self { request, principal: principal_keys(request.principal) }
    }

    /// Returns the values of a key; `None` when the request does not have it.
    pub(crate) fn get(&self, key: &str) -> Option<&[String]> {
        let key = fold(key);
        if PRINCIPAL_KEYS.contains(&&*key) || key.starts_with(PRINCIPAL_TAG) {
            return self.principal.get(&key);
        }
        self.request.context.get(&key)
    }

    /// Returns the value of a key that has exactly one; variables stand for such values alone.
    pub(crate) fn single(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            [only] => Some(only.clone()),
            _ => None,
        }
    }
}

fn principal_keys(principal: &Principal) -> Context {
    let account = principal.account().map(|account| account.to_string());
    let context = Context::new()
        .with("aws:PrincipalIsAWSService", matches!(principal, Principal::Service(_)).to_string())
        .with_some("aws:PrincipalAccount", account)
        .with_some("aws:userid", principal.principal_id());
    match principal {
        Principal::Root { .. } => {
            context.with("aws:PrincipalType", "Account").with_some("aws:PrincipalArn", arn(principal))
        }
        Principal::User { name, .. } => context
            .with("aws:PrincipalType", "User")
            .with_some("aws:PrincipalArn", arn(principal))
            .with("aws:username", name.as_str()),
        // The ARN of a session's principal is that of its role, so that one condition covers all its sessions.
        Principal::AssumedRole(session) => tagged(context, session)
            .with("aws:PrincipalType", "AssumedRole")
            .with("aws:PrincipalArn", session.role_arn.as_str())
            .with_some("aws:SourceIdentity", session.source_identity.as_ref().map(|name| name.as_str()))
            .with("aws:TokenIssueTime", session.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .with("aws:MultiFactorAuthPresent", "false"),
        Principal::Service(name) => context.with("aws:PrincipalServiceName", name.as_str()),
        Principal::Anonymous => context.with("aws:PrincipalType", "Anonymous"),
    }
}

/// Sets `aws:PrincipalTag/...` from the tags of a session.
fn tagged(context: Context, session: &RoleSession) -> Context {
    session.tags.iter().fold(context, |context, tag| context.with(&format!("{PRINCIPAL_TAG}{}", tag.key), &*tag.value))
}

fn arn(principal: &Principal) -> Option<String> {
    principal.arn().map(|arn| arn.to_string())
}
