//! Messages about delivered log files that were given up: what is there, and once more.
//!
//! An account sees the messages of its own trails.

use serde::{Deserialize, Serialize};
use towpath_model::{AccountId, Arn, eventtime_text};
use towpath_trail::notify::DeadLetter;
use towpath_wire::{ApiError, errors};

use super::{Context, Done};
use crate::refusal::{internal, refuse};

/// Most messages of a page.
const MAX_PAGE: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListInput {
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RetryInput {
    dead_letter_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    dead_letters: Vec<DeadLetterOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
pub(super) struct DeadLetterOutput {
    #[serde(rename = "DeadLetterId")]
    id: String,
    #[serde(rename = "Target")]
    target: String,
    #[serde(rename = "TrailARN")]
    trail_arn: String,
    #[serde(rename = "S3BucketName")]
    bucket: String,
    #[serde(rename = "S3ObjectKey")]
    object: String,
    #[serde(rename = "Attempts")]
    attempts: u32,
    #[serde(rename = "Reason")]
    reason: String,
    #[serde(rename = "GivenUpTimestamp")]
    died: String,
}

impl From<DeadLetter> for DeadLetterOutput {
    fn from(letter: DeadLetter) -> Self {
        Self {
            target: letter.target().to_owned(),
            id: letter.key,
            trail_arn: letter.notice.trail_arn,
            bucket: letter.notice.bucket,
            object: letter.notice.key,
            // The last attempt is not counted in the message: it was given up then.
            attempts: letter.notice.attempts.saturating_add(1),
            reason: letter.reason,
            died: eventtime_text(letter.died),
        }
    }
}

pub(super) async fn list(context: &Context<'_>, input: ListInput) -> Result<ListOutput, ApiError> {
    let limit = input.max_results.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let found = context.parts.delivery.dead_letters(input.next_token.as_deref(), limit).await;
    let found = found.map_err(|cause| internal("list dead letters", cause))?;
    // Letters of other accounts are passed over: a page may have fewer than asked for though another follows.
    let next_token = found.last().filter(|_| found.len() == limit).map(|letter| letter.key.clone());
    let own = found.into_iter().filter(|letter| is_of(letter, context.caller.account));
    Ok(ListOutput { dead_letters: own.map(DeadLetterOutput::from).collect(), next_token })
}

pub(super) async fn retry(context: &Context<'_>, input: RetryInput) -> Result<Done, ApiError> {
    let (delivery, id) = (&context.parts.delivery, &input.dead_letter_id);
    let unknown = || refuse(errors::RESOURCE_NOT_FOUND_EXCEPTION, format!("there is no dead letter {id}"));
    let failed = |cause| internal("retry a dead letter", cause);
    let letter = delivery.dead_letter(id).await.map_err(failed)?.ok_or_else(unknown)?;
    if !is_of(&letter, context.caller.account) || !delivery.retry_dead_letter(id).await.map_err(failed)? {
        return Err(unknown());
    }
    Ok(Done {})
}

fn is_of(letter: &DeadLetter, account: AccountId) -> bool {
    letter.notice.trail_arn.parse::<Arn>().ok().and_then(|arn| arn.account_id()) == Some(account)
}
