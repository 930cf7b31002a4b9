//! The Principal element: whom a statement of a resource policy is about.

use towpath_model::{AccountId, Arn};

use crate::Principal;

/// How a statement names a caller. What an Allow grants depends on it; see [`crate::evaluate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    /// By its account, which may delegate to whom it likes.
    Account,
    /// By the role of its session.
    Role,
    /// As anyone.
    Anyone,
    /// By itself: a user, a session, the root of an account, a service.
    Itself,
}

/// One principal as a policy writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalPattern {
    /// `*` or `{"AWS": "*"}`.
    Anyone,
    /// An account: its number, or the ARN of its root.
    Account(AccountId),
    /// `arn:aws:iam::A:user/path/name`.
    User(NamedPrincipal),
    /// `arn:aws:iam::A:role/path/name`.
    Role(NamedPrincipal),
    /// `arn:aws:sts::A:assumed-role/Role/Session`.
    RoleSession(Arn),
    /// `arn:aws:sts::A:federated-user/name`.
    FederatedUser(Arn),
    /// `{"Service": "name.amazonaws.com"}`.
    Service(String),
    /// `{"Federated": "..."}`: an identity provider. Nobody is authenticated by one here, so it matches no caller.
    Provider(String),
}

/// A user or role by its ARN and, once it was found in the directory, by its unique id: another one of the same name
/// is then somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPrincipal {
    /// As written.
    pub arn: Arn,
    /// `AIDA...` or `AROA...`, if the policy is pinned to it.
    pub id: Option<String>,
}

impl NamedPrincipal {
    fn is(&self, arn: &Arn, id: &str) -> bool {
        self.arn == *arn && self.id.as_deref().is_none_or(|pinned| pinned == id)
    }
}

impl PrincipalPattern {
    /// Parses one value of `{"AWS": ...}`.
    pub(crate) fn aws(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Anyone);
        }
        if let Ok(account) = text.parse() {
            return Ok(Self::Account(account));
        }
        let problem = || format!("{text:?} is not an account, a user, a role or a role session");
        let arn: Arn = text.parse().map_err(|_| problem())?;
        let account = arn.account_id().filter(|_| arn.region().is_empty()).ok_or_else(problem)?;
        if text.contains(['*', '?', '$']) {
            return Err(format!("{text:?} has a wildcard; only \"*\" alone may be one"));
        }
        let (kind, rest) = arn.resource().split_once('/').unwrap_or((arn.resource(), ""));
        match (arn.service(), kind, rest) {
            ("iam", "root", "") if arn.resource() == "root" => Ok(Self::Account(account)),
            ("iam", "user", name) if !name.is_empty() => Ok(Self::User(NamedPrincipal { arn, id: None })),
            ("iam", "role", name) if !name.is_empty() => Ok(Self::Role(NamedPrincipal { arn, id: None })),
            ("sts", "assumed-role", session) if session.split('/').filter(|part| !part.is_empty()).count() == 2 => {
                Ok(Self::RoleSession(arn))
            }
            ("sts", "federated-user", name) if !name.is_empty() => Ok(Self::FederatedUser(arn)),
            _ => Err(problem()),
        }
    }

    /// Parses one value of `{"Service": ...}`.
    pub(crate) fn service(text: &str) -> Result<Self, String> {
        let word = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if text.contains('.') && text.len() <= 256 && text.split('.').all(word) {
            Ok(Self::Service(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a service such as \"cloudtrail.amazonaws.com\""))
        }
    }

    /// Says how this names `principal`, if it does.
    pub(crate) fn matches(&self, principal: &Principal) -> Option<Match> {
        let names = |yes: bool, how: Match| yes.then_some(how);
        match (self, principal) {
            // No service is let in as anyone: it must be named.
            (Self::Anyone, Principal::Service(_)) => None,
            (Self::Anyone, _) => Some(Match::Anyone),
            (Self::Account(account), Principal::Root { account: own }) => names(account == own, Match::Itself),
            (Self::Account(account), other) => names(other.account() == Some(*account), Match::Account),
            (Self::User(named), Principal::User { arn, id, .. }) => names(named.is(arn, id), Match::Itself),
            (Self::Role(named), Principal::AssumedRole(session)) => {
                names(named.is(&session.role_arn, &session.role_id), Match::Role)
            }
            (Self::RoleSession(arn), Principal::AssumedRole(session)) => names(*arn == session.arn, Match::Itself),
            (Self::Service(name), Principal::Service(own)) => names(name.eq_ignore_ascii_case(own), Match::Itself),
            _ => None,
        }
    }
}

/// Says whether `listed`, the value of NotPrincipal, exempts the caller.
///
/// A caller is exempt only when all that it is made of is listed: a user with its account, a session with its role and
/// its account. Whoever lists less has named somebody else.
pub(crate) fn exempts(listed: &[PrincipalPattern], principal: &Principal) -> bool {
    let any = |wanted: &dyn Fn(&PrincipalPattern) -> bool| {
        listed.iter().any(|pattern| *pattern == PrincipalPattern::Anyone || wanted(pattern))
    };
    let account =
        |own: &AccountId| any(&|pattern| matches!(pattern, PrincipalPattern::Account(account) if account == own));
    match principal {
        Principal::Root { account: own } => account(own),
        Principal::User { account: own, .. } => {
            account(own) && any(&|pattern| pattern.matches(principal) == Some(Match::Itself))
        }
        Principal::AssumedRole(session) => {
            account(&session.account)
                && any(&|pattern| pattern.matches(principal) == Some(Match::Role))
                && any(&|pattern| pattern.matches(principal) == Some(Match::Itself))
        }
        Principal::Service(_) => listed.iter().any(|pattern| pattern.matches(principal).is_some()),
        Principal::Anonymous => listed.contains(&PrincipalPattern::Anyone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_accounts_users_roles_sessions_and_services() {
        for text in [
            "*",
            "123456789012",
            "arn:aws:iam::123456789012:root",
            "arn:aws:iam::123456789012:user/team/Bob",
            "arn:aws:iam::123456789012:role/Audit",
            "arn:aws:sts::123456789012:assumed-role/Audit/me",
            "arn:aws:sts::123456789012:federated-user/jane",
        ] {
            assert!(PrincipalPattern::aws(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "12345678901",
            "Bob",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:iam::123456789012:group/Admins",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:rooty",
            "arn:aws:iam::123456789012:root/",
            "arn:aws:iam:us-east-1:123456789012:root",
            "arn:aws:iam:::root",
            "arn:aws:sts::123456789012:assumed-role/Audit",
            "arn:aws:sts::123456789012:assumed-role/Audit/me/too",
        ] {
            assert!(PrincipalPattern::aws(text).is_err(), "{text}");
        }
        assert!(PrincipalPattern::service("cloudtrail.amazonaws.com").is_ok());
        for text in ["", "cloudtrail", "*.amazonaws.com", "a..b"] {
            assert!(PrincipalPattern::service(text).is_err(), "{text}");
        }
    }
}
