//! JSON as text: values are slices of their document, read only as far as a question needs.

use std::borrow::Cow;
use std::cell::RefCell;

use sonic_rs::{LazyValue, PointerNode, to_array_iter, to_object_iter};

/// How deep a document may nest before it is refused.
const MAX_DEPTH: usize = 128;

/// How many compiled paths a thread keeps.
const KEPT: usize = 64;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// `.name` or `["name"]`; the number is there if the name is one, and then also finds an array element.
    Member(String, Option<usize>),
    /// `[0]`.
    Index(usize),
    /// `[*]` or `.*`.
    All,
}

/// A compiled JSON path, `$.requestParameters.tagSet.items[0].key`.
///
/// The subset that Trino's `json_extract` knows: members, quoted members, subscripts. Unquoted member names may hold the
/// characters `: $ - / @ | #` besides letters, digits and the underscore. `[*]` is understood as well.
pub(crate) struct Path {
    steps: Vec<Step>,
    /// The same for the parser, if every step says whether it means a member or an element.
    pointer: Option<Vec<PointerNode>>,
}

fn plain(c: char) -> bool {
    c.is_alphanumeric() || "_:$-/@|#".contains(c)
}

impl Path {
    /// Compiles a path.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid JSON path: '{text}'");
        let trimmed = text.trim();
        let trimmed =
            trimmed.strip_prefix("lax ").or_else(|| trimmed.strip_prefix("strict ")).unwrap_or(trimmed).trim_start();
        let mut rest = trimmed.strip_prefix('$').ok_or_else(wrong)?;
        let mut steps = vec![];
        while !rest.is_empty() {
            let name;
            if let Some(after) = rest.strip_prefix('.') {
                if let Some(after) = after.strip_prefix('*') {
                    steps.push(Step::All);
                    rest = after;
                    continue;
                }
                if after.starts_with('"') {
                    (name, rest) = quoted(after).ok_or_else(wrong)?;
                    steps.push(Step::Member(name, None));
                    continue;
                }
                let end = after.find(|c| !plain(c)).unwrap_or(after.len());
                name = after[..end].to_owned();
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix('[') {
                if after.starts_with(['"', '\'']) {
                    let (quoted, after) = quoted(after).ok_or_else(wrong)?;
                    rest = after.strip_prefix(']').ok_or_else(wrong)?;
                    steps.push(Step::Member(quoted, None));
                    continue;
                }
                let (inside, after) = after.split_once(']').ok_or_else(wrong)?;
                rest = after;
                if inside == "*" {
                    steps.push(Step::All);
                    continue;
                }
                if let Ok(index) = inside.parse() {
                    steps.push(Step::Index(index));
                    continue;
                }
                if !inside.chars().all(plain) {
                    return Err(wrong());
                }
                name = inside.to_owned();
            } else {
                return Err(wrong());
            }
            if name.is_empty() {
                return Err(wrong());
            }
            let number = name.parse().ok();
            steps.push(Step::Member(name, number));
        }
        let pointer = steps
            .iter()
            .map(|step| match step {
                Step::Member(name, None) => Some(PointerNode::Key(name.clone().into())),
                Step::Index(index) => Some(PointerNode::Index(*index)),
                _ => None,
            })
            .collect();
        Ok(Self { steps, pointer })
    }

    /// Finds the value in `document`, as raw text of a well-formed value.
    pub(crate) fn find<'a>(&self, document: &'a str) -> Option<Cow<'a, str>> {
        if let Some(pointer) = &self.pointer {
            return sonic_rs::get(document, pointer).ok().map(|value| value.as_raw_cow());
        }
        self.walk(Cow::Borrowed(document), 0)
    }

    fn walk<'a>(&self, value: Cow<'a, str>, at: usize) -> Option<Cow<'a, str>> {
        let Some(step) = self.steps.get(at) else {
            return sonic_rs::get(value.as_ref(), PATH_TO_SELF)
                .ok()
                .map(|found| Cow::Owned(found.as_raw_str().to_owned()));
        };
        match step {
            Step::Member(name, number) => {
                let node = match number {
                    Some(index) if value.trim_start().starts_with('[') => PointerNode::Index(*index),
                    _ => PointerNode::Key(name.as_str().to_owned().into()),
                };
                self.step(&value, node, at)
            }
            Step::Index(index) => self.step(&value, PointerNode::Index(*index), at),
            Step::All => {
                let items: Vec<String> = if value.trim_start().starts_with('[') {
                    to_array_iter(value.as_ref()).map_while(Result::ok).map(|v| v.as_raw_str().to_owned()).collect()
                } else {
                    to_object_iter(value.as_ref())
                        .map_while(Result::ok)
                        .map(|(_, v)| v.as_raw_str().to_owned())
                        .collect()
                };
                let found: Vec<_> = items.iter().filter_map(|item| self.walk(Cow::Borrowed(item), at + 1)).collect();
                Some(Cow::Owned(format!("[{}]", found.join(","))))
            }
        }
    }
}

impl Path {
    fn step<'a>(&self, value: &str, node: PointerNode, at: usize) -> Option<Cow<'a, str>> {
        let found = sonic_rs::get(value, [node]).ok()?.as_raw_str().to_owned();
        self.walk(Cow::Owned(found), at + 1).map(|found| Cow::Owned(found.into_owned()))
    }
}

/// The path that leads nowhere.
const PATH_TO_SELF: [PointerNode; 0] = [];

/// Reads a quoted name with backslash escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next()?;
    let mut name = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            c if c == quote => return Some((name, &text[at + 1..])),
            c => name.push(c),
        }
    }
    None
}

