//! Records of a gateway of its own, to a server over its first-party interface.

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use towpath_capture::CapturedRecord;
use towpath_gateway::{RecordSink, SinkError};

use crate::client::{Api, Client, ClientError};

/// Most records of one call.
const BATCH: usize = 500;

/// Sends records to a server.
pub struct ServerSink(pub Client);

/// The answer to PutRecords.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    failed: Vec<Failed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    index: usize,
    error_code: String,
    #[serde(default)]
    error_message: String,
}

/// Records that were not taken, by their place among those offered, and why.
type Refused = Vec<(usize, String)>;

#[async_trait]
impl RecordSink for ServerSink {
    async fn append(&self, records: &[CapturedRecord]) -> Result<(), SinkError> {
        let numbered: Vec<_> = records.iter().enumerate().collect();
        let (entries, own): (Vec<_>, Vec<_>) = numbered.into_iter().partition(|(_, record)| record.channel.is_some());
        let mut refused = Vec::new();
        for batch in own.chunks(BATCH) {
            refused.extend(self.put(batch).await?);
        }
        for entry in entries {
            refused.extend(self.put_entry(entry).await?);
        }
        if refused.is_empty() {
            return Ok(());
        }
        refused.sort_unstable_by_key(|(number, _)| *number);
        Err(SinkError::Never(refused))
    }
}

impl ServerSink {
    /// Sends records as events of their accounts.
    async fn put(&self, batch: &[(usize, &CapturedRecord)]) -> Result<Refused, SinkError> {
        match self.0.call_with(Api::Towpath, "PutRecords", body(batch)).await {
            Ok(answer) => {
                let answer: Answer = serde_json::from_value(answer)
                    .map_err(|error| SinkError::Later(format!("the answer to PutRecords is none: {error}")))?;
                let told = |failed: Failed| {
                    let (number, _) = batch.get(failed.index)?;
                    Some((*number, format!("{}: {}", failed.error_code, failed.error_message)))
                };
                Ok(answer.failed.into_iter().filter_map(told).collect())
            }
            Err(error) if is_about_the_records(&error) => match batch {
                [(number, _)] => Ok(vec![(*number, error.to_string())]),
                // One of them spoils the call: halves are tried until it stands alone.
                more => {
                    let (left, right) = more.split_at(more.len() / 2);
                    let mut refused = Box::pin(self.put(left)).await?;
                    refused.extend(Box::pin(self.put(right)).await?);
                    Ok(refused)
                }
            },
            Err(error) => Err(SinkError::Later(error.to_string())),
        }
    }

    /// Sends a record as an entry for its channel.
    async fn put_entry(&self, (number, record): (usize, &CapturedRecord)) -> Result<Refused, SinkError> {
        let Some(channel) = &record.channel else { return Ok(Vec::new()) };
        let text = String::from_utf8_lossy(&record.json);
        let body = json!({ "auditEvents": [{ "id": record.event_id.to_string(), "eventData": text }] });
        match self.0.put_audit_events(channel, None, Bytes::from(body.to_string())).await {
            Ok(answer) => {
                let failed = answer.failed.into_iter().next();
                Ok(failed
                    .map(|failed| (number, format!("{}: {}", failed.error_code, failed.error_message)))
                    .into_iter()
                    .collect())
            }
            Err(error) if is_about_the_records(&error) => Ok(vec![(number, error.to_string())]),
            Err(error) => Err(SinkError::Later(error.to_string())),
        }
    }
}

/// The input of PutRecords, records as they are.
fn body(batch: &[(usize, &CapturedRecord)]) -> Bytes {
    let bytes: usize = batch.iter().map(|(_, record)| record.json.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + 16);
    body.extend_from_slice(b"{\"Records\":[");
    for (place, (_, record)) in batch.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&record.json);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

/// True if the same records will never be taken; false if the server, its address or our key may be better later.
fn is_about_the_records(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { code, .. }
        if ["ValidationException", "SerializationException", "InvalidParameterException", "RequestEntityTooLarge",
            "ChannelNotFound", "ChannelNotFoundException", "InvalidChannelARN", "ChannelUnsupportedSchema"].contains(&code.as_str()))
}
