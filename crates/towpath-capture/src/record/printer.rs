//! From decoded values to the text of requestParameters and responseElements.
//!
//! Members of structures get the names of records, keys of maps stay; what the rules hide is replaced, what they drop and
//! blobs are left out, and every value that is not printed is remembered, so that it can be kept out of messages too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
        self.put(name, quoted(text));
    }

    /// Takes a member away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// The whole, as a record takes it: none if there are no members.
    pub(crate) fn parameters(&self) -> Parameters {
        let members: Vec<String> = self.0.iter().map(|(name, json)| format!("{}:{json}", quoted(name))).collect();
        Parameters::of_printed(format!("{{{}}}", members.join(",")))
    }
}

/// A way through the rules: what is done with members and what they are called.
#[derive(Clone)]
struct Way<'a> {
    actions: Walk<'a>,
    renames: Walk<'a>,
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
        self.members(value, &way, 0, &mut |name, json| members.push((name.to_owned(), json)));
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

    /// Prints the members of a structure or map, each of them to `put`.
    fn members(&mut self, value: &Value, way: &Way<'_>, depth: usize, put: &mut dyn FnMut(&str, String)) {
        match value {
            Value::Structure(fields) => {
                for Field { name, value, sensitive } in fields {
                    let (action, renamed, way) = way.step_named(name);
                    let Some(json) = self.member(value, action, *sensitive, &way, depth) else { continue };
                    match renamed {
                        Some(renamed) => put(renamed, json),
                        None if self.keeps_names => put(name, json),
                        None => put(&record_name(name), json),
                    }
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    let (action, renamed, way) = way.step_named(key);
                    if let Some(json) = self.member(value, action, false, &way, depth) {
                        put(renamed.unwrap_or(key), json);
                    }
                }
            }
            _ => {}
        }
    }

    fn member(
        &mut self,
        value: &Value,
        action: Option<&Action>,
        sensitive: bool,
        way: &Way<'_>,
        depth: usize,
    ) -> Option<String> {
        if matches!(value, Value::Null) {
            return None;
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
                None
            }
            Some(Action::Replace(text)) => Some(self.hidden(value, text)),
            Some(Action::Hash) => {
                self.remember(value);
                Some(quoted(&format!("sha256:{:x}", Sha256::digest(hashed(value)))))
            }
            Some(Action::Show) | None => self.value(value, matches!(action, Some(Action::Show)), way, depth),
        }
    }

    fn hidden(&mut self, value: &Value, text: &str) -> String {
        self.remember(value);
        quoted(text)
    }

    fn value(&mut self, value: &Value, shown: bool, way: &Way<'_>, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            self.remember(value);
            return None;
        }
        let text = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => quoted(text),
            Value::Time(time) => times::printed(*time, self.rules.times.unwrap_or(self.times)),
            Value::Blob(bytes) if shown => quoted(&STANDARD.encode(bytes)),
            Value::Blob(_) => return None,
            Value::Document(json) => self.document(json, way, depth)?,
            Value::List(items) => {
                let printed: Vec<String> =
                    items.iter().filter_map(|item| self.value(item, shown, way, depth + 1)).collect();
                if printed.is_empty() && self.rules.leave_out_empty {
                    return None;
                }
                format!("[{}]", printed.join(","))
            }
            Value::Structure(_) | Value::Map(_) => {
                let mut text = String::from("{");
                self.members(value, way, depth + 1, &mut |name, json| {
                    if text.len() > 1 {
                        text.push(',');
                    }
                    text.push_str(&quoted(name));
                    text.push(':');
                    text.push_str(&json);
                });
                text.push('}');
                if text == "{}" && self.rules.leave_out_empty {
                    return None;
                }
                text
            }
        };
        Some(text)
    }

    /// A free document: its keys stay, and rules that hold anywhere hold in it.
    fn document(&mut self, json: &Json, way: &Way<'_>, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        let text = match json {
            Json::Object(members) => {
                let mut text = String::from("{");
                for (key, value) in members {
                    let (action, _, way) = way.step_named(key);
                    let Some(json) = self.member(&Value::Document(value.clone()), action, false, &way, depth + 1)
                    else {
                        continue;
                    };
                    if text.len() > 1 {
                        text.push(',');
                    }
                    text.push_str(&quoted(key));
                    text.push(':');
                    text.push_str(&json);
                }
                text.push('}');
                text
            }
            Json::Array(items) => {
                let items: Vec<String> = items.iter().filter_map(|item| self.document(item, way, depth + 1)).collect();
                format!("[{}]", items.join(","))
            }
            scalar => scalar.to_string(),
        };
        Some(text)
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

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always written")
}

#[cfg(test)]
mod tests;
