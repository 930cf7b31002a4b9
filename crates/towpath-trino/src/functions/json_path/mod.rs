//! The JSON path language of the SQL standard, for `json_value`, `json_query` and `json_exists`.
//!
//! ```text
//! lax $.resources[*].tags?(@.key == $wanted && @.value starts with "prod").value
//! ```
//!
//! In lax mode, the default, a member of an array is that member of each element, an element of something else is that
//! itself, and what is not there is nothing; in strict mode each of these is an error. Names may also be written as
//! [`super::json_text`] takes them: a path that this grammar refuses is tried as one of those.

use std::borrow::Cow;
use std::cell::RefCell;

use self::find::Finder;
use super::json_text;

mod compare;
mod find;
mod parse;

/// How many compiled paths a thread keeps.
const KEPT: usize = 64;

/// A compiled path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath {
    strict: bool,
    root: Node,
}

/// An expression that finds items.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// `$`.
    Document,
    /// `@`.
    Current,
    /// `$name`.
    Variable(String),
    /// A number, a text, `true`, `false` or `null`, as JSON.
    Literal(String),
    /// `.name`; `.*` without a name.
    Member(Box<Node>, Option<String>),
    /// `..name`.
    Descendant(Box<Node>, String),
    /// `[...]`; `[*]` without subscripts.
    Element(Box<Node>, Option<Vec<Subscript>>),
    /// `?(...)`.
    Filter(Box<Node>, Box<Test>),
    Method(Box<Node>, Method),
    Negated(Box<Node>),
    Arithmetic(Box<Node>, char, Box<Node>),
    /// `last`.
    Last,
}

#[derive(Clone, Debug, PartialEq)]
struct Subscript {
    from: Node,
    to: Option<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
    KeyValue,
}

