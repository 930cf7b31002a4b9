//! `userIdentity`: how a record of the audit log names the caller.
//!
//! Members and their order are those of CloudTrail's records (event version 1.09 and later).

use jiff::Timestamp;
use serde::Serialize;
use towpath_model::AccountId;

use crate::{AccessKeyId, Principal};

/// The `userIdentity` element of an event. Serialized, it has the members of its type in CloudTrail's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserIdentity {
    /// `Root`, `IAMUser`, `AssumedRole`, `AWSAccount`, `AWSService` or `Unknown`.
    pub r#type: &'static str,
    /// Unique id of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<String>,
    /// ARN of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Account that granted the permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// Key that signed the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<AccessKeyId>,
    /// Name of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// How a session came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_context: Option<SessionContext>,
    /// Service that made the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoked_by: Option<String>,
}

/// The `sessionContext` element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionContext {
    /// Whose permissions the session has.
    pub session_issuer: SessionIssuer,
    /// When and how the session was made.
    pub attributes: SessionAttributes,
    /// Source identity set by the one who assumed the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
}

/// The `sessionIssuer` element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionIssuer {
    /// `Role`.
    pub r#type: &'static str,
    /// Unique id of the role.
    pub principal_id: String,
    /// ARN of the role.
    pub arn: String,
    /// Account of the role.
    pub account_id: AccountId,
    /// Name of the role.
    pub user_name: String,
}

/// The `attributes` element of a session context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionAttributes {
    /// Time of creation, as `2026-01-31T12:00:00Z`.
    pub creation_date: String,
    /// `"true"` or `"false"`, a string.
    pub mfa_authenticated: &'static str,
}

impl UserIdentity {
    /// Describes `principal`, who signed with `access_key_id` if it signed at all.
    pub fn of(principal: &Principal, access_key_id: Option<&AccessKeyId>) -> Self {
        let identity = Self {
            r#type: "Unknown",
            principal_id: principal.principal_id(),
            arn: principal.arn().map(|arn| arn.to_string()),
            account_id: principal.account(),
            access_key_id: access_key_id.cloned(),
            user_name: None,
            session_context: None,
            invoked_by: None,
        };
        match principal {
            Principal::Root { .. } => Self { r#type: "Root", ..identity },
            Principal::User { name, .. } => Self { r#type: "IAMUser", user_name: Some(name.to_string()), ..identity },
            Principal::AssumedRole(session) => {
                let session_context = SessionContext {
                    session_issuer: SessionIssuer {
                        r#type: "Role",
                        principal_id: session.role_id.clone(),
                        arn: session.role_arn.to_string(),
                        account_id: session.account,
                        user_name: session.role_name.to_string(),
                    },
                    attributes: SessionAttributes {
                        creation_date: seconds(session.issued_at),
                        mfa_authenticated: "false",
                    },
                    source_identity: session.source_identity.as_ref().map(ToString::to_string),
                };
                Self { r#type: "AssumedRole", session_context: Some(session_context), ..identity }
            }
            Principal::Service(name) => {
                Self { r#type: "AWSService", invoked_by: Some(name.clone()), access_key_id: None, ..identity }
            }
            Principal::Anonymous => identity,
        }
    }

    /// Describes the caller as the record in `account` shows it: in full to its own account, reduced to account and
    /// principal id to another.
    pub fn seen_by(self, account: AccountId) -> Self {
        if self.account_id.is_none_or(|own| own == account) {
            return self;
        }
        Self {
            r#type: "AWSAccount",
            arn: None,
            access_key_id: None,
            user_name: None,
            session_context: None,
            invoked_by: None,
            ..self
        }
    }
}

/// The time to the second, as CloudTrail prints it.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{RoleSession, entity_arn};

    fn account() -> AccountId {
        "123456789012".parse().unwrap()
    }

    #[test]
    fn a_role_session_has_its_issuer_in_cloudtrails_order() {
        let (path, name) = ("/".parse().unwrap(), "Audit".parse().unwrap());
        let arn = entity_arn(account(), "role", &path, &name);
        let issued_at = "2026-03-01T10:20:30.5Z".parse().unwrap();
        let role = (account(), name, arn, "AROA1".to_owned());
        let session = RoleSession::new(role, "me".parse().unwrap(), Some("jane".parse().unwrap()), issued_at);
        let key = "ASIA1".parse().unwrap();

        let identity = UserIdentity::of(&Principal::AssumedRole(session), Some(&key));
        assert_eq!(
            serde_json::to_string(&identity).unwrap(),
            concat!(
                r#"{"type":"AssumedRole","principalId":"AROA1:me","#,
                r#""arn":"arn:aws:sts::123456789012:assumed-role/Audit/me","accountId":"123456789012","#,
                r#""accessKeyId":"ASIA1","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA1","#,
                r#""arn":"arn:aws:iam::123456789012:role/Audit","accountId":"123456789012","userName":"Audit"},"#,
                r#""attributes":{"creationDate":"2026-03-01T10:20:30Z","mfaAuthenticated":"false"},"#,
                r#""sourceIdentity":"jane"}}"#
            )
        );
        let foreign = identity.clone().seen_by("999999999999".parse().unwrap());
        assert_eq!(
            serde_json::to_string(&foreign).unwrap(),
            r#"{"type":"AWSAccount","principalId":"AROA1:me","accountId":"123456789012"}"#
        );
        assert_eq!(identity.clone().seen_by(account()), identity);
    }

    #[test]
    fn root_and_services_have_their_own_forms() {
        let root = UserIdentity::of(&Principal::Root { account: account() }, Some(&"AKIA1".parse().unwrap()));
        assert_eq!(
            serde_json::to_string(&root).unwrap(),
            concat!(
                r#"{"type":"Root","principalId":"123456789012","arn":"arn:aws:iam::123456789012:root","#,
                r#""accountId":"123456789012","accessKeyId":"AKIA1"}"#
            )
        );
        let service = UserIdentity::of(&Principal::Service("cloudtrail.amazonaws.com".into()), None);
        assert_eq!(
            serde_json::to_string(&service).unwrap(),
            r#"{"type":"AWSService","invokedBy":"cloudtrail.amazonaws.com"}"#
        );
    }
}
