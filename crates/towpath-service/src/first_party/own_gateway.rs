//! Records of a gateway that runs in this process.

use std::sync::Arc;

use bytes::Bytes;
use towpath_iam::Principal;
use towpath_model::{AccountId, Region};
use towpath_wire::data::{AuditEvent, PutAuditEventsRequest};
use towpath_wire::{ApiError, RequestId};
use uuid::Uuid;

use super::put::{Refused, admit};
use crate::authorize::Rights;
use crate::caller::Caller;
use crate::operations::{Context, put_audit_events};
use crate::service::Service;

/// The region of what no request was signed for.
const DEFAULT_REGION: &str = "us-east-1";
/// Who acts, in place of an access key, where the server itself does.
const GATEWAY: &str = "towpath-gateway";

/// A record of a gateway.
#[derive(Clone, Debug)]
pub struct OfferedRecord {
    /// Its `eventID`.
    pub event_id: Uuid,
    /// The record, or the `eventData` of an entry for a channel: one JSON object.
    pub json: Bytes,
    /// The ARN of the channel that it enters by; `None` for an event of its account.
    pub channel: Option<Arc<str>>,
}

impl Service {
    /// Takes records of the gateway in this process, which may write for every account, and returns when those that are
    /// taken are durable: the others by their place, and why. Sending records again stores nothing twice.
    ///
    /// # Errors
    /// `ThrottlingException`, `ServiceUnavailable` or `InternalFailure`: the same records may be taken later.
    pub async fn put_gateway_records(&self, records: &[OfferedRecord]) -> Result<Vec<(usize, Refused)>, ApiError> {
        let now = self.parts().clock.now();
        let own: Vec<usize> = (0..records.len()).filter(|number| records[*number].channel.is_none()).collect();
        let texts = own.iter().map(|number| records[*number].json.clone());
        let mut admitted = admit(self.parts(), texts, |_| true, now).await?;
        let mut refused: Vec<_> = admitted.refused.drain(..).map(|(number, refused)| (own[number], refused)).collect();
        for (number, record) in records.iter().enumerate() {
            let Some(channel) = &record.channel else { continue };
            match self.entry_for(channel, record).await {
                Ok(events) => admitted.events.extend(events),
                Err(error) if error.retryable() => return Err(error),
                Err(error) => refused.push((number, Refused { code: "InvalidRecord", message: error.to_string() })),
            }
        }
        self.records().append(admitted.events).await?;
        refused.sort_by_key(|(number, _)| *number);
        Ok(refused)
    }

    /// True if records of this account can be taken.
    pub fn has_account(&self, account: AccountId) -> bool {
        self.parts().directory.account(account).is_some()
    }

    /// The events of an entry for a channel, sent as the channel's owner.
    async fn entry_for(&self, channel: &str, record: &OfferedRecord) -> Result<Vec<towpath_model::Event>, ApiError> {
        let owner = channel.parse::<towpath_model::Arn>().ok().and_then(|arn| arn.account_id());
        let account = owner.ok_or_else(|| ApiError::validation("the channel has no owner in its ARN"))?;
        let parts = self.parts();
        let caller = Caller {
            principal: Arc::new(Principal::Root { account }),
            account,
            access_key_id: GATEWAY.to_owned(),
            region: DEFAULT_REGION.parse::<Region>().expect("the name of a region"),
            source_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            user_agent: None,
            request_id: RequestId::from(Uuid::new_v4()),
            tls: None,
            rights: Rights::default(),
            now: parts.clock.now(),
        };
        let context = Context::new(&caller, parts, self.records());
        let event_data =
            String::from_utf8(record.json.to_vec()).map_err(|_| ApiError::validation("the event data is not UTF-8"))?;
        let bytes = event_data.len();
        let input = PutAuditEventsRequest {
            audit_events: vec![AuditEvent { id: record.event_id.to_string(), event_data, event_data_checksum: None }],
            channel_arn: channel.to_owned(),
            external_id: None,
        };
        let admitted = put_audit_events::admit(&context, &input, bytes).await?;
        match admitted.answer.failed.first() {
            Some(failed) => Err(ApiError::validation(failed.error_message.clone())),
            None => Ok(admitted.events),
        }
    }
}
