//! Models as Smithy writes them: a JSON AST, one file with one service or several.
//!
//! Names in an AST are absolute (`com.amazonaws.s3#GetObject`); shapes keep the part after `#`, as in AWS's own names.

mod traits;

use std::{collections::HashSet, sync::Arc};

use http::Method;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Element, ErrorTrait, Kind, Member, OperationModel, Place, Protocol, ServiceModel, ServiceSummary, Shape, Structure,
    UriTemplate,
    build::{Builder, Inherited},
    ordered::ordered,
};
use traits::Traits;

/// Mixins of mixins, resources of resources: deeper is a mistake.
const DEPTH: usize = 16;

/// The services of an AST with the absolute names of their shapes.
pub(super) fn services(json: &[u8]) -> Result<Vec<(Arc<str>, ServiceSummary)>, serde_json::Error> {
    let file: Heads = serde_json::from_slice(json)?;
    let services = file.shapes.into_iter().filter(|(_, shape)| shape.r#type == "service");
    Ok(services.map(|(name, shape)| (Arc::from(&*name), shape.summary(&name))).collect())
}

/// Reads the model of one service. `None` if the AST does not have it.
pub(super) fn parse(service: &str, json: &[u8]) -> Result<Option<ServiceModel>, serde_json::Error> {
    let file: File = serde_json::from_slice(json)?;
    Ok(Ast::of(&file.shapes).service(service))
}

#[derive(Deserialize)]
struct Heads {
    #[serde(default, deserialize_with = "ordered")]
    shapes: Vec<(String, Head)>,
}

#[derive(Deserialize)]
struct Head {
    r#type: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    traits: ServiceTraits,
}

#[derive(Default, Deserialize)]
struct ServiceTraits {
    #[serde(rename = "aws.api#service")]
    service: Option<Json>,
    #[serde(rename = "aws.auth#sigv4")]
    sigv4: Option<Json>,
    #[serde(rename = "smithy.protocols#rpcv2Cbor")]
    cbor: Option<Json>,
    #[serde(rename = "aws.protocols#awsJson1_0")]
    json_1_0: Option<Json>,
    #[serde(rename = "aws.protocols#awsJson1_1")]
    json_1_1: Option<Json>,
    #[serde(rename = "aws.protocols#restJson1")]
    rest_json: Option<Json>,
    #[serde(rename = "aws.protocols#restXml")]
    rest_xml: Option<Json>,
    #[serde(rename = "aws.protocols#awsQuery")]
    query: Option<Json>,
    #[serde(rename = "aws.protocols#ec2Query")]
    ec2: Option<Json>,
    #[serde(rename = "aws.protocols#awsQueryCompatible")]
    query_compatible: Option<Json>,
}

impl Head {
    fn summary(&self, absolute: &str) -> ServiceSummary {
        let shape = local(absolute);
        let traits = &self.traits;
        let of =
            |json: &Option<Json>, key: &str| -> Option<Arc<str>> { json.as_ref()?.get(key)?.as_str().map(Arc::from) };
        let service_id = of(&traits.service, "sdkId").unwrap_or_else(|| Arc::from(shape));
        let endpoint_prefix = of(&traits.service, "endpointPrefix").unwrap_or_else(|| Arc::from(dashed(&service_id)));
        let signing_name = of(&traits.sigv4, "name")
            .or_else(|| of(&traits.service, "arnNamespace"))
            .unwrap_or_else(|| Arc::clone(&endpoint_prefix));
        let protocols = [
            (&traits.cbor, Protocol::Cbor),
            (&traits.json_1_0, Protocol::Json),
            (&traits.json_1_1, Protocol::Json),
            (&traits.rest_json, Protocol::RestJson),
            (&traits.rest_xml, Protocol::RestXml),
            (&traits.query, Protocol::Query),
            (&traits.ec2, Protocol::Ec2),
        ];
        ServiceSummary {
            name: Arc::from(dashed(&service_id)),
            service_id,
            api_version: Arc::from(&*self.version),
            endpoint_prefix,
            signing_name,
            target_prefix: Some(Arc::from(shape)),
            global_host: None,
            protocols: protocols.into_iter().filter(|(is, _)| is.is_some()).map(|(_, protocol)| protocol).collect(),
            query_compatible: traits.query_compatible.is_some(),
        }
    }
}

/// `Marketplace Catalog` as folders and hosts write it: `marketplace-catalog`.
fn dashed(id: &str) -> String {
    id.trim().to_lowercase().replace(' ', "-")
}

fn local(absolute: &str) -> &str {
    absolute.rsplit_once('#').map_or(absolute, |(_, name)| name)
}

#[derive(Deserialize)]
struct File {
    #[serde(default, deserialize_with = "ordered")]
    shapes: Vec<(String, Node)>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Node {
    r#type: String,
    version: String,
    #[serde(deserialize_with = "ordered")]
    members: Vec<(String, Target)>,
    member: Option<Target>,
    key: Option<Target>,
    value: Option<Target>,
    mixins: Vec<Target>,
    input: Option<Target>,
    output: Option<Target>,
    errors: Vec<Target>,
    operations: Vec<Target>,
    collection_operations: Vec<Target>,
    resources: Vec<Target>,
    create: Option<Target>,
    put: Option<Target>,
    read: Option<Target>,
    update: Option<Target>,
    delete: Option<Target>,
    list: Option<Target>,
    traits: Traits,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    target: String,
    traits: Traits,
}

/// An AST with its shapes by name.
struct Ast<'a> {
    shapes: &'a [(String, Node)],
    by_name: std::collections::HashMap<&'a str, &'a Node>,
}

impl<'a> Ast<'a> {
    fn of(shapes: &'a [(String, Node)]) -> Self {
        Self { shapes, by_name: shapes.iter().map(|(name, node)| (name.as_str(), node)).collect() }
    }

    fn service(&self, name: &str) -> Option<ServiceModel> {
        let node = *self.by_name.get(name)?;
        let summary = node.head().summary(name);
        // XML names in forms and XML, JSON names in JSON: a service that speaks both has names of neither kind.
        let xml = summary
            .protocols
            .iter()
            .any(|protocol| matches!(protocol, Protocol::RestXml | Protocol::Query | Protocol::Ec2));
        let wire = if xml { "xmlName" } else { "jsonName" };
        let query = summary.protocols.contains(&Protocol::Query);

        let mut build = Builder::default();
        for (name, shape) in self.shapes {
            let id = build.id(name);
            if let Some((shape, inherited)) = self.shape(name, shape, wire, &mut build) {
                build.define(id, shape, inherited);
            }
        }
        for (name, kind) in prelude() {
            let id = build.id(&format!("smithy.api#{name}"));
            let shape = Shape { name: build.name(name), kind, sensitive: false };
            build.define(id, shape, Inherited::default());
        }
        let mut names = Vec::new();
        self.operations_of(node, DEPTH, &mut names);
        let mut seen = HashSet::new();
        let operations = names
            .into_iter()
            .filter(|name| seen.insert(*name))
            .filter_map(|name| Some(self.by_name.get(name)?.operation(local(name), query, &mut build)))
            .collect();
        Some(ServiceModel::new(summary, operations, build.finish()))
    }

    /// The operations of a service or resource and of the resources under it.
    fn operations_of(&self, node: &'a Node, depth: usize, into: &mut Vec<&'a str>) {
        let lifecycle = [&node.create, &node.put, &node.read, &node.update, &node.delete, &node.list];
        into.extend(lifecycle.into_iter().flatten().map(|target| target.target.as_str()));
        into.extend(node.operations.iter().chain(&node.collection_operations).map(|target| target.target.as_str()));
        if depth == 0 || into.len() > self.shapes.len() {
            return;
        }
        for resource in &node.resources {
            if let Some(resource) = self.by_name.get(resource.target.as_str()) {
                self.operations_of(resource, depth - 1, into);
            }
        }
    }

    fn shape(&self, name: &str, node: &Node, wire: &str, build: &mut Builder) -> Option<(Shape, Inherited)> {
        let traits = &node.traits;
        let kind = match node.r#type.as_str() {
            "structure" | "union" => Kind::Structure(self.structure(node, wire, build)),
            "list" | "set" => match &node.member {
                Some(member) => Kind::List { element: member.element(build) },
                None => Kind::Unknown,
            },
            "map" => match (&node.key, &node.value) {
                (Some(key), Some(value)) => Kind::Map { key: key.element(build), value: value.element(build) },
                _ => Kind::Unknown,
            },
            "string" | "enum" => Kind::Text,
            "byte" | "short" | "integer" | "long" | "bigInteger" | "intEnum" => Kind::Integer,
            "float" | "double" | "bigDecimal" => Kind::Float,
            "boolean" => Kind::Bool,
            "timestamp" => Kind::Time,
            "blob" => Kind::Blob,
            "document" => Kind::Document,
            "service" | "resource" | "operation" => return None,
            _ => Kind::Unknown,
        };
        let inherited = Inherited {
            wire: None,
            time_format: traits.time_format(),
            flattened: false,
            streaming: traits.has("streaming"),
        };
        let sensitive = traits.has("sensitive");
        Some((Shape { name: build.name(local(name)), kind, sensitive }, inherited))
    }

    fn structure(&self, node: &Node, wire: &str, build: &mut Builder) -> Structure {
        let mut members: Vec<Member> = Vec::new();
        let mut payload = None;
        self.each_member(node, DEPTH, &mut |name, target| {
            let member = target.member(name, wire, build);
            if target.traits.has("httpPayload") {
                payload = Some(members.len());
            }
            match members.iter_mut().find(|other| *other.name == *name) {
                Some(other) => *other = member,
                None => members.push(member),
            }
        });
        let traits = &node.traits;
        let error = traits.has("error").then(|| {
            let query = traits.get("awsQueryError");
            ErrorTrait {
                code: query.and_then(|error| error.get("code")?.as_str()).map(|code| build.name(code)),
                status: traits.number("httpError"),
            }
        });
        let union = node.r#type == "union";
        let event_stream = union && traits.has("streaming");
        Structure { members: members.into(), payload, union, event_stream, error }
    }

    fn each_member(&self, node: &Node, depth: usize, each: &mut dyn FnMut(&str, &Target)) {
        if depth > 0 {
            for mixin in &node.mixins {
                if let Some(mixin) = self.by_name.get(mixin.target.as_str()) {
                    self.each_member(mixin, depth - 1, each);
                }
            }
        }
        for (name, target) in &node.members {
            each(name, target);
        }
    }
}

