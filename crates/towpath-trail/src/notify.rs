//! Telling others of delivered log files: topics, log groups, webhooks.
//!
//! A message is written down in the same commit that marks its file as delivered, and removed once it was sent: it is
//! sent at least once. One that fails is tried again with growing pauses, trail by trail; one that is refused for good,
//! or has waited too long, is kept as a dead letter until somebody retries it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use towpath_meta::{Key, MetaError, MetaStore, MetaStoreExt, Record, Typed, Write};
use towpath_model::{AccountId, Region, Trail, TrailId};
use tracing::{error, warn};

use crate::delivery::Shared;
use crate::error::DeliveryError;
use crate::record;

pub(crate) mod endpoint;
pub(crate) mod http;
pub(crate) mod log_group;

pub use endpoint::AwsEndpoint;
pub use http::{Topic, Webhook};
pub use log_group::LogGroup;

/// A log file was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The trail.
    pub trail: TrailId,
    /// Its ARN.
    pub trail_arn: String,
    /// The account whose events the file holds.
    pub account: AccountId,
    /// Their region.
    pub region: Region,
    /// Where the file lies.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Hexadecimal SHA-256 of its text.
    pub hash: String,
    /// How many events it holds.
    pub events: u64,
    /// Bytes of its text.
    pub bytes: u64,
    /// `eventTime` of the oldest.
    pub oldest: String,
    /// `eventTime` of the newest.
    pub newest: String,
    /// When it was delivered.
    pub delivered: Timestamp,
    /// How often sending has failed.
    #[serde(default)]
    pub attempts: u32,
}

/// What a notifier reaches, which decides where GetTrailStatus shows its outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An SNS topic.
    Topic,
    /// A CloudWatch Logs group.
    LogGroup,
    /// A webhook.
    Webhook,
}

/// Sends messages of one kind.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// What it reaches; one notifier per target.
    fn target(&self) -> Target;
    /// True when files of this trail cause messages.
    fn wants(&self, trail: &Trail) -> bool;
    /// Sends one message. May be called again for a message that arrived, if that could not be noted.
    async fn send(&self, trail: &Trail, notice: &Notice) -> Result<(), NotifyError>;
}

/// A message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotifyError {
    /// The code that the other side answered.
    pub code: Option<String>,
    /// What was wrong.
    pub message: String,
    /// Trying again may help.
    pub retry: bool,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Names it for [`crate::Delivery::retry_dead_letter`].
    #[serde(default)]
    pub key: String,
    /// When it was given up.
    pub died: Timestamp,
    /// Why.
    pub reason: String,
    /// The message.
    pub notice: Notice,
}

impl DeadLetter {
    /// What could not be told: `topic`, `log-group` or `webhook`.
    pub fn target(&self) -> &str {
        self.key.split('/').nth(TARGET_PART).unwrap_or_default()
    }
}

impl Target {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::LogGroup => "log-group",
            Self::Webhook => "webhook",
        }
    }
}

impl Notice {
    /// The `Message` of an SNS notification.
    pub fn topic_message(&self) -> String {
        let [bucket, key] = [&self.bucket, &self.key].map(|text| serde_json::Value::from(text.as_str()));
        format!("{{\"s3Bucket\":{bucket},\"s3ObjectKey\":[{key}]}}")
    }
}

