//! `towpath-bench report`: writes `RESULTS.md` from what was measured, met or not.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::{buckets, deliver, gateway, import, machine, put, query, results, scale};

/// `towpath-bench report`.
#[derive(Debug, clap::Args)]
pub struct Report {
    /// Where the report goes
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md"))]
    out: PathBuf,
    /// A file with remarks that are put below the table of targets
    #[arg(long)]
    remarks: Option<PathBuf>,
}

type Verdicts = fn(&Value) -> Vec<(String, String, String, bool)>;

const VERDICTS: &[(&str, Verdicts)] = &[
    ("put", put::verdicts),
    ("import", import::verdicts),
    ("deliver", deliver::verdicts),
    ("buckets", buckets::verdicts),
    ("gateway", gateway::verdicts),
    ("query", query::verdicts),
    ("scale", scale::verdicts),
];

impl Report {
    /// Writes the report.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut out = format!(
            "# Benchmark results\n\nEverything below was measured, nothing is estimated. Machine: {}. Revision: {}.\n\n\
             | what | target | measured | met |\n|---|---|---|---|\n",
            machine::described(),
            machine::revision()
        );
        for (name, verdicts) in VERDICTS {
            match results::load(name)? {
                Some(measured) => {
                    for (what, target, got, met) in verdicts(&measured) {
                        writeln!(out, "| {what} | {target} | {got} | {} |", if met { "yes" } else { "**no**" })?;
                    }
                }
                None => writeln!(out, "| {name} | | not measured | **no** |")?,
            }
        }
        if let Some(remarks) = &self.remarks {
            let remarks =
                std::fs::read_to_string(remarks).with_context(|| format!("cannot read {}", remarks.display()))?;
            writeln!(out, "\n{}", remarks.trim())?;
        }
        for (name, write) in [
            ("put", write_put as fn(&mut String, &Value) -> std::fmt::Result),
            ("limits", write_limits),
            ("import", write_import),
            ("deliver", deliver::write),
            ("buckets", buckets::write),
            ("gateway", write_gateway),
            ("query", write_query),
            ("scale", write_scale),
        ] {
            if let Some(measured) = results::load(name)? {
                write(&mut out, &measured)?;
                let text = |name: &str| measured[name].as_str().unwrap_or_default();
                writeln!(out, "\nMeasured {}, {} build.", text("measured"), text("profile"))?;
            }
        }
        std::fs::write(&self.out, out).with_context(|| format!("cannot write {}", self.out.display()))
    }
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn mega(value: &Value, path: &str) -> f64 {
    number(value, path) / 1e6
}

fn write_put(out: &mut String, measured: &Value) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Durable audit events\n\nPutAuditEvents with {} connections, batches of 100 events of {} bytes, SigV4 and fsync on; sender and \
         server share the machine. PostgreSQL ({}): one jsonb table with a primary key, prepared INSERT of 100 rows, \
         synchronous_commit on, same sender. Closed loop: the most that goes through. Open loop: {} events/s offered on a \
         schedule, latency from the intended time.\n",
        number(measured, "/towpath/closed/connections"),
        number(measured, "/event_bytes"),
        measured["postgres"]["version"].as_str().unwrap_or("not measured"),
        number(measured, "/rate"),
    )?;
    writeln!(
        out,
        "| | events/s | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms | errors |\n|---|---|---|---|---|---|---|---|"
    )?;
    for (name, path) in [
        ("Towpath, closed", "/towpath/closed"),
        ("PostgreSQL, closed", "/postgres/closed"),
        ("Towpath, open", "/towpath/open"),
        ("PostgreSQL, open", "/postgres/open"),
    ] {
        let Some(outcome) = measured.pointer(path) else { continue };
        write!(out, "| {name} | {:.0} |", number(outcome, "/events_per_second"))?;
        for share in ["p50", "p90", "p99", "p999", "max"] {
            write!(out, " {:.1} |", number(outcome, &format!("/{share}")))?;
        }
        let errors = outcome["errors"].as_object().into_iter().flatten();
        let errors: Vec<_> = errors.map(|(code, count)| format!("{code}: {count}")).collect();
        writeln!(out, " {} |", if errors.is_empty() { "none".to_owned() } else { errors.join(", ") })?;
    }
    let ratio =
        number(measured, "/towpath/closed/events_per_second") / number(measured, "/postgres/closed/events_per_second");
    writeln!(
        out,
        "\nTowpath takes {ratio:.2} times as many as PostgreSQL. Its server uses {:.1} processor seconds per million events and had at most {:.0} MB of memory.",
        number(measured, "/towpath/processor"),
        mega(measured, "/towpath/memory")
    )
}

