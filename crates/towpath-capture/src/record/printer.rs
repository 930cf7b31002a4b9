//! From decoded values to the text of requestParameters and responseElements.
//!
//! Members of structures get the names of records, keys of maps stay; what the rules hide is replaced, what they drop and
//! blobs are left out, and every value that is not printed is remembered, so that it can be kept out of messages too.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use towpath_admit::{HIDDEN, Parameters, record_name};

use super::{Secrets, times};
use crate::profile::{Action, SensitiveMembers, SideRules, TimeForm, Walk};
use crate::{Field, Value};

/// The deepest value that is printed; decoders stop before.
const MAX_DEPTH: usize = 96;

/// Prints one side of a call.
#[derive(Debug)]
pub(crate) struct Printer<'a> {
    pub(crate) rules: &'a SideRules,
    pub(crate) sensitive: SensitiveMembers,
    /// How moments are printed where the profile does not say.
    pub(crate) times: TimeForm,
    /// True if members are printed with the names they have.
    pub(crate) keeps_names: bool,
    /// Where what is not printed is remembered; `None` if nobody will ask.
    pub(crate) secrets: Option<&'a mut Secrets>,
}

/// The members of one side, printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Printed(Vec<(String, String)>);

impl Printed {
    /// Adds a member at the end, in place of one with its name.
    pub(crate) fn put(&mut self, name: &str, json: String) {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), json));
    }

    /// Adds a text at the end.
    pub(crate) fn put_text(&mut self, name: &str, text: &str) {
        let mut json = Vec::new();
        quote(text, &mut json);
        self.put(name, written(json));
    }

    /// Adds a value at the end, with the names that it has.
    pub(crate) fn put_value(&mut self, name: &str, value: &Value) {
        let mut json = String::new();
        crate::json::write(value, &mut json);
        self.put(name, json);
    }

    /// Adds the note that CloudTrail has in place of parameters that are too large, beside what is known of them. `side` is
    /// what they are called in records, `bytes` how long they were.
    pub(crate) fn put_omitted(&mut self, side: &str, bytes: u64) {
        self.put("reason", format!("\"{side} too large\""));
        self.put("omitted", "true".to_owned());
        self.put("originalSize", bytes.to_string());
    }

    /// Takes a member away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// The whole, as a record takes it: none if there are no members.
    pub(crate) fn parameters(&self) -> Parameters {
        let length: usize = self.0.iter().map(|(name, json)| name.len() + json.len() + 8).sum();
        let mut text = Vec::with_capacity(length + 2);
        text.push(b'{');
        for (name, json) in &self.0 {
            if text.len() > 1 {
                text.push(b',');
            }
            quote(name, &mut text);
            text.push(b':');
            text.extend_from_slice(json.as_bytes());
        }
        text.push(b'}');
        Parameters::of_printed(written(text))
    }
}

/// A way through the rules: what is done with members and what they are called.
#[derive(Clone)]
struct Way<'a> {
    actions: Walk<'a>,
    renames: Walk<'a>,
}

/// A member of a structure, or an entry of a map.
struct Member<'v> {
    name: &'v str,
    value: &'v Value,
    sensitive: bool,
    /// True if the name is a caller's.
    is_key: bool,
}

impl<'v> Member<'v> {
    /// The members of a structure or map; anything else has none.
    fn all(value: &'v Value) -> impl Iterator<Item = Self> {
        let (fields, entries): (&[Field], &[(String, Value)]) = match value {
            Value::Structure(fields) => (fields, &[]),
            Value::Map(entries) => (&[], entries),
            _ => (&[], &[]),
        };
        let of_field = |field: &'v Field| {
            let Field { name, value, sensitive } = field;
            Self { name, value, sensitive: *sensitive, is_key: false }
        };
        let of_entry = |(name, value): &'v (String, Value)| Self { name, value, sensitive: false, is_key: true };
        fields.iter().map(of_field).chain(entries.iter().map(of_entry))
    }
}

