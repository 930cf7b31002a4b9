//! Walking a document along a path.

use std::borrow::Cow;

use super::compare::{Number, compare, truth};
use super::{Found, JsonPath, Method, Node, Subscript, Test};
use crate::functions::json_text::{Kind, elements, kind, member, members, quote, scalar, unquoted};

/// How many items one step may find.
const MAX_ITEMS: usize = 1_000_000;

/// How deep `..` goes.
const MAX_DESCENT: usize = 128;

type Items<'a> = Vec<Cow<'a, str>>;
type Outcome<'a> = Result<Items<'a>, &'static str>;

const NO_OBJECT: &str = "the path asks something else than an object for a member";
const NO_MEMBER: &str = "the path asks an object for a member that it has not";
const NO_ARRAY: &str = "the path asks something else than an array for an element";
const NO_ELEMENT: &str = "the path asks an array for an element that it has not";
const NO_VARIABLE: &str = "the path names a variable that was not passed";
const NO_NUMBER: &str = "the path counts with something else than a number";
const TOO_MANY: &str = "the path finds too many items";

/// A path on its way through one document.
pub(super) struct Finder<'p, 'a> {
    path: &'p JsonPath,
    document: &'a str,
    variables: &'p [(String, Option<String>)],
}

/// What `@` and `last` mean.
#[derive(Clone, Copy, Default)]
struct Place<'x> {
    current: Option<&'x str>,
    last: Option<usize>,
}

impl<'p, 'a> Finder<'p, 'a> {
    pub(super) fn new(path: &'p JsonPath, document: &'a str, variables: &'p [(String, Option<String>)]) -> Self {
        Self { path, document, variables }
    }

