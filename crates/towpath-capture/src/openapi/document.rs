//! An OpenAPI 3 document: its operations, what they take, and who may call them.
//!
//! The document is checked once, when it is opened: every `$ref` leads somewhere inside of it and ends. What reads
//! schemas later relies on that.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use serde_json::Value as Json;

use super::references::{check_references, resolve};
use super::template::Template;

/// Methods that a path can have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not a document of version 3.
    #[error("it is no OpenAPI document of version 3: {0}")]
    Version(String),
    /// A reference that leads out of the document, to nothing, or in a circle.
    #[error("the reference {reference:?} {why}")]
    Reference {
        /// As it stands in the document.
        reference: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A path, parameter or operation that is not as OpenAPI wants it.
    #[error("{place}: {what}")]
    Shape {
        /// Where, such as `paths./pets.get`.
        place: String,
        /// What is wrong.
        what: String,
    },
}

/// A checked document.
#[derive(Debug)]
pub struct Document {
    root: Arc<Json>,
    /// Its operations, in no particular order.
    pub operations: Vec<Operation>,
    /// Its security schemes, by name.
    pub schemes: Vec<(String, Scheme)>,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// `operationId`, or method and path where there is none.
    pub name: String,
    /// Its method.
    pub method: Method,
    /// The full path below each server, such as `/v1/pets/{petId}`.
    pub paths: Vec<Template>,
    /// Its path without the server, as the document has it.
    pub path: String,
    /// What it takes outside of the body.
    pub parameters: Vec<Parameter>,
    /// Schemas of its body by media type.
    pub body: Vec<(String, Json)>,
    /// Schemas of its answers: status (`200`, `4XX`, `default`), media type, schema.
    pub answers: Vec<(String, String, Json)>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
}

/// How lists and objects are written in a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Joined by commas.
    Simple,
    /// A dot first.
    Label,
    /// `;name=value`.
    Matrix,
    /// As in forms.
    Form,
    /// Joined by spaces.
    Space,
    /// Joined by bars.
    Pipe,
    /// `name[member]=value`.
    Deep,
}

/// A parameter outside of the body.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, also on the wire.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// How lists and objects are written.
    pub style: Style,
    /// Whether each item has a `name=` of its own.
    pub explode: bool,
    /// True if it is JSON (`content` in place of `schema`).
    pub json: bool,
    /// Its schema.
    pub schema: Json,
}

/// How a security scheme says who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A key in a header, the query or a cookie.
    ApiKey {
        /// Where.
        place: Place,
        /// Under which name.
        name: String,
    },
    /// `Authorization: Bearer`, also of OAuth 2 and OpenID Connect.
    Bearer,
    /// `Authorization: Basic`.
    Basic,
    /// Signature version 4, as API Gateway writes it into documents.
    SigV4,
    /// Another one, such as a client certificate.
    Other,
}

