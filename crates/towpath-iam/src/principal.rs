//! Who is calling.

use jiff::Timestamp;
use towpath_model::{AccountId, Arn};

use crate::{EntityName, EntityPath, SessionName, SessionTags};

/// An identity that makes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The owner of an account.
    Root {
        /// The account.
        account: AccountId,
    },
    /// A user of an account.
    User {
        /// The account.
        account: AccountId,
        /// Its name, without the path.
        name: EntityName,
        /// Its path.
        path: EntityPath,
        /// Its unique id, `AIDA...`.
        id: String,
        /// `arn:aws:iam::A:user/path/name`.
        arn: Arn,
    },
    /// A session of a role.
    AssumedRole(RoleSession),
    /// A service of the installation, such as `cloudtrail.amazonaws.com`.
    Service(String),
    /// Nobody in particular.
    Anonymous,
}

/// A session of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSession {
    /// The account of the role.
    pub account: AccountId,
    /// The role's name, without the path.
    pub role_name: EntityName,
    /// `arn:aws:iam::A:role/path/Role`.
    pub role_arn: Arn,
    /// The role's unique id, `AROA...`.
    pub role_id: String,
    /// The name the caller gave the session.
    pub session_name: SessionName,
    /// `arn:aws:sts::A:assumed-role/Role/Session`.
    pub arn: Arn,
    /// The source identity the caller set, if any.
    pub source_identity: Option<SessionName>,
    /// What the caller said about the session.
    pub tags: SessionTags,
    /// When the session was made.
    pub issued_at: Timestamp,
}

impl RoleSession {
    /// Builds the session of a role; its ARN follows from the rest.
    pub(crate) fn new(
        (account, role_name, role_arn, role_id): (AccountId, EntityName, Arn, String),
        session_name: SessionName,
        source_identity: Option<SessionName>,
        tags: SessionTags,
        issued_at: Timestamp,
    ) -> Self {
        let arn = sts_arn(account, &format!("assumed-role/{role_name}/{session_name}"));
        Self { account, role_name, role_arn, role_id, session_name, arn, source_identity, tags, issued_at }
    }
}

impl Principal {
    /// Returns the account this belongs to; services and anonymous callers have none.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Root { account } | Self::User { account, .. } => Some(*account),
            Self::AssumedRole(session) => Some(session.account),
            Self::Service(_) | Self::Anonymous => None,
        }
    }

    /// Returns the ARN, as `sts:GetCallerIdentity` prints it.
    pub fn arn(&self) -> Option<Arn> {
        match self {
            Self::Root { account } => Some(root_arn(*account)),
            Self::User { arn, .. } => Some(arn.clone()),
            Self::AssumedRole(session) => Some(session.arn.clone()),
            Self::Service(_) | Self::Anonymous => None,
        }
    }

    /// Returns the unique id, as CloudTrail prints it in `principalId` and STS in `UserId`: the account, `AIDA...`, or
    /// `AROA...:session`.
    pub fn principal_id(&self) -> Option<String> {
        match self {
            Self::Root { account } => Some(account.to_string()),
            Self::User { id, .. } => Some(id.clone()),
            Self::AssumedRole(session) => Some(format!("{}:{}", session.role_id, session.session_name)),
            Self::Service(_) | Self::Anonymous => None,
        }
    }

    /// Names the caller in a message: the ARN, the service name, or `anonymous`.
    pub fn display_name(&self) -> String {
        match self {
            Self::Service(name) => name.clone(),
            Self::Anonymous => "anonymous".to_owned(),
            other => other.arn().map(|arn| arn.to_string()).unwrap_or_default(),
        }
    }
}

/// `arn:aws:iam::A:root`.
pub(crate) fn root_arn(account: AccountId) -> Arn {
    Arn::iam(account, "root")
}

/// `arn:aws:iam::A:user/path/name` or `.../role/path/name`.
pub(crate) fn entity_arn(account: AccountId, kind: &str, path: &EntityPath, name: &EntityName) -> Arn {
    Arn::iam(account, &format!("{kind}{path}{name}"))
}

fn sts_arn(account: AccountId, resource: &str) -> Arn {
    format!("arn:aws:sts::{account}:{resource}").parse().expect("account, role and session names are checked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        "123456789012".parse().unwrap()
    }

    #[test]
    fn each_kind_has_the_names_aws_gives_it() {
        let root = Principal::Root { account: account() };
        assert_eq!(root.arn().unwrap().as_str(), "arn:aws:iam::123456789012:root");
        assert_eq!(root.principal_id().unwrap(), "123456789012");

        let (path, name) = ("/team/".parse().unwrap(), "Role".parse().unwrap());
        let role_arn = entity_arn(account(), "role", &path, &name);
        assert_eq!(role_arn.as_str(), "arn:aws:iam::123456789012:role/team/Role");
        let role = (account(), name, role_arn, "AROAEXAMPLE".to_owned());
        let session =
            RoleSession::new(role, "me".parse().unwrap(), None, SessionTags::default(), Timestamp::UNIX_EPOCH);
        let session = Principal::AssumedRole(session);
        assert_eq!(session.arn().unwrap().as_str(), "arn:aws:sts::123456789012:assumed-role/Role/me");
        assert_eq!(session.principal_id().unwrap(), "AROAEXAMPLE:me");
        assert_eq!(session.account(), Some(account()));

        assert_eq!(Principal::Service("cloudtrail.amazonaws.com".into()).display_name(), "cloudtrail.amazonaws.com");
        assert_eq!(Principal::Anonymous.arn(), None);
    }
}
