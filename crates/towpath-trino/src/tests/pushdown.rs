//! Filters must reach the table as comparisons of its own columns with literals of their own types.

use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::fixtures::{EVENTS, Fixture, now};
use crate::{parse, plan};

/// Records the filters that a scan is given.
#[derive(Debug)]
struct Recorder {
    inner: Arc<dyn TableProvider>,
    filters: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl TableProvider for Recorder {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.filters.lock().unwrap().extend(filters.iter().map(|f| f.to_string()));
        self.inner.scan(state, projection, &[], limit).await
    }
}

async fn filters(table: &str, condition: &str) -> Vec<String> {
    let fixture = Fixture::new();
    let recorder = Arc::new(Recorder { inner: Arc::clone(&fixture.tables[table]), filters: Mutex::default() });
    let statement = parse(&format!("SELECT count(*) FROM {table} WHERE {condition}")).unwrap();
    let provider = Arc::clone(&recorder) as Arc<dyn TableProvider>;
    let state = fixture.context.state();
    let plan =
        plan(&state, &statement, |_| Some(Arc::clone(&provider)), now()).unwrap_or_else(|e| panic!("{condition}: {e}"));
    state.create_physical_plan(&plan.logical).await.unwrap();
    let mut found = recorder.filters.lock().unwrap().clone();
    for filter in &mut found {
        *filter = filter.replace(&format!("{table}."), "").replace(&format!("\"{table}\"."), "");
    }
    found.sort();
    found
}

#[tokio::test]
async fn conditions_reach_the_scan_as_plain_comparisons() {
    for (condition, wanted) in [
        ("eventTime > '2023-01-01 00:00:00'", vec!["eventtime > TimestampMillisecond(1672531200000, None)"]),
        ("eventtime >= '2024-11-05T10:00:00Z'", vec!["eventtime >= TimestampMillisecond(1730800800000, None)"]),
        ("'2023-01-01' <= eventtime", vec!["eventtime >= TimestampMillisecond(1672531200000, None)"]),
        ("eventtime > timestamp '2024-09-16 00:00:00'", vec!["eventtime > TimestampMillisecond(1726444800000, None)"]),
        ("eventtime > date '2024-09-16'", vec!["eventtime > TimestampMillisecond(1726444800000, None)"]),
        (
            "eventtime > date_add('day', -7, current_timestamp)",
            vec!["eventtime > TimestampMillisecond(1709467200000, None)"],
        ),
        ("eventtime > now() - interval '7' day", vec!["eventtime > TimestampMillisecond(1709467200000, None)"]),
        ("eventtime > date_trunc('day', now())", vec!["eventtime > TimestampMillisecond(1710028800000, None)"]),
        (
            "eventtime >= date_format(now(), '%Y-%m-%d %H:%i:%s')",
            vec!["eventtime >= TimestampMillisecond(1710072000000, None)"],
        ),
        (
            "eventtime > from_iso8601_timestamp('2024-09-16T00:00:00Z')",
            vec!["eventtime > TimestampMillisecond(1726444800000, None)"],
        ),
        (
            "eventtime BETWEEN '2023-01-01' AND '2023-02-01'",
            vec![
                "eventtime <= TimestampMillisecond(1675209600000, None)",
                "eventtime >= TimestampMillisecond(1672531200000, None)",
            ],
        ),
        (
            "date(eventtime) = date '2023-01-22'",
            vec![
                "eventtime < TimestampMillisecond(1674432000000, None)",
                "eventtime >= TimestampMillisecond(1674345600000, None)",
            ],
        ),
        (
            "cast(eventtime as date) >= date '2023-01-22'",
            vec!["eventtime >= TimestampMillisecond(1674345600000, None)"],
        ),
        (
            "date_trunc('month', eventtime) = timestamp '2023-01-01 00:00:00'",
            vec![
                "eventtime < TimestampMillisecond(1675209600000, None)",
                "eventtime >= TimestampMillisecond(1672531200000, None)",
            ],
        ),
        ("eventName = 'PutObject'", vec!["eventname = Utf8(\"PutObject\")"]),
        ("cast(eventName as varchar) = 'PutObject'", vec!["eventname = Utf8(\"PutObject\")"]),
        ("eventName LIKE 'Put%'", vec!["eventname LIKE Utf8(\"Put%\")"]),
        ("userIdentity.accessKeyId = 'AKIA'", vec!["get_field(useridentity, Utf8(\"accesskeyid\")) = Utf8(\"AKIA\")"]),
        (
            "useridentity.arn = 'a' AND eventid = 'e1'",
            vec!["eventid = Utf8(\"e1\")", "get_field(useridentity, Utf8(\"arn\")) = Utf8(\"a\")"],
        ),
        ("sessionCredentialFromConsole = true", vec!["sessioncredentialfromconsole = Utf8(\"true\")"]),
        ("readonly = false", vec!["NOT readonly"]),
    ] {
        assert_eq!(filters(EVENTS, condition).await, wanted, "{condition}");
    }
}

#[tokio::test]
async fn literals_take_the_type_of_the_column() {
    assert_eq!(
        filters("views", "eventtime > '2024-01-01'").await,
        ["eventtime > TimestampMillisecond(1704067200000, Some(\"UTC\"))"]
    );
    assert_eq!(
        filters("views", "eventtime > date_add('day', -7, current_timestamp)").await,
        ["eventtime > TimestampMillisecond(1709467200000, Some(\"UTC\"))"]
    );
    assert_eq!(filters("views", "eventname = 'PutObject'").await, ["eventname = Utf8View(\"PutObject\")"]);
}
