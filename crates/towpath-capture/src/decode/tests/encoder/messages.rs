//! Requests and answers: where each member stands, and the head around a body.

use http::{Method, header};

use super::*;

impl<'a> Client<'a> {
    /// Writes a request.
    pub(in crate::decode::tests) fn write(
        &mut self,
        name: &str,
        operation: &'a Json,
        parameters: &Value,
        virtual_host: bool,
    ) -> Request {
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
    pub(in crate::decode::tests) fn output(&mut self, operation: &'a Json) -> Value {
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
    pub(in crate::decode::tests) fn answer(&self, name: &str, operation: &'a Json, output: &Value) -> Response {
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
}
