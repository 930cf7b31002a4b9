//! Identity: who made a call that passed.
//!
//! A call names an access key and proves to its upstream that it holds the secret. Once the upstream has let the caller in
//! ([`let_in`]), or the gateway has verified the signature itself, the key's owner is the caller. Who owns a key is known, in
//! this order, from
//!
//! 1. Towpath's own accounts and keys ([`KeyDirectory`]);
//! 2. what answers of STS and IAM said that passed through the gateway ([`learnt`]);
//! 3. who can be asked ([`AskOwner`]): the server, if the gateway is a process of its own, and IAM and STS of the upstream.
//!
//! What one upstream says of a key counts for the upstreams of its realm, those that know the same keys, and for no others.
//! A key that nobody knows is an `Unknown` caller of the upstream's account. A call that was not let in - refused by the
//! gateway, or by the upstream with an error of authentication, or never answered - proves nothing: its record names the key
//! and nobody. Nothing is ever taken from a header that says who calls.

mod cache;
mod iam;
mod learnt;
mod let_in;
mod owner;
mod presented;
mod query;
mod question;
mod sts;
mod xml;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use towpath_admit::UserIdentity;
use towpath_capture::{Exchange, ObjectForm};
use towpath_model::{AccountId, Arn};
use towpath_wire::sigv4::Secret;

use crate::recording::{RecordedUpstream, Routed};
use cache::Cache;
use learnt::Learnt;
use question::{Question, UnderWay};

pub use iam::IamClient;
pub use presented::Presented;
pub use sts::{AskError, StsClient};

/// Keys, users and roles that are remembered, each.
const REMEMBERED: usize = 10_000;
/// How long a long-lived key that passed by is remembered.
const KEY_FOR: SignedDuration = SignedDuration::from_hours(12);
/// How long the owner of a key is believed whom somebody told who was asked.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long it is believed that nobody knows a key, or nobody can be asked.
const NOBODY_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How long a call waits at most until it is told whose its key is, whoever is asked.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Questions that are under way at a time, each about another key.
const QUESTIONS: usize = 32;

/// Knows access keys of accounts of its own. Answers from memory.
pub trait KeyDirectory: Send + Sync + 'static {
    /// The owner of a key that may sign now. `token` is the session token that came with a temporary key.
    fn owner(&self, access_key_id: &str, token: Option<&str>) -> Option<UserIdentity>;

    /// The secret of such a key, for verifying signatures.
    fn secret(&self, access_key_id: &str, token: Option<&str>) -> Option<Secret>;
}

/// Can be asked for the owner of a key.
#[async_trait]
pub trait AskOwner: Send + Sync + 'static {
    /// The owner of a key, as far as it is known; `None` if nobody knows the key, or nobody can be asked now. `token` is
    /// the session token that came with a temporary key.
    async fn owner(&self, access_key_id: &str, token: Option<&str>) -> Option<UserIdentity>;
}

/// What holds of the keys of one upstream's callers.
#[derive(Clone, Debug)]
pub struct Ties {
    /// The upstreams with this name know the same keys: what one of them tells of a key counts for all.
    pub realm: Arc<str>,
    /// Whether a key of Towpath's accounts is Towpath's there too. Not so where callers choose the ids of their keys.
    pub own_keys: bool,
    /// Whether its answers may tell of keys. Not those of an API that is no AWS service.
    pub teaches: bool,
}

/// Knows who makes calls.
pub struct Identities {
    directory: Option<Arc<dyn KeyDirectory>>,
    server: Option<Arc<dyn AskOwner>>,
    // By the name of the upstream.
    ties: HashMap<Arc<str>, Ties>,
    asked: HashMap<Arc<str>, Vec<Arc<dyn AskOwner>>>,
    // By realm, because other services may give the same ids.
    keys: Cache<Named, UserIdentity>,
    users: Cache<(Named, Scope), (String, Arn)>,
    roles: Cache<Named, Arn>,
    told: Cache<Question, Option<Told>>,
    // Questions that are under way, so that each is asked once.
    asking: UnderWay,
    places: Semaphore,
    patience: Duration,
}

type Named = (Arc<str>, String);

/// What was told of a key.
#[derive(Clone, Debug)]
struct Told {
    owner: UserIdentity,
    // The server told it, which speaks of Towpath's own accounts alone.
    by_server: bool,
}

/// Within which the name of a user is one user's: the account of who spoke of the user or, where that is not known, the
/// calls with the same key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Account(AccountId),
    Key(String),
}

impl Default for Identities {
    fn default() -> Self {
        Self {
            directory: None,
            server: None,
            ties: HashMap::new(),
            asked: HashMap::new(),
            keys: Cache::new(REMEMBERED),
            users: Cache::new(REMEMBERED),
            roles: Cache::new(REMEMBERED),
            told: Cache::new(REMEMBERED),
            asking: UnderWay::default(),
            places: Semaphore::new(QUESTIONS),
            patience: ANSWERED_WITHIN,
        }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked: Vec<_> = self.asked.keys().collect();
        f.debug_struct("Identities")
            .field("directory", &self.directory.is_some())
            .field("asked", &asked)
            .finish_non_exhaustive()
    }
}

