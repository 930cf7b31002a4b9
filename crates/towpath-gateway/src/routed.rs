//! What routing found out about a call.

use std::sync::Arc;

use towpath_model::Region;

use crate::upstream::Upstream;

/// Where a call goes and what it says of itself. Nothing of it is proven.
#[derive(Clone, Debug)]
pub struct Routed {
    /// The upstream that takes it, or the stand-in for calls that none takes.
    pub upstream: Arc<Upstream>,
    /// The signing name of its service: of its signature, else of the upstream or the host.
    pub service: Option<String>,
    /// The region of its signature, else of its host.
    pub region: Option<Region>,
    /// The access key that its signature names.
    pub access_key_id: Option<String>,
    /// How it is signed.
    pub signature: Signature,
    /// The host that the client asked for, as it wrote it, port included.
    pub host: Option<String>,
}

/// How a call is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// Not at all.
    #[default]
    None,
    /// With a header `Authorization`.
    Header,
    /// In the query: a presigned URL.
    Query,
    /// By a scheme that is not Signature Version 4 (or 4A).
    Other,
}
