//! `towpath import`: log files of CloudTrail from a folder or a bucket into an event data store.

mod bucket;
mod folder;
mod report;
mod walk;

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::bucket::Bucket;
use self::folder::Folder;
use self::report::Report;
use super::send::ReportFormat;
use super::time::{self, Written};
use super::verify::before_import::require_valid;
use super::{Failure, connect, shown};
use crate::client::{Api, Client, ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Flags of `towpath import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Log files may be gzip or plain: {\"Records\":[...]}, bare arrays, single records, one
record a line, or the answer of LookupEvents. Events that the store has are not
stored twice. After a stop, the same command goes on where it was.
  towpath import ./AWSLogs --event-data-store audit
  towpath import s3://bucket/prefix --event-data-store audit --start 2026-01-01")]
pub struct Import {
    /// Folder, file or s3://bucket/prefix
    #[arg(required_unless_present = "list")]
    path: Option<String>,
    /// Event data store, by name, id or ARN
    #[arg(long, value_name = "STORE", required_unless_present = "list")]
    event_data_store: Option<String>,
    /// Uploads at a time
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Buckets only: events of this time and later
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    start: Option<Written>,
    /// Buckets only: events of this time and earlier
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    end: Option<Written>,
    /// Buckets only: region of the bucket [default: the region worked in]
    #[arg(long, value_name = "REGION")]
    bucket_region: Option<String>,
    /// Buckets only: role that the import names
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// Verify the digests first, and import nothing unless all is valid
    #[arg(long)]
    verify: bool,
    /// With --verify: file with public keys, from towpath verify public-keys [default: ask the server]
    #[arg(long, value_name = "FILE", requires = "verify")]
    public_keys: Option<PathBuf>,
    /// List imports instead
    #[arg(long, conflicts_with = "path")]
    list: bool,
    /// Form of the report
    #[arg(long, short, value_enum, default_value_t)]
    output: ReportFormat,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Import {
    /// Imports, and tells at the end what failed.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PATIENT)?;
        let (Some(path), Some(store)) = (&self.path, &self.event_data_store) else {
            return list(&client, self.output).await;
        };
        let started = Instant::now();
        let mut report = Report::default();
        let outcome = tokio::select! {
            outcome = self.import(&client, path, store, &mut report) => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        };
        if !report.import_id.is_empty() {
            match self.output {
                ReportFormat::Json => output::print_json(&report.json())?,
                ReportFormat::Text => report.write(&mut std::io::stderr().lock(), started.elapsed().as_secs_f64())?,
            }
        }
        if matches!(outcome, Err(Failure::Interrupted)) && !path.starts_with("s3://") {
            eprintln!("stopped; the same command goes on where it was");
        }
        outcome?;
        if report.is_success() { Ok(()) } else { Err(Failure::Told) }
    }

    async fn import(&self, client: &Client, path: &str, store: &str, report: &mut Report) -> Result<(), Failure> {
        if self.verify {
            require_valid(client.clone(), path, self.public_keys.as_deref()).await?;
        }
        let now = Timestamp::now();
        let seconds = |written: Written| written.instant(now).as_millisecond() as f64 / 1000.0;
        if path.starts_with("s3://") {
            let bucket = Bucket {
                location: path,
                store,
                region: self.bucket_region.as_deref(),
                role: self.role_arn.as_deref(),
                start: self.start.map(seconds),
                end: self.end.map(seconds),
            };
            return bucket.import(client, report).await;
        }
        if self.start.is_some() || self.end.is_some() || self.bucket_region.is_some() || self.role_arn.is_some() {
            let hint = "leave them out, or copy the files of the time range into a folder of their own";
            return Err(Failure::plain("--start, --end, --bucket-region and --role-arn are for buckets", hint));
        }
        Folder { root: Path::new(path), store, parallel: usize::from(self.parallel) }.import(client, report).await
    }
}

async fn list(client: &Client, format: ReportFormat) -> Result<(), Failure> {
    let imports = client.list(Api::CloudTrail, "ListImports", &json!({}), "Imports").await?;
    if format == ReportFormat::Json {
        return Ok(output::print_json(&Value::Array(imports))?);
    }
    let mut rows = Rows::new(&["import", "status", "created", "updated", "store"]);
    for import in &imports {
        let store = import.pointer("/Destinations/0").and_then(Value::as_str).unwrap_or_default();
        rows.push(vec![
            shown(import, "ImportId"),
            shown(import, "ImportStatus"),
            time::shown_seconds(import.get("CreatedTimestamp")),
            time::shown_seconds(import.get("UpdatedTimestamp")),
            store.rsplit('/').next().unwrap_or_default().to_owned(),
        ]);
    }
    Ok(output::print(rows, Format::Table)?)
}

#[cfg(test)]
mod tests;
