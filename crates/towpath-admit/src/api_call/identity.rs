//! `userIdentity`: who made a call, in the forms that records have.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use towpath_model::{AccountId, Arn, eventtime_text};

/// Who made a call. Made by the functions below, so that each kind has exactly its fields.
///
/// The form and the order of its members are those of delivered records: type, principalId, arn, accountId, accessKeyId,
/// userName, identityProvider, sessionContext, invokedBy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserIdentity {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<Cow<'static, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_id: Option<Owner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity_provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_context: Option<SessionContext>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invoked_by: Option<String>,
}

/// The account of a caller, or what stands in its place where there is no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Owner {
    Account(AccountId),
    Nobody(Nobody),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Nobody {
    #[serde(rename = "ANONYMOUS_PRINCIPAL")]
    Anonymous,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionContext {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_issuer: Option<SessionIssuer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    web_id_federation_data: Option<Federation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<Attributes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionIssuer {
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    principal_id: String,
    arn: String,
    account_id: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Federation {
    federated_provider: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    creation_date: String,
    mfa_authenticated: Cow<'static, str>,
}

impl Attributes {
    fn new(created: Timestamp, mfa: bool) -> Self {
        Self { creation_date: eventtime_text(created), mfa_authenticated: if mfa { "true" } else { "false" }.into() }
    }
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
    fn nobody() -> Self {
        Self {
            kind: None,
            principal_id: None,
            arn: None,
            account_id: None,
            access_key_id: None,
            user_name: None,
            identity_provider: None,
            session_context: None,
            invoked_by: None,
        }
    }

    fn of(kind: &'static str) -> Self {
        Self { kind: Some(Cow::Borrowed(kind)), ..Self::nobody() }
    }

    /// The root of an account.
    pub fn root(account: AccountId, access_key_id: &str) -> Self {
        Self {
            principal_id: Some(account.to_string()),
            arn: Some(Arn::iam(account, "root").to_string()),
            account_id: Some(Owner::Account(account)),
            access_key_id: Some(access_key_id.to_owned()),
            ..Self::of("Root")
        }
    }

    /// An IAM user with a long-lived key.
    pub fn iam_user(user_id: &str, arn: &Arn, account: AccountId, access_key_id: &str, user_name: &str) -> Self {
        Self {
            principal_id: Some(user_id.to_owned()),
            arn: Some(arn.to_string()),
            account_id: Some(Owner::Account(account)),
            access_key_id: Some(access_key_id.to_owned()),
            user_name: Some(user_name.to_owned()),
            ..Self::of("IAMUser")
        }
    }

    /// A session of a role. That of a service-linked role is the service's, which calls by it on somebody's behalf.
    pub fn assumed_role(session: &RoleSession) -> Self {
        let issuer = SessionIssuer {
            kind: "Role".into(),
            principal_id: session.role_id.clone(),
            arn: session.role_arn.to_string(),
            account_id: session.account,
            user_name: Some(session.role_name.clone()),
        };
        Self {
            principal_id: Some(format!("{}:{}", session.role_id, session.session_name)),
            arn: Some(session.session_arn.to_string()),
            account_id: Some(Owner::Account(session.account)),
            access_key_id: Some(session.access_key_id.clone()),
            session_context: Some(SessionContext {
                session_issuer: Some(issuer),
                web_id_federation_data: None,
                attributes: Some(Attributes::new(session.created, session.mfa)),
                source_identity: session.source_identity.clone(),
            }),
            invoked_by: service_of(&session.role_arn).map(str::to_owned),
            ..Self::of("AssumedRole")
        }
    }

    /// A session of a role of which it is not known when it began, nor whether with a second factor: what `session` has of
    /// that does not count, and its record has no `attributes`.
    pub fn assumed_role_seen(session: &RoleSession) -> Self {
        let mut identity = Self::assumed_role(session);
        if let Some(context) = &mut identity.session_context {
            context.attributes = None;
        }
        identity
    }

    /// A federated user of whom it is not known who asked for the token, nor when.
    pub fn federated_user_seen(account: AccountId, name: &str, access_key_id: &str) -> Self {
        let identity = Self::federated_user(account, name, access_key_id, None, Timestamp::UNIX_EPOCH);
        Self { session_context: None, ..identity }
    }

    /// A federated user (GetFederationToken): `issuer` is the root or the IAM user whose key asked for the token.
    ///
    /// An issuer of another kind, or without a principal id, is left out.
    pub fn federated_user(
        account: AccountId,
        name: &str,
        access_key_id: &str,
        issuer: Option<&Self>,
        created: Timestamp,
    ) -> Self {
        Self {
            principal_id: Some(format!("{account}:{name}")),
            arn: Some(format!("arn:aws:sts::{account}:federated-user/{name}")),
            account_id: Some(Owner::Account(account)),
            access_key_id: Some(access_key_id.to_owned()),
            session_context: Some(SessionContext {
                session_issuer: issuer.and_then(Self::as_issuer),
                web_id_federation_data: None,
                attributes: Some(Attributes::new(created, false)),
                source_identity: None,
            }),
            ..Self::of("FederatedUser")
        }
    }

    /// Who calls AssumeRoleWithWebIdentity: `provider` is the issuer, such as `accounts.google.com`.
    pub fn web_identity_user(provider: &str, application: &str, user: &str) -> Self {
        Self {
            principal_id: Some(format!("{provider}:{application}:{user}")),
            user_name: Some(user.to_owned()),
            identity_provider: Some(provider.to_owned()),
            ..Self::of("WebIdentityUser")
        }
    }

    /// Who calls AssumeRoleWithSAML: `qualifier` is the assertion's name qualifier, `subject` its subject.
    pub fn saml_user(qualifier: &str, subject: &str) -> Self {
        Self {
            principal_id: Some(format!("{qualifier}:{subject}")),
            user_name: Some(subject.to_owned()),
            identity_provider: Some(qualifier.to_owned()),
            ..Self::of("SAMLUser")
        }
    }

    /// A service that calls for itself.
    pub fn aws_service(principal: &str) -> Self {
        Self { invoked_by: Some(principal.to_owned()), ..Self::of("AWSService") }
    }

    /// Who stands in an AwsServiceEvent, which nobody called for: the account, and the service that made the event.
    pub fn service_event(account: AccountId, service: &str) -> Self {
        Self { account_id: Some(Owner::Account(account)), invoked_by: Some(service.to_owned()), ..Self::nobody() }
    }

    /// Somebody of another account.
    pub fn aws_account(account: AccountId, principal_id: &str) -> Self {
        Self {
            principal_id: Some(principal_id.to_owned()),
            account_id: Some(Owner::Account(account)),
            ..Self::of("AWSAccount")
        }
    }

    /// The sender of a request without credentials, as S3's records have it.
    pub fn anonymous() -> Self {
        Self {
            principal_id: Some(String::new()),
            account_id: Some(Owner::Nobody(Nobody::Anonymous)),
            ..Self::of("AWSAccount")
        }
    }

    /// Somebody who could not be identified.
    pub fn unknown() -> Self {
        Self::of("Unknown")
    }

    /// Somebody whom another system than AWS's knows: the holder of an API key, the user of an HTTP API.
    pub fn outsider(principal_id: String, user_name: Option<String>) -> Self {
        Self { principal_id: Some(principal_id), user_name, ..Self::of("Unknown") }
    }

    /// Somebody with an access key of which nothing is known but, at best, the account.
    pub fn unknown_key(account: Option<AccountId>, access_key_id: &str) -> Self {
        Self {
            account_id: account.map(Owner::Account),
            access_key_id: Some(access_key_id.to_owned()),
            ..Self::of("Unknown")
        }
    }

    /// An IAM user who failed to sign in to the console, or a root who did: no ARN, and no key. `user_name` is
    /// `HIDDEN_DUE_TO_SECURITY_REASONS` where no such user exists.
    pub fn failed_sign_in(account: AccountId, user_name: &str) -> Self {
        Self {
            account_id: Some(Owner::Account(account)),
            access_key_id: Some(String::new()),
            user_name: Some(user_name.to_owned()),
            ..Self::of("IAMUser")
        }
    }

    /// The same caller without an access key, as after a sign-in.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.access_key_id = None;
        self
    }

    /// The same caller with the temporary key of a session that it made (GetSessionToken).
    #[must_use]
    pub fn in_session(mut self, access_key_id: &str, created: Timestamp, mfa: bool) -> Self {
        self.access_key_id = Some(access_key_id.to_owned());
        self.session_context = Some(SessionContext {
            session_issuer: None,
            web_id_federation_data: None,
            attributes: Some(Attributes::new(created, mfa)),
            source_identity: None,
        });
        self
    }

    /// The same session, begun with the word of an identity provider. Nothing changes for who has no session.
    #[must_use]
    pub fn federated_by(mut self, provider: &str, attributes: BTreeMap<String, String>) -> Self {
        if let Some(session) = &mut self.session_context {
            session.web_id_federation_data = Some(Federation { federated_provider: provider.to_owned(), attributes });
        }
        self
    }

    /// The same caller, by way of a service (`secretsmanager.amazonaws.com`) that calls on its behalf.
    #[must_use]
    pub fn invoked_by(mut self, service: &str) -> Self {
        self.invoked_by = Some(service.to_owned());
        self
    }

    fn as_issuer(&self) -> Option<SessionIssuer> {
        let kind = self.kind.clone().filter(|kind| matches!(&**kind, "Root" | "IAMUser"))?;
        Some(SessionIssuer {
            kind,
            principal_id: self.principal_id.clone()?,
            arn: self.arn.clone()?,
            account_id: self.account()?,
            user_name: self.user_name.clone(),
        })
    }

    /// Its `type`; empty for who stands in an AwsServiceEvent.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }

    /// The caller's ARN, where it has one.
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    /// The caller's unique id, where it has one.
    pub fn principal_id(&self) -> Option<&str> {
        self.principal_id.as_deref()
    }

    /// The caller's account, where it is known.
    pub const fn account(&self) -> Option<AccountId> {
        match self.account_id {
            Some(Owner::Account(account)) => Some(account),
            _ => None,
        }
    }

    /// The service that called on the caller's behalf, or for itself.
    pub fn invoker(&self) -> Option<&str> {
        self.invoked_by.as_deref()
    }

    /// What an account may read about the caller: of a stranger only the account and the principal.
    pub fn seen_by(&self, recipient: AccountId) -> Cow<'_, Self> {
        match (self.account(), &self.principal_id) {
            (Some(account), Some(principal)) if account != recipient => {
                Cow::Owned(Self::aws_account(account, principal))
            }
            _ => Cow::Borrowed(self),
        }
    }
}

/// The service that a service-linked role belongs to, by its path: `role/aws-service-role/<service>/<name>`.
fn service_of(role: &Arn) -> Option<&str> {
    let (service, _) = role.resource().strip_prefix("role/aws-service-role/")?.split_once('/')?;
    Some(service)
}

#[cfg(test)]
mod tests;
