//! `towpath query`: asks a question in SQL and prints the answer.

mod names;
mod place;

use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::store_name::{self, Store};
use super::{Failure, connect, counted, progress, text};
use crate::client::{Api, Client, ClientError, ConnectionArgs, Retry};
use crate::config::size;
use crate::output::{Format, RowWriter, Rows};

/// Rows of a page, the most there may be.
const PAGE: usize = 1000;

/// Rows that a table shows; more than that is for programs.
const TABLE_ROWS: usize = 10_000;

/// Longest statement that is read from a file, in bytes; the server takes 10,000 characters.
const MAX_STATEMENT: u64 = 1 << 20;

/// The first and the longest pause between two looks at a running query.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(1000);

/// How long a query runs before a terminal shows that it does.
const SILENCE: Duration = Duration::from_millis(300);

/// Flags of `towpath query`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A table is an event data store: its id, or its name as it is or in double quotes.
  towpath query 'SELECT eventName, count(*) AS n FROM audit GROUP BY 1 ORDER BY 2 DESC'
  towpath query --store audit --output csv 'SELECT * FROM $EDS_ID' > events.csv")]
pub struct Query {
    /// The statement; - reads it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
    /// Read the statement from a file
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Store that $EDS_ID stands for, by name, id or ARN
    #[arg(long, alias = "event-data-store", value_name = "STORE")]
    store: Option<String>,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Query {
    /// Asks and prints; Ctrl-C cancels the query on the server.
    pub async fn run(self) -> Result<(), Failure> {
        let sql = self.statement()?;
        let client = connect(&self.connection, Retry::PROMPT)?;
        let (replacements, remarks) = resolve_names(&client, &sql, self.store.as_deref()).await?;
        for remark in remarks {
            eprintln!("{remark}");
        }
        let started = Instant::now();
        let input = json!({ "QueryStatement": names::replace(&sql, &replacements) });
        let answer = client.call(Api::CloudTrail, "StartQuery", &input).await;
        let answer = answer.map_err(|error| with_place(error, &sql, &replacements))?;
        let id = text(&answer, "QueryId").to_owned();
        let mut writer = RowWriter::stdout(self.output);
        tokio::select! {
            outcome = answer_of(&client, &id, &mut writer, self.output) => {
                let (described, rows) = outcome?;
                writer.finish()?;
                eprintln!("{}", statistics(&described, rows, started.elapsed()));
                Ok(())
            }
            _ = tokio::signal::ctrl_c() => {
                match client.call(Api::CloudTrail, "CancelQuery", &json!({ "QueryId": id })).await {
                    Ok(_) => eprintln!("query {id} is cancelled"),
                    // It may have come to its end in the same moment.
                    Err(error) if error.code() == Some("InactiveQueryException") => {}
                    Err(error) => eprintln!("query {id} could not be cancelled: {error}"),
                }
                Err(Failure::Interrupted)
            }
        }
    }

    fn statement(&self) -> Result<String, Failure> {
        let limited = |reader: &mut dyn Read, path: &str| {
            let mut text = String::new();
            let read = reader.take(MAX_STATEMENT).read_to_string(&mut text);
            read.map(|_| text).map_err(|cause| Failure::Read { path: path.to_owned(), cause })
        };
        match (&self.file, &self.sql) {
            (Some(path), _) => {
                let shown = path.display().to_string();
                let mut file =
                    std::fs::File::open(path).map_err(|cause| Failure::Read { path: shown.clone(), cause })?;
                limited(&mut file, &shown)
            }
            (None, Some(sql)) if sql == "-" => limited(&mut std::io::stdin(), "standard input"),
            (None, sql) => Ok(sql.clone().unwrap_or_default()),
        }
    }
}

/// Ranges of a statement, and the ids that stand for them.
type Replacements = Vec<(Range<usize>, String)>;

/// Which names of stores in the statement become which ids, and what to say about it.
async fn resolve_names(
    client: &Client,
    sql: &str,
    store: Option<&str>,
) -> Result<(Replacements, Vec<String>), Failure> {
    let tables = names::table_names(sql);
    if tables.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let stores = store_name::all(client).await?;
    let mut replacements = Vec::new();
    let mut remarks: Vec<String> = Vec::new();
    for table in tables {
        let found = if table.name == names::PLACEHOLDER {
            Some(placeholder(client, &stores, store)?)
        } else {
            // What is no store is left to the server, whose message names the position.
            stores.iter().find(|store| store.name == table.name)
        };
        let Some(found) = found else { continue };
        let remark = format!("{} is event data store {}", table.name, found.id());
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
        replacements.push((table.range, found.id().to_owned()));
    }
    Ok((replacements, remarks))
}

/// A refused statement is shown with a mark where it is wrong.
fn with_place(error: ClientError, sql: &str, replacements: &[(Range<usize>, String)]) -> ClientError {
    match error {
        ClientError::Refused { operation, status, code, message } if code == "InvalidQueryStatementException" => {
            let message = place::told(&message, sql, replacements);
            ClientError::Refused { operation, status, code, message }
        }
        error => error,
    }
}

fn placeholder<'a>(client: &Client, stores: &'a [Store], wanted: Option<&str>) -> Result<&'a Store, Failure> {
    match (wanted, stores) {
        (Some(wanted), stores) => store_name::find(client, stores, wanted),
        (None, [only]) => Ok(only),
        (None, stores) => {
            let names: Vec<_> = stores.iter().map(|store| store.name.as_str()).collect();
            let hint = format!("name one with --store; there are: {}", names.join(", "));
            Err(Failure::plain(format!("{} may stand for any of {} stores", names::PLACEHOLDER, stores.len()), hint))
        }
    }
}

