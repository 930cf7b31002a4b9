//! PutConsoleSignIn: a sign-in to a console, told in few words, becomes a record in the form of CloudTrail's.
//!
//! People type passwords into the field of the name. A name that no user has is therefore recorded nowhere: not in the
//! sign-in, and not in the record of the call that told of it, which says no more than which event it made.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use towpath_admit::{
    CallRecord, EventType, HIDDEN, Parameters, Plane, RecordCopy, RoleSession, TlsDetails, UserIdentity,
};
use towpath_iam::{EntityName, SessionName};
use towpath_model::{AccountId, Arn, Region};
use towpath_wire::{ApiError, Object};
use uuid::Uuid;

use super::{Context, account, name, object};
use crate::first_party;

/// The service that people sign in with.
const SOURCE: &str = "signin.amazonaws.com";
/// What a failed sign-in tells; it has no error code.
const FAILED: &str = "Failed authentication";
/// Where people sign in to, if nothing else is said.
const CONSOLE: &str = "https://console.aws.amazon.com/console/home";
/// Longest name or id that a caller may give, in bytes.
const MAX_NAME: usize = 1024;
/// Longest of other texts, in bytes. Addresses of consoles carry a state along.
const MAX_TEXT: usize = 8192;

/// Who signed in, or tried to.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SignInInput {
    account_id: Option<AccountId>,
    user_name: Option<String>,
    principal_id: Option<String>,
    role_name: Option<EntityName>,
    session_name: Option<SessionName>,
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
    tls_details: Option<Object<Tls>>,
    event_id: Option<Uuid>,
}

/// The connection that somebody signed in by.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tls {
    tls_version: Option<String>,
    cipher_suite: Option<String>,
    client_provided_host_header: Option<String>,
    key_exchange: Option<String>,
}

/// `additionalEventData`, in the order of real records.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Additional<'a> {
    login_to: &'a str,
    mobile_version: &'static str,
    #[serde(rename = "MFAIdentifier", skip_serializing_if = "Option::is_none")]
    mfa_identifier: Option<&'a str>,
    #[serde(rename = "MFAUsed")]
    mfa_used: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SignInOutput {
    event_id: Uuid,
}

