//! From a call that was seen to its records: the one entrance for whoever has an [`Exchange`].
//!
//! A call is named and decoded by its service's model, its secrets are taken out by the service's profile, and one record is
//! written for each account that gets a copy. Nothing fails here: what cannot be known of a call is missing from its record.

mod named;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use http::HeaderMap;
use http::header::{HOST, USER_AGENT};
use towpath_admit::{
    CallRecord, EventType, Parameters, Plane, RecordCopy, RecordResource, TlsDetails, UserIdentity, VpcEndpoint,
};
use towpath_model::{AccountId, Arn, Region};
use uuid::Uuid;

use crate::decode::Decoded;
use crate::model::{Models, ServiceSummary};
use crate::profile::{Facts, Form, OperationRules, Profile, Profiles, SideRules};
use crate::record::{self, Failure, Printed, Printer, Secrets};
use crate::{CapturedRecord, Ending, Exchange, Response, Value};

use named::Named;

/// The most records of objects that one DeleteObjects makes besides its own: as many as S3 takes.
const MAX_OBJECTS: usize = 1000;

/// Makes records of calls: what is known of services, and what is particular to their records.
#[derive(Debug)]
pub struct Capture {
    models: Models,
    profiles: Profiles,
}

/// Where a call went, as routing found it. Plain data: the exchange says all the rest.
#[derive(Clone, Debug)]
pub struct Target {
    /// The service that a person named for the upstream: a model's name, a service id or an endpoint prefix.
    pub service: Option<String>,
    /// The service in the scope of the call's signature.
    pub signing_name: Option<String>,
    /// The region in the scope of the call's signature, else the upstream's.
    pub region: Region,
    /// The account of the upstream, whose event the call is.
    pub account: AccountId,
    /// The event source that a person named for the upstream, in place of the service's own.
    pub event_source: Option<String>,
    /// The host under which S3 has buckets as hosts (`store.example.org`), beside those of AWS.
    pub bucket_domain: Option<String>,
    /// The VPC endpoint that the call came through.
    pub vpc_endpoint: Option<VpcEndpoint>,
    /// True if a caller of another account gets a copy: only if Towpath keeps that account's events.
    pub copy_for_caller: bool,
}

impl Capture {
    /// Capture with these models and profiles. Without any model calls are recorded without parameters.
    pub fn new(models: Models, profiles: Profiles) -> Self {
        Self { models, profiles }
    }

    /// The models in force.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// The profiles in force.
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// The signing names of services by what `X-Amz-Target` of their calls begins with, before its last dot, out of models and
    /// profiles. Left out is what several services have that sign differently.
    pub fn target_services(&self) -> HashMap<String, String> {
        let of_models = self.models.services().filter_map(|summary| {
            Some((summary.target_prefix.as_deref()?.to_owned(), summary.signing_name.to_string()))
        });
        let mut found: HashMap<String, Option<String>> = HashMap::new();
        for (prefix, service) in of_models.chain(self.profiles.targets()) {
            let known = found.entry(prefix).or_insert_with(|| Some(service.clone()));
            if known.as_ref() != Some(&service) {
                *known = None;
            }
        }
        found.into_iter().filter_map(|(prefix, service)| Some((prefix, service?))).collect()
    }

    /// True if calls of some service are signed for this name, as far as models and profiles know.
    pub fn is_signing_name(&self, name: &str) -> bool {
        let of_profile = |profile: &Profile| profile.signing_names().iter().any(|one| one == name);
        self.models.services().any(|summary| &*summary.signing_name == name) || self.profiles.iter().any(of_profile)
    }

