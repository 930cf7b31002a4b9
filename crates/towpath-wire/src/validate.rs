//! Validation: a decoded body is held against the service model before anything else sees it.
//!
//! A value of the wrong type ends the walk: the request cannot be read. Broken constraints are collected, so that a
//! caller learns of several at once. Unknown members are left alone, null counts as absent.

use serde_json::{Map, Value};

use crate::limits::MAX_VIOLATIONS;
use crate::scalar::{Blob, Timestamp};
use crate::shape::{Kind, Member, Shape};
use crate::violation::{Constraint, Violation, echo};

/// A value of a type that its member cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongType {
    pub(crate) path: String,
    pub(crate) found: &'static str,
    pub(crate) wanted: &'static str,
}

/// Checks `input` against the structure `shape`. Whole numbers written with a fraction are made whole in place.
pub(crate) fn validate(shape: &'static Shape, input: &mut Map<String, Value>) -> Result<Vec<Violation>, WrongType> {
    let mut walk = Walk { path: String::new(), member: "", violations: Vec::new() };
    for member in shape.members() {
        walk.member = member.name;
        walk.member(member, input)?;
        if walk.is_full() {
            break;
        }
    }
    Ok(walk.violations)
}

struct Walk {
    path: String,
    member: &'static str,
    violations: Vec<Violation>,
}

impl Walk {
    fn is_full(&self) -> bool {
        self.violations.len() >= MAX_VIOLATIONS
    }

    fn broken(&mut self, shape: &'static Shape, value: Option<String>, constraint: Constraint) {
        if !self.is_full() {
            let path = self.path.clone();
            self.violations.push(Violation { path, member: self.member, shape: shape.name, value, constraint });
        }
    }

    fn wrong<T>(&self, found: &Value, wanted: &'static str) -> Result<T, WrongType> {
        Err(WrongType { path: self.path.clone(), found: type_name(found), wanted })
    }

    /// Runs `step` with `part` added to the path.
    fn at<T>(&mut self, part: &str, step: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(part);
        let result = step(self);
        self.path.truncate(length);
        result
    }

    fn member(&mut self, member: &'static Member, structure: &mut Map<String, Value>) -> Result<(), WrongType> {
        self.at(&lower_first(member.name), |walk| match structure.get_mut(member.name) {
            Some(value) if !value.is_null() => walk.value(member.shape, value),
            _ => {
                if member.required {
                    walk.broken(member.shape, None, Constraint::NotNull);
                }
                Ok(())
            }
        })
    }

    fn value(&mut self, shape: &'static Shape, value: &mut Value) -> Result<(), WrongType> {
        match &shape.kind {
            Kind::String { min, max, pattern, values } => {
                let Value::String(text) = value else { return self.wrong(value, "a String") };
                self.length(shape, *min, *max, || length_between(text, *min, *max), || echo(text));
                if !values.is_empty() && !values.contains(&text.as_str()) {
                    self.broken(shape, Some(echo(text)), Constraint::Enum(values));
                }
                if let Some(pattern) = pattern
                    && !pattern.matches(text)
                {
                    self.broken(shape, Some(echo(text)), Constraint::Pattern(pattern.source()));
                }
                Ok(())
            }
            Kind::Integer { min, max } => match whole(value).filter(|n| i32::try_from(*n).is_ok()) {
                Some(number) => {
                    self.range(shape, value, number, *min, *max);
                    Ok(())
                }
                None => self.wrong(value, "an Integer"),
            },
            Kind::Long { min, max } => match whole(value) {
                Some(number) => {
                    self.range(shape, value, number, *min, *max);
                    Ok(())
                }
                None => self.wrong(value, "a Long"),
            },
            Kind::Float if !value.is_number() => self.wrong(value, "a Double"),
            Kind::Boolean if !value.is_boolean() => self.wrong(value, "a Boolean"),
            Kind::Timestamp if serde::Deserialize::deserialize(&*value).map(|_: Timestamp| ()).is_err() => {
                self.wrong(value, "a timestamp")
            }
            Kind::Blob if serde::Deserialize::deserialize(&*value).map(|_: Blob| ()).is_err() => {
                self.wrong(value, "base64")
            }
            Kind::Float | Kind::Boolean | Kind::Timestamp | Kind::Blob => Ok(()),
            Kind::List { min, max, member } => {
                let Value::Array(items) = value else { return self.wrong(value, "a list") };
                self.length(shape, *min, *max, || between(items.len(), *min, *max), || echo_json(items));
                // A list over its length is refused already: looking at more items than it may have adds nothing.
                for (index, item) in items.iter_mut().enumerate().take(max.unwrap_or(usize::MAX)) {
                    if self.is_full() {
                        break;
                    }
                    self.at(&format!("{}.member", index + 1), |walk| walk.item(member, item))?;
                }
                Ok(())
            }
            Kind::Map { min, max, key, value: entry } => {
                let Value::Object(entries) = value else { return self.wrong(value, "a map") };
                self.length(shape, *min, *max, || between(entries.len(), *min, *max), || echo_json(entries));
                for (name, item) in entries.iter_mut().take(max.unwrap_or(usize::MAX)) {
                    if self.is_full() {
                        break;
                    }
                    let mut key_text = Value::from(name.as_str());
                    self.at(&format!("{}.key", echo(name)), |walk| walk.value(key, &mut key_text))?;
                    self.at(&format!("{}.value", echo(name)), |walk| walk.item(entry, item))?;
                }
                Ok(())
            }
            Kind::Structure(members) => {
                let Value::Object(structure) = value else { return self.wrong(value, "a structure") };
                for member in *members {
                    if self.is_full() {
                        break;
                    }
                    self.member(member, structure)?;
                }
                Ok(())
            }
        }
    }