impl Node {
    fn head(&self) -> Head {
        let of = |name: &str| self.traits.get(name).cloned();
        let traits = ServiceTraits {
            service: of("service"),
            sigv4: of("sigv4"),
            cbor: of("rpcv2Cbor"),
            json_1_0: of("awsJson1_0"),
            json_1_1: of("awsJson1_1"),
            rest_json: of("restJson1"),
            rest_xml: of("restXml"),
            query: of("awsQuery"),
            ec2: of("ec2Query"),
            query_compatible: of("awsQueryCompatible"),
        };
        Head { r#type: self.r#type.clone(), version: self.version.clone(), traits }
    }

    fn operation(&self, name: &str, query: bool, build: &mut Builder) -> OperationModel {
        let http = self.traits.get("http");
        let http_text = |key: &str| http.and_then(|http| http.get(key)?.as_str());
        let shape = |target: &Option<Target>, build: &mut Builder| {
            let target = target.as_ref().filter(|target| target.target != "smithy.api#Unit")?;
            Some(build.id(&target.target))
        };
        let host_prefix = self.traits.get("endpoint").and_then(|endpoint| endpoint.get("hostPrefix")?.as_str());
        let no_auth = self.traits.get("auth").and_then(Json::as_array).is_some_and(Vec::is_empty);
        OperationModel {
            name: build.name(name),
            method: http_text("method").and_then(|method| method.parse().ok()).unwrap_or(Method::POST),
            uri: UriTemplate::parse(http_text("uri").unwrap_or("/")),
            input: shape(&self.input, build),
            output: shape(&self.output, build),
            errors: self.errors.iter().map(|error| build.id(&error.target)).collect(),
            input_element: None,
            result_wrapper: query.then(|| build.name(&format!("{name}Result"))),
            host_prefix: host_prefix.map(|prefix| build.name(prefix)),
            success: http.and_then(|http| http.get("code")?.as_u64()).and_then(|code| u16::try_from(code).ok()),
            read_only: self.traits.has("readonly"),
            idempotent: self.traits.has("idempotent"),
            deprecated: self.traits.has("deprecated"),
            unsigned: no_auth,
        }
    }
}

impl Target {
    fn element(&self, build: &mut Builder) -> Element {
        let wire = self.traits.text("xmlName").map(|name| build.name(name));
        Element { shape: build.id(&self.target), wire }
    }

