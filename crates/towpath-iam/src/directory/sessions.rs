//! Role sessions: temporary credentials that the server does not store.
//!
//! The session token is the session: everything about it, sealed for its access key id. Whoever holds it cannot read
//! or change it. It ends when its time is over or its role is deleted, also when a role of the same name is made again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use towpath_model::{AccountId, Arn};
use zeroize::{Zeroize, Zeroizing};

use super::{CredentialError, Credentials, Directory};
use crate::principal::{RoleSession, entity_arn};
use crate::secret::unique_id;
use crate::{
    AccessKeyId, EntityName, Policy, PolicyError, PolicyKind, Principal, RandomError, Secret, SessionName,
    SessionTagError, SessionTags,
};

/// What session keys begin with, and no other key does.
const SESSION_PREFIX: &str = "ASIA";

/// Longest session token that is looked at, in characters.
const MAX_TOKEN: usize = 16 << 10;

/// Most bytes of a session policy and tags together; the token that holds them stays within [`MAX_TOKEN`].
const MAX_PACKED: usize = 8 << 10;

/// Shortest session, in seconds.
const LEAST_SECONDS: u32 = 900;
/// Longest session of a role that was assumed by a role session, and the length if none is asked for, in seconds.
const HOUR_SECONDS: u32 = 3600;

/// What a caller asks for when it assumes a role.
#[derive(Clone, Debug)]
pub struct AssumeRole {
    /// Names the session in ARNs and events.
    pub session_name: SessionName,
    /// How long it shall last, in seconds, 900 to the maximum of the role; an hour if not said.
    pub duration_seconds: Option<u32>,
    /// A policy that cuts down what the session may do.
    pub session_policy: Option<String>,
    /// Who is behind the session. A role session that has one hands it on and cannot change it.
    pub source_identity: Option<SessionName>,
    /// What is said about the session. The transitive tags of a role session are added.
    pub tags: SessionTags,
}

/// Temporary credentials.
#[derive(Clone, Debug)]
pub struct RoleCredentials {
    /// `ASIA...`.
    pub access_key_id: AccessKeyId,
    /// The secret of the session.
    pub secret: Secret,
    /// To be sent with every request.
    pub session_token: SessionToken,
    /// When they end, to the second.
    pub expires: Timestamp,
    /// Who the bearer is.
    pub session: RoleSession,
    /// How much of the allowed room the session policy and the tags take, in percent, if there are any.
    pub packed_policy_size: Option<u8>,
}

/// A session token: as secret as a password while the session lasts.
#[derive(Clone)]
pub struct SessionToken(Zeroizing<String>);

