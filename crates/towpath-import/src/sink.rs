//! Where events of an import go: the log, or in tests something that fails when told.

use std::time::Duration;

use async_trait::async_trait;

use towpath_log::{AppendError, Log};
use towpath_model::Event;

/// Takes events and answers once they are durable.
#[async_trait]
pub trait EventSink: Send + Sync + 'static {
    /// Appends events, all or none.
    async fn append(&self, events: Vec<Event>) -> Result<(), AppendError>;
}

#[async_trait]
impl EventSink for Log {
    async fn append(&self, events: Vec<Event>) -> Result<(), AppendError> {
        Log::append(self, events).await.map(drop)
    }
}

/// The first pause after the log was busy; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause while the log is busy or its storage fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How an append ended that was tried for as long as it could succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Every event is durable.
    All,
    /// The events at these places are larger than the log takes; the others are durable.
    TooLarge(Vec<usize>),
    /// The log was closed.
    Closed,
}

/// Appends events, waiting while the log is busy or cannot write.
///
/// An append whose outcome is unknown is repeated: a store holds an event once.
pub(crate) async fn append_patiently(sink: &dyn EventSink, events: Vec<Event>) -> Appended {
    let (mut parts, mut refused) = (vec![(0, events)], Vec::new());
    while let Some((from, part)) = parts.pop() {
        let mut pause = FIRST_PAUSE;
        loop {
            match sink.append(part.clone()).await {
                Ok(()) => break,
                Err(AppendError::Closed) => return Appended::Closed,
                Err(AppendError::TooLarge { .. }) if part.len() > 1 => {
                    let middle = part.len() / 2;
                    let (front, back) = part.split_at(middle);
                    parts.extend([(from + middle, back.to_vec()), (from, front.to_vec())]);
                    break;
                }
                Err(AppendError::TooLarge { .. }) => {
                    refused.push(from);
                    break;
                }
                Err(AppendError::Busy | AppendError::Unavailable(_) | AppendError::Uncertain(_)) => {
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }
    if refused.is_empty() { Appended::All } else { Appended::TooLarge(refused) }
}