/// What is known of a caller at once.
#[derive(Debug)]
pub enum Identified {
    /// Who it is, as far as anybody will know.
    Known(Box<UserIdentity>),
    /// Somebody else must be asked first.
    Ask(Ask),
}

/// A question about a caller, for [`Identities::ask`].
#[derive(Debug)]
pub struct Ask {
    question: Question,
    token: Option<Secret>,
    account: AccountId,
    at: Timestamp,
}

impl Identities {
    /// Knows the keys of a directory as well.
    #[must_use]
    pub fn with_directory(mut self, directory: Arc<dyn KeyDirectory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Asks a server for the owners of keys that are not known here.
    #[must_use]
    pub fn with_server(mut self, server: Arc<dyn AskOwner>) -> Self {
        self.server = Some(server);
        self
    }

    /// Asks an IAM or an STS about keys that nobody else knows, in calls to an upstream; the first that was added first.
    #[must_use]
    pub fn with_asked(mut self, upstream: &str, asked: Arc<dyn AskOwner>) -> Self {
        self.asked.entry(upstream.into()).or_default().push(asked);
        self
    }

    /// Knows what holds of the keys of an upstream. Without it an upstream is a realm of its own.
    #[must_use]
    pub fn with_ties(mut self, upstream: &str, ties: Ties) -> Self {
        self.ties.insert(upstream.into(), ties);
        self
    }

    /// The directory, for verifying signatures.
    pub fn directory(&self) -> Option<&Arc<dyn KeyDirectory>> {
        self.directory.as_ref()
    }

    /// Who made a call, from memory.
    pub fn identify(&self, upstream: &RecordedUpstream, exchange: &Exchange, routed: &Routed) -> Identified {
        let (id, token) = match Presented::proven(upstream, exchange) {
            Presented::Anonymous if routed.service.as_deref() == Some("sts") && self.teaches(&upstream.name) => {
                let caller = learnt::federated_caller(exchange).unwrap_or_else(UserIdentity::unknown);
                return known(caller);
            }
            Presented::Anonymous => return known(UserIdentity::anonymous()),
            Presented::Other => return known(UserIdentity::unknown()),
            Presented::Key { id, token } => (id, token),
        };
        if !let_in::is_let_in(upstream, exchange) {
            return known(UserIdentity::unknown_key(None, &id));
        }
        if let Some(owner) = self.known(&upstream.name, &id, token.as_ref(), exchange.ended) {
            return known(owner);
        }
        let question = Question::of(&upstream.name, &id, token.as_ref());
        match self.told.get(&question, exchange.ended) {
            Some(Some(told)) => known(told.owner),
            Some(None) => known(UserIdentity::unknown_key(Some(upstream.account), &id)),
            None if self.who_to_ask(&upstream.name).next().is_none() => {
                known(UserIdentity::unknown_key(Some(upstream.account), &id))
            }
            None => Identified::Ask(Ask { question, token, account: upstream.account, at: exchange.ended }),
        }
    }

    /// True if it is Towpath's own accounts that vouch for who made a call to an upstream, as [`Self::identify`] told: `caller`
    /// is the owner of one of their keys.
    pub fn is_own(&self, upstream: &str, exchange: &Exchange, caller: &UserIdentity) -> bool {
        let form = || Presented::of_form(&ObjectForm::of(&exchange.request)?);
        let presented = match Presented::of(&exchange.request.head) {
            Presented::Anonymous => form(),
            presented => Some(presented),
        };
        let Some(Presented::Key { id, token }) = presented else { return false };
        if self.own(upstream, &id, token.as_ref()).as_ref() == Some(caller) {
            return true;
        }
        let told = self.told.get(&Question::of(upstream, &id, token.as_ref()), exchange.ended).flatten();
        told.is_some_and(|told| told.by_server && told.owner == *caller)
    }

    /// Who owns a key, if one of Towpath's accounts does.
    fn own(&self, upstream: &str, id: &str, token: Option<&Secret>) -> Option<UserIdentity> {
        let directory = self.directory.as_ref().filter(|_| self.has_own_keys(upstream))?;
        directory.owner(id, token.map(Secret::expose))
    }

    fn known(&self, upstream: &str, id: &str, token: Option<&Secret>, at: Timestamp) -> Option<UserIdentity> {
        self.own(upstream, id, token).or_else(|| self.keys.get(&(self.realm(upstream), id.to_owned()), at))
    }

    fn realm(&self, upstream: &str) -> Arc<str> {
        self.ties.get(upstream).map_or_else(|| upstream.into(), |ties| Arc::clone(&ties.realm))
    }

    fn has_own_keys(&self, upstream: &str) -> bool {
        self.ties.get(upstream).is_none_or(|ties| ties.own_keys)
    }

    fn teaches(&self, upstream: &str) -> bool {
        self.ties.get(upstream).is_none_or(|ties| ties.teaches)
    }

    /// Who can be asked about the keys of an upstream, in this order; the server is marked.
    fn who_to_ask(&self, upstream: &str) -> impl Iterator<Item = (bool, &Arc<dyn AskOwner>)> {
        let server = self.server.as_ref().filter(|_| self.has_own_keys(upstream));
        let others = self.asked.get(upstream).into_iter().flatten();
        server.into_iter().map(|server| (true, server)).chain(others.map(|asked| (false, asked)))
    }

    /// Asks elsewhere who made a call. Many that ask for one key wait for one answer, and none waits longer than five seconds.
    pub async fn ask(&self, ask: Ask) -> UserIdentity {
        let told = timeout(self.patience, self.answer(&ask)).await;
        let told = told.unwrap_or_else(|_| {
            self.told.put(ask.question.clone(), None, after(ask.at, NOBODY_FOR));
            None
        });
        told.map_or_else(|| UserIdentity::unknown_key(Some(ask.account), &ask.question.id), |told| told.owner)
    }

    async fn answer(&self, ask: &Ask) -> Option<Told> {
        let turn = self.asking.begin(&ask.question);
        let _mine = turn.lock().await;
        if let Some(told) = self.told.get(&ask.question, ask.at) {
            return told;
        }
        let _place = self.places.acquire().await.ok()?;
        let (id, token) = (&ask.question.id, ask.token.as_ref().map(Secret::expose));
        let mut told = None;
        for (by_server, asked) in self.who_to_ask(&ask.question.upstream) {
            if told.is_none() {
                told = asked.owner(id, token).await.map(|owner| Told { owner, by_server });
            }
        }
        let believed = if told.is_some() { TOLD_FOR } else { NOBODY_FOR };
        self.told.put(ask.question.clone(), told.clone(), after(ask.at, believed));
        told
    }

    /// Notes what an answer of STS or IAM says about keys.
    pub fn learn(&self, upstream: &RecordedUpstream, routed: &Routed, exchange: &Exchange) {
        if !matches!(routed.service.as_deref(), Some("sts" | "iam")) || !self.teaches(&upstream.name) {
            return;
        }
        let (realm, at) = (self.realm(&upstream.name), exchange.ended);
        let known = |presented: &Presented| match presented {
            Presented::Key { id, token } => self.known(&upstream.name, id, token.as_ref(), at),
            _ => None,
        };
        let role_arn = |role_id: &str| self.roles.get(&(realm.clone(), role_id.to_owned()), at);
        let speaker = Presented::of(&exchange.request.head);
        let scope = match (known(&speaker).and_then(|speaker| speaker.account()), speaker) {
            (Some(account), _) => Some(Scope::Account(account)),
            (None, Presented::Key { id, .. }) => Some(Scope::Key(id)),
            _ => None,
        };
        for learnt in learnt::learn(exchange, known, role_arn) {
            self.take_note(&realm, scope.as_ref(), learnt, at);
        }
    }

    fn take_note(&self, realm: &Arc<str>, scope: Option<&Scope>, learnt: Learnt, at: Timestamp) {
        let user_of = |name: String| Some(((realm.clone(), name), scope?.clone()));
        match learnt {
            // A session says more of itself when it is made than when it is asked for.
            Learnt::Key { id, owner, until: None } => {
                let name = (realm.clone(), id);
                if self.keys.get(&name, at).is_none_or(|old| old.arn() != owner.arn()) {
                    self.keys.put(name, owner, after(at, KEY_FOR));
                }
            }
            Learnt::Key { id, owner, until: Some(until) } => self.keys.put((realm.clone(), id), owner, until),
            Learnt::User { name, id, arn } => {
                if let Some(user) = user_of(name) {
                    self.users.put(user, (id, arn), after(at, KEY_FOR));
                }
            }
            Learnt::Role { id, arn } => self.roles.put((realm.clone(), id), arn, after(at, KEY_FOR)),
            Learnt::KeyOfUser { id, user } => {
                let Some((user_id, arn)) = user_of(user).and_then(|user| self.users.get(&user, at)) else { return };
                if let Some(owner) = owner::of_user(&arn, &user_id, &id) {
                    self.keys.put((realm.clone(), id), owner, after(at, KEY_FOR));
                }
            }
            Learnt::NoUser { name } => {
                let Some(user) = user_of(name) else { return };
                if let Some((_, arn)) = self.users.remove(&user) {
                    self.keys.retain(|(of, _), owner| of != realm || owner.arn() != Some(arn.as_str()));
                }
            }
            Learnt::NoKey { id } => drop(self.keys.remove(&(realm.clone(), id))),
            Learnt::Caller(_) => {}
        }
    }
}

fn known(caller: UserIdentity) -> Identified {
    Identified::Known(Box::new(caller))
}

fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
