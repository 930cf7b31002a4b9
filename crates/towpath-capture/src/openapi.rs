//! HTTP APIs that are no AWS services: an OpenAPI 3 document and a mapping file turn their calls into events.
//!
//! The document says which operation a call is, what its parameters are called and of what type they are, and which of
//! them are secret. The mapping says the rest: the event source, who the caller is, in which form events are recorded.
//! Both files are described in `docs/gateway.md`.
//!
//! Nothing here panics or recurses without bound, whatever the document or the call.

mod activity;
mod body;
mod caller;
mod document;
mod event;
mod files;
mod hidden;
mod mapping;
mod parameters;
mod record;
mod references;
mod template;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use towpath_admit::{UserIdentity, VpcEndpoint};
use towpath_model::{AccountId, Region};
use uuid::Uuid;

use crate::{CapturedRecord, Ending, Exchange, Value};
use caller::Caller;
use document::{Document, Operation};
use event::{Failure, HttpEvent};
use hidden::Hider;
use mapping::{Category, Kind, Mapping};
use parameters::{Parameters, header_text};

pub use document::DocumentError;
pub use mapping::MappingError;
pub use yaml::YamlError;

/// The longest document or mapping file, in bytes.
const MAX_FILE: u64 = 32 << 20;
/// The longest path of a call without operation that is recorded, in bytes.
const MAX_PATH: usize = 1024;

/// Why an API cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The mapping file is not right.
    #[error("mapping {path}: {cause}")]
    Mapping {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: MappingError,
    },
    /// The document is no JSON.
    #[error("document {path}: {cause}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: serde_json::Error,
    },
    /// The document is no YAML.
    #[error("document {path}: {cause}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: YamlError,
    },
    /// The document is no OpenAPI document that can be used.
    #[error("document {path}: {cause}")]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: DocumentError,
    },
    /// The mapping names something that the document does not have.
    #[error("mapping {path}: the document has no {what} {name:?}")]
    Absent {
        /// The mapping file.
        path: PathBuf,
        /// `operation` or `security scheme`.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

/// An HTTP API.
#[derive(Debug)]
pub struct Api {
    document: Document,
    mapping: Mapping,
    // By method and number of segments, the most concrete first: operation, and its path among those of the operation.
    routes: HashMap<(Method, usize), Vec<(usize, usize)>>,
}

/// Where the calls of an API are recorded if its mapping does not say.
#[derive(Clone, Copy, Debug)]
pub struct Home<'a> {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: &'a Region,
    /// The VPC endpoint that the call came through.
    pub vpc_endpoint: Option<&'a VpcEndpoint>,
}

