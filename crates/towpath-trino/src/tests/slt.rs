//! Runs the `.slt` files.

use std::path::Path;
use std::sync::Arc;

use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};

use super::fixtures::Fixture;

struct Database(Arc<Fixture>);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct QueryError(String);

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = QueryError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Self::ColumnType>, Self::Error> {
        let answer = self.0.query(sql).await.map_err(QueryError)?;
        let shown = |cell: Option<String>| match cell {
            None => "NULL".to_owned(),
            Some(text) if text.is_empty() => "(empty)".to_owned(),
            Some(text) => text,
        };
        let rows = answer.rows.into_iter().map(|row| row.into_iter().map(shown).collect()).collect();
        Ok(DBOutput::Rows { types: answer.columns.iter().map(|_| DefaultColumnType::Any).collect(), rows })
    }

    async fn shutdown(&mut self) {}
}

/// Runs one file; every record must hold.
async fn run(name: &str) {
    let fixture = Arc::new(Fixture::new());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt").join(name);
    let mut runner = sqllogictest::Runner::new(move || {
        let fixture = Arc::clone(&fixture);
        async move { Ok(Database(fixture)) }
    });
    // Cells hold blanks: they are compared as they are, joined by one blank or tab.
    runner.with_normalizer(|text| text.to_owned());
    runner.with_validator(|normalize, actual, expected| {
        let actual: Vec<String> = actual.iter().map(|row| normalize(&row.join("|"))).collect();
        let expected: Vec<String> = expected.iter().map(normalize).collect();
        if actual != expected {
            eprintln!("--- actual\n{}", actual.join("\n"));
        }
        actual == expected
    });
    let records = sqllogictest::parse_file(&path).unwrap();
    let mut failures = vec![];
    for record in records {
        if let Err(error) = runner.run_async(record).await {
            failures.push(error.to_string());
        }
    }
    assert!(failures.is_empty(), "{} failures in {name}\n{}", failures.len(), failures.join("\n\n"));
}

macro_rules! files {
    ($($test:ident => $file:literal,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                run($file).await;
            }
        )*

        #[test]
        fn every_slt_file_is_run() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
            let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            found.sort();
            let mut known = vec![$($file.to_owned()),*];
            known.sort();
            assert_eq!(found, known);
        }
    };
}

files! {
    literals_operators_and_names_answer_as_trino_does => "basics.slt",
    json_answers_as_trino_does => "json.slt",
    maps_rows_arrays_and_lambdas_answer_as_trino_does => "nested.slt",
    whole_queries_answer_as_trino_does => "queries.slt",
    numbers_that_do_not_fit_are_errors => "overflow.slt",
    subqueries_answer_as_trino_does => "subqueries.slt",
    published_queries_find_what_they_use => "tables.slt",
    text_answers_as_trino_does => "strings.slt",
    time_answers_as_trino_does => "time.slt",
    unnest_answers_as_trino_does => "unnest.slt",
}
