//! The notifier that writes each delivered event to a CloudWatch Logs group.

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::read::MultiGzDecoder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use towpath_model::{AccountId, Trail};

use super::endpoint::{AwsEndpoint, failed};
use super::{Notice, Notifier, NotifyError, Target};
use crate::buckets::Buckets;

/// The largest event that a log group takes, in bytes (trails.md, section 7).
const LOG_EVENT_BYTES: usize = 256 * 1024;
/// The largest batch: bytes, of which 26 are counted for each event beside its text, and events (PutLogEvents).
const BATCH_BYTES: usize = 1_048_576;
const BATCH_EVENTS: usize = 10_000;

/// Writes the events of delivered files to the log group of a trail.
pub struct LogGroup {
    /// A CloudWatch-Logs-compatible endpoint.
    pub endpoint: AwsEndpoint,
    /// Where the delivered files are read.
    pub buckets: Arc<dyn Buckets>,
}

#[derive(Deserialize)]
struct LogFile<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

impl LogGroup {
    async fn text(&self, notice: &Notice) -> Result<Vec<u8>, NotifyError> {
        let opened = self.buckets.open(&notice.bucket).await;
        let store: Arc<dyn ObjectStore> = opened.map_err(|error| failed(error.to_string()))?;
        let path = Path::parse(&notice.key).map_err(|error| failed(error.to_string()))?;
        let read = async { store.get(&path).await?.bytes().await };
        let packed = match read.await {
            Ok(packed) => packed,
            Err(object_store::Error::NotFound { .. }) => {
                let message = "the log file is not in its bucket any more".to_owned();
                return Err(NotifyError { code: None, message, retry: false });
            }
            Err(error) => return Err(failed(format!("the log file cannot be read: {error}"))),
        };
        let unpack = move || {
            let mut text = Vec::new();
            MultiGzDecoder::new(&packed[..]).read_to_end(&mut text).map(|_| text)
        };
        let text = tokio::task::spawn_blocking(unpack).await.map_err(|_| failed("the process stops"))?;
        text.map_err(|error| failed(format!("the log file cannot be read: {error}")))
    }
}

/// Calls an operation of CloudWatch Logs.
pub(crate) async fn operation(
    endpoint: &AwsEndpoint,
    region: &str,
    name: &str,
    input: &Value,
) -> Result<(), NotifyError> {
    endpoint.json("logs", region, &format!("Logs_20140328.{name}"), input).await.map(drop)
}

/// The stream of a trail's events of an account: `[o-id_]<account>_CloudTrail_<home region>`.
pub(crate) fn stream_of(trail: &Trail, account: AccountId) -> String {
    let stream = format!("{account}_CloudTrail_{}", trail.home_region);
    trail.organization.as_ref().map_or(stream.clone(), |organization| format!("{organization}_{stream}"))
}

/// Region and name of a group: `arn:aws:logs:<region>:<account>:log-group:<name>[:*]`.
pub(crate) fn group_of(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(7, ':');
    let region = parts.nth(3)?;
    let kind = parts.nth(1)?;
    let name = parts.next()?;
    let name = name.strip_suffix(":*").unwrap_or(name);
    (kind == "log-group" && !name.is_empty()).then_some((region, name))
}

