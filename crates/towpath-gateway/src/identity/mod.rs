//! Identity: who made a call that passed.
//!
//! A call names an access key and proves to its upstream that it holds the secret. Once the upstream has accepted the call,
//! the key's owner is the caller. Who owns a key is known, in this order, from
//!
//! 1. Towpath's own accounts and keys ([`KeyDirectory`]);
//! 2. what answers of STS and IAM said that passed through the gateway;
//! 3. who can be asked ([`AskOwner`]): the server, if the gateway is a process of its own, and the upstream's STS, which
//!    tells the account of a key.
//!
//! A key that nobody knows is an `Unknown` caller of the upstream's account. A call that was not accepted - refused by
//! the gateway, or by the upstream with an error of authentication, or never answered - proves nothing: its record names
//! the key and nobody. Nothing is ever taken from a header that says who calls.

mod cache;
mod learnt;
mod presented;
mod refused;
mod sts;
mod xml;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use towpath_admit::UserIdentity;
use towpath_capture::{Ending, Exchange};
use towpath_model::{AccountId, Arn};
use towpath_wire::sigv4::Secret;

use crate::recording::{RecordedUpstream, Routed};
use cache::Cache;
use learnt::Learnt;

pub use presented::Presented;
pub use sts::{StsClient, StsError};

/// Keys, users and roles that are remembered, each.
const REMEMBERED: usize = 10_000;
/// How long a long-lived key that passed by is remembered.
const KEY_FOR: SignedDuration = SignedDuration::from_hours(12);
/// How long the owner of a key is believed whom somebody told who was asked.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long it is believed that nobody knows a key, or nobody can be asked.
const NOBODY_FOR: SignedDuration = SignedDuration::from_secs(60);

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

/// Knows who makes calls.
pub struct Identities {
    directory: Option<Arc<dyn KeyDirectory>>,
    server: Option<Arc<dyn AskOwner>>,
    sts: HashMap<Arc<str>, Arc<dyn AskOwner>>,
    // By account of the upstream, because other services may give the same ids.
    keys: Cache<Named, UserIdentity>,
    users: Cache<Named, (String, Arn)>,
    roles: Cache<Named, Arn>,
    told: Cache<Named, Option<UserIdentity>>,
    // Questions that are under way, so that each is asked once.
    asked: Mutex<HashMap<Named, Arc<tokio::sync::Mutex<()>>>>,
}

type Named = (AccountId, String);