/// A condition; its answer is true, false or unknown.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    Compare(Node, Comparison, Node),
    StartsWith(Node, Node),
    LikeRegex(Node, Pattern),
    Exists(Node),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    IsUnknown(Box<Test>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A compiled pattern of `like_regex`; two are equal if their texts are.
#[derive(Clone, Debug)]
struct Pattern(regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// What a path found in a document, each item as raw JSON.
pub(crate) enum Found<'a> {
    Items(Vec<Cow<'a, str>>),
    /// A structural error, which ON ERROR decides about.
    Failed(&'static str),
}

/// Finds the items at `path`. The document must be valid JSON; `variables` are those of PASSING, as JSON.
///
/// # Errors
/// If the path is none.
pub(crate) fn find<'a>(
    document: &'a str,
    path: &str,
    variables: &[(String, Option<String>)],
) -> Result<Found<'a>, String> {
    thread_local! {
        static COMPILED: RefCell<Vec<(String, Option<JsonPath>)>> = const { RefCell::new(Vec::new()) };
    }
    COMPILED.with_borrow_mut(|kept| {
        let at = match kept.iter().position(|(text, _)| text == path) {
            Some(at) => at,
            None => {
                let compiled = match JsonPath::parse(path) {
                    Ok(compiled) => Some(compiled),
                    // Is it one of the other grammar?
                    Err(message) => json_text::find_items("{}", path).map(|_| None).map_err(|_| message)?,
                };
                if kept.len() == KEPT {
                    kept.remove(0);
                }
                kept.push((path.to_owned(), compiled));
                kept.len() - 1
            }
        };
        match &kept[at].1 {
            Some(compiled) => Ok(Finder::new(compiled, document, variables).find()),
            None => {
                let items = json_text::find_items(document, path)?;
                let strict = path.trim_start().starts_with("strict");
                let nowhere = items.is_empty() && strict;
                Ok(if nowhere { Found::Failed("the path leads nowhere") } else { Found::Items(items) })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = r#"{"a": [{"b": 1, "c": "x"}, {"b": 2.5, "c": "xy"}, {"c": null}], "n": -7, "o": {"p": {"b": 9}}, "s": "text", "e": []}"#;

    fn items(path: &str) -> String {
        let variables = [("low".to_owned(), Some("2".to_owned())), ("word".to_owned(), Some("\"x\"".to_owned()))];
        match find(DOCUMENT, path, &variables) {
            Ok(Found::Items(items)) => items.join(" "),
            Ok(Found::Failed(why)) => format!("failed: {why}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn lax_paths_step_into_arrays_and_strict_ones_do_not() {
        for (path, found) in [
            ("$.a.b", "1 2.5"),
            ("lax $.a.c", "\"x\" \"xy\" null"),
            ("$.n[0]", "-7"),
            ("$.n[*]", "-7"),
            ("$.a[0].b", "1"),
            ("$.a[last].c", "null"),
            ("$.a[last - 1].b", "2.5"),
            ("$.a[0, 1].b", "1 2.5"),
            ("$.a[0 to 1].b", "1 2.5"),
            ("$.a[7]", ""),
            ("$.missing.b", ""),
            ("$.s.b", ""),
            ("$..b", "1 2.5 9"),
            ("$.o.*.b", "9"),
            ("$.\"o\".p", "{\"b\": 9}"),
            ("strict $.o.p.b", "9"),
            ("strict $.a.b", "failed: the path asks something else than an object for a member"),
            ("strict $.missing", "failed: the path asks an object for a member that it has not"),
            ("strict $.a[7]", "failed: the path asks an array for an element that it has not"),
            ("strict $.n[0]", "failed: the path asks something else than an array for an element"),
        ] {
            assert_eq!(items(path), found, "{path}");
        }
    }

    #[test]
    fn conditions_choose_items_and_know_variables() {
        for (path, found) in [
            ("$.a?(@.b > $low).c", "\"xy\""),
            ("$.a?(@.b >= 1 && @.c == \"x\").b", "1"),
            ("$.a?(@.b == 1 || @.c == \"xy\").b", "1 2.5"),
            ("$.a?(!(@.b == 1)).c", "\"xy\" null"),
            ("$.a?(exists(@.b)).c", "\"x\" \"xy\""),
            ("$.a?(@.c starts with $word).b", "1 2.5"),
            ("$.a?(@.c like_regex \"^X.$\" flag \"i\").b", "2.5"),
            ("$.a?(@.c == null).c", "null"),
            ("$.a?((@.c > 1) is unknown).b", "1 2.5"),
            ("$.a?(@.b == $nobody)", "failed: the path names a variable that was not passed"),
            ("$.n.abs() + 1", "8"),
            ("$.a.size()", "3"),
            ("$.s.type()", "\"string\""),
            ("$.a[*].b.ceiling()", "1 3"),
            ("-$.n", "7"),
            ("$.o.p.keyvalue().name", "\"b\""),
            ("($.n * 2 - 1) % 4", "-3"),
        ] {
            assert_eq!(items(path), found, "{path}");
        }
    }

    #[test]
    fn names_of_the_other_grammar_are_taken_as_before() {
        let document = r#"{"AWS:Item": {"x-y": 3}}"#;
        let Ok(Found::Items(found)) = find(document, "lax $.AWS:Item.x-y", &[]) else { panic!("not found") };
        assert_eq!(found, ["3"]);
        let Ok(Found::Items(found)) = find(document, "$[\"AWS:Item\"].x-y", &[]) else { panic!("not found") };
        assert_eq!(found, ["3"]);
        for wrong in
            ["", "a.b", "$.", "$[", "$.a?(", "$.a?(@.b)", "$.a[1 to", "lax", "$ $", "$.a?(@.b like_regex \"(\")"]
        {
            assert!(find("{}", wrong, &[]).is_err(), "{wrong}");
        }
        assert!(find("{}", &format!("{}$", "(".repeat(5_000)), &[]).is_err());
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "(lax |strict )?\\$(\\.[a-c*]|\\[[0-9*]\\]|\\[last\\]|\\?\\(@\\.a [=<>!]= (1|\"x\")\\)|\\.\\.b|\\.size\\(\\)|[ .?()@$\\[\\]]){0,8}") {
            let _ = find(DOCUMENT, &path, &[]);
        }
    }
}
