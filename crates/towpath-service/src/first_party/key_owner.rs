//! Who an access key belongs to, for gateways.

use towpath_admit::UserIdentity;
use towpath_iam::{CredentialError, Principal, Secret};

use crate::audit;
use crate::service::Service;

/// The owner of an access key, and the secret that proves it.
#[derive(Clone, Debug)]
pub struct KeyOwner {
    /// Who a record says that called.
    pub identity: UserIdentity,
    /// What must have made the signature.
    pub secret: Secret,
}

impl Service {
    /// Finds the owner of an access key of Towpath's accounts; `session_token` belongs to temporary keys.
    ///
    /// # Errors
    /// No such key, or one that may not sign.
    pub fn key_owner(&self, access_key_id: &str, session_token: Option<&str>) -> Result<KeyOwner, CredentialError> {
        let parts = self.parts();
        let found = parts.directory.resolve(access_key_id, session_token, parts.clock.now())?;
        let identity = identity(&found.principal, access_key_id);
        Ok(KeyOwner { identity, secret: found.secret })
    }
}

/// A principal as a record says that it called.
pub(crate) fn identity(principal: &Principal, access_key_id: &str) -> UserIdentity {
    audit::identity_of(principal, access_key_id)
}
