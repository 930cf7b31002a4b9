//! `towpath-bench query`: the questions of an investigator, to Towpath over its API and to DuckDB and ClickHouse over
//! the same Parquet files, with the same memory and threads, cold and warm. Answers must agree.

mod question;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::Value;

use self::question::{Question, Values, fill, parameters};
use crate::api::{Api, store_id};
use crate::import::{DATA, STORE};
use crate::peer::{MEMORY, Peer};
use crate::results;
use crate::server::Server;

/// `towpath-bench query`.
#[derive(Debug, clap::Args)]
pub struct Query {
    /// Warm runs of each question; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only questions whose name contains this
    #[arg(long)]
    only: Option<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    events: u64,
    files: u64,
    bytes: u64,
    /// Server start on this data in seconds.
    start_seconds: f64,
    memory_limit: u64,
    server_memory: u64,
    duckdb: String,
    clickhouse: String,
    questions: Vec<Row>,
    /// Names of questions whose answers differ or that failed.
    wrong: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Row {
    name: String,
    title: String,
    needle: bool,
    rows: usize,
    towpath: Times,
    duckdb: Times,
    clickhouse: Times,
    /// Bytes that Towpath says it read.
    bytes_scanned: u64,
    /// Milliseconds that Towpath says the last run took inside.
    execution_millis: u64,
}

/// Seconds; not a number where it failed.
#[derive(Clone, Debug, Default, Serialize)]
struct Times {
    cold: Option<f64>,
    warm: Option<f64>,
    error: Option<String>,
}

type Rows = Vec<Vec<Option<String>>>;

impl Query {
    /// Asks all three.
    pub async fn run(&self) -> anyhow::Result<()> {
        let data = results::folder().join(DATA);
        ensure!(data.exists(), "there is no {}; run towpath-bench import first", data.display());
        let memory = [format!("query.memory={MEMORY}B"), format!("query.memory_per_query={MEMORY}B")];
        // Maintenance would remove files below the peers.
        let settings = [memory[0].as_str(), memory[1].as_str(), "lake.maintenance_interval=1h"];
        // The first start may have work left from the last run; the second is measured.
        Server::start(&data, &settings)?.stop()?;
        let server = Server::start(&data, &settings)?;
        let start_seconds = server.started_in().as_secs_f64();
        let api = server.api()?;
        let store = store_named(&api, STORE).await?;
        let folder = server.lake().join(&store);
        let files = format!("{}/**/*.parquet", folder.display());
        let (bytes, count) = results::size_of(&folder, ".parquet")?;

        let mut duckdb = Peer::start("duckdb", &files, MEMORY)?;
        let mut clickhouse = Peer::start("clickhouse", &files, MEMORY)?;
        let events = api.number(&format!("SELECT count(*) FROM {store}")).await?;
        let seen = duckdb.query("SELECT count(*) FROM {events}")?.rows[0][0].clone();
        ensure!(seen == Some(events.to_string()), "Towpath has {events} events and the files {seen:?}");
        let values = values(&mut duckdb)?;
        eprintln!("{events} events in {count} files, {} MB; {values:?}", bytes / 1_000_000);

        let (mut questions, mut wrong) = (Vec::new(), Vec::new());
        for question in Question::all()? {
            if self.only.as_ref().is_some_and(|only| !question.name.contains(only.as_str())) {
                continue;
            }
            let sql = fill(&question.sql("trino", &values), &[("events".to_owned(), store.clone())].into());
            let mut row = Row {
                name: question.name.clone(),
                title: question.title.clone(),
                needle: question.needle,
                ..Row::default()
            };
            duckdb.forget(&files)?;
            let mine = self.ask_towpath(&api, &sql, &mut row).await;
            let (times, first) = self.ask_peer(&mut duckdb, &question.sql("duckdb", &values), &files);
            row.duckdb = times;
            let (times, second) = self.ask_peer(&mut clickhouse, &question.sql("clickhouse", &values), &files);
            row.clickhouse = times;
            if mine.is_none() || !agree(mine.as_ref(), first.as_ref()) || !agree(mine.as_ref(), second.as_ref()) {
                eprintln!(
                    "{}: answers differ\n towpath {}\n duckdb {}\n clickhouse {}",
                    row.name,
                    shown(&mine),
                    shown(&first),
                    shown(&second)
                );
                wrong.push(row.name.clone());
            }
            eprintln!(
                "{:28} rows {:5} towpath {} duckdb {} clickhouse {}",
                row.name,
                row.rows,
                told(&row.towpath),
                told(&row.duckdb),
                told(&row.clickhouse)
            );
            questions.push(row);
        }
        let measured = Measured {
            events,
            files: count,
            bytes,
            start_seconds,
            memory_limit: MEMORY,
            server_memory: server.peak_memory()?,
            duckdb: duckdb.version().to_owned(),
            clickhouse: clickhouse.version().to_owned(),
            questions,
            wrong,
        };
        server.stop()?;
        results::save("query", &measured)
    }