    /// What calls of a service are signed for that goes by this name elsewhere: in SDKs and on their command lines
    /// (`cost-explorer`), in hosts (`email`), or in its model (`DynamoDB`).
    pub fn signing_name_of(&self, service: &str) -> Option<&str> {
        let goes_by = |summary: &&ServiceSummary| {
            [&*summary.name, &*summary.endpoint_prefix, &*summary.service_id]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(service))
        };
        self.models.services().find(goes_by).map(|summary| &*summary.signing_name)
    }

    /// The records of a call: one for each account that gets a copy, each with an id of its own that is made here, once.
    /// Deletions of several S3 objects have a record for each of them as well.
    ///
    /// Takes milliseconds for the first call of a service, whose model is then read; microseconds after that. Belongs on
    /// a worker's thread. Never fails and never panics, whatever the exchange holds.
    pub fn records(&self, exchange: &Exchange, target: &Target, caller: &UserIdentity) -> Vec<CapturedRecord> {
        let named = Named::of(&self.models, &self.profiles, exchange, target);
        let rules = named.rules();
        let said = Said::of(&named, exchange, &rules, target);
        let event = Event { named: &named, rules: &rules, exchange, target, caller };
        let mut records = event.copies(&rules.event_name, &said);
        if named.profile.form() == Form::S3 && named.operation == record::DELETE_OBJECTS {
            for object in said.deleted_objects() {
                records.extend(event.copies("DeleteObject", &object));
            }
        }
        records
    }
}

/// What was asked and answered, ready to be printed.
struct Said {
    request: Parameters,
    response: Parameters,
    failure: Option<Failure>,
    request_id: Option<String>,
    // Decoded, for resources; the answer of a call that failed is empty.
    asked: Value,
    answered: Value,
    printed_request: Printed,
}

impl Said {
    fn of(named: &Named<'_>, exchange: &Exchange, rules: &OperationRules, target: &Target) -> Self {
        let Decoded { value: asked, complete, .. } = named.asked(exchange);
        let formed = named.formed_request(exchange, &asked);
        let mut printed_request = printer(named, rules, &rules.request, None).print(&formed);
        drop(formed);
        let region = named.profile.region(&target.region);
        for (name, filling) in &rules.fill {
            let facts = Facts { request: &asked, response: &Value::empty(), account: target.account, region: &region };
            if let Some(value) = filling.value(&facts) {
                printed_request.put_value(name, &value);
            }
        }
        if !complete && named.is_known() && exchange.request.body.is_cut() {
            printed_request.put_omitted("requestParameters", exchange.request.body.total);
        }
        let mut said = Self {
            request: printed_request.parameters(),
            response: Parameters::none(),
            failure: None,
            request_id: None,
            asked,
            answered: Value::empty(),
            printed_request,
        };
        match &exchange.ending {
            Ending::Answered(response) => said.read_answer(named, response, rules),
            Ending::Refused { code, message } => {
                said.failure = Some(Failure { code: code.clone(), message: Some(message.clone()) });
            }
            Ending::Broken { reason } => said.failure = Some(Failure::broken(reason)),
        }
        if let Some(Failure { message: Some(message), .. }) = &mut said.failure {
            // Printed once more, to know what is not printed: few calls fail.
            let formed = named.formed_request(exchange, &said.asked);
            let mut secrets = Secrets::of_head(&exchange.request.head);
            printer(named, rules, &rules.request, Some(&mut secrets)).print(&formed);
            named.form_secrets(&mut secrets);
            *message = secrets.removed_from(message);
        }
        // Services repeat what they were sent. What was not read cannot be looked for, so that nothing is repeated then.
        if let (Ending::Answered(_), false, Some(failure)) = (&exchange.ending, complete, &mut said.failure) {
            failure.message = None;
        }
        said
    }