impl Document {
    /// Checks a document. Paths are put below `base` if it is given, else below the paths of the document's servers.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub fn of(root: Json, base: Option<&str>) -> Result<Self, DocumentError> {
        match root.get("openapi").and_then(Json::as_str) {
            Some(version) if version.starts_with("3.") => {}
            Some(version) => return Err(DocumentError::Version(format!("it is of version {version}"))),
            None if root.get("swagger").is_some() => {
                return Err(DocumentError::Version("Swagger 2 has to be converted first".to_owned()));
            }
            None => return Err(DocumentError::Version("the member \"openapi\" is missing".to_owned())),
        }
        check_references(&root)?;
        let root = Arc::new(root);
        let mut document = Self { root: Arc::clone(&root), operations: Vec::new(), schemes: Vec::new() };
        document.schemes = document.read_schemes();
        let (mut names, mut operations) = (BTreeSet::new(), Vec::new());
        for (path, item) in root.get("paths").and_then(Json::as_object).into_iter().flatten() {
            let item = document.resolve(item);
            for (key, operation) in item.as_object().into_iter().flatten() {
                if METHODS.contains(&key.as_str()) {
                    let operation = document.read_operation(path, key, item, operation, base)?;
                    if !names.insert(operation.name.clone()) {
                        let what = format!("the operationId {:?} stands twice", operation.name);
                        return Err(DocumentError::Shape { place: format!("paths.{path}.{key}"), what });
                    }
                    operations.push(operation);
                }
            }
        }
        document.operations = operations;
        Ok(document)
    }

    /// What a node stands for: itself, or what its reference leads to.
    pub fn resolve<'a>(&'a self, node: &'a Json) -> &'a Json {
        resolve(&self.root, node)
    }

    fn read_schemes(&self) -> Vec<(String, Scheme)> {
        let schemes = self.root.pointer("/components/securitySchemes").and_then(Json::as_object);
        let read = |(name, node): (&String, &Json)| (name.clone(), scheme(self.resolve(node)));
        schemes.into_iter().flatten().map(read).collect()
    }

    fn read_operation(
        &self,
        path: &str,
        method: &str,
        item: &Json,
        operation: &Json,
        base: Option<&str>,
    ) -> Result<Operation, DocumentError> {
        let place = format!("paths.{path}.{method}");
        let shape = |what: String| DocumentError::Shape { place: place.clone(), what };
        let upper = method.to_ascii_uppercase();
        let name = operation.get("operationId").and_then(Json::as_str);
        let name = name.map_or_else(|| format!("{upper} {path}"), str::to_owned);
        let mut paths = Vec::new();
        for base in self.bases(item, operation, base) {
            let template = Template::parse(&format!("{}{path}", base.trim_end_matches('/'))).map_err(shape)?;
            if !paths.contains(&template) {
                paths.push(template);
            }
        }
        Ok(Operation {
            name,
            method: Method::from_bytes(upper.as_bytes()).expect("one of METHODS"),
            paths,
            path: path.to_owned(),
            parameters: self.read_parameters(item, operation).map_err(shape)?,
            body: operation.get("requestBody").map(|body| self.schemas(self.resolve(body))).unwrap_or_default(),
            answers: self.read_answers(operation),
        })
    }

    /// The paths of the servers that an operation is at; variables have their defaults.
    fn bases(&self, item: &Json, operation: &Json, base: Option<&str>) -> Vec<String> {
        if let Some(base) = base {
            return vec![base.to_owned()];
        }
        let of = |node: &Json| node.get("servers").and_then(Json::as_array).filter(|list| !list.is_empty()).cloned();
        let servers = of(operation).or_else(|| of(item)).or_else(|| of(&self.root)).unwrap_or_default();
        let bases: Vec<_> = servers.iter().filter_map(server_path).collect();
        if bases.is_empty() { vec![String::new()] } else { bases }
    }

    /// The parameters of a path item and of its operation; the operation's replace those of the same name and place.
    fn read_parameters(&self, item: &Json, operation: &Json) -> Result<Vec<Parameter>, String> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for node in [item, operation] {
            for node in node.get("parameters").and_then(Json::as_array).into_iter().flatten() {
                let Some(parameter) = self.read_parameter(self.resolve(node))? else { continue };
                parameters.retain(|known| known.place != parameter.place || known.name != parameter.name);
                parameters.push(parameter);
            }
        }
        Ok(parameters)
    }

    fn read_parameter(&self, node: &Json) -> Result<Option<Parameter>, String> {
        let text = |key: &str| node.get(key).and_then(Json::as_str);
        let name = text("name").ok_or("a parameter has no name")?;
        let place = match text("in") {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            other => return Err(format!("the parameter {name:?} stands in {other:?}")),
        };
        let style = match text("style") {
            Some("label") => Style::Label,
            Some("matrix") => Style::Matrix,
            Some("simple") => Style::Simple,
            Some("spaceDelimited") => Style::Space,
            Some("pipeDelimited") => Style::Pipe,
            Some("deepObject") => Style::Deep,
            None if matches!(place, Place::Path | Place::Header) => Style::Simple,
            _ => Style::Form,
        };
        let explode = node.get("explode").and_then(Json::as_bool).unwrap_or(style == Style::Form);
        let content = node.get("content").and_then(Json::as_object).and_then(|content| content.iter().next());
        let json = content.is_some_and(|(kind, _)| is_json(kind));
        let schema = content.map_or(node, |(_, content)| content).get("schema").cloned().unwrap_or(Json::Bool(true));
        Ok(Some(Parameter { name: name.to_owned(), place, style, explode, json, schema }))
    }

    fn read_answers(&self, operation: &Json) -> Vec<(String, String, Json)> {
        let answers = operation.get("responses").and_then(Json::as_object).into_iter().flatten();
        answers
            .flat_map(|(status, node)| {
                let schemas = self.schemas(self.resolve(node));
                schemas.into_iter().map(|(kind, schema)| (status.clone(), kind, schema))
            })
            .collect()
    }

    /// The schemas of a `content` by media type.
    fn schemas(&self, node: &Json) -> Vec<(String, Json)> {
        let content = node.get("content").and_then(Json::as_object).into_iter().flatten();
        content
            .map(|(kind, media)| (kind.to_ascii_lowercase(), media.get("schema").cloned().unwrap_or(Json::Bool(true))))
            .collect()
    }
}