    async fn ask_towpath(&self, api: &Api, sql: &str, row: &mut Row) -> Option<Rows> {
        let (mut times, mut rows) = (Vec::new(), None);
        for _ in 0..=self.runs {
            match api.query(sql).await {
                Ok(answer) => {
                    times.push(answer.elapsed);
                    row.bytes_scanned = answer.bytes_scanned;
                    row.execution_millis = answer.execution_millis;
                    row.rows = answer.rows.len();
                    rows = Some(answer.rows);
                }
                Err(error) => {
                    row.towpath.error = Some(format!("{error:#}"));
                    return None;
                }
            }
        }
        row.towpath = Times::of(times);
        rows
    }

    fn ask_peer(&self, peer: &mut Peer, sql: &str, files: &str) -> (Times, Option<Rows>) {
        let (mut times, mut rows) = (Vec::new(), None);
        let forgotten = peer.forget(files);
        for _ in 0..=self.runs {
            match peer.query(sql) {
                Ok(answer) => {
                    times.push(answer.elapsed);
                    rows = Some(answer.rows);
                }
                Err(error) => return (Times { error: Some(format!("{error:#}")), ..Times::default() }, None),
            }
        }
        let error = forgotten.err().map(|error| format!("{error:#}"));
        (Times { error, ..Times::of(times) }, rows)
    }
}

impl Times {
    /// The first time is the cold one, the median of the others the warm one.
    fn of(times: Vec<Duration>) -> Self {
        let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        let mut warm = seconds.get(1..).unwrap_or_default().to_vec();
        warm.sort_by(f64::total_cmp);
        Self { cold: seconds.first().copied(), warm: warm.get(warm.len() / 2).copied(), error: None }
    }
}

/// The id of the store with this name.
pub async fn store_named(api: &Api, name: &str) -> anyhow::Result<String> {
    let listed = api
        .call_json::<towpath_wire::cloudtrail::ListEventDataStoresRequest>(Value::Object(Default::default()))
        .await?;
    let listed = serde_json::to_value(&listed)?;
    let stores = listed["EventDataStores"].as_array().into_iter().flatten();
    let arn = stores.filter(|store| store["Name"] == name).find_map(|store| store["EventDataStoreArn"].as_str());
    arn.map(|arn| store_id(arn).to_owned()).with_context(|| format!("there is no store {name}"))
}

fn values(duckdb: &mut Peer) -> anyhow::Result<Values> {
    let mut values = Values::new();
    for (names, sql) in parameters()? {
        let answer = duckdb.query(&fill(&sql, &values))?;
        let row = answer.rows.into_iter().next().with_context(|| format!("the data has no {}", names.join(", ")))?;
        for (name, value) in names.into_iter().zip(row) {
            values.insert(name, value.context("a value is NULL")?);
        }
    }
    Ok(values)
}

/// True if a peer gave no answer or the same one. Its own failure is reported beside its times.
fn agree(mine: Option<&Rows>, other: Option<&Rows>) -> bool {
    let Some((mine, other)) = mine.zip(other) else { return true };
    mine.len() == other.len()
        && mine.iter().zip(other).all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)))
}