    pub(super) fn find(&self) -> Found<'a> {
        match self.items(&self.path.root, Place::default()) {
            Ok(items) => Found::Items(items),
            Err(why) => Found::Failed(why),
        }
    }

    fn lax(&self) -> bool {
        !self.path.strict
    }

    fn items(&self, node: &Node, place: Place<'_>) -> Outcome<'a> {
        let found = match node {
            Node::Document => vec![Cow::Borrowed(self.document.trim())],
            Node::Current => vec![Cow::Owned(place.current.ok_or("the path has @ outside of a condition")?.to_owned())],
            Node::Variable(name) => vec![Cow::Owned(self.variable(name)?)],
            Node::Literal(json) => vec![Cow::Owned(json.clone())],
            Node::Last => {
                let last = place.last.ok_or("the path has last outside of a subscript")?;
                vec![Cow::Owned(last.to_string())]
            }
            Node::Member(inner, name) => self.members(self.items(inner, place)?, name.as_deref())?,
            Node::Descendant(inner, name) => {
                let mut found = Vec::new();
                for item in self.items(inner, place)? {
                    descend(item, name, 0, &mut found)?;
                }
                found
            }
            Node::Element(inner, None) => {
                let mut all = Vec::new();
                for item in self.items(inner, place)? {
                    match kind(&item) {
                        Some(Kind::Array) => all.extend(elements_of(item)),
                        _ if self.lax() => all.push(item),
                        _ => return Err(NO_ARRAY),
                    }
                }
                all
            }
            Node::Element(inner, Some(subscripts)) => self.elements(self.items(inner, place)?, subscripts, place)?,
            Node::Filter(inner, test) => {
                let mut chosen = Vec::new();
                for item in self.unwrapped(self.items(inner, place)?) {
                    if self.holds(test, Place { current: Some(&item), last: None })? == Some(true) {
                        chosen.push(item);
                    }
                }
                chosen
            }
            Node::Method(inner, method) => self.method(self.items(inner, place)?, *method)?,
            Node::Negated(inner) => {
                let mut negated = Vec::new();
                for item in self.unwrapped(self.items(inner, place)?) {
                    negated.push(Cow::Owned(Number::read(&item).and_then(Number::negated).ok_or(NO_NUMBER)?.json()));
                }
                negated
            }
            Node::Arithmetic(left, operator, right) => {
                let operand = |node: &Node| {
                    let items = self.unwrapped(self.items(node, place)?);
                    let [item] = items.as_slice() else { return Err(NO_NUMBER) };
                    Number::read(item).ok_or(NO_NUMBER)
                };
                let result = operand(left)?.calculated(*operator, operand(right)?);
                vec![Cow::Owned(result.ok_or("the path's arithmetic has no result")?.json())]
            }
        };
        if found.len() > MAX_ITEMS { Err(TOO_MANY) } else { Ok(found) }
    }

    fn variable(&self, name: &str) -> Result<String, &'static str> {
        let found = self.variables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = found.ok_or(NO_VARIABLE)?;
        Ok(value.clone().unwrap_or_else(|| "null".to_owned()))
    }

    /// In lax mode arrays stand for their elements.
    fn unwrapped(&self, items: Items<'a>) -> Items<'a> {
        if !self.lax() || !items.iter().any(|item| kind(item) == Some(Kind::Array)) {
            return items;
        }
        let spread = |item: Cow<'a, str>| match kind(&item) {
            Some(Kind::Array) => elements_of(item),
            _ => vec![item],
        };
        items.into_iter().flat_map(spread).collect()
    }

    fn members(&self, items: Items<'a>, name: Option<&str>) -> Outcome<'a> {
        let mut found = Vec::new();
        for item in self.unwrapped(items) {
            if kind(&item) != Some(Kind::Object) {
                if self.lax() {
                    continue;
                }
                return Err(NO_OBJECT);
            }
            let Some(name) = name else {
                found.extend(members_of(item).into_iter().map(|(_, value)| value));
                continue;
            };
            match member_of(item, name) {
                Some(value) => found.push(value),
                None if self.lax() => {}
                None => return Err(NO_MEMBER),
            }
        }
        Ok(found)
    }

    fn elements(&self, items: Items<'a>, subscripts: &[Subscript], place: Place<'_>) -> Outcome<'a> {
        let mut found = Vec::new();
        for item in items {
            let all = match kind(&item) {
                Some(Kind::Array) => elements_of(item),
                _ if self.lax() => vec![item],
                _ => return Err(NO_ARRAY),
            };
            let place = Place { last: Some(all.len().saturating_sub(1)), ..place };
            for subscript in subscripts {
                let from = self.index(&subscript.from, place)?;
                let to = subscript.to.as_ref().map_or(Ok(from), |to| self.index(to, place))?;
                let length = i64::try_from(all.len()).map_err(|_| TOO_MANY)?;
                if self.path.strict && (from < 0 || to >= length || from > to) {
                    return Err(NO_ELEMENT);
                }
                let chosen = from.max(0)..=to.min(length - 1);
                found.extend(chosen.filter_map(|at| all.get(usize::try_from(at).ok()?).cloned()));
                if found.len() > MAX_ITEMS {
                    return Err(TOO_MANY);
                }
            }
        }
        Ok(found)
    }

    fn index(&self, node: &Node, place: Place<'_>) -> Result<i64, &'static str> {
        let items = self.items(node, place)?;
        let [item] = items.as_slice() else { return Err(NO_NUMBER) };
        Number::read(item).and_then(Number::whole).ok_or(NO_NUMBER)
    }

    fn method(&self, items: Items<'a>, method: Method) -> Outcome<'a> {
        let items = if matches!(method, Method::Type | Method::Size) { items } else { self.unwrapped(items) };
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let number = || Number::read(&item).ok_or(NO_NUMBER);
            results.push(Cow::Owned(match method {
                Method::Type => quote(match kind(&item) {
                    Some(Kind::Boolean) => "boolean",
                    Some(Kind::Number) => "number",
                    Some(Kind::Text) => "string",
                    Some(Kind::Array) => "array",
                    Some(Kind::Object) => "object",
                    Some(Kind::Null) | None => "null",
                }),
                Method::Size => match elements(&item) {
                    Some(all) => all.len().to_string(),
                    None if self.lax() => "1".to_owned(),
                    None => return Err(NO_ARRAY),
                },
                Method::Double => {
                    let text = scalar(Cow::Borrowed(&item)).ok_or(NO_NUMBER)?;
                    let double = text.trim().parse::<f64>().ok().filter(|double| double.is_finite());
                    Number::Double(double.ok_or(NO_NUMBER)?).json()
                }
                Method::Ceiling => number()?.rounded(f64::ceil).json(),
                Method::Floor => number()?.rounded(f64::floor).json(),
                Method::Abs => number()?.absolute().ok_or(NO_NUMBER)?.json(),
                Method::KeyValue => {
                    if kind(&item) != Some(Kind::Object) {
                        return Err(NO_OBJECT);
                    }
                    for (id, (name, value)) in members_of(item.clone()).into_iter().enumerate() {
                        let name = quote(&name);
                        results.push(Cow::Owned(format!("{{\"name\":{name},\"value\":{value},\"id\":{id}}}")));
                    }
                    continue;
                }
            }));
        }
        Ok(results)
    }

    /// The answer of a condition; structural errors in its operands make it unknown.
    fn holds(&self, test: &Test, place: Place<'_>) -> Result<Option<bool>, &'static str> {
        Ok(match test {
            Test::Not(inner) => self.holds(inner, place)?.map(|holds| !holds),
            Test::IsUnknown(inner) => Some(self.holds(inner, place)?.is_none()),
            Test::And(left, right) => match (self.holds(left, place)?, self.holds(right, place)?) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Test::Or(left, right) => match (self.holds(left, place)?, self.holds(right, place)?) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Test::Exists(node) => self.operand(node, place)?.map(|items| !items.is_empty()),
            Test::Compare(left, operator, right) => {
                self.pairs(left, right, place, |left, right| compare(left, *operator, right))?
            }
            Test::StartsWith(left, right) => self.pairs(left, right, place, |whole, start| {
                let text =
                    |raw: &str| (kind(raw) == Some(Kind::Text)).then(|| unquoted(Cow::Borrowed(raw)).into_owned());
                Some(text(whole)?.starts_with(&text(start)?))
            })?,
            Test::LikeRegex(node, pattern) => {
                let Some(items) = self.operand(node, place)? else { return Ok(None) };
                let answers = items.iter().map(|item| {
                    let text = (kind(item) == Some(Kind::Text)).then(|| unquoted(Cow::Borrowed(item)));
                    text.map(|text| pattern.0.is_match(&text))
                });
                truth(answers)
            }
        })
    }

    /// The items of an operand; none after a structural error. That a variable is missing is no such error.
    fn operand(&self, node: &Node, place: Place<'_>) -> Result<Option<Items<'a>>, &'static str> {
        match self.items(node, place) {
            Ok(items) => Ok(Some(self.unwrapped(items))),
            Err(why @ (NO_VARIABLE | TOO_MANY)) => Err(why),
            Err(_) => Ok(None),
        }
    }

    fn pairs(
        &self,
        left: &Node,
        right: &Node,
        place: Place<'_>,
        answer: impl Fn(&str, &str) -> Option<bool>,
    ) -> Result<Option<bool>, &'static str> {
        let (Some(left), Some(right)) = (self.operand(left, place)?, self.operand(right, place)?) else {
            return Ok(None);
        };
        if left.len().saturating_mul(right.len()) > MAX_ITEMS {
            return Err(TOO_MANY);
        }
        Ok(truth(left.iter().flat_map(|left| right.iter().map(|right| answer(left, right)))))
    }
}

