//! Models as botocore keeps them: `<service>/<api version>/service-2.json`, plain or gzipped.

use std::sync::Arc;

use http::Method;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    Element, ErrorTrait, Kind, Member, OperationModel, Place, Protocol, ServiceModel, ServiceSummary, Shape, Structure,
    TimeFormat, UriTemplate,
    build::{Builder, Inherited},
    ordered::ordered,
};

/// The part of a model that tells what it is a model of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    endpoint_prefix: String,
    signing_name: Option<String>,
    target_prefix: Option<String>,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    protocols: Vec<String>,
    service_id: Option<String>,
    global_endpoint: Option<String>,
    aws_query_compatible: Option<IgnoredAny>,
}

impl Metadata {
    pub(super) fn summary(&self, name: &str) -> ServiceSummary {
        let text = |text: &str| -> Arc<str> { Arc::from(text) };
        let mut protocols: Vec<Protocol> = Vec::new();
        for protocol in [&self.protocol].into_iter().chain(&self.protocols) {
            if let Some(protocol) = protocol_of(protocol)
                && !protocols.contains(&protocol)
            {
                protocols.push(protocol);
            }
        }
        ServiceSummary {
            name: text(name),
            service_id: text(self.service_id.as_deref().unwrap_or(name)),
            api_version: text(&self.api_version),
            endpoint_prefix: text(&self.endpoint_prefix),
            signing_name: text(self.signing_name.as_deref().unwrap_or(&self.endpoint_prefix)),
            target_prefix: self.target_prefix.as_deref().map(text),
            global_host: self.global_endpoint.as_deref().map(text),
            protocols,
            query_compatible: self.aws_query_compatible.is_some(),
        }
    }
}

fn protocol_of(name: &str) -> Option<Protocol> {
    match name {
        "json" => Some(Protocol::Json),
        "rest-json" => Some(Protocol::RestJson),
        "rest-xml" => Some(Protocol::RestXml),
        "query" => Some(Protocol::Query),
        "ec2" => Some(Protocol::Ec2),
        "smithy-rpc-v2-cbor" => Some(Protocol::Cbor),
        _ => None,
    }
}

/// Reads a whole model.
pub(super) fn parse(name: &str, json: &[u8]) -> Result<ServiceModel, serde_json::Error> {
    parse_with(name, json, None)
}

/// The same with what botocore adds to it (`service-2.sdk-extras.json`).
pub(super) fn parse_with(name: &str, json: &[u8], extras: Option<&[u8]>) -> Result<ServiceModel, serde_json::Error> {
    let mut file: File = serde_json::from_slice(json)?;
    if let Some(extras) = extras {
        file.add(serde_json::from_slice::<Extras>(extras)?.merge);
    }
    let summary = file.metadata.summary(name);
    let mut build = Builder::default();
    for (name, described) in &file.shapes {
        let id = build.id(name);
        let (shape, inherited) = described.shape(name, &mut build);
        build.define(id, shape, inherited);
    }
    let operations = file.operations.iter().map(|(name, described)| described.operation(name, &mut build)).collect();
    Ok(ServiceModel::new(summary, operations, build.finish()))
}

#[derive(Deserialize)]
struct File {
    metadata: Metadata,
    #[serde(default, deserialize_with = "ordered")]
    operations: Vec<(String, Operation)>,
    #[serde(default, deserialize_with = "ordered")]
    shapes: Vec<(String, Described)>,
}

