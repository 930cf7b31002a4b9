//! Benchmarks of Towpath beside its peers, and the load generator that feeds them.
//!
//! Every command keeps what it measured below `TOWPATH_BENCH_DATA`; `report` writes `RESULTS.md` from it. `bench/run`
//! runs them all in order. Servers and databases listen on loopback only and end with the command.

mod api;
mod buckets;
mod deliver;
mod gateway;
mod generate;
mod import;
mod limits;
mod machine;
mod peer;
mod put;
mod query;
mod report;
mod results;
mod scale;
mod server;

use clap::{Parser, Subcommand};

/// Benchmarks of Towpath and the load generator that feeds them
#[derive(Debug, Parser)]
#[command(name = "towpath-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write CloudTrail log files like real ones
    Generate(generate::Generate),
    /// Measure what the machine can do
    Limits(limits::Limits),
    /// Measure durable audit events, beside PostgreSQL
    Put(put::Put),
    /// Measure the import of log files, beside DuckDB
    Import(import::Import),
    /// Measure the delivery of a trail into embedded buckets
    Deliver(deliver::Deliver),
    /// Measure embedded buckets over the S3 protocol, beside other servers that are named
    Buckets(buckets::BucketsBench),
    /// Measure the capture gateway, beside the same calls without it
    Gateway(gateway::GatewayBench),
    /// Measure an investigator's questions, beside DuckDB and ClickHouse
    Query(query::Query),
    /// Measure many stores, queries in history and queries at a time
    Scale(scale::Scale),
    /// Write RESULTS.md from what was measured
    Report(report::Report),
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match Cli::parse().command {
        Command::Generate(generate) => generate.run(),
        Command::Limits(limits) => limits.run(),
        Command::Put(put) => runtime.block_on(put.run()),
        Command::Import(import) => runtime.block_on(import.run()),
        Command::Deliver(deliver) => runtime.block_on(deliver.run()),
        Command::Buckets(buckets) => runtime.block_on(buckets.run()),
        Command::Gateway(gateway) => runtime.block_on(gateway.run()),
        Command::Query(query) => runtime.block_on(query.run()),
        Command::Scale(scale) => runtime.block_on(scale.run()),
        Command::Report(report) => report.run(),
    }
}