    fn member(&self, name: &str, wire: &str, build: &mut Builder) -> Member {
        let traits = &self.traits;
        let (place, placed) = if traits.has("httpLabel") {
            (Place::Label, None)
        } else if let Some(query) = traits.get("httpQuery") {
            (Place::Query, query.as_str())
        } else if traits.has("httpQueryParams") {
            (Place::Query, None)
        } else if let Some(header) = traits.get("httpHeader") {
            (Place::Header, header.as_str())
        } else if let Some(prefix) = traits.get("httpPrefixHeaders") {
            (Place::Headers, prefix.as_str())
        } else if traits.has("httpResponseCode") {
            (Place::Status, None)
        } else {
            (Place::Body, traits.text(wire))
        };
        Member {
            name: build.name(name),
            wire: build.name(placed.unwrap_or_default()),
            query_name: traits.text("ec2QueryName").map(|name| build.name(name)),
            shape: build.id(&self.target),
            place,
            time_format: traits.time_format(),
            required: traits.has("required"),
            sensitive: traits.has("sensitive"),
            flattened: traits.has("xmlFlattened"),
            attribute: traits.has("xmlAttribute"),
            json_value: traits.text("mediaType") == Some("application/json"),
            host_label: traits.has("hostLabel"),
            idempotency_token: traits.has("idempotencyToken"),
            streaming: traits.has("streaming"),
        }
    }
}

/// Shapes that every AST may refer to without defining them.
fn prelude() -> impl Iterator<Item = (&'static str, Kind)> {
    let of = |names: &'static [&'static str], kind: Kind| names.iter().map(move |name| (*name, kind.clone()));
    of(&["String"], Kind::Text)
        .chain(of(&["Blob"], Kind::Blob))
        .chain(of(&["Boolean", "PrimitiveBoolean"], Kind::Bool))
        .chain(of(&["Timestamp"], Kind::Time))
        .chain(of(&["Document"], Kind::Document))
        .chain(of(&["Byte", "Short", "Integer", "Long", "BigInteger"], Kind::Integer))
        .chain(of(&["PrimitiveByte", "PrimitiveShort", "PrimitiveInteger", "PrimitiveLong"], Kind::Integer))
        .chain(of(&["Float", "Double", "BigDecimal", "PrimitiveFloat", "PrimitiveDouble"], Kind::Float))
        .chain(of(&["Unit"], Kind::Structure(Structure::default())))
}
