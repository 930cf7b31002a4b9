//! Imports from a bucket: the server reads it, this command starts the import and waits.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Failure, counted, progress, shown, store_name, text};
use super::report::{Failed, Report};
use crate::client::{Api, Client};

/// Pauses between two looks at the import.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LAST_LOOK: Duration = Duration::from_secs(3);

/// The role that an import names when nobody says which; Towpath reads buckets with keys of its configuration.
const ROLE: &str = "role/TowpathImport";

/// An import of a bucket.
pub struct Bucket<'a> {
    /// `s3://bucket/prefix`.
    pub location: &'a str,
    /// The event data store as it was written.
    pub store: &'a str,
    /// The bucket's region, if it is another one.
    pub region: Option<&'a str>,
    /// The role to name.
    pub role: Option<&'a str>,
    /// StartEventTime, in seconds since 1970.
    pub start: Option<f64>,
    /// EndEventTime, in seconds since 1970.
    pub end: Option<f64>,
}

impl Bucket<'_> {
    /// Starts the import and waits for its end.
    pub async fn import(&self, client: &Client, report: &mut Report) -> Result<(), Failure> {
        let stores = store_name::all(client).await?;
        let store = store_name::find(client, &stores, self.store)?;
        let answer = client.call(Api::CloudTrail, "StartImport", &self.input(client, &store.arn)).await?;
        report.import_id = text(&answer, "ImportId").to_owned();
        eprintln!("import {} runs on the server; Ctrl-C stops waiting, not the import", report.import_id);
        self.wait(client, report).await?;
        failures(client, report).await
    }

    fn input(&self, client: &Client, store: &str) -> Value {
        let account = store.split(':').nth(4).unwrap_or_default();
        let role = self.role.map(str::to_owned).unwrap_or_else(|| format!("arn:aws:iam::{account}:{ROLE}"));
        let mut input = json!({
            "Destinations": [store],
            "ImportSource": { "S3": {
                "S3LocationUri": self.location,
                "S3BucketRegion": self.region.unwrap_or(&client.connection().region),
                "S3BucketAccessRoleArn": role,
            } },
        });
        if let Some(start) = self.start {
            input["StartEventTime"] = json!(start);
        }
        if let Some(end) = self.end {
            input["EndEventTime"] = json!(end);
        }
        input
    }

    async fn wait(&self, client: &Client, report: &mut Report) -> Result<(), Failure> {
        let spinner = progress::spinner("starting");
        let mut pause = FIRST_LOOK;
        loop {
            let import = client.call(Api::CloudTrail, "GetImport", &json!({ "ImportId": report.import_id })).await?;
            let of = |member: &str| {
                import.get("ImportStatistics").and_then(|statistics| statistics.get(member)?.as_u64()).unwrap_or(0)
            };
            report.events_completed = of("EventsCompleted");
            report.files_completed = of("FilesCompleted");
            report.status = shown(&import, "ImportStatus");
            if !matches!(report.status.as_str(), "INITIALIZING" | "IN_PROGRESS") {
                spinner.finish_and_clear();
                return Ok(());
            }
            spinner.set_message(format!(
                "{} of {} prefixes, {} files, {} events, {} failures",
                counted(of("PrefixesCompleted")),
                counted(of("PrefixesFound")),
                counted(report.files_completed),
                counted(report.events_completed),
                counted(of("FailedEntries")),
            ));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }
}

async fn failures(client: &Client, report: &mut Report) -> Result<(), Failure> {
    let input = json!({ "ImportId": report.import_id });
    let items = client.list(Api::CloudTrail, "ListImportFailures", &input, "Failures").await?;
    for item in items.iter().filter(|item| text(item, "Status") != "SUCCEEDED") {
        report.files_failed += 1;
        report.fail(Failed {
            file: shown(item, "Location"),
            record: None,
            error_type: shown(item, "ErrorType"),
            message: shown(item, "ErrorMessage"),
        });
    }
    if report.status != "COMPLETED" && report.failures.is_empty() {
        report.fail_file("import", &report.status.clone(), "the import did not complete".to_owned());
    }
    Ok(())
}
