//! Templates of ARNs: text with places that members of the call fill.
//!
//! `{account}`, `{region}` and `{partition}` are the call's. `{request.FunctionName}` and `{response.Arn}` are members; a
//! path goes on through lists, and a last name of `@key` stands for the keys of a map. A place that leads to several values makes several
//! ARNs. What comes after a `|` changes or tests the value: `last:/` keeps what is after the last `/`; `begins:alias/`,
//! `has:/x` and `lacks:/x` let a value through only if it begins with a text, has it somewhere or nowhere. A value that is itself an ARN takes the place of the
//! whole template, as many services take a name or an ARN.

use std::borrow::Cow;

use towpath_model::{AccountId, Arn, Region};

use super::document::ResourceDocument;
use super::names::Pattern;
use crate::Value;

/// The most ARNs that one template makes of a call.
const MAX_ARNS: usize = 100;

/// What a call gives to templates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) request: &'a Value,
    pub(crate) response: &'a Value,
    pub(crate) account: AccountId,
    pub(crate) region: &'a Region,
}

/// A resource that the records of some operations name.
#[derive(Clone, Debug)]
pub(crate) struct ResourceRule {
    pub(crate) kind: Option<String>,
    /// False for resources whose account records leave out.
    pub(crate) account: bool,
    /// True if what is made is what ARNs begin with.
    pub(crate) prefix: bool,
    templates: Vec<Template>,
}

impl ResourceRule {
    /// The rule, if it holds for an operation.
    pub(super) fn of(document: &ResourceDocument, operation: &str) -> Option<Self> {
        if !document.operations.iter().any(|pattern: &Pattern| pattern.matches(operation)) {
            return None;
        }
        let (prefix, templates) = match (&document.arn, &document.arn_prefix) {
            (Some(templates), _) => (false, templates),
            (None, Some(templates)) => (true, templates),
            (None, None) => return None,
        };
        // Profiles are checked when they are read.
        let templates = templates.templates().ok()?;
        Some(Self { kind: document.r#type.clone(), account: document.account, prefix, templates })
    }

    /// True if members of the answer may be in the ARNs.
    pub(crate) fn reads_answer(&self) -> bool {
        self.templates.iter().any(Template::reads_answer)
    }

    /// The ARNs that it makes of a call: those of the first template that makes any.
    pub(crate) fn arns(&self, facts: &Facts<'_>) -> Vec<String> {
        let mut arns = self.templates.iter().map(|template| template.fill(facts, self.prefix));
        arns.find(|arns| !arns.is_empty()).unwrap_or_default()
    }
}

/// A template of an ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Account,
    Region,
    Partition,
    Member { of_request: bool, path: Vec<String>, filters: Vec<Filter> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Last(String),
    Begins(String),
    Has(String),
    Lacks(String),
}

impl Template {
    /// Reads the template of an ARN; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let template = Self::of_text(text)?;
        if !template.0.iter().any(|piece| matches!(piece, Piece::Member { .. })) {
            return Err(format!("{text:?}: nothing of the call is in it"));
        }
        Ok(template)
    }

    /// Reads a template of a text that may be no ARN.
    pub(super) fn of_text(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{text:?}: {what}");
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').ok_or_else(|| wrong("a place is not closed"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Self::place(place).ok_or_else(|| wrong(&format!("{place:?} is no place that can be filled")))?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    fn place(text: &str) -> Option<Piece> {
        match text {
            "account" => return Some(Piece::Account),
            "region" => return Some(Piece::Region),
            "partition" => return Some(Piece::Partition),
            _ => {}
        }
        let mut parts = text.split('|');
        let (side, path) = parts.next()?.split_once('.')?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        let filters = parts.map(|filter| match filter.split_once(':')? {
            ("last", text) => Some(Filter::Last(text.to_owned())),
            ("begins", text) => Some(Filter::Begins(text.to_owned())),
            ("has", text) => Some(Filter::Has(text.to_owned())),
            ("lacks", text) => Some(Filter::Lacks(text.to_owned())),
            _ => None,
        });
        let filters = filters.collect::<Option<Vec<_>>>()?;
        let of_request = match side {
            "request" => true,
            "response" => false,
            _ => return None,
        };
        (!path.iter().any(String::is_empty)).then_some(Piece::Member { of_request, path, filters })
    }

    /// The text with the first value of each place; `None` if one of them has none.
    pub(super) fn text(&self, facts: &Facts<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            text.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Account => facts.account.as_str(),
                Piece::Region => facts.region.as_str(),
                Piece::Partition => partition(facts.region),
                Piece::Member { of_request, path, filters } => {
                    let mut found = Vec::new();
                    find(if *of_request { facts.request } else { facts.response }, path, &mut found);
                    found.into_iter().find_map(|value| filtered(value, filters))?
                }
            });
        }
        Some(text)
    }

    fn reads_answer(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Member { of_request: false, .. }))
    }

    fn fill(&self, facts: &Facts<'_>, prefix: bool) -> Vec<String> {
        let mut made: Vec<String> = vec![String::new()];
        for piece in &self.0 {
            let values: Vec<Cow<'_, str>> = match piece {
                Piece::Text(text) => vec![text.into()],
                Piece::Account => vec![facts.account.as_str().into()],
                Piece::Region => vec![facts.region.as_str().into()],
                Piece::Partition => vec![partition(facts.region).into()],
                Piece::Member { of_request, path, filters } => {
                    let side = if *of_request { facts.request } else { facts.response };
                    let mut found = Vec::new();
                    find(side, path, &mut found);
                    let kept = found.into_iter().filter_map(|value| filtered(value, filters));
                    let values: Vec<&str> = kept.filter(|value| !value.is_empty()).take(MAX_ARNS).collect();
                    if values.iter().any(|value| value.starts_with("arn:")) && !prefix {
                        let whole = values.into_iter().filter(|value| value.parse::<Arn>().is_ok());
                        return whole.map(str::to_owned).collect();
                    }
                    values.into_iter().map(Cow::Borrowed).collect()
                }
            };
            made = made
                .iter()
                .flat_map(|before| values.iter().map(move |value| format!("{before}{value}")))
                .take(MAX_ARNS)
                .collect();
        }
        made.retain(|arn| prefix || arn.parse::<Arn>().is_ok());
        let mut distinct = Vec::with_capacity(made.len());
        for arn in made {
            if !distinct.contains(&arn) {
                distinct.push(arn);
            }
        }
        distinct
    }
}