    /// A list item or map value, where null is not allowed.
    fn item(&mut self, shape: &'static Shape, value: &mut Value) -> Result<(), WrongType> {
        if value.is_null() {
            self.broken(shape, None, Constraint::NotNull);
            return Ok(());
        }
        self.value(shape, value)
    }

    fn length(
        &mut self,
        shape: &'static Shape,
        min: Option<usize>,
        max: Option<usize>,
        compare: impl FnOnce() -> std::cmp::Ordering,
        echo: impl FnOnce() -> String,
    ) {
        let constraint = match (compare(), min, max) {
            (std::cmp::Ordering::Less, Some(min), _) => Constraint::MinLength(min),
            (std::cmp::Ordering::Greater, _, Some(max)) => Constraint::MaxLength(max),
            _ => return,
        };
        self.broken(shape, Some(echo()), constraint);
    }

    fn range(&mut self, shape: &'static Shape, value: &mut Value, number: i64, min: Option<i64>, max: Option<i64>) {
        *value = Value::from(number);
        if let Some(min) = min.filter(|min| number < *min) {
            self.broken(shape, Some(number.to_string()), Constraint::MinValue(min));
        }
        if let Some(max) = max.filter(|max| number > *max) {
            self.broken(shape, Some(number.to_string()), Constraint::MaxValue(max));
        }
    }
}

/// Where the length of a text lies, in characters; long texts are counted no further than needed.
fn length_between(text: &str, min: Option<usize>, max: Option<usize>) -> std::cmp::Ordering {
    let enough = max.or(min).unwrap_or(0).saturating_add(1);
    between(text.chars().take(enough).count(), min, max)
}

fn between(length: usize, min: Option<usize>, max: Option<usize>) -> std::cmp::Ordering {
    match (min, max) {
        (Some(min), _) if length < min => std::cmp::Ordering::Less,
        (_, Some(max)) if length > max => std::cmp::Ordering::Greater,
        _ => std::cmp::Ordering::Equal,
    }
}

/// The integer a JSON number stands for; `5.0` is one, `5.5` and `1e30` are not.
fn whole(value: &Value) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let number = value.as_f64().filter(|_| value.is_f64())?;
    // 2^53: up to here every whole number has exactly one representation.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "LIST_VALUE",
        Value::Object(_) => "STRUCTURE_VALUE",
    }
}

/// A list or map as a message repeats it.
fn echo_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).map(|text| echo(&text)).unwrap_or_default()
}

/// `EventDataStore` as AWS writes it in paths: `eventDataStore`.
fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