impl<'a> Printer<'a> {
    /// Prints a structure, or a map whose keys are to stay as they are. Anything else has no members.
    pub(crate) fn print(&mut self, value: &Value) -> Printed {
        let mut way = Way { actions: self.rules.actions(), renames: self.rules.renames() };
        let mut value = value;
        // An answer that is one structure alone is printed without the name of it.
        if self.rules.unwrap
            && let Value::Structure(fields) = value
            && let [Field { name, value: inner @ Value::Structure(_), .. }] = &**fields
        {
            way = way.step(name).1;
            value = inner;
        }
        let mut members: Vec<(String, String)> = Vec::new();
        for member in Member::all(value) {
            let (action, renamed, way) = way.step_named(member.name);
            let mut json = Vec::new();
            if self.member(member.value, action, member.sensitive, &way, 0, &mut json) {
                members.push((self.name_of(&member, renamed).into_owned(), written(json)));
            }
        }
        if let Some(only) = &self.rules.only {
            members.retain(|(name, _)| {
                let kept = only.contains(name);
                kept || self.rules.add.iter().any(|(added, _)| added == name)
            });
        }
        for (name, value) in &self.rules.add {
            if !members.iter().any(|(other, _)| other == name) {
                members.push((name.clone(), value.to_string()));
            }
        }
        if !self.rules.order.is_empty() {
            members.sort_by_key(|(name, _)| self.rules.rank(name));
        }
        Printed(members)
    }

    /// What a member is called in a record.
    fn name_of<'n>(&self, member: &Member<'n>, renamed: Option<&'n str>) -> Cow<'n, str> {
        match renamed {
            Some(renamed) => Cow::Borrowed(renamed),
            None if member.is_key || self.keeps_names => Cow::Borrowed(member.name),
            None => record_name(member.name),
        }
    }

    /// Prints the members of a structure or map as an object.
    fn object(&mut self, value: &Value, way: &Way<'_>, depth: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let open = out.len();
        for member in Member::all(value) {
            let (action, renamed, way) = way.step_named(member.name);
            let before = out.len();
            if before > open {
                out.push(b',');
            }
            quote(&self.name_of(&member, renamed), out);
            out.push(b':');
            if !self.member(member.value, action, member.sensitive, &way, depth, out) {
                out.truncate(before);
            }
        }
        out.push(b'}');
    }

