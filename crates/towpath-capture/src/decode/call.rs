//! Naming a call's operation.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, Method, header};

use super::{body, host, limits, rest::Query, route::Closeness};
use crate::{
    Request,
    model::{ModelError, OperationModel, Protocol, Segment, ServiceModel, ServiceSummary},
};

/// A request's operation, as far as its head says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken<'a> {
    /// Smithy RPC v2: `/service/{service}/operation/{operation}`.
    Cbor {
        /// The service's shape.
        service: &'a str,
        /// The operation.
        operation: &'a str,
    },
    /// AWS JSON: `X-Amz-Target: {prefix}.{operation}`.
    Json {
        /// What the target begins with.
        prefix: &'a str,
        /// The operation.
        operation: &'a str,
    },
    /// A form: the operation is its field `Action`, in the URL or the body.
    Form,
    /// Anything else: method and path.
    Rest,
}

impl<'a> Spoken<'a> {
    /// What a request's head says.
    pub fn of(head: &'a http::request::Parts) -> Self {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        if head.method == Method::POST
            && let Some((service, operation)) = rpc_path(head.uri.path())
        {
            return Self::Cbor { service, operation };
        }
        if let Some((prefix, operation)) = text("x-amz-target").and_then(|target| target.rsplit_once('.')) {
            return Self::Json { prefix, operation };
        }
        let form = "application/x-www-form-urlencoded";
        let is_form = text(header::CONTENT_TYPE.as_str())
            .and_then(|kind| kind.get(..form.len()))
            .is_some_and(|kind| kind.eq_ignore_ascii_case(form));
        match is_form || Query::of(head.uri.query()).has("Action") {
            true => Self::Form,
            false => Self::Rest,
        }
    }

    /// True if a service may understand it. Services with paths never look at targets, so they may get any.
    pub(crate) fn may_be(&self, summary: &ServiceSummary) -> bool {
        let rest = summary.protocols.iter().any(|protocol| protocol.is_rest());
        match self {
            Self::Rest => rest || summary.protocols.is_empty(),
            _ => true,
        }
    }
}

fn rpc_path(path: &str) -> Option<(&str, &str)> {
    let (before, operation) = path.rsplit_once("/operation/")?;
    let (_, service) = before.rsplit_once("/service/")?;
    let plain = |text: &str| !text.is_empty() && !text.contains('/');
    (plain(service) && plain(operation)).then_some((service, operation))
}

/// A request that is an operation of a service.
#[derive(Clone, Debug)]
pub struct Call {
    model: Arc<ServiceModel>,
    operation: u32,
    protocol: Protocol,
    /// What the labels of the path took, percent-decoded.
    labels: Vec<(Arc<str>, String)>,
    closeness: Closeness,
}

/// A request is no operation of a known service.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unrouted {
    /// No service fits what the request says of itself.
    #[error("no service model fits the request")]
    Service,
    /// A service fits, but has no such operation.
    #[error("{} has no operation for the request", .service.summary().name)]
    Operation {
        /// The service.
        service: Arc<ServiceModel>,
        /// The operation that the request names, where its protocol has names; letters, digits and `_` alone.
        named: Option<String>,
    },
    /// The service's model cannot be read.
    #[error(transparent)]
    Model(ModelError),
}

impl Call {
    /// Names the operation of a request to a service.
    ///
    /// Of the protocols that a service lists, the one that the request speaks is taken. A service without paths is
    /// understood in JSON, CBOR and forms alike, whatever it lists: shapes are the same, and older SDKs speak what newer
    /// models no longer list.
    ///
    /// `bucket_domain` is the name under which S3 has buckets as hosts (`s3.example.com`), where that is not one of AWS's.
    ///
    /// # Errors
    /// [`Unrouted::Operation`] if the service has no such operation.
    pub fn of(model: &Arc<ServiceModel>, request: &Request, bucket_domain: Option<&str>) -> Result<Self, Unrouted> {
        let protocols = &model.summary().protocols;
        let rest = protocols.iter().copied().find(|protocol| protocol.is_rest());
        let (protocol, name) = match Spoken::of(&request.head) {
            spoken if let Some(rest) = rest.filter(|_| !lists(protocols, spoken)) => {
                return Self::by_path(model, request, rest, bucket_domain);
            }
            Spoken::Cbor { operation, .. } => (Protocol::Cbor, Some(Cow::Borrowed(operation))),
            Spoken::Json { operation, .. } => (Protocol::Json, Some(Cow::Borrowed(operation))),
            Spoken::Form => {
                let ec2 = protocols.contains(&Protocol::Ec2);
                (if ec2 { Protocol::Ec2 } else { Protocol::Query }, action(request))
            }
            Spoken::Rest => {
                return Self::by_path(model, request, rest.unwrap_or(Protocol::RestJson), bucket_domain);
            }
        };
        let found = name.as_deref().and_then(|name| model.position_of(name));
        match found {
            Some(operation) => {
                let model = Arc::clone(model);
                Ok(Self { model, operation, protocol, labels: Vec::new(), closeness: Closeness::default() })
            }
            None => {
                Err(Unrouted::Operation { service: Arc::clone(model), named: name.as_deref().and_then(plain_name) })
            }
        }
    }

