//! Who calls, from where, and for which region.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
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
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The policies on the caller's own side.
    pub rights: Rights,
    /// When the request arrived.
    pub now: Timestamp,
}