impl Api {
    /// Opens an API by its mapping file, which names the document.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub fn open(mapping: &Path) -> Result<Self, ApiError> {
        let parsed =
            Mapping::parse(&read(mapping)?).map_err(|cause| ApiError::Mapping { path: mapping.to_owned(), cause })?;
        let path = mapping.parent().unwrap_or(Path::new("")).join(&parsed.document);
        let root = files::read(&path)?;
        let document =
            Document::of(root, parsed.base_path.as_deref()).map_err(|cause| ApiError::Document { path, cause })?;
        Self::of(document, parsed).map_err(|(what, name)| ApiError::Absent { path: mapping.to_owned(), what, name })
    }

    fn of(document: Document, mapping: Mapping) -> Result<Self, (&'static str, String)> {
        let has_scheme = |name: &str| document.schemes.iter().any(|(known, _)| known == name);
        if let Some(rule) = mapping.caller.iter().find(|rule| !has_scheme(&rule.scheme)) {
            return Err(("security scheme", rule.scheme.clone()));
        }
        let has_operation = |name: &str| document.operations.iter().any(|operation| operation.name == name);
        if let Some(name) = mapping.operations.keys().find(|name| !has_operation(name)) {
            return Err(("operation", name.clone()));
        }
        let mut routes: HashMap<_, Vec<(usize, usize)>> = HashMap::new();
        for (number, operation) in document.operations.iter().enumerate() {
            for (path, template) in operation.paths.iter().enumerate() {
                routes.entry((operation.method.clone(), template.len())).or_default().push((number, path));
            }
        }
        for list in routes.values_mut() {
            list.sort_by_cached_key(|(operation, path)| document.operations[*operation].paths[*path].rank());
        }
        Ok(Self { document, mapping, routes })
    }

    /// The records of a call. `caller` is who its AWS signature is from, where it has one.
    pub fn records(&self, exchange: &Exchange, home: Home<'_>, caller: UserIdentity) -> Vec<CapturedRecord> {
        let account = self.mapping.account.unwrap_or(home.account);
        let region = self.mapping.region.as_ref().unwrap_or(home.region);
        let mut event = self.event(exchange, account, region, caller);
        event.vpc_endpoint = home.vpc_endpoint;
        let record = match (self.mapping.record, &self.mapping.channel) {
            (Kind::Activity, Some(channel)) => {
                let owner = mapping::channel_owner(channel).unwrap_or(account);
                activity::write(&event, channel, owner, region)
            }
            _ => record::write(&event, account, region),
        };
        vec![record]
    }

    fn event<'a>(
        &'a self,
        exchange: &'a Exchange,
        account: AccountId,
        region: &Region,
        signed: UserIdentity,
    ) -> HttpEvent<'a> {
        let head = &exchange.request.head;
        let answered = match &exchange.ending {
            Ending::Answered(response) => Some(response),
            _ => None,
        };
        let status = answered.map(|response| response.head.status.as_u16());
        let accepted = status.is_some_and(|status| status < 400);
        let caller = Caller::of(&self.document, &self.mapping.caller, head, accepted, signed);
        let found = self.operation(&head.method, head.uri.path());
        let rule = found.as_ref().and_then(|(operation, _)| self.mapping.operations.get(&operation.name));
        let read_only = rule.and_then(|rule| rule.read_only).unwrap_or_else(|| head.method.is_safe());
        let category = rule.and_then(|rule| rule.category).unwrap_or(self.mapping.category);
        let hider = Hider::new(&self.document, &self.mapping);
        caller::credentials(&self.document, head).for_each(|credential| hider.take(&credential));
        let (parameters, answer) = match &found {
            Some((operation, path)) => self.decoded(exchange, operation, path, accepted && !read_only, &hider),
            None => (Some(unrouted(head)), None),
        };
        let error = Failure::of(&exchange.ending)
            .map(|error| Failure { message: error.message.map(|message| hider.text(message)), ..error });
        let name = rule.and_then(|rule| rule.event_name.as_deref());
        let host = head.uri.host().map(str::to_owned).or_else(|| header_text(&head.headers, "host"));
        let request_id = answered.and_then(|response| header_text(&response.head.headers, &self.mapping.request_id));
        HttpEvent {
            id: Uuid::new_v4(),
            source: Arc::clone(&self.mapping.event_source),
            name: name.or(found.as_ref().map(|(operation, _)| operation.name.as_str())).unwrap_or("UnknownOperation"),
            time: exchange.ended,
            caller,
            peer: exchange.peer.to_canonical(),
            user_agent: header_text(&head.headers, "user-agent"),
            host,
            vpc_endpoint: None,
            tls: exchange.tls.as_ref(),
            method: head.method.as_str(),
            path: found.as_ref().map(|(operation, _)| operation.path.as_str()),
            resources: self.resources(
                account,
                region,
                (parameters.as_ref(), answer.as_ref()),
                category == Category::Data,
            ),
            parameters,
            answer,
            error,
            status,
            request_id,
            read_only,
            data: category == Category::Data,
        }
    }

    fn decoded(
        &self,
        exchange: &Exchange,
        operation: &Operation,
        path: &[(&str, &str)],
        with_answer: bool,
        hider: &Hider<'_>,
    ) -> (Option<Value>, Option<Value>) {
        let parameters = Parameters { document: &self.document, hider };
        let request = parameters.request(operation, path, &exchange.request.head, &exchange.request.body);
        let answer = match &exchange.ending {
            Ending::Answered(response) if with_answer => parameters.answer(operation, &response.head, &response.body),
            _ => None,
        };
        (request, answer)
    }

    /// The operation that a method and a path mean, with the values of the path's names as they were sent.
    fn operation<'a>(&'a self, method: &Method, path: &'a str) -> Option<(&'a Operation, Vec<(&'a str, &'a str)>)> {
        let segments = template::request_segments(path)?;
        let candidates = self.routes.get(&(method.clone(), segments.len()))?;
        candidates.iter().find_map(|(number, path)| {
            let operation = &self.document.operations[*number];
            operation.paths[*path].matches(&segments).map(|values| (operation, values))
        })
    }

    /// The resources whose members are all known; of a data event that names none the types.
    fn resources(
        &self,
        account: AccountId,
        region: &Region,
        (parameters, answer): (Option<&Value>, Option<&Value>),
        data: bool,
    ) -> Vec<(String, Option<String>)> {
        let known: BTreeMap<&str, String> =
            [("account", account.to_string()), ("region", region.to_string())].into_iter().collect();
        let member = |name: &str| {
            known.get(name).cloned().or_else(|| [parameters, answer].into_iter().flatten().find_map(|of| at(of, name)))
        };
        let rules = self.mapping.resource.iter();
        let named = rules.clone().filter_map(|rule| Some((rule.kind.clone(), Some(fill(&rule.arn, member)?))));
        let named: Vec<_> = named.collect();
        match named.is_empty() && data {
            true => rules.map(|rule| (rule.kind.clone(), None)).collect(),
            false => named,
        }
    }
}

/// A text with the members that it names in braces; `None` if one of them is unknown.
fn fill(text: &str, member: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&member(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// The member at a dotted path, if it is a text or a number.
fn at(value: &Value, path: &str) -> Option<String> {
    let mut value = value;
    for name in path.split('.') {
        let Value::Map(members) = value else { return None };
        value = members.iter().find(|(known, _)| known == name).map(|(_, value)| value)?;
    }
    match value {
        Value::Text(text) if text != hidden::HIDDEN => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What is recorded of a call that no operation is for: method and path, the query left out.
fn unrouted(head: &http::request::Parts) -> Value {
    let path = head.uri.path();
    let path = &path[..path.floor_char_boundary(MAX_PATH)];
    let member = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
    Value::Map(vec![member("httpMethod", head.method.as_str()), member("httpPath", path)])
}

/// Reads a file that is not too long.
fn read(path: &Path) -> Result<String, ApiError> {
    use std::io::Read as _;
    let failed = |cause| ApiError::Read { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > MAX_FILE {
        return Err(failed(std::io::Error::other(format!("it is longer than {MAX_FILE} bytes"))));
    }
    Ok(text)
}
