//! The questions of `bench/queries`: one file each, with the same question in three dialects.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Where the questions are.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/queries");

/// Values for the names in braces.
pub type Values = BTreeMap<String, String>;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Such as `01-event-by-id`.
    pub name: String,
    /// The question in words.
    pub title: String,
    /// Looks for very few events among all.
    pub needle: bool,
    texts: BTreeMap<String, String>,
}

impl Question {
    /// All questions, in order.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        let mut questions = Vec::new();
        for entry in Path::new(FOLDER).read_dir().with_context(|| format!("cannot list {FOLDER}"))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(|first: char| first.is_ascii_digit()) {
                questions.push(Self::parse(name, &std::fs::read_to_string(&path)?)?);
            }
        }
        questions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(questions)
    }

    fn parse(name: String, text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split("-- engine: ");
        let head = parts.next().unwrap_or_default();
        let title = head.lines().next().and_then(|line| line.strip_prefix("-- ")).unwrap_or_default().to_owned();
        let needle = head.lines().any(|line| line.trim() == "-- needle");
        let texts: BTreeMap<_, _> = parts
            .filter_map(|part| part.split_once('\n'))
            .map(|(engine, sql)| (engine.trim().to_owned(), sql.trim().to_owned()))
            .collect();
        for engine in ["trino", "duckdb", "clickhouse"] {
            if !texts.contains_key(engine) {
                bail!("{name} has no text for {engine}");
            }
        }
        Ok(Self { name, title, needle, texts })
    }

    /// The text for an engine, with its values. `{events}` stays.
    pub fn sql(&self, engine: &str, values: &Values) -> String {
        fill(&self.texts[engine], values)
    }
}

/// Puts values in the place of their names in braces.
pub fn fill(text: &str, values: &Values) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The statements of `parameters.sql`: the names that each gives values to, and its text.
pub fn parameters() -> anyhow::Result<Vec<(Vec<String>, String)>> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("parameters.sql"))?;
    let statements = text.split("-- name: ").skip(1).filter_map(|part| part.split_once('\n'));
    Ok(statements
        .map(|(names, sql)| (names.split(',').map(|name| name.trim().to_owned()).collect(), sql.trim().to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twenty_questions_three_of_them_needles_and_every_name_has_a_value() {
        let questions = Question::all().unwrap();
        assert_eq!(questions.len(), 20);
        assert_eq!(questions.iter().filter(|question| question.needle).count(), 3);
        let names = parameters().unwrap().into_iter().flat_map(|(names, _)| names);
        let mut values: Values = names.map(|name| (name, "value".to_owned())).collect();
        values.insert("events".to_owned(), "events".to_owned());
        for question in questions {
            assert!(question.title.contains('?'), "{}", question.name);
            for engine in ["trino", "duckdb", "clickhouse"] {
                assert!(!question.sql(engine, &values).contains('{'), "{}", question.sql(engine, &values));
            }
        }
    }
}
