//! What a call says of its service before anybody knows its operation.

use std::borrow::Cow;

use super::ServiceSummary;
use crate::decode::Spoken;

/// What is known of a call's service. More makes the choice surer; nothing at all finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceHint<'a> {
    /// The service as a person named it: a folder's name, a service id, or an endpoint prefix. Rules out all others.
    pub service: Option<&'a str>,
    /// The service in the scope of the call's signature.
    pub signing_name: Option<&'a str>,
    /// The host that was asked, port or not.
    pub host: Option<&'a str>,
    /// What `X-Amz-Target` begins with, or the service in the path of an RPC v2 call.
    pub target_prefix: Option<&'a str>,
    /// The name under which S3 has its buckets as hosts (`s3.example.com`), where that is not one of AWS's.
    pub bucket_domain: Option<&'a str>,
}

/// Signing names that are not in any model: those that a service's endpoint rules choose for some of its hosts.
const ALIASES: [(&str, &str); 3] = [("s3express", "s3"), ("s3-object-lambda", "s3"), ("s3-outposts", "s3")];

/// Names under which services are reached without their own domain.
const SUFFIXES: [&str; 6] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".on.aws",
    ".localstack.cloud",
];

impl<'a> ServiceHint<'a> {
    /// What the head of a request says of its service, apart from its signature: host, target, path.
    pub fn of(head: &'a http::request::Parts) -> Self {
        let host = match head.headers.get(http::header::HOST) {
            Some(host) => host.to_str().ok(),
            None => head.uri.host(),
        };
        let target_prefix = match Spoken::of(head) {
            Spoken::Json { prefix, .. } => Some(prefix),
            Spoken::Cbor { service, .. } => Some(service),
            _ => None,
        };
        Self { host, target_prefix, ..Self::default() }
    }

    /// The same, with the service that the call's signature names.
    pub fn signed_for(self, signing_name: &'a str) -> Self {
        Self { signing_name: Some(signing_name), ..self }
    }

    /// The same, with the service that a person named.
    pub fn named(self, service: &'a str) -> Self {
        Self { service: Some(service), ..self }
    }

    /// How well a service fits; `None` if it is out of the question. Larger is better.
    pub(super) fn fits(&self, summary: &ServiceSummary) -> Option<Fit> {
        let signed = self.signing_name.map_or(Signed::Otherwise, |name| signed(name, summary));
        let targeted = self.target_prefix.is_some_and(|target| targets(target, summary));
        let host = self.host.map_or(0, |host| host_fit(host, summary));
        let named = match self.service {
            Some(name) if !is_named(name, summary) => return None,
            Some(_) => true,
            None => false,
        };
        let own = *summary.name == *summary.signing_name;
        let fit = Fit { signed, host, targeted, own };
        (named || signed > Signed::Otherwise || targeted || host > 0).then_some(fit)
    }
}

/// How well a service fits a hint: compared field by field.
///
/// The host comes before the target: AWS's hosts are what decides there, and anybody can send any target to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fit {
    signed: Signed,
    /// How many characters of the host name the service.
    host: usize,
    targeted: bool,
    /// True if the service is named as it signs: the first that had the name.
    own: bool,
}

impl Fit {
    /// What speaks for a service, apart from being the first of its name.
    pub(super) fn evidence(&self) -> (Signed, usize, bool) {
        (self.signed, self.host, self.targeted)
    }
}

/// Whether a signature is for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signed {
    /// It is for another, or there is none.
    Otherwise,
    /// It is for a name that the service goes by as well.
    ForAlias,
    /// It is for its name.
    ForName,
}

fn signed(name: &str, summary: &ServiceSummary) -> Signed {
    if name == &*summary.signing_name {
        return Signed::ForName;
    }
    match ALIASES.iter().any(|(alias, of)| *alias == name && **of == *summary.signing_name) {
        true => Signed::ForAlias,
        false => Signed::Otherwise,
    }
}

fn is_named(name: &str, summary: &ServiceSummary) -> bool {
    name == &*summary.name
        || name.eq_ignore_ascii_case(&summary.service_id)
        || name == &*summary.endpoint_prefix
        || name == &*summary.signing_name
}

/// True for the prefix itself and for the long form that some SDKs send (`com.amazonaws.x.v2013.Prefix`).
fn targets(target: &str, summary: &ServiceSummary) -> bool {
    summary.target_prefix.as_deref().is_some_and(|prefix| {
        target.strip_suffix(prefix).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// How many characters of a host name a service: its endpoint prefix at the start, or after the name of a bucket, an
/// account or the like if the host is one of AWS.
fn host_fit(host: &str, summary: &ServiceSummary) -> usize {
    // Asked of every service there is: hosts are in small letters already but for few.
    let host = crate::decode::without_port(host);
    let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    };
    if summary.global_host.as_deref() == Some(&*host) {
        return host.len();
    }
    let prefix = &*summary.endpoint_prefix;
    if prefix.is_empty() || !host.contains(prefix) {
        return 0;
    }
    let known = SUFFIXES.iter().any(|suffix| host.ends_with(suffix));
    let mut from = 0;
    while let Some(at) = host[from..].find(prefix) {
        let at = from + at;
        let begins = at == 0 || (known && host[..at].ends_with(['.', '-']));
        let after = &host[at + prefix.len()..];
        let ends = after.starts_with('.') || after.starts_with("-fips.");
        let bucket = prefix == "s3" && at > 0 && !host[..at].ends_with('.');
        // `s3-eu-west-1`, `s3-accelerate`: older hosts of buckets. Services of that form have longer prefixes.
        let older = prefix == "s3" && known && after.starts_with('-');
        if begins && !bucket && (ends || older) {
            return prefix.len();
        }
        from = at + 1;
        if !host.is_char_boundary(from) {
            return 0;
        }
    }
    0
}