fn write_gateway(out: &mut String, measured: &Value) -> std::fmt::Result {
    writeln!(
        out,
        "\n## The capture gateway\n\nCalls of a kilobyte, answered at once with as much; sender, upstream, gateway and log share the \
         machine. Steady: {:.0} calls/s offered on a schedule over {} connections, latency from the intended time. Most: over {} \
         connections, each call when the one before is answered. Of {:.0} fail-closed calls {:.0} were in a store afterwards, of {:.0} \
         fail-open calls {:.0}.\n",
        number(measured, "/rate"),
        number(measured, "/direct/connections"),
        number(measured, "/fail_open/closed/connections"),
        number(measured, "/fail_closed/calls"),
        number(measured, "/fail_closed/recorded"),
        number(measured, "/fail_open/calls"),
        number(measured, "/fail_open/recorded"),
    )?;
    writeln!(out, "| | calls/s | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms |\n|---|---|---|---|---|---|---|")?;
    for (name, path) in [
        ("without gateway, steady", "/direct"),
        ("fail-open, steady", "/fail_open/open"),
        ("fail-closed, steady", "/fail_closed/open"),
        ("fail-open, most", "/fail_open/closed"),
        ("fail-closed, most", "/fail_closed/closed"),
    ] {
        write!(out, "| {name} | {:.0} |", number(measured, &format!("{path}/events_per_second")))?;
        for share in ["p50", "p90", "p99", "p999", "max"] {
            write!(out, " {:.2} |", number(measured, &format!("{path}/{share}")))?;
        }
        writeln!(out)?;
    }
    let speed = |path: &str| number(measured, "/megabytes") / number(measured, path);
    writeln!(
        out,
        "\n{:.0} MiB between boto3 {} and Towpath's own buckets in another process: up {:.0} MiB/s direct, {:.0} through the \
         gateway; down {:.0} and {:.0}.",
        number(measured, "/megabytes"),
        measured.pointer("/whole/boto3").and_then(Value::as_str).unwrap_or_default(),
        speed("/whole/upload_direct"),
        speed("/whole/upload"),
        speed("/whole/download_direct"),
        speed("/whole/download"),
    )?;
    for (how, place) in [
        ("as fast as memory is copied".to_owned(), ""),
        (format!("sent at {:.0} Gbit/s, as over a network", number(measured, "/gigabits")), "/network"),
    ] {
        let speed = |way: &str| speed(&format!("{place}/{way}"));
        writeln!(
            out,
            "\n{:.0} MiB {how}: up {:.0} MiB/s direct, {:.0} through a bare TCP relay, {:.0} through the gateway; \
             down {:.0}, {:.0} and {:.0}.",
            number(measured, "/megabytes"),
            speed("upload_direct"),
            speed("upload_relay"),
            speed("upload"),
            speed("download_direct"),
            speed("download_relay"),
            speed("download"),
        )?;
    }
    writeln!(
        out,
        "\nA million recorded calls cost {:.0} processor seconds (fail-open; log, lake and store included); the server had at \
         most {:.0} MB of memory at full load.",
        number(measured, "/fail_open/processor"),
        mega(measured, "/fail_open/memory")
    )
}

fn write_limits(out: &mut String, measured: &Value) -> std::fmt::Result {
    writeln!(out, "\n## What the machine can do\n\nOne core, one file.\n\n| | |\n|---|---|")?;
    for (name, path, unit) in [
        ("append of 4 KiB and fdatasync", "/fsyncs_small", "a second"),
        ("append of 128 KiB (a batch) and fdatasync", "/fsyncs_batch", "a second"),
        ("SHA-256", "/sha256", "MB/s"),
        ("JSON into a tree, serde_json", "/serde_json", "MB/s"),
        ("JSON into a tree, sonic-rs", "/sonic", "MB/s"),
        ("gunzip", "/gunzip", "MB/s of JSON"),
        ("copying memory", "/copy", "MB/s"),
    ] {
        writeln!(out, "| {name} | {:.0} {unit} |", number(measured, path))?;
    }
    Ok(())
}