    /// Prints a member's value as the rules and the model want it. False, and nothing printed, if it is left out.
    fn member(
        &mut self,
        value: &Value,
        action: Option<&Action>,
        sensitive: bool,
        way: &Way<'_>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        if matches!(value, Value::Null) {
            return false;
        }
        let hide;
        let by_model = match self.sensitive {
            _ if !sensitive => None,
            SensitiveMembers::Show => None,
            SensitiveMembers::Drop => Some(&Action::Drop),
            // Blobs are left out anyway.
            SensitiveMembers::Hide if matches!(value, Value::Blob(_)) => Some(&Action::Drop),
            SensitiveMembers::Hide => {
                hide = Action::Replace(HIDDEN.into());
                Some(&hide)
            }
        };
        match action.or(by_model) {
            Some(Action::Drop) => {
                self.remember(value);
                false
            }
            Some(Action::Replace(text)) => {
                self.remember(value);
                quote(text, out);
                true
            }
            Some(Action::Hash) => {
                self.remember(value);
                quote(&format!("sha256:{:x}", Sha256::digest(hashed(value))), out);
                true
            }
            Some(Action::Show) | None => self.value(value, matches!(action, Some(Action::Show)), way, depth, out),
        }
    }

    /// Prints a value. False, and nothing printed, if it is left out.
    fn value(&mut self, value: &Value, shown: bool, way: &Way<'_>, depth: usize, out: &mut Vec<u8>) -> bool {
        if depth > MAX_DEPTH {
            self.remember(value);
            return false;
        }
        let before = out.len();
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(truth) => write_json(truth, out),
            Value::Number(number) => write_json(number, out),
            Value::Text(text) => quote(text, out),
            Value::Time(time) => {
                out.extend_from_slice(times::printed(*time, self.rules.times.unwrap_or(self.times)).as_bytes());
            }
            Value::Blob(bytes) if shown => quote(&STANDARD.encode(bytes), out),
            Value::Blob(_) => return false,
            Value::Document(json) => return self.document(json, way, depth, out),
            Value::List(items) => {
                out.push(b'[');
                self.items(items, out, |printer, item, out| printer.value(item, shown, way, depth + 1, out));
                out.push(b']');
            }
            Value::Structure(_) | Value::Map(_) => self.object(value, way, depth + 1, out),
        }
        if self.rules.leave_out_empty && matches!(out[before..], [b'[', b']'] | [b'{', b'}']) {
            out.truncate(before);
            return false;
        }
        true
    }

    /// A free document: its keys stay, and rules that hold anywhere hold in it.
    fn document(&mut self, json: &Json, way: &Way<'_>, depth: usize, out: &mut Vec<u8>) -> bool {
        if depth > MAX_DEPTH {
            if self.secrets.is_some() {
                self.remember(&Value::Document(json.clone()));
            }
            return false;
        }
        match json {
            Json::Object(members) => {
                out.push(b'{');
                let open = out.len();
                for (key, value) in members {
                    let (action, _, way) = way.step_named(key);
                    let before = out.len();
                    if before > open {
                        out.push(b',');
                    }
                    quote(key, out);
                    out.push(b':');
                    let printed = match action {
                        None => self.document(value, &way, depth + 1, out),
                        action => self.member(&Value::Document(value.clone()), action, false, &way, depth + 1, out),
                    };
                    if !printed {
                        out.truncate(before);
                    }
                }
                out.push(b'}');
            }
            Json::Array(items) => {
                out.push(b'[');
                self.items(items, out, |printer, item, out| printer.document(item, way, depth + 1, out));
                out.push(b']');
            }
            scalar => write_json(scalar, out),
        }
        true
    }

    /// Prints items with commas between those that are not left out.
    fn items<T>(&mut self, items: &[T], out: &mut Vec<u8>, mut print: impl FnMut(&mut Self, &T, &mut Vec<u8>) -> bool) {
        let open = out.len();
        for item in items {
            let before = out.len();
            if before > open {
                out.push(b',');
            }
            if !print(self, item, out) {
                out.truncate(before);
            }
        }
    }

    /// Remembers the texts in a value that is not printed.
    fn remember(&mut self, value: &Value) {
        if let Some(secrets) = &mut self.secrets {
            secrets.add_all(value);
        }
    }
}

impl<'a> Way<'a> {
    fn step(&self, name: &str) -> (Option<&'a Action>, Self) {
        let (action, actions) = self.actions.step(name);
        let (_, renames) = self.renames.step(name);
        (action, Self { actions, renames })
    }

    fn step_named(&self, name: &str) -> (Option<&'a Action>, Option<&'a str>, Self) {
        let (action, actions) = self.actions.step(name);
        let (renamed, renames) = self.renames.step(name);
        let renamed = match renamed {
            Some(Action::Replace(name)) => Some(&**name),
            _ => None,
        };
        (action, renamed, Self { actions, renames })
    }
}

/// What is hashed of a value: a text's bytes, a blob's bytes, else the way it would be written.
fn hashed(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.clone().into_bytes(),
        Value::Blob(bytes) => bytes.to_vec(),
        Value::Document(Json::String(text)) => text.clone().into_bytes(),
        other => format!("{other:?}").into_bytes(),
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    write_json(text, out);
}

fn write_json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts, numbers and truth values are always written into memory");
}

/// What was printed, as a text.
fn written(json: Vec<u8>) -> String {
    String::from_utf8(json).expect("JSON that was written from texts is a text")
}

#[cfg(test)]
mod tests;