/// The value of a webhook's signature header: `sha256=` and the hexadecimal HMAC-SHA-256 of the body.
pub fn webhook_signature(secret: &[u8], body: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The notifiers there are.
pub(crate) struct Notifiers {
    all: Vec<Arc<dyn Notifier>>,
    waiting: Notify,
}

impl Notifiers {
    pub(crate) fn new(all: Vec<Arc<dyn Notifier>>) -> Self {
        Self { all, waiting: Notify::new() }
    }

    /// There may be something to send.
    pub(crate) fn wake(&self) {
        self.waiting.notify_one();
    }

    /// Writes down the messages that a delivered file causes.
    pub(crate) fn writes(&self, trail: &Trail, file: &str, notice: &Notice) -> Result<Vec<Write>, MetaError> {
        let wanted = self.all.iter().filter(|notifier| notifier.wants(trail));
        wanted
            .map(|notifier| Write::json(record::notice_key(notifier.target().as_str(), trail.id, file), notice))
            .collect()
    }
}

// How often messages are looked for beside being told.
const TICK: Duration = Duration::from_secs(1);
const PAGE: usize = 256;

/// Sends what there is to send until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut sender = Sender { shared: shared.clone(), resting: HashMap::new() };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sender.pass() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.notifiers.waiting.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Sends messages, and remembers which trails fail.
pub(crate) struct Sender {
    pub(crate) shared: Arc<Shared>,
    // Failures in a row and the end of the pause.
    pub(crate) resting: HashMap<(Target, TrailId), (u32, Instant)>,
}

impl Sender {
    /// Tries every message that is not in a pause.
    pub(crate) async fn pass(&mut self) {
        for notifier in self.shared.notifiers.all.clone() {
            if let Err(error) = self.send_all(notifier.as_ref()).await {
                error!(%error, target = notifier.target().as_str(), "messages cannot be sent");
            }
        }
    }

    async fn send_all(&mut self, notifier: &dyn Notifier) -> Result<(), DeliveryError> {
        let target = notifier.target();
        let area = record::notice_area(target.as_str());
        let (mut after, mut failed) = (None::<Key>, HashSet::new());
        loop {
            let page = self.shared.meta.list_json::<Notice>(&area, after.as_ref(), PAGE).await;
            let page = page.map_err(DeliveryError::meta("read the messages to send"))?;
            let full = page.len() == PAGE;
            after = page.last().map(|notice| notice.key.clone());
            for notice in page {
                let trail = notice.value.trail;
                let rests = self.resting.get(&(target, trail)).is_some_and(|(_, until)| *until > Instant::now());
                if rests || failed.contains(&trail) {
                    continue;
                }
                if !self.send(notifier, notice).await? {
                    failed.insert(trail);
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Sends one message; false when it is to be tried again.
    async fn send(&mut self, notifier: &dyn Notifier, found: Typed<Notice>) -> Result<bool, DeliveryError> {
        let (target, trail, notice) = (notifier.target(), found.value.trail, found.value);
        let doing = DeliveryError::meta("note what was sent");
        let Some(known) = self.shared.known(trail) else {
            // The trail is gone, and whom to tell with it.
            self.shared.meta.commit(&[], &[Write::Delete(found.key)]).await.map_err(&doing)?;
            return Ok(true);
        };
        let limit = Duration::from_secs(self.shared.settings.put_seconds);
        let sent = tokio::time::timeout(limit, notifier.send(&known.trail, &notice)).await.unwrap_or_else(|_| {
            Err(NotifyError { code: None, message: "sending took too long".to_owned(), retry: true })
        });
        let now = self.shared.clock.now();
        self.shared.note(trail, |status| {
            let kind = match target {
                Target::Topic => &mut status.notification,
                Target::LogGroup => &mut status.cloud_watch_logs,
                Target::Webhook => return,
            };
            match &sent {
                Ok(()) => kind.success(now),
                Err(error) => kind.failure(now, error.code.as_deref()),
            }
        });
        let mut writes = vec![self.shared.status_write(trail).map_err(&doing)?];
        let waited = now.duration_since(notice.delivered);
        let patience = SignedDuration::from_hours(i64::try_from(self.shared.settings.notice_hours).unwrap_or(24));
        let done = match sent {
            Ok(()) => {
                self.resting.remove(&(target, trail));
                writes.push(Write::Delete(found.key));
                true
            }
            Err(error) if !error.retry || waited > patience => {
                error!(%error, %trail, target = target.as_str(), "message is given up");
                let letter = DeadLetter { key: String::new(), died: now, reason: error.message, notice };
                let place = record::dead_key(target.as_str(), trail, &found.key.last_part());
                writes.push(Write::json(place, &letter).map_err(&doing)?);
                writes.push(Write::Delete(found.key));
                true
            }
            Err(error) => {
                counter!("towpath_trail_failures_total", "step" => "notify").increment(1);
                let failures = self.resting.get(&(target, trail)).map_or(1, |(failures, _)| failures.saturating_add(1));
                warn!(%error, %trail, target = target.as_str(), failures, "message not sent");
                let pause = self.shared.settings.pause(failures);
                self.resting.insert((target, trail), (failures, Instant::now() + pause));
                let tried = Notice { attempts: notice.attempts.saturating_add(1), ..notice };
                writes.push(Write::json(found.key, &tried).map_err(&doing)?);
                false
            }
        };
        self.shared.meta.commit(&[], &writes).await.map_err(&doing)?;
        Ok(done)
    }
}

// Where a target stands in the key of a dead letter.
const TARGET_PART: usize = 3;

/// One message that was given up.
pub(crate) async fn dead_letter(meta: &dyn MetaStore, key: &str) -> Result<Option<DeadLetter>, DeliveryError> {
    let Some(key) = Key::new(key).ok().filter(|key| key.is_under(&record::dead_area())) else { return Ok(None) };
    let found = meta.get_json::<DeadLetter>(&key).await.map_err(DeliveryError::meta("read a dead letter"))?;
    Ok(found.map(|found| DeadLetter { key: key.to_string(), ..found.value }))
}

/// Lists messages that were given up.
pub(crate) async fn dead_letters(
    meta: &dyn MetaStore,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<DeadLetter>, DeliveryError> {
    let area = record::dead_area();
    let after = after.and_then(|after| Key::new(after).ok());
    let doing = DeliveryError::meta("read the dead letters");
    let page = meta.list(&area, after.as_ref(), limit).await.map_err(&doing)?;
    page.into_iter()
        .map(|found| {
            let found = Record::decode::<DeadLetter>(found).map_err(&doing)?;
            Ok(DeadLetter { key: found.key.to_string(), ..found.value })
        })
        .collect()
}

/// Puts a message that was given up back among those to send; false if there is none with this key.
pub(crate) async fn revive(meta: &dyn MetaStore, key: &str) -> Result<bool, DeliveryError> {
    let doing = DeliveryError::meta("revive a dead letter");
    let Some(key) = Key::new(key).ok().filter(|key| key.is_under(&record::dead_area())) else { return Ok(false) };
    let Some(found) = meta.get_json::<DeadLetter>(&key).await.map_err(&doing)? else { return Ok(false) };
    let target = key.parts().nth(TARGET_PART).unwrap_or_default().into_owned();
    // It gets the same patience as a new one.
    let notice =
        Notice { attempts: 0, delivered: found.value.died.max(found.value.notice.delivered), ..found.value.notice };
    let back = record::notice_key(&target, notice.trail, &key.last_part());
    let writes = [Write::json(back, &notice).map_err(&doing)?, Write::Delete(key)];
    meta.commit(&[], &writes).await.map_err(&doing)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_signed_with_hmac_sha_256() {
        // RFC 4231, test case 2.
        assert_eq!(
            webhook_signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
