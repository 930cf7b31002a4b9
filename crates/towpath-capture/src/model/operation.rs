//! Operations of a service.

use std::sync::Arc;

use http::Method;

use super::{ShapeId, UriTemplate};

/// An operation.
#[derive(Clone, Debug)]
pub struct OperationModel {
    /// Its name, such as `CreateSpace`.
    pub name: Arc<str>,
    /// The method of its requests in REST protocols; `POST` in the others.
    pub method: Method,
    /// Path and query of its requests in REST protocols; `/` in the others.
    pub uri: UriTemplate,
    /// What it takes.
    pub input: Option<ShapeId>,
    /// What it gives.
    pub output: Option<ShapeId>,
    /// The errors that its model lists.
    pub errors: Box<[ShapeId]>,
    /// The XML element that its request is, if the model names it.
    pub input_element: Option<Arc<str>>,
    /// The XML element inside the answer's root that holds the result ([`Protocol::Query`](super::Protocol::Query)).
    pub result_wrapper: Option<Arc<str>>,
    /// What stands before the service's host, labels in braces: `{AccountId}.`
    pub host_prefix: Option<Arc<str>>,
    /// The status of its answers, where the model says one.
    pub success: Option<u16>,
    /// True if the model says that it changes nothing. Most models say it of few operations.
    pub read_only: bool,
    /// True if the model says that calling it twice is as calling it once.
    pub idempotent: bool,
    /// True if the model says that another operation took its place.
    pub deprecated: bool,
    /// True if the model says that it is called without a signature.
    pub unsigned: bool,
}