    fn by_path(
        model: &Arc<ServiceModel>,
        request: &Request,
        protocol: Protocol,
        bucket_domain: Option<&str>,
    ) -> Result<Self, Unrouted> {
        let head = &request.head;
        let path = match &*model.summary().endpoint_prefix {
            "s3" => s3_path(head, bucket_domain),
            _ => Cow::Borrowed(head.uri.path()),
        };
        let query = Query::of(head.uri.query());
        let routed = model.routes().find(model.operations(), &head.method, &path, &query, &head.headers);
        let Some(routed) = routed else {
            return Err(Unrouted::Operation { service: Arc::clone(model), named: None });
        };
        let template = &model.operation_at(routed.operation).uri;
        let decoded = |label: &str| percent_encoding::percent_decode_str(label).decode_utf8_lossy().into_owned();
        let labels = template.labels().cloned().zip(routed.labels.iter().map(|label| decoded(label))).collect();
        Ok(Self {
            model: Arc::clone(model),
            operation: routed.operation,
            protocol,
            labels,
            closeness: routed.closeness,
        })
    }

    /// The service.
    pub fn model(&self) -> &Arc<ServiceModel> {
        &self.model
    }

    /// The operation.
    pub fn operation(&self) -> &OperationModel {
        self.model.operation_at(self.operation)
    }

    /// The protocol that the request speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What a label of the path took, percent-decoded, by its name in the template (`Bucket`, `Key`).
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| **label == *name).map(|(_, value)| value.as_str())
    }

    /// True if the request says more of this operation than of the other: for services that share a signing name.
    pub(crate) fn is_closer_than(&self, other: &Self) -> bool {
        self.closeness > other.closeness
    }
}

fn lists(protocols: &[Protocol], spoken: Spoken<'_>) -> bool {
    protocols.iter().any(|protocol| match spoken {
        Spoken::Cbor { .. } => *protocol == Protocol::Cbor,
        Spoken::Json { .. } => *protocol == Protocol::Json,
        Spoken::Form => matches!(protocol, Protocol::Query | Protocol::Ec2),
        Spoken::Rest => protocol.is_rest(),
    })
}

/// The field `Action`, of the URL or of a form of which perhaps only the beginning was kept.
fn action(request: &Request) -> Option<Cow<'static, str>> {
    if let Some(action) = Query::of(request.head.uri.query()).first("Action") {
        return Some(Cow::Owned(action.to_owned()));
    }
    let form = body::plain(&request.head.headers, &request.body).ok()?;
    let field = form_urlencoded::parse(&form.bytes).take(limits::FIELDS).find(|(name, _)| name == "Action")?;
    Some(Cow::Owned(field.1.into_owned()))
}

/// A name that a caller gave, if it could be one of an operation.
fn plain_name(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = !name.is_empty() && name.len() <= limits::NAME && name.bytes().all(plain);
    is_name.then(|| name.to_owned())
}

/// The host that a request asks for, as it was written.
pub(super) fn host_of(head: &http::request::Parts) -> Option<&str> {
    let named = |headers: &HeaderMap| headers.contains_key(header::HOST);
    match named(&head.headers) {
        true => head.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
        false => head.uri.authority().map(http::uri::Authority::as_str),
    }
}

/// The path as if the bucket were in it.
fn s3_path<'r>(head: &'r http::request::Parts, bucket_domain: Option<&str>) -> Cow<'r, str> {
    let path = head.uri.path();
    match host_of(head).and_then(|host| host::bucket(host, bucket_domain)) {
        Some(bucket) => Cow::Owned(format!("/{bucket}{path}")),
        None => Cow::Borrowed(path),
    }
}

/// The bucket that a call to S3 is about: of its host, else of its path.
pub(crate) fn bucket(head: &http::request::Parts, bucket_domain: Option<&str>) -> Option<String> {
    let path = s3_path(head, bucket_domain);
    let first = path.split('/').nth(1).filter(|first| !first.is_empty())?;
    Some(percent_encoding::percent_decode_str(first).decode_utf8_lossy().into_owned())
}

/// True if a template has a label of this name.
pub(super) fn has_label(operation: &OperationModel, name: &str) -> bool {
    operation
        .uri
        .segments
        .iter()
        .any(|segment| matches!(segment, Segment::Label(label) | Segment::Greedy(label) if **label == *name))
}