thread_local! {
    static COMPILED: RefCell<Vec<(String, Path)>> = const { RefCell::new(Vec::new()) };
}

/// Finds the value at `path`; a path with a wildcard finds an array.
pub(crate) fn find<'a>(document: &'a str, path: &str) -> Result<Option<Cow<'a, str>>, String> {
    with_path(path, |path| path.find(document))
}

/// Finds all values at `path`: several if it has a wildcard.
pub(crate) fn find_items<'a>(document: &'a str, path: &str) -> Result<Vec<Cow<'a, str>>, String> {
    with_path(path, |path| match path.find(document) {
        None => vec![],
        Some(found) if path.steps.contains(&Step::All) => {
            elements(&found).unwrap_or_default().into_iter().map(|item| Cow::Owned(item.into_owned())).collect()
        }
        Some(found) => vec![found],
    })
}

/// Runs `f` with the compiled form of `path`, which is compiled once per thread and not once per row.
fn with_path<T>(path: &str, f: impl FnOnce(&Path) -> T) -> Result<T, String> {
    COMPILED.with_borrow_mut(|kept| {
        let at = match kept.iter().position(|(text, _)| text == path) {
            Some(at) => at,
            None => {
                let compiled = Path::parse(path)?;
                if kept.len() == KEPT {
                    kept.remove(0);
                }
                kept.push((path.to_owned(), compiled));
                kept.len() - 1
            }
        };
        Ok(f(&kept[at].1))
    })
}

/// The kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

/// Tells the kind of a raw value by its first character.
pub(crate) fn kind(raw: &str) -> Option<Kind> {
    Some(match raw.trim_start().bytes().next()? {
        b'n' => Kind::Null,
        b't' | b'f' => Kind::Boolean,
        b'"' => Kind::Text,
        b'[' => Kind::Array,
        b'{' => Kind::Object,
        b'-' | b'0'..=b'9' => Kind::Number,
        _ => return None,
    })
}

/// Returns the text of a scalar: the content of a string, the token of a number or boolean. `None` for null, arrays and
/// objects.
pub(crate) fn scalar(raw: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match kind(&raw)? {
        Kind::Text => Some(unquoted(raw)),
        Kind::Number | Kind::Boolean => Some(match raw {
            Cow::Borrowed(raw) => raw.trim().into(),
            Cow::Owned(raw) => raw.trim().to_owned().into(),
        }),
        _ => None,
    }
}

/// Returns the content of a JSON string.
pub(crate) fn unquoted(raw: Cow<'_, str>) -> Cow<'_, str> {
    if raw.contains('\\') {
        return serde_json::from_str::<String>(&raw).map_or(raw, Cow::Owned);
    }
    match raw {
        Cow::Borrowed(raw) => raw.trim().trim_matches('"').into(),
        Cow::Owned(raw) => raw.trim().trim_matches('"').to_owned().into(),
    }
}

/// Writes a JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// Drops blanks between tokens.
pub(crate) fn compact(raw: Cow<'_, str>) -> Cow<'_, str> {
    if !raw.bytes().any(|b| b.is_ascii_whitespace()) {
        return raw;
    }
    let mut out = String::with_capacity(raw.len());
    let (mut inside, mut escaped) = (false, false);
    for c in raw.chars() {
        if inside {
            (inside, escaped) = (escaped || c != '"', !escaped && c == '\\');
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            inside = c == '"';
        }
        out.push(c);
    }
    Cow::Owned(out)
}

/// Checks a document and writes it without blanks and with the members of objects in order, as `json_parse` does.
pub(crate) fn canonical(document: &str) -> Result<String, String> {
    let wrong = || "cannot convert the text to JSON".to_owned();
    if !is_valid(document) {
        return Err(wrong());
    }
    let mut out = String::with_capacity(document.len());
    write_sorted(document.trim(), 0, &mut out).ok_or_else(wrong)?;
    Ok(out)
}

fn write_sorted(raw: &str, depth: usize, out: &mut String) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match kind(raw)? {
        Kind::Object => {
            let mut members: Vec<(Cow<'_, str>, LazyValue<'_>)> = to_object_iter(raw).collect::<Result<_, _>>().ok()?;
            members.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&quote(name));
                out.push(':');
                write_sorted(value.as_raw_str(), depth + 1, out)?;
            }
            out.push('}');
        }
        Kind::Array => {
            out.push('[');
            for (i, value) in to_array_iter(raw).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_sorted(value.ok()?.as_raw_str(), depth + 1, out)?;
            }
            out.push(']');
        }
        _ => out.push_str(raw.trim()),
    }
    Some(())
}

/// Returns the elements of an array, raw, or `None` if the value is no array.
pub(crate) fn elements(raw: &str) -> Option<Vec<Cow<'_, str>>> {
    if kind(raw)? != Kind::Array {
        return None;
    }
    to_array_iter(raw).map(|value| value.ok().map(|v| v.as_raw_cow())).collect()
}

/// Returns a member of an object, raw; of a name that comes twice the first.
pub(crate) fn member<'a>(raw: &'a str, name: &str) -> Option<Cow<'a, str>> {
    sonic_rs::get(raw, [PointerNode::Key(name.to_owned().into())]).ok().map(|value| value.as_raw_cow())
}

/// Returns the members of an object, raw, or `None` if the value is no object.
pub(crate) fn members(raw: &str) -> Option<Vec<(String, Cow<'_, str>)>> {
    if kind(raw)? != Kind::Object {
        return None;
    }
    to_object_iter(raw).map(|member| member.ok().map(|(name, value)| (name.into_owned(), value.as_raw_cow()))).collect()
}

/// Tells whether the text is one well-formed JSON value.
pub(crate) fn is_valid(document: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(document).is_ok()
}
