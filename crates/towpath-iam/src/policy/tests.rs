//! Tables of IAM's documented outcomes, and laws that hold for every policy.

use jiff::Timestamp;
use proptest::prelude::*;
use towpath_model::{AccountId, Arn};

use super::*;
use crate::principal::{RoleSession, entity_arn};
use crate::{EntityName, EntityPath, Principal, SessionTags};

const OWNER: &str = "111111111111";
const OTHER: &str = "222222222222";
const CHANNEL: &str = "arn:aws:cloudtrail:us-east-1:111111111111:channel/c1";
const SEND: &str = "cloudtrail-data:PutAuditEvents";

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

fn root(of: &str) -> Principal {
    Principal::Root { account: account(of) }
}

fn user(of: &str, name: &str) -> Principal {
    let (name, path): (EntityName, EntityPath) = (name.parse().unwrap(), EntityPath::default());
    let arn = entity_arn(account(of), "user", &path, &name);
    Principal::User { account: account(of), name, path, id: "AIDAUSER".to_owned(), arn }
}

fn session(of: &str, role: &str, name: &str) -> Principal {
    let (role, path): (EntityName, EntityPath) = (role.parse().unwrap(), "/team/".parse().unwrap());
    let arn = entity_arn(account(of), "role", &path, &role);
    let role = (account(of), role, arn, "AROAROLE".to_owned());
    Principal::AssumedRole(RoleSession::new(
        role,
        name.parse().unwrap(),
        None,
        SessionTags::default(),
        Timestamp::UNIX_EPOCH,
    ))
}

fn policy(kind: PolicyKind, text: &str) -> Policy {
    Policy::parse(text, kind).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// An identity policy with one statement.
fn identity(effect: &str, action: &str, resource: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}}}"#
    );
    policy(PolicyKind::User, &text)
}

/// A policy of the channel with one statement about `principal` (JSON).
fn on_channel(effect: &str, principal: &str) -> Policy {
    with_condition(effect, principal, "{}")
}

fn with_condition(effect: &str, principal: &str, condition: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{principal},
            "Action":"{SEND}","Resource":"{CHANNEL}","Condition":{condition}}}]}}"#
    );
    policy(PolicyKind::Resource, &text)
}

fn send<'a>(principal: &'a Principal, context: &'a Context) -> Request<'a> {
    Request { principal, action: SEND, resource: CHANNEL, resource_account: account(OWNER), context }
}

fn decide(principal: &Principal, identity: &[Policy], resource: Option<&Policy>, session: Option<&Policy>) -> Decision {
    evaluate(&send(principal, &Context::new()), identity, resource, session)
}

const ALLOW: Decision = Decision::Allow;

fn explicit(by: PolicyType) -> Decision {
    Decision::DenyExplicit { by }
}

fn missing(missing: PolicyType) -> Decision {
    Decision::DenyImplicit { missing }
}

/// Whether a condition (JSON) holds for a user with the given context.
fn holds(condition: &str, context: Context) -> bool {
    let grants = with_condition("Allow", r#""*""#, condition);
    let caller = user(OWNER, "me");
    let allowed = evaluate::<Policy>(&send(&caller, &context), &[], Some(&grants), None).is_allow();
    // The same condition on a deny must hold in the same cases when all is known.
    let forbids = with_condition("Deny", r#""*""#, condition);
    let denied = !evaluate(&send(&caller, &context), &[identity("Allow", "*", "*")], Some(&forbids), None).is_allow();
    assert_eq!(allowed, denied, "{condition}");
    allowed
}

mod conditions;
mod decisions;
mod documents;
mod laws;
mod resource_rules;