pub(super) async fn put(context: &Context<'_>, input: SignInInput) -> Result<SignInOutput, ApiError> {
    let account = account(context, input.account_id)?;
    check(&input)?;
    let region = match &input.region {
        Some(region) => region.clone(),
        None => "us-east-1".parse().expect("the name of a region"),
    };
    let additional = Additional {
        login_to: input.login_to.as_deref().unwrap_or(CONSOLE),
        mobile_version: yes(input.mobile_version),
        mfa_identifier: input.mfa_identifier.as_deref(),
        mfa_used: yes(input.mfa_used),
    };
    let additional = serde_json::to_string(&additional).expect("texts are always written");
    let outcome = if input.success { "Success" } else { "Failure" };
    let identity = identity(context, account, &input)?;
    // Who sends the same id again, since no answer came, makes no second event.
    let event_id = input.event_id.unwrap_or_else(Uuid::new_v4);
    let tls = input.tls_details.map(|Object(tls)| TlsDetails {
        tls_version: tls.tls_version,
        cipher_suite: tls.cipher_suite,
        client_provided_host_header: tls.client_provided_host_header,
        key_exchange: tls.key_exchange,
    });
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
        additional: &Parameters::of_printed(additional),
        request_id: None,
        read_only: false,
        resources: &[],
        event_type: EventType::ConsoleSignIn,
        api_version: None,
        plane: Plane::Management,
        service_details: &Parameters::none(),
        vpc_endpoint: None,
        tls: tls.as_ref(),
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

/// What the record of the call says of its request. What the sign-in says is in the event.
pub(super) fn parameters(body: &[u8]) -> Parameters {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Printed {
        #[serde(skip_serializing_if = "Option::is_none")]
        account_id: Option<AccountId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<Region>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event_id: Option<Uuid>,
        success: bool,
    }
    let Ok(input) = object::<SignInInput>(body) else { return Parameters::none() };
    let SignInInput { account_id, region, event_id, success, .. } = input;
    let printed = serde_json::to_string(&Printed { account_id, region, event_id, success });
    printed.map_or_else(|_| Parameters::none(), Parameters::of_printed)
}

/// Refuses what is too long, and what does not go together.
fn check(input: &SignInInput) -> Result<(), ApiError> {
    let tls = input.tls_details.as_ref().map(|Object(tls)| tls);
    let of_tls = |member: fn(&Tls) -> &Option<String>| tls.and_then(|tls| member(tls).as_ref());
    let bounds = [
        ("UserName", input.user_name.as_ref(), MAX_NAME),
        ("PrincipalId", input.principal_id.as_ref(), MAX_NAME),
        ("MFAIdentifier", input.mfa_identifier.as_ref(), MAX_NAME),
        ("TlsVersion", of_tls(|tls| &tls.tls_version), MAX_NAME),
        ("CipherSuite", of_tls(|tls| &tls.cipher_suite), MAX_NAME),
        ("ClientProvidedHostHeader", of_tls(|tls| &tls.client_provided_host_header), MAX_NAME),
        ("KeyExchange", of_tls(|tls| &tls.key_exchange), MAX_NAME),
        ("UserAgent", input.user_agent.as_ref(), MAX_TEXT),
        ("LoginTo", input.login_to.as_ref(), MAX_TEXT),
    ];
    if let Some((member, _, most)) = bounds.iter().find(|(_, text, most)| text.is_some_and(|text| text.len() > *most)) {
        return Err(ApiError::validation(format!("{member} must not be longer than {most} bytes")));
    }
    let wrong = match input {
        SignInInput { mfa_used: false, mfa_identifier: Some(_), .. } => "MFAIdentifier is for sign-ins with MFAUsed",
        SignInInput { role_name: None, session_name: Some(_), .. } => "SessionName is for sign-ins with RoleName",
        SignInInput { role_name: Some(_), session_name: None, .. } => "a sign-in with RoleName needs SessionName",
        SignInInput { role_name: Some(_), user_name: Some(_), .. } => "UserName and RoleName exclude each other",
        SignInInput { role_name: Some(_), success: false, .. } => {
            "whoever signs in with a role has been let in by another: a sign-in with RoleName has Success true"
        }
        SignInInput { role_name: Some(_), mfa_used: true, .. } => {
            "a second factor of whoever signs in with a role is the identity provider's: leave MFAUsed out"
        }
        SignInInput { role_name: None, user_name: None, principal_id: Some(_), .. } => {
            "PrincipalId is for sign-ins with UserName or RoleName"
        }
        _ => return Ok(()),
    };
    Err(ApiError::validation(wrong))
}

/// The identity of a sign-in: of a user or role that Towpath knows with its own id, of one whom the caller knows with the id
/// that it gives; of nobody, with the name hidden, as people type passwords there.
fn identity(context: &Context<'_>, account: AccountId, input: &SignInInput) -> Result<UserIdentity, ApiError> {
    if let (Some(role), Some(session)) = (&input.role_name, &input.session_name) {
        return role_session(context, account, (role, session), input);
    }
    let Some(user_name) = &input.user_name else {
        return Ok(UserIdentity::root(account, ""));
    };
    let user: Result<EntityName, _> = user_name.parse();
    let known = user.as_ref().ok().and_then(|name| context.parts.directory.user(account, name));
    if !input.success {
        let known = known.is_some() || (input.principal_id.is_some() && user.is_ok());
        return Ok(UserIdentity::failed_sign_in(account, if known { user_name } else { HIDDEN }));
    }
    let (id, arn) = match (known, &input.principal_id, user) {
        (Some(user), _, _) => (user.id, user.arn),
        (None, Some(id), Ok(user)) => (id.clone(), Arn::iam(account, &format!("user/{user}"))),
        _ => return Err(stranger("UserName")),
    };
    Ok(UserIdentity::iam_user(&id, &arn, account, "", user_name).without_key())
}

/// Who signed in by way of an identity provider: a session of a role, without a second factor of the account.
fn role_session(
    context: &Context<'_>,
    account: AccountId,
    (role_name, session_name): (&EntityName, &SessionName),
    input: &SignInInput,
) -> Result<UserIdentity, ApiError> {
    let known = context.parts.directory.role(account, role_name);
    let (role_id, role_arn) = match (known, &input.principal_id) {
        (Some(role), _) => (role.id, role.arn),
        (None, Some(id)) => (id.clone(), Arn::iam(account, &format!("role/{role_name}"))),
        (None, None) => return Err(stranger("RoleName")),
    };
    let session_arn = format!("arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}");
    let session = RoleSession {
        role_id,
        role_arn,
        role_name: role_name.to_string(),
        account,
        session_name: session_name.to_string(),
        session_arn: name("SessionName", &session_arn)?,
        access_key_id: String::new(),
        created: input.time.unwrap_or(context.caller.now),
        mfa: false,
        source_identity: None,
    };
    Ok(UserIdentity::assumed_role(&session).without_key())
}

/// The name is not repeated: errors are recorded.
fn stranger(member: &str) -> ApiError {
    ApiError::validation(format!(
        "{member} names nobody in this account; with PrincipalId it can be the name of one whom Towpath does not know"
    ))
}

const fn yes(it: bool) -> &'static str {
    if it { "Yes" } else { "No" }
}