/// Waits for the query and hands its rows to the writer; returns what DescribeQuery says at the end.
async fn answer_of<W: std::io::Write>(
    client: &Client,
    id: &str,
    writer: &mut RowWriter<W>,
    format: Format,
) -> Result<(Value, u64), Failure> {
    let described = wait(client, id).await?;
    match text(&described, "QueryStatus") {
        "FINISHED" => {}
        "TIMED_OUT" => {
            let hint = "bound eventTime on both sides, or raise the server's setting query.time_limit";
            return Err(Failure::plain("the query ran out of time", hint));
        }
        "CANCELLED" => return Err(Failure::bare("the query was cancelled")),
        _ => return Err(Failure::bare(format!("the query failed: {}", text(&described, "ErrorMessage")))),
    }
    let mut token = Value::Null;
    let mut taken = 0;
    loop {
        let mut input = json!({ "QueryId": id, "MaxQueryResults": PAGE });
        if !token.is_null() {
            input["NextToken"] = token;
        }
        let mut page = client.call(Api::CloudTrail, "GetQueryResults", &input).await?;
        let total = page.pointer("/QueryStatistics/TotalResultsCount").and_then(Value::as_u64).unwrap_or(0);
        if let Some(rows) = rows_of(&page) {
            taken += rows.rows.len();
            writer.add(rows)?;
        }
        token = page.get_mut("NextToken").map(Value::take).unwrap_or_default();
        if token.is_null() {
            return Ok((described, total.max(taken as u64)));
        }
        if format == Format::Table && taken >= TABLE_ROWS {
            eprintln!("the first {} of {} rows; --output csv or json gives all", counted(taken as u64), counted(total));
            return Ok((described, total));
        }
    }
}

async fn wait(client: &Client, id: &str) -> Result<Value, Failure> {
    let started = Instant::now();
    let mut spinner: Option<ProgressBar> = None;
    let mut pause = FIRST_LOOK;
    loop {
        let described = client.call(Api::CloudTrail, "DescribeQuery", &json!({ "QueryId": id })).await?;
        let state = match text(&described, "QueryStatus") {
            "QUEUED" => "queued",
            "RUNNING" => "running",
            _ => {
                if let Some(spinner) = spinner {
                    spinner.finish_and_clear();
                }
                return Ok(described);
            }
        };
        if started.elapsed() >= SILENCE {
            spinner.get_or_insert_with(|| progress::spinner(state)).set_message(state);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// The rows of a page: lists of objects with one member each.
fn rows_of(page: &Value) -> Option<Rows> {
    let pages = page.get("QueryResultRows")?.as_array()?;
    let cells = |row: &Value| -> Vec<(String, String)> {
        let cells = row.as_array().map(Vec::as_slice).unwrap_or_default();
        let cell = |cell: &Value| {
            let (name, value) = cell.as_object()?.iter().next()?;
            Some((name.clone(), value.as_str().unwrap_or_default().to_owned()))
        };
        cells.iter().map(|value| cell(value).unwrap_or_default()).collect()
    };
    let mut rows = Rows::default();
    for row in pages {
        let cells = cells(row);
        if rows.columns.is_empty() {
            rows.columns = cells.iter().map(|(name, _)| name.clone()).collect();
        }
        rows.push(cells.into_iter().map(|(_, value)| value).collect());
    }
    (!rows.columns.is_empty()).then_some(rows)
}

/// `3 rows; scanned 12 files, 1.2 MiB, 17,002 events in 41 ms (65 ms with the way there and back)`
fn statistics(described: &Value, rows: u64, elapsed: Duration) -> String {
    let of = |member: &str| described.get("QueryStatistics").and_then(|statistics| statistics.get(member)?.as_u64());
    let mut scanned = Vec::new();
    if let Some(files) = of("FilesScanned") {
        scanned.push(super::plural(files, "file"));
    }
    if let Some(bytes) = of("BytesScanned") {
        scanned.push(size::rounded(bytes));
    }
    if let Some(events) = of("EventsScanned") {
        scanned.push(super::plural(events, "event"));
    }
    let rows = super::plural(rows, "row");
    let took = of("ExecutionTimeInMillis").map(|millis| format!(" in {millis} ms")).unwrap_or_default();
    let scanned = if scanned.is_empty() { String::new() } else { format!("; scanned {}", scanned.join(", ")) };
    format!("{rows}{scanned}{took} ({} ms with the way there and back)", elapsed.as_millis())
}

#[cfg(test)]
mod tests;
