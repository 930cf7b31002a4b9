//! Requests and answers made up from a model: random members, written as clients and services write them.
//!
//! It shares nothing with the decoder: it works on the JSON of botocore's models and follows what SDKs do.

use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::Value as Cbor;
use http::{Method, header};
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::{Body, Field, Request, Response, Value, model::Protocol};

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(seed: &str) -> Self {
        let hash = seed
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(hash | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

/// A model as botocore's JSON has it.
pub(super) struct Model<'a> {
    pub(super) metadata: &'a Json,
    pub(super) operations: &'a Map<String, Json>,
    pub(super) shapes: &'a Map<String, Json>,
}

impl<'a> Model<'a> {
    pub(super) fn of(json: &'a Json) -> Self {
        let object = |key: &str| json[key].as_object().expect("an object");
        Self { metadata: &json["metadata"], operations: object("operations"), shapes: object("shapes") }
    }

    /// The traits of a reference: its own before those of its shape.
    fn trait_of(&self, reference: &'a Json, name: &str) -> Option<&'a Json> {
        reference.get(name).or_else(|| self.shape(reference).get(name))
    }

    fn shape(&self, reference: &Json) -> &'a Json {
        &self.shapes[reference["shape"].as_str().expect("a shape")]
    }

    fn flag(&self, reference: &'a Json, name: &str) -> bool {
        self.trait_of(reference, name).and_then(Json::as_bool).unwrap_or(false)
    }

    fn text(&self, reference: &'a Json, name: &str) -> Option<&'a str> {
        self.trait_of(reference, name).and_then(Json::as_str)
    }

    fn is_stream(&self, reference: &'a Json) -> bool {
        self.flag(reference, "streaming") || self.flag(reference, "eventstream")
    }
}

/// Which texts a place can carry.
#[derive(Clone, Copy, PartialEq)]
enum Letters {
    Any,
    Header,
    Path,
}

/// A client of one service in one protocol.
pub(super) struct Client<'a> {
    pub(super) model: &'a Model<'a>,
    pub(super) protocol: Protocol,
    pub(super) dice: Dice,
}

const PIECES: [&str; 16] = ["a", "Zz", "0", "-", "_", ".", " x", "/y", "ü", "漢", "&", "<b>", "\"", "%2F", "+", "=?#"];

impl<'a> Client<'a> {
    /// Makes up the parameters of an operation.
    pub(super) fn parameters(&mut self, operation: &'a Json) -> Value {
        match operation.get("input") {
            Some(input) => self.structure(self.model.shape(input), 0),
            None => Value::empty(),
        }
    }

    fn structure(&mut self, shape: &'a Json, depth: u64) -> Value {
        let none = Map::new();
        let members = shape["members"].as_object().unwrap_or(&none).clone();
        let required: Vec<&str> = shape["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let mut fields = Vec::new();
        for (name, _) in members {
            let reference = &shape["members"][&name];
            let is_required = required.contains(&name.as_str());
            let wanted = match depth {
                0 => is_required || self.dice.below(2) == 0,
                1..=3 => is_required && self.dice.below(8) > 0 || self.dice.below(1 + depth) == 0,
                4..=5 => is_required && self.dice.below(2) == 0 || self.dice.below(12) == 0,
                _ => false,
            };
            if !wanted || self.model.is_stream(reference) {
                continue;
            }
            let located = depth == 0 && reference.get("location").is_some();
            let payload = depth == 0 && shape["payload"].as_str() == Some(&name);
            if payload && self.model.shape(reference)["type"] == "blob" {
                continue;
            }
            let value = self.value(reference, depth + 1, located);
            fields.push(Field { name: name.as_str().into(), value, sensitive: false });
        }
        Value::Structure(fields)
    }

    fn value(&mut self, reference: &'a Json, depth: u64, located: bool) -> Value {
        let shape = self.model.shape(reference);
        let letters = match (located, reference["location"].as_str()) {
            (true, Some("header" | "headers")) => Letters::Header,
            (true, Some("uri")) => Letters::Path,
            _ => Letters::Any,
        };
        self.of_shape(reference, shape, depth, letters)
    }

    fn of_shape(&mut self, reference: &'a Json, shape: &'a Json, depth: u64, letters: Letters) -> Value {
        let kind = shape["type"].as_str().expect("a type");
        match kind {
            "structure" if self.model.flag(reference, "document") => Value::Document(self.document()),
            "structure" => self.structure(shape, depth),
            "list" => {
                let count = 1 + self.dice.below(if depth < 3 { 3 } else { 1 });
                let element = &shape["member"];
                let of = self.model.shape(element);
                Value::List((0..count).map(|_| self.of_shape(element, of, depth + 1, letters)).collect())
            }
            "map" => {
                let count = 1 + self.dice.below(2);
                let element = &shape["value"];
                let of = self.model.shape(element);
                // Names of headers have no capitals on the wire.
                let entry =
                    |client: &mut Self, at| (format!("key-{at}.x"), client.of_shape(element, of, depth + 1, letters));
                Value::Map((0..count).map(|at| entry(self, at)).collect())
            }
            "string" | "character" if reference["jsonvalue"] == true && letters == Letters::Header => {
                Value::Text(json!({ "a": self.text(Letters::Any) }).to_string())
            }
            "string" | "character" => Value::Text(self.text(letters)),
            "integer" => Value::Number((self.dice.next() as i32).into()),
            "long" => Value::Number((self.dice.next() as i64).into()),
            "float" | "double" => {
                let number = (self.dice.below(2_000_001) as f64 - 1e6) / 8.0 + 0.0625;
                Value::Number(serde_json::Number::from_f64(number).expect("finite"))
            }
            "boolean" => Value::Bool(self.dice.below(2) == 0),
            "timestamp" => Value::Time(self.time(reference)),
            "blob" => {
                let length = self.dice.below(20);
                Value::Blob((0..length).map(|_| self.dice.next() as u8).collect())
            }
            kind => panic!("type {kind}"),
        }
    }

    fn text(&mut self, letters: Letters) -> String {
        let count = 1 + self.dice.below(6);
        let text: String = (0..count)
            .map(|_| PIECES[self.dice.below(PIECES.len() as u64) as usize])
            .filter(|piece| letters != Letters::Header || piece.is_ascii())
            .collect();
        match letters {
            Letters::Header => format!("h{text}"),
            // A label that is two dots is no label to any client.
            Letters::Path => format!("p{text}"),
            Letters::Any => text,
        }
    }

    fn time(&mut self, reference: &'a Json) -> Timestamp {
        let seconds = self.dice.below(4_000_000_000) as i64 - 500_000_000;
        let has_fraction = self.format_of(reference) != "rfc822";
        let milliseconds = if has_fraction { self.dice.below(1000) as i64 } else { 0 };
        Timestamp::from_millisecond(seconds * 1000 + milliseconds).expect("a time")
    }

    fn document(&mut self) -> Json {
        json!({ "text": self.text(Letters::Any), "list": [1, true, null, 2.5], "in": { "k": {} } })
    }

    /// How a time is printed at its place.
    fn format_of(&self, reference: &'a Json) -> &'a str {
        let usual = match (reference["location"].as_str(), self.protocol) {
            (Some("header" | "headers"), _) => "rfc822",
            (Some(_), _) => "iso8601",
            (None, Protocol::Json | Protocol::RestJson | Protocol::Cbor) => "unixTimestamp",
            (None, _) => "iso8601",
        };
        match self.protocol {
            Protocol::Cbor => "unixTimestamp",
            _ => self.model.text(reference, "timestampFormat").unwrap_or(usual),
        }
    }

    fn print_time(&self, reference: &'a Json, time: &Timestamp) -> String {
        match self.format_of(reference) {
            "iso8601" => time.to_string(),
            "rfc822" => time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            _ => seconds(time).to_string(),
        }
    }

    /// A single value as text.
    fn scalar(&self, reference: &'a Json, value: &Value) -> String {
        match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Time(time) => self.print_time(reference, time),
            Value::Blob(bytes) => BASE64_STANDARD.encode(bytes),
            value => panic!("{value:?} is no single value"),
        }
    }

    /// Writes a request.
    pub(super) fn write(&mut self, name: &str, operation: &'a Json, parameters: &Value, virtual_host: bool) -> Request {
        let host = format!("{}.us-east-1.amazonaws.com", self.model.metadata["endpointPrefix"].as_str().unwrap_or(""));
        let builder = http::Request::builder().header(header::HOST, &host);
        let target = self.model.metadata["targetPrefix"].as_str().unwrap_or("");
        let input = operation.get("input").map(|input| self.model.shape(input));
        let fields = fields(parameters);
        let (builder, body) = match self.protocol {
            Protocol::Json => {
                let body = input.map(|shape| self.json_structure(shape, fields)).unwrap_or_else(|| json!({}));
                let builder = builder.method(Method::POST).uri("/").header("x-amz-target", format!("{target}.{name}"));
                (builder.header(header::CONTENT_TYPE, "application/x-amz-json-1.1"), body.to_string().into_bytes())
            }
            Protocol::Cbor => {
                let body = input.map(|shape| self.cbor_structure(shape, fields)).unwrap_or(Cbor::Map(Vec::new()));
                let mut bytes = Vec::new();
                ciborium::into_writer(&body, &mut bytes).expect("memory");
                let uri = format!("/service/{target}/operation/{name}");
                let builder = builder.method(Method::POST).uri(uri).header("smithy-protocol", "rpc-v2-cbor");
                (builder.header(header::CONTENT_TYPE, "application/cbor"), bytes)
            }
            Protocol::Query | Protocol::Ec2 => {
                let version = self.model.metadata["apiVersion"].as_str().unwrap_or("");
                let mut form = vec![("Action".to_owned(), name.to_owned()), ("Version".to_owned(), version.to_owned())];
                if let Some(shape) = input {
                    self.form_structure(shape, fields, "", &mut form);
                }
                let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                let builder = builder.method(Method::POST).uri("/");
                (
                    builder.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8"),
                    body.into_bytes(),
                )
            }
            Protocol::RestJson | Protocol::RestXml => return self.rest(operation, input, fields, &host, virtual_host),
        };
        finish(builder, body)
    }

    fn rest(
        &mut self,
        operation: &'a Json,
        input: Option<&'a Json>,
        fields: &[Field],
        host: &str,
        virtual_host: bool,
    ) -> Request {
        let mut host = host.to_owned();
        let mut path = operation["http"]["requestUri"].as_str().unwrap_or("/").to_owned();
        let mut query: Vec<(String, String)> = Vec::new();
        let mut builder = http::Request::builder().method(operation["http"]["method"].as_str().unwrap_or("POST"));
        let mut in_body = Vec::new();
        let none = json!({});
        let shape = input.unwrap_or(&none);
        let reference_of = |name: &str| -> &'a Json { &input.expect("has members")["members"][name] };
        for field in fields {
            let reference = reference_of(&field.name);
            let name = self.model.text(reference, "locationName").unwrap_or(&field.name);
            match reference["location"].as_str() {
                Some("uri") => {
                    let text = self.scalar(reference, &field.value);
                    path = path.replace(&format!("{{{name}}}"), &encode(&text, false));
                    path = path.replace(&format!("{{{name}+}}"), &encode(&text, true));
                }
                Some("querystring") => match &field.value {
                    Value::List(values) => {
                        let element = &self.model.shape(reference)["member"];
                        query.extend(values.iter().map(|value| (name.to_owned(), self.scalar(element, value))));
                    }
                    Value::Map(entries) => {
                        let element = &self.model.shape(reference)["value"];
                        for (key, value) in entries {
                            match value {
                                Value::List(values) => {
                                    let inner = &self.model.shape(element)["member"];
                                    query.extend(values.iter().map(|value| (key.clone(), self.scalar(inner, value))));
                                }
                                value => query.push((key.clone(), self.scalar(element, value))),
                            }
                        }
                    }
                    value => query.push((name.to_owned(), self.scalar(reference, value))),
                },
                Some("header") => builder = builder.header(name, self.header(reference, &field.value)),
                Some("headers") => {
                    let Value::Map(entries) = &field.value else { panic!("no map") };
                    for (key, value) in entries {
                        builder = builder.header(format!("{name}{key}"), self.scalar(reference, value));
                    }
                }
                _ => in_body.push(field.clone()),
            }
        }
        // Names of hosts have few letters: the caller leaves the bucket out, and it is always the same.
        if virtual_host && let Some(rest) = path.strip_prefix("/{Bucket}") {
            host = format!("some.bucket-1.{host}");
            path = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        }
        if !query.is_empty() {
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish().replace('+', "%20");
            path = format!("{path}{}{text}", if path.contains('?') { '&' } else { '?' });
        }
        let payload = shape["payload"].as_str();
        let body = match payload {
            Some(payload) => {
                let reference = reference_of(payload);
                let found = in_body.iter().find(|field| *field.name == *payload);
                match found.map(|field| &field.value) {
                    None if self.model.is_stream(reference) || self.model.shape(reference)["type"] == "blob" => {
                        b"\0raw <bytes> {".to_vec()
                    }
                    None => Vec::new(),
                    Some(value) => self.payload(reference, payload, value),
                }
            }
            None if in_body.is_empty() => Vec::new(),
            None if self.protocol == Protocol::RestXml => {
                let name = operation["input"]["locationName"].as_str().unwrap_or("Request");
                let mut xml = format!("<{name} xmlns=\"http://example.com/doc/\">");
                self.xml_members(shape, &in_body, &mut xml);
                xml.push_str(&format!("</{name}>"));
                xml.into_bytes()
            }
            None => self.json_structure(input.expect("has members"), &in_body).to_string().into_bytes(),
        };
        finish(builder.uri(path).header(header::HOST, host), body)
    }

    /// Makes up the output of an operation.
    pub(super) fn output(&mut self, operation: &'a Json) -> Value {
        let Some(output) = operation.get("output") else { return Value::empty() };
        let shape = self.model.shape(output);
        let mut value = self.structure(shape, 0);
        if let Value::Structure(fields) = &mut value {
            let is_head = operation["http"]["method"] == "HEAD";
            let members = &shape["members"];
            let streams =
                members.as_object().is_some_and(|all| all.values().any(|member| self.model.is_stream(member)));
            // Beside a stream, or in the answer to HEAD, there is no body for members.
            fields.retain(|field| members[&*field.name].get("location").is_some() || !(is_head || streams));
            // The status is what the service answers with, whether the model was diced to have it or not.
            fields.retain(|field| members[&*field.name]["location"] != "statusCode");
            let status =
                members.as_object().into_iter().flatten().find(|(_, member)| member["location"] == "statusCode");
            if let (Some((name, _)), true) = (status, self.is_rest()) {
                let value = Value::Number(status_of(operation).into());
                fields.push(Field { name: name.as_str().into(), value, sensitive: false });
            }
        }
        value
    }

    fn is_rest(&self) -> bool {
        matches!(self.protocol, Protocol::RestJson | Protocol::RestXml)
    }

    /// Writes the answer that a service gives with an output.
    pub(super) fn answer(&self, name: &str, operation: &'a Json, output: &Value) -> Response {
        let none = json!({});
        let shape = operation.get("output").map_or(&none, |output| self.model.shape(output));
        let mut builder = http::Response::builder().status(status_of(operation));
        let mut in_body = Vec::new();
        for field in fields(output) {
            let reference = self.reference(operation, &field.name);
            let name = self.model.text(reference, "locationName").unwrap_or(&field.name);
            match reference["location"].as_str().filter(|_| self.is_rest()) {
                Some("header") => builder = builder.header(name, self.header(reference, &field.value)),
                Some("headers") => {
                    let Value::Map(entries) = &field.value else { panic!("no map") };
                    for (key, value) in entries {
                        builder = builder.header(format!("{name}{key}"), self.scalar(reference, value));
                    }
                }
                Some(_) => (),
                None => in_body.push(field.clone()),
            }
        }
        let body = match (self.protocol, shape["payload"].as_str()) {
            (Protocol::RestJson | Protocol::RestXml, Some(payload)) => match in_body.first() {
                None => Vec::new(),
                Some(field) => self.payload(self.reference(operation, payload), payload, &field.value),
            },
            (Protocol::Json | Protocol::RestJson, _) => match operation.get("output") {
                Some(output) => self.json_structure(self.model.shape(output), &in_body).to_string().into_bytes(),
                None => Vec::new(),
            },
            (Protocol::Cbor, _) => {
                let mut bytes = Vec::new();
                if let Some(output) = operation.get("output") {
                    let cbor = self.cbor_structure(self.model.shape(output), &in_body);
                    ciborium::into_writer(&cbor, &mut bytes).expect("memory");
                }
                bytes
            }
            (Protocol::RestXml, _) if in_body.is_empty() => Vec::new(),
            (Protocol::Query | Protocol::Ec2 | Protocol::RestXml, _) => {
                let mut members = String::new();
                if let Some(output) = operation.get("output") {
                    self.xml_members(self.model.shape(output), &in_body, &mut members);
                }
                let members = match operation["output"]["resultWrapper"].as_str() {
                    Some(wrapper) => format!("<{wrapper}>{members}</{wrapper}>"),
                    None => members,
                };
                let id = "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>";
                let beside = if self.protocol == Protocol::Query { id } else { "" };
                format!("<{name}Response xmlns=\"http://x/\">{members}{beside}</{name}Response>").into_bytes()
            }
        };
        let (head, ()) = builder.body(()).expect("a response").into_parts();
        Response { head, body: Body::of(body) }
    }

    /// A member of an operation's output.
    fn reference(&self, operation: &'a Json, name: &str) -> &'a Json {
        &self.model.shape(&operation["output"])["members"][name]
    }

    /// The payload of a REST body.
    fn payload(&self, reference: &'a Json, name: &str, value: &Value) -> Vec<u8> {
        match (value, self.protocol) {
            (Value::Text(text), _) => text.clone().into_bytes(),
            (value, Protocol::RestXml) => {
                let name = self.model.text(reference, "locationName").unwrap_or(name);
                let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
                self.xml_value(reference, name, value, &mut xml);
                xml.into_bytes()
            }
            (value, _) => self.json_value(reference, value).to_string().into_bytes(),
        }
    }

    /// A header's value.
    fn header(&self, reference: &'a Json, value: &Value) -> String {
        match value {
            Value::List(values) => {
                let element = &self.model.shape(reference)["member"];
                let parts = values.iter().map(|value| quoted(&self.scalar(element, value)));
                parts.collect::<Vec<_>>().join(",")
            }
            value if reference["jsonvalue"] == true => BASE64_STANDARD.encode(self.scalar(reference, value)),
            value => self.scalar(reference, value),
        }
    }

    fn json_structure(&self, shape: &'a Json, fields: &[Field]) -> Json {
        let mut object = Map::new();
        for field in fields {
            let reference = &shape["members"][&*field.name];
            let name = self.model.text(reference, "locationName").unwrap_or(&field.name);
            object.insert(name.to_owned(), self.json_value(reference, &field.value));
        }
        // Something that the model does not know.
        object.insert("~unknown".into(), json!({ "a": [1, { "b": null }] }));
        Json::Object(object)
    }

    fn json_value(&self, reference: &'a Json, value: &Value) -> Json {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => self.json_structure(shape, fields),
            Value::List(values) => values.iter().map(|value| self.json_value(&shape["member"], value)).collect(),
            Value::Map(entries) => {
                let entry = |(key, value): &(String, Value)| (key.clone(), self.json_value(&shape["value"], value));
                Json::Object(entries.iter().map(entry).collect())
            }
            Value::Document(json) => json.clone(),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Bool(value) => Json::Bool(*value),
            Value::Time(time) if self.format_of(reference) == "unixTimestamp" => seconds(time),
            value => Json::String(self.scalar(reference, value)),
        }
    }

    fn cbor_structure(&self, shape: &'a Json, fields: &[Field]) -> Cbor {
        let entry = |field: &Field| {
            let value = self.cbor_value(&shape["members"][&*field.name], &field.value);
            (Cbor::Text(field.name.to_string()), value)
        };
        let unknown = (Cbor::Text("~unknown".into()), Cbor::Array(vec![Cbor::Null, Cbor::Tag(9, Box::new(1.into()))]));
        Cbor::Map(std::iter::once(unknown).chain(fields.iter().map(entry)).collect())
    }

    fn cbor_value(&self, reference: &'a Json, value: &Value) -> Cbor {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => self.cbor_structure(shape, fields),
            Value::List(values) => {
                Cbor::Array(values.iter().map(|value| self.cbor_value(&shape["member"], value)).collect())
            }
            Value::Map(entries) => {
                let entry =
                    |(key, value): &(String, Value)| (Cbor::Text(key.clone()), self.cbor_value(&shape["value"], value));
                Cbor::Map(entries.iter().map(entry).collect())
            }
            Value::Bool(value) => Cbor::Bool(*value),
            Value::Blob(bytes) => Cbor::Bytes(bytes.to_vec()),
            Value::Time(time) => Cbor::Tag(1, Box::new(Cbor::Float(time.as_millisecond() as f64 / 1000.0))),
            Value::Number(number) => match number.as_i64() {
                Some(number) => Cbor::Integer(number.into()),
                None => Cbor::Float(number.as_f64().expect("a float")),
            },
            Value::Document(json) => Cbor::serialized(json).expect("a document"),
            value => Cbor::Text(self.scalar(reference, value)),
        }
    }

    fn form_structure(&self, shape: &'a Json, fields: &[Field], prefix: &str, form: &mut Vec<(String, String)>) {
        for field in fields {
            let reference = &shape["members"][&*field.name];
            let name = self.model.text(reference, "locationName");
            let name = match (self.protocol, self.model.text(reference, "queryName")) {
                (Protocol::Ec2, Some(query)) => query.to_owned(),
                (Protocol::Ec2, None) => name.map_or_else(|| field.name.to_string(), capital),
                (_, _) => name.unwrap_or(&field.name).to_owned(),
            };
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            self.form_value(reference, &field.value, &path, form);
        }
    }

    fn form_value(&self, reference: &'a Json, value: &Value, path: &str, form: &mut Vec<(String, String)>) {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => self.form_structure(shape, fields, path, form),
            Value::List(values) => {
                let element = &shape["member"];
                let named = self.model.text(element, "locationName");
                let path = match (self.protocol, self.model.flag(reference, "flattened")) {
                    (Protocol::Ec2, _) => path.to_owned(),
                    (_, true) => match (named, path.rsplit_once('.')) {
                        (Some(named), Some((before, _))) => format!("{before}.{named}"),
                        (Some(named), None) => named.to_owned(),
                        (None, _) => path.to_owned(),
                    },
                    (_, false) => format!("{path}.{}", named.unwrap_or("member")),
                };
                for (at, value) in values.iter().enumerate() {
                    self.form_value(element, value, &format!("{path}.{}", at + 1), form);
                }
            }
            Value::Map(entries) => {
                let path = match self.model.flag(reference, "flattened") {
                    true => path.to_owned(),
                    false => format!("{path}.entry"),
                };
                let key = self.model.text(&shape["key"], "locationName").unwrap_or("key");
                let of = self.model.text(&shape["value"], "locationName").unwrap_or("value");
                for (at, (name, value)) in entries.iter().enumerate() {
                    form.push((format!("{path}.{}.{key}", at + 1), name.clone()));
                    self.form_value(&shape["value"], value, &format!("{path}.{}.{of}", at + 1), form);
                }
            }
            value => form.push((path.to_owned(), self.scalar(reference, value))),
        }
    }

    fn xml_members(&self, shape: &'a Json, fields: &[Field], xml: &mut String) {
        for field in fields {
            let reference = &shape["members"][&*field.name];
            if reference["xmlAttribute"] == true {
                continue;
            }
            let name = self.model.text(reference, "locationName").unwrap_or(&field.name);
            self.xml_value(reference, name, &field.value, xml);
        }
    }

    fn xml_value(&self, reference: &'a Json, name: &str, value: &Value, xml: &mut String) {
        let shape = self.model.shape(reference);
        match value {
            Value::Structure(fields) => {
                xml.push_str(&format!("<{name}"));
                for field in fields {
                    let member = &shape["members"][&*field.name];
                    if member["xmlAttribute"] == true {
                        let name = self.model.text(member, "locationName").unwrap_or(&field.name);
                        let text = escape(&self.scalar(member, &field.value));
                        xml.push_str(&format!(
                            " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" {name}=\"{text}\""
                        ));
                    }
                }
                xml.push('>');
                self.xml_members(shape, fields, xml);
                xml.push_str(&format!("</{name}>"));
            }
            Value::List(values) => {
                let element = &shape["member"];
                let named = self.model.text(element, "locationName");
                if self.model.flag(reference, "flattened") {
                    for value in values {
                        self.xml_value(element, name, value, xml);
                    }
                    return;
                }
                xml.push_str(&format!("<{name}>"));
                for value in values {
                    self.xml_value(element, named.unwrap_or("member"), value, xml);
                }
                xml.push_str(&format!("</{name}>"));
            }
            Value::Map(entries) => {
                let flattened = self.model.flag(reference, "flattened");
                let (open, close) = if flattened {
                    (String::new(), String::new())
                } else {
                    (format!("<{name}>"), format!("</{name}>"))
                };
                let entry = if flattened { name } else { "entry" };
                xml.push_str(&open);
                for (key, value) in entries {
                    let named = self.model.text(&shape["key"], "locationName").unwrap_or("key");
                    xml.push_str(&format!("<{entry}><{named}>{}</{named}>", escape(key)));
                    self.xml_value(
                        &shape["value"],
                        self.model.text(&shape["value"], "locationName").unwrap_or("value"),
                        value,
                        xml,
                    );
                    xml.push_str(&format!("</{entry}>"));
                }
                xml.push_str(&close);
            }
            value => xml.push_str(&format!("<{name}>{}</{name}>", escape(&self.scalar(reference, value)))),
        }
    }
}

/// The status that an operation's model says, else 200.
fn status_of(operation: &Json) -> u16 {
    operation["http"]["responseCode"].as_u64().map_or(200, |status| status as u16)
}

fn fields(value: &Value) -> &[Field] {
    match value {
        Value::Structure(fields) => fields,
        _ => &[],
    }
}

fn finish(builder: http::request::Builder, body: Vec<u8>) -> Request {
    let (head, ()) = builder.body(()).expect("a request").into_parts();
    Request { head, body: Body::of(body) }
}

fn seconds(time: &Timestamp) -> Json {
    let milliseconds = time.as_millisecond();
    match milliseconds % 1000 {
        0 => json!(milliseconds / 1000),
        _ => json!(milliseconds as f64 / 1000.0),
    }
}

fn encode(text: &str, greedy: bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            b'/' if greedy => "/".to_owned(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn quoted(text: &str) -> String {
    match text.contains(['"', ',']) {
        true => format!("\"{}\"", text.replace('"', "\\\"")),
        false => text.to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn capital(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}
