//! Names of result columns, and errors with their places.

use super::fixtures::{EVENTS, Fixture, OTHER};

fn names(sql: &str) -> Vec<String> {
    Fixture::new().plan(sql).unwrap_or_else(|e| panic!("{sql}: {e}")).columns.into_iter().map(|c| c.name).collect()
}

#[test]
fn columns_are_named_as_typed_and_fields_by_their_last_part() {
    let sql = format!(
        "SELECT eventName, userIdentity.userName, userIdentity.sessionContext.sessionIssuer.ARN, eventTime AS \"When\", count(*), EVENTNAME FROM {EVENTS} GROUP BY 1, 2, 3, 4, 6"
    );
    assert_eq!(names(&sql), ["eventName", "username", "arn", "When", "_col4", "EVENTNAME"]);
}

#[test]
fn a_wildcard_gives_the_names_of_the_schema() {
    assert_eq!(names("SELECT * FROM numbers"), ["k", "n", "x"]);
    assert_eq!(names("SELECT *, N, n + 1 FROM numbers"), ["k", "n", "x", "N", "_col4"]);
    assert_eq!(names("SELECT a.*, b.K FROM numbers a, numbers b"), ["k", "n", "x", "k"]);
}

#[test]
fn names_may_repeat() {
    assert_eq!(names("SELECT n, n, N AS n, k AS n FROM numbers"), ["n", "n", "n", "n"]);
    assert_eq!(names("SELECT * FROM (SELECT n, n FROM numbers)"), ["n", "n"]);
    assert_eq!(names("SELECT a.k, b.k FROM numbers a JOIN numbers b ON a.n = b.n"), ["k", "k"]);
}

#[test]
fn a_set_operation_is_named_by_its_first_part() {
    let sql =
        format!("(SELECT eventName AS What FROM {EVENTS}) UNION ALL SELECT eventname FROM \"{OTHER}\" ORDER BY what");
    assert_eq!(names(&sql), ["What"]);
}

#[test]
fn tables_are_listed_once_and_without_with_names() {
    let sql = format!(
        "WITH a AS (SELECT * FROM {OTHER}), b AS (SELECT * FROM a) SELECT * FROM {} x JOIN b ON x.eventid = b.eventid, {EVENTS} y WHERE 1 IN (SELECT n FROM Numbers)",
        EVENTS.to_uppercase()
    );
    let statement = crate::parse(&sql).unwrap();
    let found: Vec<_> = statement.tables().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(found, [OTHER, EVENTS, "numbers"]);
}

#[test]
fn an_error_names_the_place_in_the_original_text() {
    let fixture = Fixture::new();
    for (sql, line, column, message) in [
        (format!("SELECT eventNme FROM {EVENTS}"), 1, 8, "unknown column: eventnme; did you mean eventname?"),
        (
            format!("SELECT 1\nFROM {EVENTS} e\nWHERE e.{} = 1", "eventnam"),
            3,
            9,
            "unknown column: e.eventnam; did you mean eventname?",
        ),
        (format!("SELECT a FROM {EVENTS} WHERE foo("), 1, 0, "syntax error"),
        (format!("SELECT lowr(eventname) FROM {EVENTS}"), 1, 8, "unknown function: lowr; did you mean lower?"),
        (
            format!("SELECT 1, eventName, count(*) FROM {EVENTS}"),
            1,
            11,
            "column eventname in SELECT must be in GROUP BY, or within an aggregate function",
        ),
        (format!("SELECT userIdentity.usrname FROM {EVENTS}"), 1, 21, "unknown field: usrname; did you mean username?"),
        (format!("SELECT requestParameters.bucketName FROM {EVENTS}"), 1, 26, "a map has no field bucketname"),
        (
            format!("SELECT 1 FROM {EVENTS} WHERE requestParameters LIKE '%x%'"),
            1,
            58,
            "LIKE needs varchar, not map(varchar, varchar)",
        ),
        (format!("SELECT 1 FROM {EVENTS} WHERE eventName = 5"), 1, 58, "cannot apply operator: varchar = bigint"),
        (format!("SELECT 1 FROM {EVENTS} WHERE eventTime > 'yesterday'"), 1, 58, "'yesterday' is not a timestamp"),
        ("SELECT 1 FROM nowhere".into(), 1, 15, "unknown table: nowhere"),
        (
            "SELECT 1 FROM numbers WHERE substr(n, 1) = 'a'".into(),
            1,
            29,
            "function substr does not accept (bigint, bigint)",
        ),
        ("SELECT cast(n AS frob) FROM numbers".into(), 1, 18, "unknown type: frob"),
        ("SELECT * FROM numbers TABLESAMPLE BERNOULLI (10)".into(), 1, 23, "TABLESAMPLE is not supported"),
        ("INSERT INTO numbers VALUES (1)".into(), 1, 1, "only SELECT statements are supported, found INSERT"),
        ("SELECT 1; SELECT 2".into(), 1, 11, "unexpected select after the end of the query"),
        ("SELECT * FROM $EDS_ID".into(), 1, 15, "placeholder $EDS_ID must be replaced"),
    ] {
        let error = fixture.error(&sql);
        assert!(error.message.starts_with(message), "{sql}\n{error}");
        assert_eq!(error.line, line, "{sql}\n{error}");
        if column > 0 {
            assert_eq!(error.column, column, "{sql}\n{error}");
        }
    }
}

#[test]
fn statements_that_are_no_queries_are_refused() {
    for sql in [
        "",
        ";",
        "   -- nothing",
        "DROP TABLE x",
        "CREATE TABLE x AS SELECT 1",
        "DELETE FROM x",
        "UPDATE x SET a = 1",
        "SHOW TABLES",
        "DESCRIBE x",
        "EXPLAIN SELECT 1",
        "SET x = 1",
        "USE x",
        "MERGE INTO x USING y ON true WHEN MATCHED THEN DELETE",
        "ALTER TABLE x ADD COLUMN y int",
        "GRANT SELECT ON x TO y",
        "TRUNCATE TABLE x",
        "CALL x()",
        "VALUES (1)",
        "TABLE numbers",
        "COPY numbers TO 'x'",
        "SELECT 1 INTO y FROM numbers",
        "SELECT * FROM numbers FOR UPDATE",
        "PREPARE x FROM SELECT 1",
        "COMMIT",
    ] {
        assert!(crate::parse(sql).is_err(), "{sql}");
    }
}
