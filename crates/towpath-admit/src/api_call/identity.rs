//! `userIdentity`: who made a call, in the forms that records have.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

use towpath_model::{AccountId, Arn, eventtime_text};

/// Who made a call. Made by the functions below, so that each kind has exactly its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserIdentity {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_context: Option<SessionContext>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionContext {
    #[serde(skip_serializing_if = "Option::is_none")]
    session_issuer: Option<SessionIssuer>,
    attributes: Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionIssuer {
    #[serde(rename = "type")]
    kind: &'static str,
    principal_id: String,
    arn: String,
    account_id: AccountId,
    user_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    creation_date: String,
    mfa_authenticated: &'static str,
}

/// A session of a role.
#[derive(Clone, Debug)]
pub struct RoleSession {
    /// The role's unique id, `AROA...`.
    pub role_id: String,
    /// The role's ARN.
    pub role_arn: Arn,
    /// The role's name.
    pub role_name: String,
    /// The account of the role.
    pub account: AccountId,
    /// The name given to the session.
    pub session_name: String,
    /// The session's ARN, `arn:aws:sts::A:assumed-role/Role/Session`.
    pub session_arn: Arn,
    /// The session's key, `ASIA...`.
    pub access_key_id: String,
    /// When the session began.
    pub created: Timestamp,
    /// True if a second factor was used.
    pub mfa: bool,
    /// The source identity set when the role was assumed.
    pub source_identity: Option<String>,
}

impl UserIdentity {
    const fn of(kind: &'static str) -> Self {
        Self {
            kind,
            principal_id: None,
            arn: None,
            account_id: None,
            access_key_id: None,
            user_name: None,
            session_context: None,
        }
    }

    /// The root of an account.
    pub fn root(account: AccountId, access_key_id: &str) -> Self {
        Self {
            principal_id: Some(account.to_string()),
            arn: Some(Arn::iam(account, "root").to_string()),
            account_id: Some(account),
            access_key_id: Some(access_key_id.to_owned()),
            ..Self::of("Root")
        }
    }

    /// An IAM user with a long-lived key.
    pub fn iam_user(user_id: &str, arn: &Arn, account: AccountId, access_key_id: &str, user_name: &str) -> Self {
        Self {
            principal_id: Some(user_id.to_owned()),
            arn: Some(arn.to_string()),
            account_id: Some(account),
            access_key_id: Some(access_key_id.to_owned()),
            user_name: Some(user_name.to_owned()),
            ..Self::of("IAMUser")
        }
    }

    /// A session of a role.
    pub fn assumed_role(session: &RoleSession) -> Self {
        let issuer = SessionIssuer {
            kind: "Role",
            principal_id: session.role_id.clone(),
            arn: session.role_arn.to_string(),
            account_id: session.account,
            user_name: session.role_name.clone(),
        };
        let attributes = Attributes {
            creation_date: eventtime_text(session.created),
            mfa_authenticated: if session.mfa { "true" } else { "false" },
        };
        Self {
            principal_id: Some(format!("{}:{}", session.role_id, session.session_name)),
            arn: Some(session.session_arn.to_string()),
            account_id: Some(session.account),
            access_key_id: Some(session.access_key_id.clone()),
            session_context: Some(SessionContext {
                session_issuer: Some(issuer),
                attributes,
                source_identity: session.source_identity.clone(),
            }),
            ..Self::of("AssumedRole")
        }
    }

    /// Somebody of another account.
    pub fn aws_account(account: AccountId, principal_id: &str) -> Self {
        Self { principal_id: Some(principal_id.to_owned()), account_id: Some(account), ..Self::of("AWSAccount") }
    }

    /// Somebody who could not be identified, such as the sender of an unsigned request.
    pub const fn unknown() -> Self {
        Self::of("Unknown")
    }

    /// The sender of a request without credentials, as S3 records have it: an account of nobody.
    pub fn anonymous() -> Self {
        Self { principal_id: Some("Anonymous".to_owned()), ..Self::of("AWSAccount") }
    }

    /// Somebody with an access key that nobody knows more of than the account.
    pub fn unknown_key(account: AccountId, access_key_id: &str) -> Self {
        Self {
            account_id: Some(account),
            access_key_id: Some(access_key_id.to_owned()),
            ..Self::of("Unknown")
        }
    }

    /// The caller's ARN, where it has one.
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    /// The caller's account, where it is known.
    pub const fn account(&self) -> Option<AccountId> {
        self.account_id
    }

    /// What an account may read about the caller: of a stranger only the account and the principal.
    pub(super) fn seen_by(&self, recipient: AccountId) -> Cow<'_, Self> {
        match (self.account_id, &self.principal_id) {
            (Some(account), Some(principal)) if account != recipient => {
                Cow::Owned(Self::aws_account(account, principal))
            }
            _ => Cow::Borrowed(self),
        }
    }
}