fn write_import(out: &mut String, measured: &Value) -> std::fmt::Result {
    let tally = &measured["tally"];
    writeln!(
        out,
        "\n## Import\n\n{} events, {} records in {} gzip files, {:.0} MB of JSON, {:.0} MB packed. Towpath stores each event once, \
         sorted, with the whole schema and the record as received; DuckDB ({}) writes the columns people ask for and the \
         record, repeats included, unsorted, with up to 4 GiB (with 1 GiB it fails).\n",
        tally["events"],
        tally["records"],
        tally["files"],
        mega(tally, "/bytes"),
        mega(tally, "/packed"),
        measured["duckdb"]["version"].as_str().unwrap_or("not measured"),
    )?;
    writeln!(out, "| | seconds | MB/s of JSON | memory MB | stored MB |\n|---|---|---|---|---|")?;
    writeln!(
        out,
        "| Towpath | {:.1} | {:.0} | {:.0} + {:.0} (command) | {:.0} |",
        number(measured, "/seconds"),
        number(measured, "/rate"),
        mega(measured, "/server_memory"),
        mega(measured, "/command_memory"),
        mega(measured, "/stored")
    )?;
    if measured["duckdb"].is_object() {
        writeln!(
            out,
            "| DuckDB | {:.1} | {:.0} | {:.0} | {:.0} |",
            number(measured, "/duckdb/seconds"),
            number(measured, "/duckdb/rate"),
            mega(measured, "/duckdb/memory"),
            mega(measured, "/duckdb/stored")
        )?;
    }
    writeln!(
        out,
        "\nThe server used {:.1} processor seconds. Everything was in answers after {:.1} s. Stored: {:.0} MB when the import had ended, \
         {:.0} MB in {} files after compaction ({:.0} s later), {:.0} % of the gzip files; the data directory as a whole, log included, {:.0} MB.",
        number(measured, "/server_processor_seconds"),
        number(measured, "/queryable_seconds"),
        mega(measured, "/stored_at_once"),
        mega(measured, "/stored"),
        measured["stored_files"],
        number(measured, "/settle_seconds"),
        number(measured, "/relative") * 100.0,
        mega(measured, "/directory")
    )
}

fn write_query(out: &mut String, measured: &Value) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Questions\n\n{} events in {} Parquet files, {:.0} MB. All three read the same files with 2 threads and {:.0} MiB; Towpath \
         over its API (StartQuery to the last row, signed), DuckDB {} and ClickHouse (chdb {}) inside their process. Cold: the \
         system has forgotten the files; warm: median of the runs after it. Milliseconds. The server had at most {:.0} MB of memory and \
         started in {:.2} s.\n",
        measured["events"],
        measured["files"],
        mega(measured, "/bytes"),
        number(measured, "/memory_limit") / f64::from(1 << 20),
        measured["duckdb"].as_str().unwrap_or_default(),
        measured["clickhouse"].as_str().unwrap_or_default(),
        mega(measured, "/server_memory"),
        number(measured, "/start_seconds")
    )?;
    writeln!(
        out,
        "| question | rows | Towpath cold | warm | DuckDB cold | warm | ClickHouse cold | warm | warm, times the best peer |\n|---|---|---|---|---|---|---|---|---|"
    )?;
    let mut sums = [0.0; 6];
    for row in measured["questions"].as_array().into_iter().flatten() {
        let needle = if row["needle"] == true { " (needle)" } else { "" };
        write!(out, "| {}{needle} | {} |", row["title"].as_str().unwrap_or_default(), row["rows"])?;
        for (at, path) in
            ["/towpath/cold", "/towpath/warm", "/duckdb/cold", "/duckdb/warm", "/clickhouse/cold", "/clickhouse/warm"]
                .iter()
                .enumerate()
        {
            let seconds = number(row, path);
            sums[at] += if seconds.is_nan() { 0.0 } else { seconds };
            match seconds.is_nan() {
                true => write!(out, " failed |")?,
                false => write!(out, " {:.1} |", seconds * 1e3)?,
            }
        }
        let best = number(row, "/duckdb/warm").min(number(row, "/clickhouse/warm"));
        writeln!(out, " {:.2} |", number(row, "/towpath/warm") / best)?;
    }
    writeln!(
        out,
        "| **sum of what was answered** | | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | |",
        sums[0] * 1e3,
        sums[1] * 1e3,
        sums[2] * 1e3,
        sums[3] * 1e3,
        sums[4] * 1e3,
        sums[5] * 1e3
    )?;
    for row in measured["questions"].as_array().into_iter().flatten() {
        for engine in ["towpath", "duckdb", "clickhouse"] {
            if let Some(error) = row[engine]["error"].as_str() {
                writeln!(
                    out,
                    "\n- {} failed on {}: `{}`",
                    engine,
                    row["name"].as_str().unwrap_or_default(),
                    error.replace('`', "'").replace('\n', " ")
                )?;
            }
        }
    }
    Ok(())
}

fn write_scale(out: &mut String, measured: &Value) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Many of everything\n\n{} stores that take {}, {} queries in history, {} at a time. A page of ListEventDataStores takes {:.1} ms, of \
         ListQueries {:.1} ms. With {} queries at a time the median takes {:.0} ms. The server had at most {:.0} MB of memory.",
        measured["stores"],
        if measured["live"] == true { "all live management events" } else { "imports only" },
        measured["queries"],
        measured["concurrent"],
        number(measured, "/list_stores_millis"),
        number(measured, "/list_queries_millis"),
        measured["concurrent"],
        number(measured, "/concurrent_median_millis"),
        mega(measured, "/server_memory")
    )
}
