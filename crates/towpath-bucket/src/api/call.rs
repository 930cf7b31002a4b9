//! One S3 request on its way: who, what, and what came of it.
//!
//! The S3 library asks for the secret of a key without showing the request. A session's secret is in its token, so the
//! request is put where the question can find it: beside the task that handles it.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use s3s::S3Result;
use s3s::auth::{S3Auth, SecretKey};
use uuid::Uuid;

use towpath_iam::{CredentialError, Directory};
use towpath_model::Clock;

use super::convert::error;
use crate::access::Caller;

tokio::task_local! {
    /// The call that the current task handles.
    pub(crate) static CALL: Arc<Call>;
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) peer: SocketAddr,
    pub(crate) secure: bool,
    pub(crate) request_id: Uuid,
    /// The session token, from its header or the query. Never shown.
    pub(crate) token: Option<Token>,
    pub(crate) found: Mutex<Found>,
}

/// A session token.
pub(crate) struct Token(pub(crate) String);

/// What was found out on the way.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) caller: Option<Caller>,
    pub(crate) operation: Option<&'static str>,
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Finds secrets in the directory of identities.
pub(crate) struct Keys {
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let call = CALL.try_with(Arc::clone).map_err(|_| error("InternalError", "request is not known"))?;
        let token = call.token.as_ref().map(|token| token.0.as_str());
        match self.directory.resolve(access_key, token, self.clock.now()) {
            Ok(credentials) => {
                call.found.lock().caller = Some(Caller::from(&credentials));
                Ok(SecretKey::from(credentials.secret.expose()))
            }
            Err(CredentialError::UnknownKey | CredentialError::Inactive) => {
                Err(error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."))
            }
            Err(CredentialError::TokenExpired) => Err(error("ExpiredToken", "The provided token has expired.")),
            Err(CredentialError::TokenMissing | CredentialError::TokenInvalid) => {
                Err(error("InvalidToken", "The provided token is malformed or otherwise invalid."))
            }
        }
    }
}
