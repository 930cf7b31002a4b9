//! Requests and answers made up from a model: random members, written as clients and services write them.
//!
//! It shares nothing with the decoder: it works on the JSON of botocore's models and follows what SDKs do.

mod bodies;
mod messages;

use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::Value as Cbor;
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