impl Default for Identities {
    fn default() -> Self {
        Self {
            directory: None,
            server: None,
            sts: HashMap::new(),
            keys: Cache::new(REMEMBERED),
            users: Cache::new(REMEMBERED),
            roles: Cache::new(REMEMBERED),
            told: Cache::new(REMEMBERED),
            asked: Mutex::default(),
        }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked: Vec<_> = self.sts.keys().collect();
        f.debug_struct("Identities")
            .field("directory", &self.directory.is_some())
            .field("sts", &asked)
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
    id: String,
    token: Option<Secret>,
    upstream: Arc<str>,
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

    /// Asks an STS about keys that nobody else knows, in calls to an upstream.
    #[must_use]
    pub fn with_sts(mut self, upstream: &str, sts: Arc<dyn AskOwner>) -> Self {
        self.sts.insert(upstream.into(), sts);
        self
    }

    /// The directory, for verifying signatures.
    pub fn directory(&self) -> Option<&Arc<dyn KeyDirectory>> {
        self.directory.as_ref()
    }

    /// Who made a call, from memory.
    pub fn identify(&self, upstream: &RecordedUpstream, exchange: &Exchange, routed: &Routed) -> Identified {
        let mut presented = Presented::of(&exchange.request.head);
        if let (Presented::Anonymous, Some(form)) = (&presented, Presented::of_form(&exchange.request)) {
            // The gateway itself does not verify forms, so where it is to verify, they prove nothing.
            if let (true, Presented::Key { id, .. }) = (upstream.verifies, &form) {
                return known(UserIdentity::unknown_key(None, id));
            }
            presented = form;
        }
        let (id, token) = match &presented {
            Presented::Anonymous if routed.service.as_deref() == Some("sts") => {
                let caller = learnt::federated_caller(exchange).unwrap_or_else(UserIdentity::unknown);
                return known(caller);
            }
            Presented::Anonymous => return known(UserIdentity::anonymous()),
            Presented::Bearer => return known(UserIdentity::unknown()),
            Presented::Key { id, token } => (id, token),
        };
        if !is_accepted(&exchange.ending) {
            return known(UserIdentity::unknown_key(None, id));
        }
        if let Some(owner) = self.known(upstream.account, id, token.as_ref(), exchange.ended) {
            return known(owner);
        }
        let name = (upstream.account, id.clone());
        let nobody = || UserIdentity::unknown_key(Some(upstream.account), id);
        let can_ask = self.server.is_some() || self.sts.contains_key(&upstream.name);
        match self.told.get(&name, exchange.ended) {
            Some(told) => known(told.unwrap_or_else(nobody)),
            None if !can_ask => known(nobody()),
            None => Identified::Ask(Ask {
                id: id.clone(),
                token: token.clone(),
                upstream: upstream.name.clone(),
                account: upstream.account,
                at: exchange.ended,
            }),
        }
    }

    fn known(&self, realm: AccountId, id: &str, token: Option<&Secret>, at: Timestamp) -> Option<UserIdentity> {
        let own = self.directory.as_ref().and_then(|directory| directory.owner(id, token.map(Secret::expose)));
        own.or_else(|| self.keys.get(&(realm, id.to_owned()), at))
    }

    /// Asks elsewhere who made a call. Many that ask for one key wait for one answer.
    pub async fn ask(&self, ask: Ask) -> UserIdentity {
        let name = (ask.account, ask.id.clone());
        let turn = self.asked.lock().entry(name.clone()).or_default().clone();
        let turn_held = turn.lock().await;
        let told = match self.told.get(&name, ask.at) {
            Some(told) => told,
            None => {
                let mut told = None;
                for asked in self.server.iter().chain(self.sts.get(&ask.upstream)) {
                    if told.is_none() {
                        told = asked.owner(&ask.id, ask.token.as_ref().map(Secret::expose)).await;
                    }
                }
                let believed = if told.is_some() { TOLD_FOR } else { NOBODY_FOR };
                self.told.put(name.clone(), told.clone(), after(ask.at, believed));
                told
            }
        };
        drop(turn_held);
        self.asked.lock().remove(&name);
        told.unwrap_or_else(|| UserIdentity::unknown_key(Some(ask.account), &ask.id))
    }

    /// Notes what an answer of STS or IAM says about keys.
    pub fn learn(&self, upstream: &RecordedUpstream, routed: &Routed, exchange: &Exchange) {
        if !matches!(routed.service.as_deref(), Some("sts" | "iam")) {
            return;
        }
        let (realm, at) = (upstream.account, exchange.ended);
        let known = |presented: &Presented| match presented {
            Presented::Key { id, token } => self.known(realm, id, token.as_ref(), at),
            _ => None,
        };
        let role_arn = |role_id: &str| self.roles.get(&(realm, role_id.to_owned()), at);
        for learnt in learnt::learn(exchange, known, role_arn) {
            match learnt {
                // A session says more of itself when it is made than when it is asked for.
                Learnt::Key { id, owner, until: None } => {
                    let name = (realm, id);
                    if self.keys.get(&name, at).is_none_or(|old| old.arn() != owner.arn()) {
                        self.keys.put(name, owner, after(at, KEY_FOR));
                    }
                }
                Learnt::Key { id, owner, until: Some(until) } => self.keys.put((realm, id), owner, until),
                Learnt::User { name, id, arn } => self.users.put((realm, name), (id, arn), after(at, KEY_FOR)),
                Learnt::Role { id, arn, .. } => self.roles.put((realm, id), arn, after(at, KEY_FOR)),
                Learnt::KeyOfUser { id, user } => {
                    let Some((user_id, arn)) = self.users.get(&(realm, user.clone()), at) else { continue };
                    let account = arn.account_id().unwrap_or(realm);
                    let owner = UserIdentity::iam_user(&user_id, &arn, account, &id, &user);
                    self.keys.put((realm, id), owner, after(at, KEY_FOR));
                }
                Learnt::Caller(_) => {}
            }
        }
    }
}

fn known(caller: UserIdentity) -> Identified {
    Identified::Known(Box::new(caller))
}

/// True if an upstream let the caller in, whatever came of the call then.
fn is_accepted(ending: &Ending) -> bool {
    match ending {
        Ending::Answered(response) => !refused::authentication(response),
        Ending::Refused { .. } | Ending::Broken { .. } => false,
    }
}

fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
