//! Policy documents: JSON in the language of IAM, read strictly.
//!
//! A document is read once, when it is put. What is not understood in full is refused with the place and the reason;
//! so whatever is stored can be evaluated. A stored document that nevertheless cannot be read denies everything.

mod condition;
mod context;
mod evaluate;
mod json;
mod parse;
mod pattern;
mod principals;
mod resource_rules;
mod shown;

use std::borrow::Cow;
use std::collections::BTreeMap;

use towpath_model::Arn;

pub use context::{Context, Request};
pub use evaluate::{Decision, PolicyType, evaluate, evaluate_trust};
pub use principals::{NamedPrincipal, PrincipalPattern};
pub use resource_rules::{MAX_PRINCIPALS, MAX_STATEMENTS, ResourcePolicyRules, RuleViolation, STORE_ACTIONS};

use condition::Condition;
use context::Facts;
use parse::Parser;
use pattern::{Case, Pattern};
use principals::{Match, exempts};

/// What a policy is attached to; it decides which elements it has and how long it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// A policy of a user: no Principal; 2,048 characters, white space not counted, over all policies of the user.
    User,
    /// A policy of a role: no Principal; 10,240 characters, white space not counted, over all policies of the role.
    Role,
    /// A managed policy: no Principal; 6,144 characters, white space not counted.
    Managed,
    /// A policy passed when a role is assumed: no Principal; 2,048 characters.
    Session,
    /// The trust policy of a role: Principal, no Resource; 4,096 characters, white space not counted.
    Trust,
    /// The policy of a channel or store: Principal; 8,192 characters.
    Resource,
}

impl PolicyKind {
    /// Returns the greatest length, in characters as [`PolicyKind::measure`] counts them.
    pub fn limit(self) -> usize {
        match self {
            Self::User | Self::Session => 2048,
            Self::Trust => 4096,
            Self::Managed => 6144,
            Self::Role => 10_240,
            Self::Resource => 8192,
        }
    }

    /// Counts the characters of a document that count against the limit.
    pub fn measure(self, text: &str) -> usize {
        match self {
            Self::Session | Self::Resource => text.chars().count(),
            _ => text.chars().filter(|character| !character.is_whitespace()).count(),
        }
    }

    fn has_principal(self) -> bool {
        matches!(self, Self::Trust | Self::Resource)
    }
}

/// Longest document that is looked at, in bytes with all its white space; IAM's own bound.
const MAX_TEXT: usize = 131_072;

/// Why a document is not a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if at.is_empty() { String::new() } else { format!("{at}: ") })]
pub struct PolicyError {
    /// The place in the document, such as `Statement[0].Condition.StringEquals`; empty for the whole.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
}

/// A policy that was read and understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    text: String,
    statements: Vec<Statement>,
    /// Set for a stored document that cannot be read.
    unreadable: bool,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    pub(crate) principals: Option<Listed<Vec<PrincipalPattern>>>,
    pub(crate) actions: Listed<Vec<Pattern>>,
    pub(crate) resources: Option<Listed<Vec<Pattern>>>,
    pub(crate) conditions: Vec<Condition>,
    /// Actions and resources as written, for rules that name them.
    pub(crate) action_texts: Vec<String>,
    pub(crate) resource_texts: Vec<String>,
}

/// What a statement does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// A list that says what is meant, or what is not meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Listed<T> {
    These(T),
    AllBut(T),
}

