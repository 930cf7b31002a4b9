//! PutRecords: complete records of first-party software, one verdict each, acknowledged when durable.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use towpath_admit::Parameters;
use towpath_model::Arn;
use towpath_wire::ApiError;

use super::{Context, object};
use crate::first_party::{self, Admitted, MAX_RECORDS};

/// The kind of resource that accounts are to the record of a call.
const ACCOUNT: &str = "Towpath::Log::Account";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutInput<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// The answer to PutRecords.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutOutput {
    accepted: usize,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    index: usize,
    error_code: &'static str,
    error_message: String,
}

/// Checks records and routes them; nothing is stored yet.
///
/// # Errors
/// Of the whole call: `AccessDeniedException`, `SerializationException`, `ValidationException`.
pub(crate) async fn admit(context: &Context<'_>, body: &Bytes) -> Result<(PutOutput, Admitted), ApiError> {
    crate::authorize::authorize(context, "towpath:PutRecords", "*", None)?;
    let input: PutInput<'_> = object(body)?;
    if input.records.is_empty() || input.records.len() > MAX_RECORDS {
        return Err(ApiError::validation(format!("Records must have 1 to {MAX_RECORDS} members")));
    }
    let (own, first) = (context.caller.account, context.parts.first_account);
    let may_write = |account| account == own || own == first;
    let count = input.records.len();
    let texts = input.records.iter().map(|record| body.slice_ref(record.get().as_bytes()));
    let admitted = first_party::admit(context.parts, texts, may_write, context.caller.now).await?;
    for account in &admitted.accounts {
        context.touched(ACCOUNT, &Arn::iam(*account, "root"));
    }
    let failed = admitted.refused.iter().map(|(index, refused)| Failed {
        index: *index,
        error_code: refused.code,
        error_message: refused.message.clone(),
    });
    let failed: Vec<_> = failed.collect();
    Ok((PutOutput { accepted: count - failed.len(), failed }, admitted))
}

/// What the record of a call says of its request: how many records were sent. What they say is in them.
pub(crate) fn parameters(body: &[u8]) -> Parameters {
    let count = object::<PutInput<'_>>(body).map(|input| input.records.len());
    count.map_or_else(|_| Parameters::none(), |count| Parameters::of_printed(format!("{{\"records\":{count}}}")))
}

/// What the record of a call says of its answer.
pub(crate) fn recorded(output: &PutOutput) -> Parameters {
    Parameters::of_printed(format!("{{\"accepted\":{},\"failed\":{}}}", output.accepted, output.failed.len()))
}