/// The texts that a path leads to.
fn find<'a>(value: &'a Value, path: &[String], found: &mut Vec<&'a str>) {
    if found.len() >= MAX_ARNS {
        return;
    }
    let Some((name, rest)) = path.split_first() else {
        match value {
            Value::Text(text) => found.push(text),
            Value::List(items) => items.iter().for_each(|item| find(item, path, found)),
            _ => {}
        }
        return;
    };
    match value {
        Value::Structure(fields) => {
            let members = fields.iter().filter(|field| name == "*" || *field.name == **name);
            members.for_each(|field| find(&field.value, rest, found));
        }
        Value::Map(entries) if name == "@key" => found.extend(entries.iter().map(|(key, _)| key.as_str())),
        Value::Map(entries) => {
            let entries = entries.iter().filter(|(key, _)| name == "*" || key == name);
            entries.for_each(|(_, value)| find(value, rest, found));
        }
        Value::List(items) => items.iter().for_each(|item| find(item, path, found)),
        _ => {}
    }
}

fn filtered<'a>(value: &'a str, filters: &[Filter]) -> Option<&'a str> {
    filters.iter().try_fold(value, |value, filter| match filter {
        Filter::Last(separator) => value.rsplit(separator.as_str()).next(),
        Filter::Begins(text) => value.starts_with(text.as_str()).then_some(value),
        Filter::Has(text) => value.contains(text.as_str()).then_some(value),
        Filter::Lacks(text) => (!value.contains(text.as_str())).then_some(value),
    })
}

fn partition(region: &Region) -> &'static str {
    let region = region.as_str();
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Field;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn structure(fields: Vec<(&str, Value)>) -> Value {
        let field = |(name, value): (&str, Value)| Field { name: Arc::from(name), value, sensitive: false };
        Value::Structure(fields.into_iter().map(field).collect())
    }

    fn arns(template: &str, request: &Value) -> Vec<String> {
        let region = "eu-west-1".parse().unwrap();
        let account = "123456789012".parse().unwrap();
        let facts = Facts { request, response: &Value::empty(), account, region: &region };
        Template::parse(template).unwrap().fill(&facts, false)
    }

    #[test]
    fn a_name_becomes_an_arn_and_an_arn_stays_what_it_is() {
        let template = "arn:{partition}:lambda:{region}:{account}:function:{request.FunctionName}";
        let named = structure(vec![("FunctionName", text("f"))]);
        assert_eq!(arns(template, &named), ["arn:aws:lambda:eu-west-1:123456789012:function:f"]);
        let whole = structure(vec![("FunctionName", text("arn:aws:lambda:us-east-1:1:function:g"))]);
        assert_eq!(arns(template, &whole), ["arn:aws:lambda:us-east-1:1:function:g"]);
        assert_eq!(arns(template, &Value::empty()), [""; 0]);
    }

    #[test]
    fn lists_and_keys_of_maps_make_several_arns() {
        let tables = Value::Map(vec![("a".to_owned(), Value::Null), ("b".to_owned(), Value::Null)]);
        let item = |name: &str| structure(vec![("Put", structure(vec![("TableName", text(name))]))]);
        let request = structure(vec![
            ("RequestItems", tables),
            ("TransactItems", Value::List(vec![item("x"), item("y"), item("x")])),
        ]);
        assert_eq!(arns("arn:aws:d:::{request.RequestItems.@key}", &request), ["arn:aws:d:::a", "arn:aws:d:::b"]);
        let template = "arn:aws:d:::{request.TransactItems.*.TableName}";
        assert_eq!(arns(template, &request), ["arn:aws:d:::x", "arn:aws:d:::y"]);
    }

    #[test]
    fn a_value_can_be_cut_and_tested() {
        let request = structure(vec![("Url", text("https://h/1/name")), ("Key", text("alias/k"))]);
        assert_eq!(arns("arn:aws:sqs:::{request.Url|last:/}", &request), ["arn:aws:sqs:::name"]);
        assert_eq!(arns("arn:aws:kms:::{request.Key|begins:alias/}", &request), ["arn:aws:kms:::alias/k"]);
        assert_eq!(arns("arn:aws:kms:::key/{request.Key|lacks:/}", &request), [""; 0]);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["", "arn:aws:s3:::b", "{", "{x}", "{request}", "{request.}", "{request.A|x:1}", "{other.A}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