impl Policy {
    /// Reads a document that is about to be stored.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Self, PolicyError> {
        let too_long = |length: usize, what: &str, limit: usize| {
            let problem = format!("document has {length} {what}, more than {limit}");
            Err(PolicyError { at: String::new(), problem })
        };
        if text.len() > MAX_TEXT {
            return too_long(text.len(), "bytes", MAX_TEXT);
        }
        let length = kind.measure(text);
        if length > kind.limit() {
            return too_long(length, "characters", kind.limit());
        }
        Parser { kind, unknown_operators: false }.policy(text)
    }

    /// Reads a document from storage. It was checked when it was put; should it hold what this version does not know,
    /// the result denies: a statement with an unknown operator never allows and always denies, a document that cannot
    /// be read denies everything.
    pub fn from_stored(text: &str, kind: PolicyKind) -> Self {
        let parsed = Parser { kind, unknown_operators: true }.policy(text);
        parsed.unwrap_or_else(|error| {
            tracing::error!(%error, "stored policy cannot be read and denies everything");
            Self { text: text.to_owned(), statements: Vec::new(), unreadable: true }
        })
    }

    /// Returns the document as it was put.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the ARNs of the users and roles that the policy names as principals.
    pub fn named(&self) -> Vec<Arn> {
        self.named_principals().map(|named| named.arn.clone()).collect()
    }

    /// Pins users and roles named by ARN to the unique ids that `ids` has for them: should one be deleted and another
    /// of the same name be made, the policy is not about the new one.
    pub fn pinned(mut self, ids: &BTreeMap<String, String>) -> Self {
        for listed in self.statements.iter_mut().filter_map(|statement| statement.principals.as_mut()) {
            let (Listed::These(patterns) | Listed::AllBut(patterns)) = listed;
            for pattern in patterns {
                if let PrincipalPattern::User(named) | PrincipalPattern::Role(named) = pattern {
                    named.id = ids.get(named.arn.as_str()).cloned();
                }
            }
        }
        self
    }

    /// Says whether the request has a value of `key` that an allowing statement asks for; true if none asks for one.
    ///
    /// CloudTrail wants this of external ids: once the policy of a channel names one, every caller must send it, those
    /// whom the statement is not about included.
    pub fn is_answered(&self, key: &str, request: &Request<'_>) -> bool {
        let facts = Facts::of(request);
        let allows = self.statements.iter().filter(|statement| statement.effect == Effect::Allow);
        let mut asked = false;
        for condition in allows.flat_map(|statement| &statement.conditions) {
            if condition.key.eq_ignore_ascii_case(key) {
                asked = true;
                if condition.holds(&facts, Effect::Allow) {
                    return true;
                }
            }
        }
        !asked
    }

    /// Returns the unique ids that the policy is pinned to, by ARN; what [`Policy::pinned`] takes.
    pub fn pins(&self) -> BTreeMap<String, String> {
        let pinned = self.named_principals().filter_map(|named| Some((named.arn.to_string(), named.id.clone()?)));
        pinned.collect()
    }

    /// Returns the document as IAM shows it: as it was put, with the unique id in place of the ARN of each user or role
    /// that is no more. `ids` holds the unique ids of today, by ARN.
    pub fn shown(&self, ids: &BTreeMap<String, String>) -> Cow<'_, str> {
        let is_lost = |named: &&NamedPrincipal| named.id.is_some() && ids.get(named.arn.as_str()) != named.id.as_ref();
        let lost: BTreeMap<&str, &str> = self
            .named_principals()
            .filter(is_lost)
            .filter_map(|named| Some((named.arn.as_str(), named.id.as_deref()?)))
            .collect();
        if lost.is_empty() {
            return Cow::Borrowed(&self.text);
        }
        shown::with_ids(&self.text, &lost).map_or(Cow::Borrowed(&*self.text), Cow::Owned)
    }

    fn named_principals(&self) -> impl Iterator<Item = &NamedPrincipal> {
        let principals = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        let patterns = principals.flat_map(|listed| match listed {
            Listed::These(patterns) | Listed::AllBut(patterns) => patterns,
        });
        patterns.filter_map(|pattern| match pattern {
            PrincipalPattern::User(named) | PrincipalPattern::Role(named) => Some(named),
            _ => None,
        })
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Says whether any statement denies the request explicitly.
    pub(crate) fn denies(&self, facts: &Facts<'_>) -> bool {
        let mut denies = self.statements.iter().filter(|statement| statement.effect == Effect::Deny);
        self.unreadable || denies.any(|statement| statement.applies(facts).is_some())
    }

    /// Says whether a statement allows the request, and how directly it names the caller.
    pub(crate) fn allows(&self, facts: &Facts<'_>) -> Option<Match> {
        let allows = self.statements.iter().filter(|statement| statement.effect == Effect::Allow);
        allows.filter_map(|statement| statement.applies(facts)).max()
    }
}

impl Statement {
    /// Says whether the statement is about the request, and how it names the caller. A policy of an identity names no
    /// one and is about that identity itself.
    fn applies(&self, facts: &Facts<'_>) -> Option<Match> {
        let named = self.names(facts)?;
        let holds = |condition: &Condition| condition.holds(facts, self.effect);
        let applies = self.covers_action(facts) && self.covers_resource(facts) && self.conditions.iter().all(holds);
        applies.then_some(named)
    }

    fn names(&self, facts: &Facts<'_>) -> Option<Match> {
        let principal = facts.request.principal;
        match &self.principals {
            None => Some(Match::Itself),
            Some(Listed::These(listed)) => {
                let named = listed.iter().filter_map(|pattern| pattern.matches(principal)).max();
                // What is denied to everyone is denied to services too, though no service is let in as anyone.
                let everyone = || self.effect == Effect::Deny && listed.contains(&PrincipalPattern::Anyone);
                named.or_else(|| everyone().then_some(Match::Anyone))
            }
            // Read from storage only with Deny; an Allow for everyone but a few is refused when put.
            Some(Listed::AllBut(listed)) => {
                (self.effect == Effect::Deny && !exempts(listed, principal)).then_some(Match::Anyone)
            }
        }
    }

    fn covers_action(&self, facts: &Facts<'_>) -> bool {
        let among = |patterns: &[Pattern]| {
            let action = facts.request.action;
            patterns.iter().any(|pattern| pattern.matches(action, Case::Insensitive, &|_| None) == Some(true))
        };
        match &self.actions {
            Listed::These(patterns) => among(patterns),
            Listed::AllBut(patterns) => !among(patterns),
        }
    }

    fn covers_resource(&self, facts: &Facts<'_>) -> bool {
        let lookup = |key: &str| facts.single(key);
        let matches = |pattern: &Pattern| pattern.matches(facts.request.resource, Case::Sensitive, &lookup);
        match &self.resources {
            // Only policies of resources may leave it out, and then they mean their own resource.
            None => true,
            Some(Listed::These(patterns)) => patterns.iter().any(|pattern| matches(pattern) == Some(true)),
            Some(Listed::AllBut(patterns)) => {
                // A variable without a value matches nothing, but an Allow must not grow by that.
                let matched: Vec<_> = patterns.iter().map(matches).collect();
                let undecided = self.effect == Effect::Allow && matched.contains(&None);
                !undecided && !matched.contains(&Some(true))
            }
        }
    }
}

#[cfg(test)]
mod tests;
