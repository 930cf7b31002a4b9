//! Who calls, from where, and for which region.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use towpath_admit::TlsDetails;
use towpath_iam::Principal;
use towpath_model::{AccountId, Region};
use towpath_wire::RequestId;

use crate::authorize::Rights;

/// An authenticated caller and what is known of its request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who signed.
    pub principal: Arc<Principal>,
    /// The account that the principal belongs to.
    pub account: AccountId,
    /// The access key that signed.
    pub access_key_id: String,
    /// The region that the request was signed for.
    pub region: Region,
    /// The address of the peer.
    pub source_ip: IpAddr,
    /// `User-Agent`, cut to 1 KB.
    pub user_agent: Option<String>,
    /// The id of this request, also answered as `x-amzn-RequestId`.
    pub request_id: RequestId,
    /// The encryption of the connection; none if the request came in the clear.
    pub tls: Option<TlsDetails>,
    /// The policies on the caller's own side.
    pub rights: Rights,
    /// When the request arrived.
    pub now: Timestamp,
}

#[cfg(test)]
pub(crate) mod testing {
    //! Callers for tests.

    use super::*;

    /// The root of an account that calls in a region.
    pub(crate) fn root(account: &str, region: &str) -> Caller {
        let account: AccountId = account.parse().unwrap();
        Caller {
            principal: Arc::new(Principal::Root { account }),
            account,
            access_key_id: "AKIAEXAMPLE".to_owned(),
            region: region.parse().unwrap(),
            source_ip: "192.0.2.1".parse().unwrap(),
            user_agent: None,
            request_id: RequestId::random(),
            tls: None,
            rights: Rights::default(),
            now: "2026-11-21T00:00:00Z".parse().unwrap(),
        }
    }
}
