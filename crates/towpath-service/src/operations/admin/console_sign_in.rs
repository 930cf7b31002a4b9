//! PutConsoleSignIn: a sign-in to a console, told in few words, becomes a record in the form of CloudTrail's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use towpath_admit::{CallRecord, EventType, HIDDEN, Parameters, Plane, RecordCopy, UserIdentity};
use towpath_model::{AccountId, Region};
use towpath_wire::ApiError;
use uuid::Uuid;

use super::{Context, account, name};
use crate::first_party;

/// The service that people sign in with.
const SOURCE: &str = "signin.amazonaws.com";
/// What a failed sign-in tells; it has no error code.
const FAILED: &str = "Failed authentication";
/// Where people sign in to, if nothing else is said.
const CONSOLE: &str = "https://console.aws.amazon.com/console/home";
/// Longest text that a caller may give, in bytes.
const MAX_TEXT: usize = 1024;

/// Who signed in, or tried to.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SignInInput {
    account_id: Option<AccountId>,
    user_name: Option<String>,
    principal_id: Option<String>,
    success: bool,
    #[serde(rename = "SourceIPAddress")]
    source_ip_address: std::net::IpAddr,
    user_agent: Option<String>,
    #[serde(rename = "MFAUsed", default)]
    mfa_used: bool,
    #[serde(rename = "MFAIdentifier")]
    mfa_identifier: Option<String>,
    login_to: Option<String>,
    #[serde(default)]
    mobile_version: bool,
    region: Option<Region>,
    time: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SignInOutput {
    event_id: Uuid,
}

pub(super) async fn put(context: &Context<'_>, input: SignInInput) -> Result<SignInOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let texts = [&input.user_name, &input.principal_id, &input.user_agent, &input.mfa_identifier, &input.login_to];
    if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT) {
        return Err(ApiError::validation(format!("no member may be longer than {MAX_TEXT} bytes")));
    }
    let region = match &input.region {
        Some(region) => region.clone(),
        None => "us-east-1".parse().expect("the name of a region"),
    };
    let mut additional =
        json!({ "LoginTo": input.login_to.as_deref().unwrap_or(CONSOLE), "MobileVersion": yes(input.mobile_version) });
    if let Some(identifier) = input.mfa_identifier.as_deref().filter(|_| input.mfa_used) {
        additional["MFAIdentifier"] = identifier.into();
    }
    additional["MFAUsed"] = yes(input.mfa_used).into();
    let outcome = if input.success { "Success" } else { "Failure" };
    let identity = identity(context, account, &input)?;
    let event_id = Uuid::new_v4();
    let record = CallRecord {
        identity: &identity,
        time: input.time.unwrap_or(context.caller.now),
        event_source: SOURCE,
        event_name: "ConsoleLogin",
        region: &region,
        source_ip: &input.source_ip_address.to_canonical().to_string(),
        user_agent: input.user_agent.as_deref(),
        error_code: None,
        error_message: (!input.success).then_some(FAILED),
        request: &Parameters::none(),
        response: &Parameters::of_printed(json!({ "ConsoleLogin": outcome }).to_string()),
        additional: &Parameters::of_printed(additional.to_string()),
        request_id: None,
        read_only: false,
        resources: &[],
        event_type: EventType::ConsoleSignIn,
        api_version: None,
        plane: Plane::Management,
        service_details: &Parameters::none(),
        vpc_endpoint: None,
        tls: None,
    };
    let json = record.json(&RecordCopy { recipient: account, event_id, shared: None });
    // The way of any other record, so that its time and account are checked the same.
    let mut admitted = first_party::admit(context.parts, std::iter::once(json), |_| true, context.caller.now).await?;
    if let Some((_, refused)) = admitted.refused.pop() {
        return Err(ApiError::validation(refused.message));
    }
    context.records.append(admitted.events).await?;
    Ok(SignInOutput { event_id })
}

/// The identity of a sign-in: of a user whom Towpath knows with its own id, of one whom the caller knows with the id that
/// it gives; of nobody, with the name hidden, as people type passwords there.
fn identity(context: &Context<'_>, account: AccountId, input: &SignInInput) -> Result<UserIdentity, ApiError> {
    let Some(user_name) = &input.user_name else {
        return Ok(UserIdentity::root(account, ""));
    };
    let known = user_name.parse().ok().and_then(|name| context.parts.directory.user(account, &name));
    if !input.success {
        let known = known.is_some() || input.principal_id.is_some();
        return Ok(UserIdentity::failed_sign_in(account, if known { user_name } else { HIDDEN }));
    }
    let (id, arn) = match (known, &input.principal_id) {
        (Some(user), _) => (user.id, user.arn),
        (None, Some(id)) => {
            let arn = format!("arn:aws:iam::{account}:user/{user_name}");
            (id.clone(), name("UserName", &arn)?)
        }
        (None, None) => {
            let why = format!("there is no user {user_name}; give PrincipalId for one whom Towpath does not know");
            return Err(ApiError::validation(why));
        }
    };
    Ok(UserIdentity::iam_user(&id, &arn, account, "", user_name).without_key())
}

const fn yes(it: bool) -> &'static str {
    if it { "Yes" } else { "No" }
}