fn elements_of(item: Cow<'_, str>) -> Vec<Cow<'_, str>> {
    match item {
        Cow::Borrowed(raw) => elements(raw).unwrap_or_default(),
        Cow::Owned(raw) => owned(elements(&raw).unwrap_or_default()),
    }
}

fn member_of<'a>(item: Cow<'a, str>, name: &str) -> Option<Cow<'a, str>> {
    match item {
        Cow::Borrowed(raw) => member(raw, name),
        Cow::Owned(raw) => member(&raw, name).map(|value| Cow::Owned(value.into_owned())),
    }
}

fn members_of(item: Cow<'_, str>) -> Vec<(String, Cow<'_, str>)> {
    match item {
        Cow::Borrowed(raw) => members(raw).unwrap_or_default(),
        Cow::Owned(raw) => {
            let found = members(&raw).unwrap_or_default().into_iter();
            found.map(|(name, value)| (name, Cow::Owned(value.into_owned()))).collect()
        }
    }
}

fn owned<'a>(items: Vec<Cow<'_, str>>) -> Vec<Cow<'a, str>> {
    items.into_iter().map(|item| Cow::Owned(item.into_owned())).collect()
}

/// All members of a name, in the order of the document.
fn descend<'a>(item: Cow<'a, str>, name: &str, depth: usize, found: &mut Items<'a>) -> Result<(), &'static str> {
    if depth > MAX_DESCENT || found.len() > MAX_ITEMS {
        return Err(TOO_MANY);
    }
    match kind(&item) {
        Some(Kind::Object) => {
            for (member, value) in members_of(item) {
                if member == name {
                    found.push(value.clone());
                }
                descend(value, name, depth + 1, found)?;
            }
        }
        Some(Kind::Array) => {
            for value in elements_of(item) {
                descend(value, name, depth + 1, found)?;
            }
        }
        _ => {}
    }
    Ok(())
}