    fn read_answer(&mut self, named: &Named<'_>, response: &Response, rules: &OperationRules) {
        let printed = rules.answer.unwrap_or(!named.read_only(rules));
        let (answered, request_id) = named.answered(response, printed || named.needs_answer(rules));
        self.request_id = request_id;
        match answered {
            Err(failure) => self.failure = Some(named.failure(failure, response)),
            Ok(_) if response.body.short => {
                self.failure = Some(Failure::broken("the upstream did not send all of its answer"));
            }
            Ok(Decoded { value: answered, complete, .. }) => {
                self.answered = answered;
                if !printed {
                    return;
                }
                let formed = named.formed_response(&self.answered, self.request_id.as_deref());
                let mut printed = printer(named, rules, &rules.response, None).print(&formed);
                for header in &rules.response.headers {
                    let sent = text_of(&response.head.headers, &header.name);
                    if let Some(value) = sent.or(header.default.as_deref().map(Cow::Borrowed)) {
                        printed.put_text(&header.name, &value);
                    }
                }
                if !complete && named.is_known() && response.body.is_cut() {
                    printed.put_omitted("responseElements", response.body.total);
                }
                self.response = printed.parameters();
            }
        }
    }

    /// Each object that a DeleteObjects deleted, or failed to delete, as if it had been deleted alone.
    fn deleted_objects(&self) -> Vec<Self> {
        if self.failure.is_some() {
            return Vec::new();
        }
        let member = |value: &Value, name: &str| value.member(name).and_then(Value::text).map(str::to_owned);
        let objects = self.asked.member("Delete").and_then(|delete| delete.member("Objects"));
        let objects = match objects {
            Some(Value::List(objects)) => objects.iter(),
            _ => [].iter(),
        };
        let errors = match self.answered.member("Errors") {
            Some(Value::List(errors)) => errors.as_slice(),
            _ => &[],
        };
        let one = |object: &Value| {
            let key = member(object, "Key")?;
            let mut printed = self.printed_request.clone();
            printed.remove("delete");
            printed.put_text("key", &key);
            if let Some(version) = member(object, "VersionId") {
                printed.put_text("versionId", &version);
            }
            let error = errors.iter().find(|error| member(error, "Key").as_ref() == Some(&key));
            let bucket = crate::Field {
                name: "Bucket".into(),
                value: self.asked.member("Bucket").cloned().unwrap_or(Value::Null),
                sensitive: false,
            };
            let key = crate::Field { name: "Key".into(), value: Value::Text(key), sensitive: false };
            Some(Self {
                request: printed.parameters(),
                response: Parameters::none(),
                failure: error.map(|error| Failure {
                    code: member(error, "Code").unwrap_or_else(|| "InternalError".to_owned()),
                    message: member(error, "Message"),
                }),
                request_id: self.request_id.clone(),
                asked: Value::Structure(vec![bucket, key]),
                answered: Value::empty(),
                printed_request: Printed::default(),
            })
        };
        objects.filter_map(one).take(MAX_OBJECTS).collect()
    }
}

fn printer<'a>(
    named: &Named<'_>,
    rules: &OperationRules,
    side: &'a SideRules,
    secrets: Option<&'a mut Secrets>,
) -> Printer<'a> {
    let keeps_names = named.profile.form() == Form::Ec2;
    Printer { rules: side, sensitive: rules.sensitive, times: named.usual_times(), keeps_names, secrets }
}

/// A call with everything around what was said.
struct Event<'a> {
    named: &'a Named<'a>,
    rules: &'a OperationRules,
    exchange: &'a Exchange,
    target: &'a Target,
    caller: &'a UserIdentity,
}