impl Operation {
    /// The schema of a body of this media type.
    pub fn body_schema(&self, kind: &str) -> Option<&Json> {
        best(self.body.iter().map(|(media, schema)| (media.as_str(), schema)), kind)
    }

    /// The schema of an answer with this status and media type.
    pub fn answer_schema(&self, status: u16, kind: &str) -> Option<&Json> {
        let exact = status.to_string();
        let class = format!("{}XX", status / 100);
        [exact.as_str(), &class, "default"].iter().find_map(|wanted| {
            let of = self.answers.iter().filter(|(status, ..)| status.eq_ignore_ascii_case(wanted));
            best(of.map(|(_, media, schema)| (media.as_str(), schema)), kind)
        })
    }
}

/// The schema of the media type that fits best: the same, else `application/*`, else `*/*`.
fn best<'a>(media: impl Iterator<Item = (&'a str, &'a Json)> + Clone, kind: &str) -> Option<&'a Json> {
    let class = format!("{}/*", kind.split('/').next().unwrap_or_default());
    let find = |wanted: &str| media.clone().find(|(name, _)| essence(name) == wanted).map(|(_, schema)| schema);
    find(kind).or_else(|| find(&class)).or_else(|| find("*/*"))
}

/// A media type without its parameters, in small letters.
pub fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// True for `application/json` and all that ends in `+json`.
pub fn is_json(kind: &str) -> bool {
    let kind = essence(kind);
    kind == "application/json" || kind.ends_with("+json")
}

fn scheme(node: &Json) -> Scheme {
    let text = |key: &str| node.get(key).and_then(Json::as_str).unwrap_or_default();
    if text("x-amazon-apigateway-authtype").eq_ignore_ascii_case("awsSigv4") {
        return Scheme::SigV4;
    }
    match text("type") {
        "apiKey" => {
            let place = match text("in") {
                "query" => Place::Query,
                "cookie" => Place::Cookie,
                _ => Place::Header,
            };
            Scheme::ApiKey { place, name: text("name").to_owned() }
        }
        "http" if text("scheme").eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        "http" if text("scheme").eq_ignore_ascii_case("basic") => Scheme::Basic,
        "oauth2" | "openIdConnect" => Scheme::Bearer,
        _ => Scheme::Other,
    }
}

/// The path of a server's URL, variables replaced by their defaults.
fn server_path(server: &Json) -> Option<String> {
    let mut url = server.get("url")?.as_str()?.to_owned();
    for (name, variable) in server.get("variables").and_then(Json::as_object).into_iter().flatten() {
        url = url.replace(&format!("{{{name}}}"), variable.get("default").and_then(Json::as_str).unwrap_or_default());
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => &url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    Some(if path.is_empty() { String::new() } else { format!("/{path}") })
}
