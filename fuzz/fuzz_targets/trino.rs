//! Text of SQL statements: parsed or refused, with a place inside the text.
//!
//! The modules are those of `towpath-trino` from text to rewritten tree, built on a stand-in for DataFusion (see
//! `stand_in`). Every function name is known here, so that a text gets as far as its syntax allows.
#![no_main]
#![allow(dead_code, unused_imports)]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/towpath-trino/src/error.rs"]
mod error;
#[path = "../../crates/towpath-trino/src/sql/mod.rs"]
mod sql;
#[path = "../../crates/towpath-trino/src/types.rs"]
mod types;

#[path = "../../crates/towpath-trino/src/functions/interval.rs"]
mod interval;

mod functions {
    pub(crate) use crate::interval;

    /// Knows every function that a query can write.
    pub(crate) struct Registry;

    pub(crate) fn registry() -> &'static Registry {
        &Registry
    }

    impl Registry {
        pub(crate) fn contains(&self, name: &str) -> bool {
            name != "unknown"
        }

        pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
            ["element_at", "json_extract"].into_iter()
        }

        pub(crate) fn lambda(&self, name: &str) -> Option<()> {
            matches!(name, "transform" | "filter" | "reduce" | "$array_sort" | "$regexp_replace").then_some(())
        }

        pub(crate) fn lenient(&self, name: &str) -> Option<String> {
            (!name.starts_with('m')).then(|| format!("$try_{name}"))
        }
    }
}

fuzz_target!(|text: &str| {
    match sql::parse(text) {
        Ok(statement) => {
            let _ = statement.tables();
        }
        Err(error) => {
            let lines: Vec<&str> = text.split('\n').collect();
            let line = lines.get(error.line as usize - 1).unwrap_or_else(|| panic!("no such line: {error}"));
            assert!(error.column as usize <= line.chars().count() + 2, "no such column: {error}");
        }
    }
});