impl SessionToken {
    /// Returns the text. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(redacted)")
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum AssumeRoleError {
    /// There is no such role. Callers are told that they may not, not that it does not exist.
    #[error("role {0} does not exist")]
    NotFound(Arn),
    /// The session would be too short or too long.
    #[error("session of {actual} seconds is not between {least} and {most} seconds")]
    Duration {
        /// What was asked for.
        actual: u32,
        /// The least.
        least: u32,
        /// The most: of the role, or an hour when a role session assumes a role.
        most: u32,
    },
    /// The session policy is not a policy, or too long.
    #[error("session policy is malformed: {0}")]
    Policy(PolicyError),
    /// A role session cannot change its source identity.
    #[error("source identity is {0} and cannot be changed")]
    SourceIdentity(SessionName),
    /// A tag that was handed on cannot be changed, or there are too many of them.
    #[error(transparent)]
    Tags(#[from] SessionTagError),
    /// The session policy and the tags do not fit into a token.
    #[error("the session policy and the tags have {0} bytes together, more than {MAX_PACKED}")]
    Packed(usize),
    /// No identifier or secret could be made.
    #[error("cannot make an identifier or secret")]
    Random(#[from] RandomError),
}

// Not derived: what is wrong with a document is the message, not a cause below it.
impl From<PolicyError> for AssumeRoleError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

/// What is sealed in a session token.
#[derive(Serialize, Deserialize)]
struct Sealed {
    secret: String,
    account: AccountId,
    role_name: EntityName,
    role_id: String,
    session_name: SessionName,
    source_identity: Option<SessionName>,
    issued: Timestamp,
    expires: Timestamp,
    policy: Option<String>,
    #[serde(default)]
    tags: SessionTags,
}

impl Drop for Sealed {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// True for the id of a session's key, which needs a session token.
pub(super) fn is_session_key(id: &str) -> bool {
    id.starts_with(SESSION_PREFIX)
}

impl Directory {
    /// Makes a session of a role for `caller`. Whether the caller may is decided before, by
    /// [`crate::evaluate_trust`].
    pub fn assume_role(
        &self,
        role: &Arn,
        caller: &Principal,
        ask: AssumeRole,
    ) -> Result<RoleCredentials, AssumeRoleError> {
        let role = self.role_by_arn(role).ok_or_else(|| AssumeRoleError::NotFound(role.clone()))?;
        let (inherited, tags, most) = match caller {
            Principal::AssumedRole(session) => {
                (session.source_identity.clone(), ask.tags.inherit(&session.tags)?, HOUR_SECONDS)
            }
            _ => (None, ask.tags, role.max_session_seconds),
        };
        let actual = ask.duration_seconds.unwrap_or(HOUR_SECONDS);
        if !(LEAST_SECONDS..=most).contains(&actual) {
            return Err(AssumeRoleError::Duration { actual, least: LEAST_SECONDS, most });
        }
        let source_identity = match (inherited, ask.source_identity) {
            (Some(inherited), Some(asked)) if inherited != asked => {
                return Err(AssumeRoleError::SourceIdentity(inherited));
            }
            (inherited, asked) => inherited.or(asked),
        };
        if let Some(text) = &ask.session_policy {
            Policy::parse(text, PolicyKind::Session)?;
        }
        let packed = ask.session_policy.as_ref().map_or(0, String::len) + tags.bytes();
        if packed > MAX_PACKED {
            return Err(AssumeRoleError::Packed(packed));
        }

        // Sessions are counted in whole seconds, as they are printed.
        let issued = Timestamp::from_second(self.now().as_second()).expect("a whole second of a known time is known");
        let expires = issued.saturating_add(SignedDuration::from_secs(i64::from(actual)));
        let expires = expires.expect("a duration of seconds is not of calendar units");
        let access_key_id: AccessKeyId =
            unique_id(SESSION_PREFIX, 16)?.parse().expect("a unique id is letters and digits");
        let secret = Secret::generate()?;
        let packed_policy_size = (packed > 0).then(|| {
            let percent = (packed * 100).div_ceil(MAX_PACKED);
            u8::try_from(percent).expect("at most 100, because more was refused")
        });
        let sealed = Sealed {
            secret: secret.expose().to_owned(),
            account: role.account,
            role_name: role.name.clone(),
            role_id: role.id.clone(),
            session_name: ask.session_name.clone(),
            source_identity: source_identity.clone(),
            issued,
            expires,
            policy: ask.session_policy,
            tags: tags.clone(),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&sealed).expect("a session is plain data"));
        let session_token = SessionToken(Zeroizing::new(self.inner.tokens.seal(access_key_id.as_str(), &plain)?));
        let role = (role.account, role.name, role.arn, role.id);
        let session = RoleSession::new(role, ask.session_name, source_identity, tags, issued);
        Ok(RoleCredentials { access_key_id, secret, session_token, expires, session, packed_policy_size })
    }

    /// Opens a session token and finds its role.
    pub(super) fn resolve_session(
        &self,
        access_key_id: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<Credentials, CredentialError> {
        let invalid = CredentialError::TokenInvalid;
        if token.len() > MAX_TOKEN {
            return Err(invalid);
        }
        let plain = self.inner.tokens.open(access_key_id, token).map_err(|_| invalid)?;
        let sealed: Sealed = serde_json::from_slice(&plain).map_err(|_| invalid)?;
        if now >= sealed.expires {
            return Err(CredentialError::TokenExpired);
        }

        let (role, identity) = {
            let state = self.inner.state.read();
            let role = state.role(sealed.account, &sealed.role_name).ok_or(invalid)?;
            if role.record.id != sealed.role_id {
                return Err(invalid);
            }
            let arn = entity_arn(role.record.account, "role", &role.record.path, &role.record.name);
            ((role.record.account, role.record.name.clone(), arn, role.record.id.clone()), role.policies.clone())
        };
        let (session_name, source_identity) = (sealed.session_name.clone(), sealed.source_identity.clone());
        let session = RoleSession::new(role, session_name, source_identity, sealed.tags.clone(), sealed.issued);
        let policy = sealed.policy.as_deref().map(|text| Arc::new(Policy::from_stored(text, PolicyKind::Session)));
        Ok(Credentials {
            access_key_id: access_key_id.parse().map_err(|_| invalid)?,
            secret: Secret::new(&sealed.secret).map_err(|_| invalid)?,
            principal: Arc::new(Principal::AssumedRole(session)),
            identity,
            session: policy,
        })
    }
}