/// True if two cells hold the same. Empty text stands for NULL in ClickHouse here and there.
fn same(a: &Option<String>, b: &Option<String>) -> bool {
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    let (a, b) = (text(a), text(b));
    if a == b || a.trim_end_matches(".000") == b.trim_end_matches(".000") {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => false,
    }
}

fn shown(rows: &Option<Rows>) -> String {
    let Some(rows) = rows else { return "none".to_owned() };
    format!("{} rows, {:?}", rows.len(), rows.iter().take(2).collect::<Vec<_>>()).chars().take(500).collect()
}

fn told(times: &Times) -> String {
    match (times.cold, times.warm, &times.error) {
        (Some(cold), Some(warm), None) => format!("{:8.1}/{:8.1} ms", cold * 1e3, warm * 1e3),
        (_, _, error) => error.clone().unwrap_or_default().chars().take(160).collect(),
    }
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let rows: Vec<&Value> = measured["questions"].as_array().into_iter().flatten().collect();
    let seconds = |row: &Value, engine: &str, kind: &str| row[engine][kind].as_f64();
    let mut verdicts = Vec::new();
    for kind in ["warm", "cold"] {
        for peer in ["duckdb", "clickhouse"] {
            // Only what both answered can be compared.
            let both: Vec<_> =
                rows.iter().filter_map(|row| seconds(row, "towpath", kind).zip(seconds(row, peer, kind))).collect();
            let (mine, other) = both.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
            verdicts.push((
                format!("all questions, {kind}, beside {peer}"),
                "no slower in total".to_owned(),
                format!("{mine:.2} s against {other:.2} s ({} of {} compared)", both.len(), rows.len()),
                both.len() == rows.len() && mine <= other,
            ));
        }
    }
    for row in rows.iter().filter(|row| row["needle"] == true) {
        let mine = seconds(row, "towpath", "warm").unwrap_or(f64::INFINITY);
        let best =
            ["duckdb", "clickhouse"].iter().filter_map(|peer| seconds(row, peer, "warm")).fold(f64::INFINITY, f64::min);
        verdicts.push((
            format!("needle {}", row["name"].as_str().unwrap_or_default()),
            "10 times faster than either".to_owned(),
            format!("{:.1} times ({:.1} ms, best peer {:.1} ms)", best / mine, mine * 1e3, best * 1e3),
            best.is_finite() && best / mine >= 10.0,
        ));
    }
    let wrong: Vec<_> = measured["wrong"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    verdicts.push((
        "answers".to_owned(),
        "the same as the peers'".to_owned(),
        if wrong.is_empty() { format!("{} agree", rows.len()) } else { format!("differ: {}", wrong.join(", ")) },
        wrong.is_empty() && !rows.is_empty(),
    ));
    let start = measured["start_seconds"].as_f64().unwrap_or(f64::INFINITY);
    verdicts.push((
        "server start on that data".to_owned(),
        "under 2 s".to_owned(),
        format!("{start:.2} s"),
        start < 2.0,
    ));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&[Option<&str>]]) -> Rows {
        cells.iter().map(|row| row.iter().map(|cell| cell.map(str::to_owned)).collect()).collect()
    }

    #[test]
    fn answers_agree_whatever_the_spelling_of_numbers_times_and_nothing() {
        let mine = rows(&[&[Some("12"), Some("2024-01-01 00:00:00.000"), None]]);
        let other = rows(&[&[Some("12.0"), Some("2024-01-01 00:00:00"), Some("")]]);
        assert!(agree(Some(&mine), Some(&other)));
        assert!(!agree(Some(&mine), Some(&rows(&[&[Some("13"), Some("2024-01-01 00:00:00"), None]]))));
        assert!(!agree(Some(&mine), Some(&rows(&[]))));
    }

    #[test]
    fn the_first_run_is_cold_and_the_median_of_the_others_warm() {
        let times = Times::of([9, 3, 1, 2].into_iter().map(Duration::from_secs).collect());
        assert_eq!((times.cold, times.warm), (Some(9.0), Some(2.0)));
    }
}
