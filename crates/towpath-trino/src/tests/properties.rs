//! Properties of the parser: it never panics, and it finds what it should in any spelling.

use proptest::prelude::*;

use super::fixtures::{EVENTS, Fixture};
use crate::parse;

/// Fragments that together are more often nearly SQL than random text is.
fn fragments() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "select",
        "from",
        "where",
        "group by",
        "order by",
        "with",
        "as",
        "unnest",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "*",
        "->",
        "'a'",
        "'",
        "\"",
        "1",
        "1.5",
        "x",
        "cast",
        "interval",
        "'1' day",
        "and",
        "or",
        "not",
        "in",
        "like",
        "between",
        "case",
        "when",
        "then",
        "end",
        "over",
        "union",
        "join",
        "on",
        "using",
        "values",
        "array",
        "map",
        "row",
        "date",
        "timestamp",
        ";",
        "--",
        "/*",
        "*/",
        "\n",
        "5e2676f8-9fce-46ef-8142-3e36a94e6691",
        "$",
        "`",
        "limit",
        "offset",
        "fetch first",
        "rows only",
        "filter",
        "try",
        "is null",
        "distinct",
        "exists",
        "é",
        "😀",
        "=",
        "<",
        "||",
        "-",
        "count(*)",
    ]);
    prop::collection::vec(words, 0..30).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_fails(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn nearly_sql_parses_or_fails_within_its_text(text in fragments()) {
        if let Err(error) = parse(&text) {
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert!(error.line as usize <= lines.len().max(1), "{error}");
            let length = lines.get(error.line as usize - 1).map_or(0, |l| l.chars().count());
            prop_assert!(error.column as usize <= length + 2, "{error}: {text:?}");
        }
    }

    #[test]
    fn nearly_sql_after_select_parses_or_fails(text in fragments()) {
        let _ = parse(&format!("select {text} from numbers"));
    }

    #[test]
    fn a_uuid_is_a_table_wherever_it_stands(uuid in "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", blank in "[ \n\t]{1,3}", alias in prop::option::of("[a-z]{1,6}x")) {
        let alias = alias.unwrap_or_default();
        let sql = format!("SELECT '{uuid}', 1 -- {uuid}\n FROM{blank}{uuid} {alias} /* {uuid} */ WHERE x = \"{uuid}\".y");
        let statement = parse(&sql).unwrap();
        let tables: Vec<_> = statement.tables().iter().map(|t| t.name.clone()).collect();
        prop_assert_eq!(tables, vec![uuid.to_lowercase()]);
    }

    #[test]
    fn columns_are_found_in_any_spelling(flips in prop::collection::vec(any::<bool>(), 60)) {
        let path = "useridentity.sessioncontext.sessionissuer.username";
        let spelled: String = path.chars().zip(flips).map(|(c, up)| if up { c.to_ascii_uppercase() } else { c }).collect();
        let plan = Fixture::new().plan(&format!("SELECT {spelled} FROM {EVENTS}")).unwrap();
        prop_assert_eq!(plan.columns[0].name.as_str(), "username");
    }
}
