//! The decision: may this caller do this?
//!
//! The rules are those of IAM. An explicit deny in any policy wins. Otherwise the caller's side (its identity policies,
//! cut down by the policy of its session if it has one) and the resource's side (the policy of the resource) are put
//! together:
//!
//! - **Same account.** Either side is enough. A resource policy that names the user, the session, the root itself or
//!   anyone allows on its own; one that names the role of a session allows what the session policy also allows; one
//!   that names only the account hands the question to the caller's side.
//! - **Two accounts.** Both sides must allow.
//! - **The root of an account** has every right its account can give; identity policies do not concern it. A deny in a
//!   resource policy does.
//! - **Services and anonymous callers** have no side of their own: the resource policy decides.
//! - **Assuming a role** needs the trust policy of the role in every case.

use std::borrow::Borrow;

use super::Policy;
use super::context::{Facts, Request};
use super::principals::Match;
use crate::Principal;

/// A kind of policy, as error messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyType {
    /// Attached to the caller.
    Identity,
    /// Attached to the resource.
    Resource,
    /// Passed when the role was assumed.
    Session,
    /// Says who may assume a role.
    Trust,
}

/// What the policies say.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request may be carried out.
    Allow,
    /// A policy denies the request.
    DenyExplicit {
        /// Which.
        by: PolicyType,
    },
    /// No policy allows the request.
    DenyImplicit {
        /// The policy that would have to.
        missing: PolicyType,
    },
}

impl Decision {
    /// True when the request may be carried out.
    pub fn is_allow(self) -> bool {
        self == Self::Allow
    }

    /// Returns the message of the AccessDenied error for a request that is not allowed, in AWS's words.
    pub fn message(self, request: &Request<'_>) -> Option<String> {
        let reason = match self {
            Self::Allow => return None,
            Self::DenyExplicit { by } => format!("with an explicit deny in {} {by} policy", by.article()),
            Self::DenyImplicit { missing } => {
                format!("because no {missing} policy allows the {} action", request.action)
            }
        };
        let (caller, action, resource) = (request.principal.display_name(), request.action, request.resource);
        Some(format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {reason}"))
    }
}

impl PolicyType {
    fn article(self) -> &'static str {
        if self == Self::Identity { "an" } else { "a" }
    }
}

impl std::fmt::Display for PolicyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity-based",
            Self::Resource => "resource-based",
            Self::Session => "session",
            Self::Trust => "role trust",
        })
    }
}

/// Decides a request by the policies of its caller (`identity`), of the resource and of the caller's session.
pub fn evaluate<P: Borrow<Policy>>(
    request: &Request<'_>,
    identity: &[P],
    resource: Option<&Policy>,
    session: Option<&Policy>,
) -> Decision {
    let facts = Facts::of(request);
    let caller = match CallerSide::of(&facts, identity, session) {
        Ok(side) => side,
        Err(denied) => return denied,
    };
    if resource.is_some_and(|policy| policy.denies(&facts)) {
        return Decision::DenyExplicit { by: PolicyType::Resource };
    }
    let granted = resource.and_then(|policy| policy.allows(&facts));
    let Some(account) = request.principal.account() else {
        return caller.without(granted, PolicyType::Resource);
    };
    if account == request.resource_account { caller.or(granted) } else { caller.and(granted, PolicyType::Resource) }
}

/// Decides whether the caller may assume a role; `trust` is the trust policy of the role, whose ARN is the resource.
pub fn evaluate_trust<P: Borrow<Policy>>(
    request: &Request<'_>,
    identity: &[P],
    trust: &Policy,
    session: Option<&Policy>,
) -> Decision {
    let facts = Facts::of(request);
    let caller = match CallerSide::of(&facts, identity, session) {
        Ok(side) => side,
        Err(denied) => return denied,
    };
    if trust.denies(&facts) {
        return Decision::DenyExplicit { by: PolicyType::Trust };
    }
    let granted = trust.allows(&facts);
    match request.principal.account() {
        None => caller.without(granted, PolicyType::Trust),
        Some(account) if account == request.resource_account && granted.is_some() => caller.or(granted),
        Some(_) => caller.and(granted, PolicyType::Trust),
    }
}

/// What the policies on the caller's side allow, none of them denying.
struct CallerSide {
    identity: bool,
    session: bool,
}

impl CallerSide {
    fn of<P: Borrow<Policy>>(facts: &Facts<'_>, identity: &[P], session: Option<&Policy>) -> Result<Self, Decision> {
        let is_root = matches!(facts.request.principal, Principal::Root { .. });
        if !is_root && identity.iter().any(|policy| policy.borrow().denies(facts)) {
            return Err(Decision::DenyExplicit { by: PolicyType::Identity });
        }
        if session.is_some_and(|policy| policy.denies(facts)) {
            return Err(Decision::DenyExplicit { by: PolicyType::Session });
        }
        Ok(Self {
            identity: is_root || identity.iter().any(|policy| policy.borrow().allows(facts).is_some()),
            session: session.is_none_or(|policy| policy.allows(facts).is_some()),
        })
    }

    /// The caller's side alone.
    fn alone(&self) -> Decision {
        match self {
            Self { identity: false, .. } => Decision::DenyImplicit { missing: PolicyType::Identity },
            Self { session: false, .. } => Decision::DenyImplicit { missing: PolicyType::Session },
            _ => Decision::Allow,
        }
    }

    /// Either side, within one account.
    fn or(&self, granted: Option<Match>) -> Decision {
        match granted {
            Some(Match::Itself | Match::Anyone) => Decision::Allow,
            Some(Match::Role) if self.session => Decision::Allow,
            Some(Match::Role) => Decision::DenyImplicit { missing: PolicyType::Session },
            Some(Match::Account) | None => self.alone(),
        }
    }

    /// Both sides, between two accounts.
    fn and(&self, granted: Option<Match>, other: PolicyType) -> Decision {
        match self.alone() {
            Decision::Allow => self.without(granted, other),
            denied => denied,
        }
    }

    /// The other side alone.
    fn without(&self, granted: Option<Match>, other: PolicyType) -> Decision {
        if granted.is_some() { Decision::Allow } else { Decision::DenyImplicit { missing: other } }
    }
}