/// Cuts events into batches that a log group takes; events that are too large are left out.
fn batches<'a>(records: &[&'a RawValue]) -> Vec<Vec<&'a str>> {
    let (mut batches, mut bytes) = (vec![Vec::new()], 0);
    for text in records.iter().map(|record| record.get()).filter(|text| text.len() + 26 <= LOG_EVENT_BYTES) {
        let last = batches.last_mut().expect("there is always a batch");
        if bytes + text.len() + 26 > BATCH_BYTES || last.len() == BATCH_EVENTS {
            batches.push(vec![text]);
            bytes = 0;
        } else {
            last.push(text);
        }
        bytes += text.len() + 26;
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

#[async_trait]
impl Notifier for LogGroup {
    fn target(&self) -> Target {
        Target::LogGroup
    }

    fn wants(&self, trail: &Trail) -> bool {
        trail.cloud_watch_logs.is_some()
    }

    async fn send(&self, trail: &Trail, notice: &Notice) -> Result<(), NotifyError> {
        let Some(logs) = &trail.cloud_watch_logs else { return Ok(()) };
        let Some((region, group)) = group_of(&logs.group_arn) else {
            return Err(NotifyError { retry: false, ..failed("the ARN of the log group names no group") });
        };
        let stream = stream_of(trail, notice.account);
        let text = self.text(notice).await?;
        let file: LogFile<'_> =
            serde_json::from_slice(&text).map_err(|error| failed(format!("the log file is not JSON: {error}")))?;
        for batch in batches(&file.records) {
            // The time of an entry is that of its delivery, not that of the event.
            let at = self.endpoint.clock.now().as_millisecond();
            let entries: Vec<Value> =
                batch.into_iter().map(|text| json!({ "timestamp": at, "message": text })).collect();
            let input = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": entries });
            match operation(&self.endpoint, region, "PutLogEvents", &input).await {
                Err(error) if error.code.as_deref() == Some("ResourceNotFoundException") => {
                    let names = json!({ "logGroupName": group, "logStreamName": stream });
                    match operation(&self.endpoint, region, "CreateLogStream", &names).await {
                        Err(error) if error.code.as_deref() != Some("ResourceAlreadyExistsException") => {
                            return Err(error);
                        }
                        _ => operation(&self.endpoint, region, "PutLogEvents", &input).await?,
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use towpath_model::CloudWatchLogs;

    use super::*;
    use crate::gzip;
    use crate::notify::http::tests::{Server, notice};
    use crate::testing::{START, TestBuckets, trail};

    #[tokio::test]
    async fn a_log_group_gets_each_event_and_its_stream_is_made_when_it_is_missing() {
        let missing = r#"{"__type":"ResourceNotFoundException"}"#;
        let server = Server::answering(vec![(400, missing), (200, "{}"), (200, "{}")]).await;
        let trail = Trail {
            cloud_watch_logs: Some(CloudWatchLogs {
                group_arn: "arn:aws:logs:us-east-1:000000000001:log-group:my/group:*".to_owned(),
                role_arn: String::new(),
            }),
            ..trail("main", "bucket", START.parse().unwrap())
        };
        let buckets = Arc::new(TestBuckets::default());
        let packed = gzip::whole(2, br#"{"Records":[{"a": 1.50},{"b":"\u00e9"}]}"#).unwrap();
        buckets.get("bucket").inner.put(&Path::from("logs/file.json.gz"), packed.into()).await.unwrap();
        let group = LogGroup { endpoint: server.endpoint(), buckets };
        group.send(&trail, &notice(&trail)).await.unwrap();
        let asked = server.asked.lock().clone();
        let names = ["PutLogEvents", "CreateLogStream", "PutLogEvents"];
        assert!(
            asked.iter().zip(names).all(|(asked, name)| asked.contains(&format!("Logs_20140328.{name}"))),
            "{asked:?}"
        );
        let body: Value = serde_json::from_str(asked[2].split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["logGroupName"], "my/group");
        assert_eq!(body["logStreamName"], "000000000001_CloudTrail_us-east-1");
        assert_eq!(body["logEvents"][0]["message"], r#"{"a": 1.50}"#);
        assert_eq!(body["logEvents"][1]["message"], r#"{"b":"\u00e9"}"#);
    }

    #[test]
    fn batches_keep_the_limits_and_the_order() {
        let texts: Vec<String> = (0..30).map(|n| format!("\"{}{n}\"", "x".repeat(100_000))).collect();
        let huge = format!("\"{}\"", "y".repeat(300_000));
        let raw: Vec<&RawValue> = texts.iter().chain([&huge]).map(|text| serde_json::from_str(text).unwrap()).collect();
        let cut = batches(&raw);
        assert!(cut.iter().all(|batch| batch.iter().map(|text| text.len() + 26).sum::<usize>() <= BATCH_BYTES));
        assert_eq!(cut.concat(), texts);
        assert!(batches(&[]).is_empty());
    }
}