impl Event<'_> {
    fn copies(&self, event_name: &str, said: &Said) -> Vec<CapturedRecord> {
        let Self { named, exchange, target, caller, .. } = self;
        let head = &exchange.request.head;
        let plane = self.rules.plane();
        let region = named.profile.region(&target.region);
        // What a service does on somebody's behalf comes from the service, and its connection is its own affair.
        let invoker = caller.invoker();
        let peer = exchange.peer.to_canonical().to_string();
        let user_agent = text_of(&head.headers, USER_AGENT.as_str())
            .map(|agent| if named.profile.brackets_user_agent() { Cow::Owned(format!("[{agent}]")) } else { agent });
        let tls = match (&exchange.tls, invoker) {
            (Some(tls), None) => Some(TlsDetails {
                tls_version: tls.version.clone(),
                cipher_suite: tls.cipher_suite.clone(),
                client_provided_host_header: host(exchange).map(Cow::into_owned),
                key_exchange: tls.key_exchange.clone(),
            }),
            _ => None,
        };
        let mut resources = resources(self.rules, said, target, &region);
        if resources.is_empty() && plane == Plane::Data {
            resources = kinds(self.rules, target);
        }
        let record = CallRecord {
            identity: caller,
            time: exchange.ended,
            event_source: &named.event_source,
            event_name,
            region: &region,
            source_ip: invoker.unwrap_or(&peer),
            user_agent: invoker.or(user_agent.as_deref()),
            error_code: said.failure.as_ref().map(|failure| failure.code.as_str()),
            error_message: said.failure.as_ref().and_then(|failure| failure.message.as_deref()),
            request: &said.request,
            response: &said.response,
            additional: &record::additional(named.profile, exchange, plane),
            request_id: said.request_id.as_deref(),
            read_only: named.read_only(self.rules) && event_name != "DeleteObject",
            resources: &resources,
            event_type: EventType::ApiCall,
            api_version: named.profile.api_version(),
            plane,
            service_details: &Parameters::none(),
            vpc_endpoint: target.vpc_endpoint.as_ref(),
            tls: tls.as_ref(),
        };
        let mut recipients = vec![target.account];
        recipients.extend(caller.account().filter(|account| target.copy_for_caller && *account != target.account));
        let shared = (recipients.len() > 1).then(Uuid::new_v4);
        let copy = |recipient| {
            let copy = RecordCopy { recipient, event_id: Uuid::new_v4(), shared };
            CapturedRecord {
                event_id: copy.event_id,
                account: recipient,
                region: region.clone(),
                time: exchange.ended,
                channel: None,
                json: record.json(&copy),
            }
        };
        recipients.into_iter().map(copy).collect()
    }
}

fn resources<'a>(rules: &'a OperationRules, said: &Said, target: &Target, region: &Region) -> Vec<RecordResource<'a>> {
    let facts = Facts { request: &said.asked, response: &said.answered, account: target.account, region };
    let mut resources: Vec<RecordResource<'a>> = Vec::new();
    for rule in &rules.resources {
        for arn in rule.arns(&facts) {
            let owner = arn.parse::<Arn>().ok().and_then(|arn| arn.account_id()).unwrap_or(target.account);
            let mut resource = RecordResource {
                account: rule.account.then_some(owner),
                kind: rule.kind.as_deref().map(Into::into),
                ..RecordResource::default()
            };
            if rule.prefix {
                resource.arn_prefix = Some(arn.into());
            } else {
                resource.arn = Some(arn.into());
            }
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
    }
    resources
}

/// What kinds of resources a call concerns of which it is not known which they are: data events are selected by them, and no
/// call stays out of all stores because it names none, or has a body that is too long or cannot be read.
fn kinds<'a>(rules: &'a OperationRules, target: &Target) -> Vec<RecordResource<'a>> {
    let mut resources: Vec<RecordResource<'a>> = Vec::new();
    for rule in rules.resources.iter().filter(|rule| rule.kind.is_some() && !rule.prefix) {
        let account = rule.account.then_some(target.account);
        let resource =
            RecordResource { account, kind: rule.kind.as_deref().map(Into::into), ..RecordResource::default() };
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    resources
}

/// The host that a client asked for: the header, or what stands in its place in HTTP/2.
fn host(exchange: &Exchange) -> Option<Cow<'_, str>> {
    let head = &exchange.request.head;
    text_of(&head.headers, HOST.as_str()).or_else(|| head.uri.authority().map(|authority| authority.as_str().into()))
}

/// The text of a header. Nobody stays out of a record by a byte that is no letter: it becomes a replacement character.
fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}
