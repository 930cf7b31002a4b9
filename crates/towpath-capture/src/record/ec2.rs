//! Amazon EC2's own form of parameters.
//!
//! Operations of its first years print lists as sets: `"instancesSet":{"items":[{"instanceId":".."}]}`, the lists that a
//! caller did not send as empty ones. Newer operations print what was sent under the request's name, with `tag` for the number of
//! a list's element: `{"DeleteFlowLogsRequest":{"FlowLogId":{"tag":1,"content":"fl-.."}}}`. Answers have the names of the XML.

use std::sync::Arc;

use towpath_admit::record_name;

use crate::model::{Kind, Member, OperationModel, ServiceModel, ShapeId};
use crate::profile::Profile;
use crate::{Field, Value};

/// The lists that hold an image's launch in the first set of RunInstances.
const LAUNCHED: [&str; 4] = ["ImageId", "MinCount", "MaxCount", "KeyName"];
/// The members of RunInstances' placement that stand beside the others.
const PLACED: [&str; 2] = ["availabilityZone", "tenancy"];
/// The namespace that answers are in.
const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// requestParameters of a call; names are final.
pub(crate) fn request(model: &ServiceModel, operation: &OperationModel, profile: &Profile, decoded: &Value) -> Value {
    let Some(shape) = operation.input else { return Value::empty() };
    let name = &*operation.name;
    if !profile.is_classic(name) {
        let sent = as_sent(model, shape, decoded);
        let sent = if matches!(&sent, Value::Structure(fields) if fields.is_empty()) { text("") } else { sent };
        return Value::Structure(vec![field(&format!("{name}Request"), sent, false)]);
    }
    let sets = Sets { model, profile, operation: name };
    let Value::Structure(mut fields) = sets.structure(shape, decoded) else { return Value::empty() };
    if name == "RunInstances" {
        launch(&mut fields);
    }
    for member in model.members(shape) {
        // Lists that were not sent are printed as empty, those of filters and of names to describe.
        let set = profile.set(name, &member.name).filter(|_| name.starts_with("Describe"));
        if let Some((set, _)) = set
            && matches!(model.shape(member.shape).kind, Kind::List { .. })
            && !fields.iter().any(|field| *field.name == *set)
        {
            fields.push(field(set, Value::empty(), false));
        }
    }
    Value::Structure(fields)
}

/// responseElements of a call; names are final.
pub(crate) fn response(
    model: &ServiceModel,
    operation: &OperationModel,
    profile: &Profile,
    decoded: &Value,
    request_id: Option<&str>,
) -> Value {
    let mut fields = Vec::new();
    let classic = profile.is_classic(&operation.name);
    if !classic {
        fields.push(field("xmlns", text(NAMESPACE), false));
    }
    fields.extend(request_id.map(|id| field("requestId", text(id), false)));
    let answered = operation.output.map(|shape| as_answered(model, shape, decoded, classic));
    match answered {
        Some(Value::Structure(members)) if !members.is_empty() => fields.extend(members),
        _ => fields.push(field("_return", Value::Bool(true), false)),
    }
    let fields = Value::Structure(fields);
    if classic { fields } else { Value::Structure(vec![field(&format!("{}Response", operation.name), fields, false)]) }
}

fn field(name: &str, value: Value, sensitive: bool) -> Field {
    Field { name: Arc::from(name), value, sensitive }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Lists as sets.
struct Sets<'a> {
    model: &'a ServiceModel,
    profile: &'a Profile,
    operation: &'a str,
}

impl Sets<'_> {
    fn structure(&self, shape: ShapeId, value: &Value) -> Value {
        let Value::Structure(fields) = value else { return value.clone() };
        let members = self.model.members(shape);
        let printed = fields.iter().filter_map(|sent| {
            let member = members.iter().find(|member| member.name == sent.name)?;
            let (name, value) = self.member(member, &sent.value);
            Some(field(&name, value, sent.sensitive))
        });
        Value::Structure(printed.collect())
    }

    fn member(&self, member: &Member, value: &Value) -> (String, Value) {
        match (&self.model.shape(member.shape).kind, value) {
            (Kind::List { element }, Value::List(items)) => {
                let known = self.profile.set(self.operation, &member.name);
                let (name, item_name) = match known {
                    Some((name, item)) => (name.to_owned(), item),
                    None => (format!("{}Set", record_name(&member.wire)), None),
                };
                let items = items.iter().map(|item| match item {
                    Value::Structure(_) => self.structure(element.shape, item),
                    scalar => {
                        let name = item_name.map_or_else(|| record_name(&member.wire).into_owned(), str::to_owned);
                        Value::Structure(vec![field(&name, scalar.clone(), false)])
                    }
                });
                (name, items_of(items.collect()))
            }
            (Kind::Structure(_), value) => {
                let inner = self.structure(member.shape, value);
                // A value that stands in a structure of its own (`{"value": true}`) is printed without it.
                (record_name(&member.name).into_owned(), unwrapped(inner))
            }
            _ => (record_name(&member.name).into_owned(), value.clone()),
        }
    }
}

