//! One batch and what the server makes of it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use towpath_wire::data::PutAuditEventsRequest;

use super::entry::{Entry, Refused};
use crate::client::{Client, ClientError, Retry};

/// How often entries that the server could not take are sent again.
const ENTRY_RETRY: Retry =
    Retry { tries: 8, unreachable_tries: 1, pause: Duration::from_millis(100), longest: Duration::from_secs(5) };

/// Where batches go.
pub struct Delivery<'a> {
    /// The way to the server; repeats whole calls itself.
    pub client: &'a Client,
    /// The channel's ARN.
    pub channel: &'a str,
    /// The external id, where the channel asks for one.
    pub external_id: Option<&'a str>,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Entries that the server has.
    pub accepted: u64,
    /// Entries that it refused.
    pub refused: Vec<Refused>,
}

impl Delivery<'_> {
    /// Sends entries until each is accepted or refused. An error means that no entry could be sent at all, and that
    /// none will: there is no such channel, no right, no server.
    pub async fn deliver(&self, mut entries: Vec<Entry>) -> Result<Outcome, ClientError> {
        let mut outcome = Outcome::default();
        let mut tried = 0;
        while !entries.is_empty() {
            tried += 1;
            let answer = match self.put(&entries).await {
                Ok(answer) => answer,
                Err(error) if concerns_entries(&error) => {
                    self.narrow(entries, &error, &mut outcome).await?;
                    return Ok(outcome);
                }
                Err(error) => return Err(error),
            };
            let accepted: HashMap<_, _> = answer.successful.iter().map(|entry| (entry.id.as_str(), ())).collect();
            let failed: HashMap<_, _> = answer.failed.iter().map(|entry| (entry.id.as_str(), entry)).collect();
            let mut again = Vec::new();
            for entry in entries {
                let id = entry.event.id.as_str();
                match failed.get(id) {
                    Some(failure) if is_passing(&failure.error_code) && tried < ENTRY_RETRY.tries => again.push(entry),
                    Some(failure) => outcome.refused.push(Refused {
                        line: entry.line,
                        id: Some(id.to_owned()),
                        code: failure.error_code.clone(),
                        message: failure.error_message.clone(),
                    }),
                    None if accepted.contains_key(id) => outcome.accepted += 1,
                    // Neither accepted nor refused: to send it again does no harm.
                    None if tried < ENTRY_RETRY.tries => again.push(entry),
                    None => outcome.refused.push(Refused {
                        line: entry.line,
                        id: Some(id.to_owned()),
                        code: "NoVerdict".to_owned(),
                        message: "the server's answer does not mention the entry".to_owned(),
                    }),
                }
            }
            entries = again;
            if !entries.is_empty() {
                tokio::time::sleep(ENTRY_RETRY.pause_after(tried)).await;
            }
        }
        Ok(outcome)
    }

    async fn put(&self, entries: &[Entry]) -> Result<towpath_wire::data::PutAuditEventsResponse, ClientError> {
        let request = PutAuditEventsRequest {
            audit_events: entries.iter().map(|entry| entry.event.clone()).collect(),
            channel_arn: self.channel.to_owned(),
            external_id: None,
        };
        let body = serde_json::to_vec(&request)
            .map_err(|error| ClientError::Build { operation: "PutAuditEvents".to_owned(), cause: Box::new(error) })?;
        self.client.put_audit_events(self.channel, self.external_id, Bytes::from(body)).await
    }

    /// Finds the entries because of which a whole call was refused, by halves.
    fn narrow<'b>(
        &'b self,
        mut entries: Vec<Entry>,
        error: &'b ClientError,
        outcome: &'b mut Outcome,
    ) -> BoxFuture<'b, Result<(), ClientError>> {
        async move {
            if let [only] = entries.as_slice() {
                let (code, message) = match error {
                    ClientError::Refused { code, message, .. } => (code.clone(), message.clone()),
                    other => ("NotSent".to_owned(), other.to_string()),
                };
                outcome.refused.push(Refused { line: only.line, id: Some(only.event.id.clone()), code, message });
                return Ok(());
            }
            let second = entries.split_off(entries.len() / 2);
            for half in [entries, second] {
                let part = Box::pin(self.deliver(half)).await?;
                outcome.accepted += part.accepted;
                outcome.refused.extend(part.refused);
            }
            Ok(())
        }
        .boxed()
    }
}

/// True for codes of entries that may be accepted when they are sent again.
fn is_passing(code: &str) -> bool {
    matches!(code, "Throttling" | "InternalFailure")
}

/// True if the call was refused for what some of its entries are.
fn concerns_entries(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            "ValidationException"
                | "DuplicatedAuditEventId"
                | "SerializationException"
                | "RequestEntityTooLargeException"
        )
    )
}