/// What is added to a model: members of shapes, shapes and operations.
#[derive(Deserialize)]
struct Extras {
    #[serde(default)]
    merge: Merge,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Merge {
    metadata: MergedMetadata,
    #[serde(deserialize_with = "ordered")]
    operations: Vec<(String, Operation)>,
    #[serde(deserialize_with = "ordered")]
    shapes: Vec<(String, Described)>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MergedMetadata {
    service_id: Option<String>,
}

/// The id that a file of extras gives a service.
pub(super) fn service_id_of(extras: &[u8]) -> Option<String> {
    serde_json::from_slice::<Extras>(extras).ok()?.merge.metadata.service_id
}

impl File {
    fn add(&mut self, merge: Merge) {
        if merge.metadata.service_id.is_some() {
            self.metadata.service_id = merge.metadata.service_id;
        }
        put(&mut self.operations, merge.operations, |known, added| *known = added);
        put(&mut self.shapes, merge.shapes, |known, added| {
            if !added.r#type.is_empty() {
                known.r#type = added.r#type;
            }
            known.required.extend(added.required);
            put(&mut known.members, added.members, |known, added| *known = added);
        });
    }
}

/// Adds entries; `change` is what becomes of one whose name is there.
fn put<T>(entries: &mut Vec<(String, T)>, added: Vec<(String, T)>, change: impl Fn(&mut T, T)) {
    for (name, value) in added {
        match entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => change(known, value),
            None => entries.push((name, value)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    #[serde(default)]
    http: Http,
    input: Option<Reference>,
    output: Option<Reference>,
    #[serde(default)]
    errors: Vec<Reference>,
    endpoint: Option<Endpoint>,
    authtype: Option<String>,
    #[serde(default)]
    readonly: bool,
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    deprecated: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: Option<String>,
    request_uri: Option<String>,
    response_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    host_prefix: Option<String>,
}

/// A reference to a shape with what is particular to the place it is referred from.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    shape: String,
    location: Option<String>,
    location_name: Option<String>,
    query_name: Option<String>,
    timestamp_format: Option<String>,
    result_wrapper: Option<String>,
    flattened: bool,
    xml_attribute: bool,
    jsonvalue: bool,
    host_label: bool,
    idempotency_token: bool,
    streaming: bool,
    sensitive: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Described {
    r#type: String,
    #[serde(deserialize_with = "ordered")]
    members: Vec<(String, Reference)>,
    required: Vec<String>,
    member: Option<Reference>,
    key: Option<Reference>,
    value: Option<Reference>,
    payload: Option<String>,
    location_name: Option<String>,
    timestamp_format: Option<String>,
    sensitive: bool,
    flattened: bool,
    streaming: bool,
    eventstream: bool,
    document: bool,
    union: bool,
    exception: bool,
    error: Option<Fault>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fault {
    code: Option<String>,
    http_status_code: Option<u16>,
}

impl Operation {
    fn operation(&self, key: &str, build: &mut Builder) -> OperationModel {
        let text = |text: &Option<String>, build: &mut Builder| text.as_deref().map(|text| build.name(text));
        OperationModel {
            // The key, not `name`: CloudFront's have the version of the API behind them there.
            name: build.name(key),
            method: self.http.method.as_deref().and_then(|method| method.parse().ok()).unwrap_or(Method::POST),
            uri: UriTemplate::parse(self.http.request_uri.as_deref().unwrap_or("/")),
            input: self.input.as_ref().map(|input| build.id(&input.shape)),
            output: self.output.as_ref().map(|output| build.id(&output.shape)),
            errors: self.errors.iter().map(|error| build.id(&error.shape)).collect(),
            input_element: self.input.as_ref().and_then(|input| text(&input.location_name, build)),
            result_wrapper: self.output.as_ref().and_then(|output| text(&output.result_wrapper, build)),
            host_prefix: self.endpoint.as_ref().and_then(|endpoint| text(&endpoint.host_prefix, build)),
            success: self.http.response_code,
            read_only: self.readonly,
            idempotent: self.idempotent,
            deprecated: self.deprecated,
            unsigned: self.authtype.as_deref() == Some("none"),
        }
    }
}

impl Described {
    fn shape(&self, name: &str, build: &mut Builder) -> (Shape, Inherited) {
        let kind = match self.r#type.as_str() {
            "structure" if self.document && self.members.is_empty() => Kind::Document,
            "structure" => Kind::Structure(self.structure(build)),
            "list" => match &self.member {
                Some(member) => Kind::List { element: member.element(build) },
                None => Kind::Unknown,
            },
            "map" => match (&self.key, &self.value) {
                (Some(key), Some(value)) => Kind::Map { key: key.element(build), value: value.element(build) },
                _ => Kind::Unknown,
            },
            "string" | "character" => Kind::Text,
            "integer" | "long" | "short" | "byte" | "biginteger" => Kind::Integer,
            "float" | "double" | "bigdecimal" => Kind::Float,
            "boolean" => Kind::Bool,
            "timestamp" => Kind::Time,
            "blob" => Kind::Blob,
            _ => Kind::Unknown,
        };
        let inherited = Inherited {
            wire: self.location_name.as_deref().map(|name| build.name(name)),
            time_format: self.timestamp_format.as_deref().and_then(time_format),
            flattened: self.flattened,
            streaming: self.streaming || self.eventstream,
        };
        (Shape { name: build.name(name), kind, sensitive: self.sensitive }, inherited)
    }

    fn structure(&self, build: &mut Builder) -> Structure {
        let members: Box<[Member]> = self
            .members
            .iter()
            .map(|(name, reference)| {
                let mut member = reference.member(name, build);
                member.required = self.required.contains(name);
                member
            })
            .collect();
        let payload =
            self.payload.as_ref().and_then(|payload| self.members.iter().position(|(name, _)| name == payload));
        let error = (self.exception || self.error.is_some()).then(|| match &self.error {
            Some(error) => {
                ErrorTrait { code: error.code.as_deref().map(|code| build.name(code)), status: error.http_status_code }
            }
            None => ErrorTrait::default(),
        });
        Structure { members, payload, union: self.union, event_stream: self.eventstream, error }
    }
}

impl Reference {
    fn element(&self, build: &mut Builder) -> Element {
        let wire = self.location_name.as_deref().map(|name| build.name(name));
        Element { shape: build.id(&self.shape), wire }
    }

    fn member(&self, name: &str, build: &mut Builder) -> Member {
        let place = match self.location.as_deref() {
            Some("uri") => Place::Label,
            Some("querystring") => Place::Query,
            Some("header") => Place::Header,
            Some("headers") => Place::Headers,
            Some("statusCode") => Place::Status,
            _ => Place::Body,
        };
        Member {
            name: build.name(name),
            wire: build.name(self.location_name.as_deref().unwrap_or_default()),
            query_name: self.query_name.as_deref().map(|name| build.name(name)),
            shape: build.id(&self.shape),
            place,
            time_format: self.timestamp_format.as_deref().and_then(time_format),
            required: false,
            sensitive: self.sensitive,
            flattened: self.flattened,
            attribute: self.xml_attribute,
            json_value: self.jsonvalue,
            host_label: self.host_label,
            idempotency_token: self.idempotency_token,
            streaming: self.streaming,
        }
    }
}

fn time_format(name: &str) -> Option<TimeFormat> {
    match name {
        "iso8601" => Some(TimeFormat::Iso8601),
        "rfc822" => Some(TimeFormat::Rfc822),
        "unixTimestamp" => Some(TimeFormat::Unix),
        _ => None,
    }
}