fn unwrapped(value: Value) -> Value {
    match value {
        Value::Structure(mut fields) if fields.len() == 1 && &*fields[0].name == "value" => match fields.pop() {
            Some(field) if field.sensitive => Value::Structure(vec![field]),
            Some(field) => field.value,
            None => Value::empty(),
        },
        other => other,
    }
}

fn items_of(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::empty() } else { Value::Structure(vec![field("items", Value::List(items), false)]) }
}

/// Puts image, counts and key of RunInstances into a set of their own, before the rest, and its zone and tenancy beside it.
fn launch(fields: &mut Vec<Field>) {
    let launched = |field: &Field| LAUNCHED.iter().any(|name| *record_name(name) == *field.name);
    let (first, rest): (Vec<_>, Vec<_>) = std::mem::take(fields).into_iter().partition(launched);
    fields.push(field("instancesSet", items_of(vec![Value::Structure(first)]), false));
    for other in rest {
        match other.value {
            Value::Structure(placement) if &*other.name == "placement" => {
                let (placed, more): (Vec<_>, Vec<_>) =
                    placement.into_iter().partition(|field| PLACED.contains(&&*field.name));
                fields.extend(placed);
                if !more.is_empty() {
                    fields.push(field("placement", Value::Structure(more), false));
                }
            }
            value => fields.push(Field { value, ..other }),
        }
    }
}

/// What was sent, under the names of the form's fields.
fn as_sent(model: &ServiceModel, shape: ShapeId, value: &Value) -> Value {
    let Value::Structure(fields) = value else { return value.clone() };
    let members = model.members(shape);
    let mut printed = Vec::new();
    for sent in fields {
        let Some(member) = members.iter().find(|member| member.name == sent.name) else { continue };
        let name = match &member.query_name {
            Some(name) => name.to_string(),
            None => capital(&member.wire),
        };
        let value = match (&model.shape(member.shape).kind, &sent.value) {
            (Kind::List { element }, Value::List(items)) => {
                let mut tagged: Vec<Value> = (1u64..)
                    .zip(items)
                    .map(|(tag, item)| {
                        let tag = field("tag", Value::Number(tag.into()), false);
                        match as_sent(model, element.shape, item) {
                            Value::Structure(mut fields) => {
                                fields.push(tag);
                                Value::Structure(fields)
                            }
                            scalar => Value::Structure(vec![tag, field("content", scalar, false)]),
                        }
                    })
                    .collect();
                match tagged.len() {
                    1 => tagged.remove(0),
                    _ => Value::List(tagged),
                }
            }
            (Kind::Structure(_), value) => as_sent(model, member.shape, value),
            (_, value) => value.clone(),
        };
        printed.push(field(&name, value, sent.sensitive));
    }
    Value::Structure(printed)
}

/// What was answered, under the names of the XML.
fn as_answered(model: &ServiceModel, shape: ShapeId, value: &Value, classic: bool) -> Value {
    match (&model.shape(shape).kind, value) {
        (Kind::Structure(structure), Value::Structure(fields)) => {
            let printed = fields.iter().filter_map(|sent| {
                let member = structure.members.iter().find(|member| member.name == sent.name)?;
                let name = if &*member.wire == "return" { "_return" } else { &*member.wire };
                Some(field(name, as_answered(model, member.shape, &sent.value, classic), sent.sensitive))
            });
            Value::Structure(printed.collect())
        }
        (Kind::List { element }, Value::List(items)) => {
            let mut items: Vec<Value> =
                items.iter().map(|item| as_answered(model, element.shape, item, classic)).collect();
            match (classic, items.len()) {
                (true, _) => items_of(items),
                (false, 0) => text(""),
                (false, 1) => Value::Structure(vec![field("item", items.remove(0), false)]),
                (false, _) => Value::Structure(vec![field("item", Value::List(items), false)]),
            }
        }
        _ => value.clone(),
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
