//! What a call is: its service, its operation, and the profile that its record follows, as far as each can be known.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, Uri};

use crate::decode::{self, Call, Decoded, Outcome, Spoken, Unrouted};
use crate::json;
use crate::model::{Models, Protocol, ServiceHint, ServiceModel};
use crate::object_form::{ObjectForm, POST_OBJECT};
use crate::profile::{Form, OperationRules, Profile, Profiles, ResourceRule, TimeForm, reads_by_name};
use crate::record::{self, Failure, Secrets};
use crate::{Body, Exchange, Request, Response, Value};

use super::Target;

/// The longest part of a path that stands in the name of a call without operation.
const MAX_SEGMENT: usize = 32;

/// A call with its names.
pub(super) struct Named<'a> {
    /// The call in its model, if there is one with the operation.
    call: Option<Call>,
    profiles: &'a Profiles,
    pub(super) profile: &'a Profile,
    /// The operation: by the model, else as the request names it, else its method and path.
    pub(super) operation: String,
    pub(super) event_source: String,
    /// True if no model has the operation but the profile knows it.
    unmodelled: bool,
    /// The form of an upload, if it is one.
    form: Option<Upload>,
    method: &'a Method,
}

/// An upload from the form of a web page.
struct Upload {
    form: ObjectForm,
    bucket: Option<String>,
}

impl<'a> Named<'a> {
    pub(super) fn of(models: &Models, profiles: &'a Profiles, exchange: &'a Exchange, target: &Target) -> Self {
        let head = &exchange.request.head;
        let mut hint = ServiceHint { bucket_domain: target.bucket_domain.as_deref(), ..ServiceHint::of(head) };
        if let Some(name) = target.signing_name.as_deref() {
            hint = hint.signed_for(name);
        }
        if let Some(service) = target.service.as_deref() {
            hint = hint.named(service);
        }
        let form = ObjectForm::of(&exchange.request).filter(|_| target.signing_name.is_none());
        let signed_for = form.as_ref().and_then(ObjectForm::signed_for).map(str::to_owned);
        if let Some(service) = signed_for.as_deref() {
            hint = hint.signed_for(service);
        }
        let by_call = || profiles.of_call(hint.target_prefix, hint.signing_name, hint.host);
        let by_model = |model: &Arc<ServiceModel>| profiles.of_service(&model.summary().service_id);
        let (call, profile, model, named) = match models.call(&hint, &exchange.request) {
            Ok(call) => {
                let model = Arc::clone(call.model());
                let name = call.operation().name.to_string();
                (Some(call), by_model(&model), Some(model), Some(name))
            }
            Err(Unrouted::Operation { service, named }) => (None, by_model(&service), Some(service), named),
            Err(Unrouted::Service | Unrouted::Model(_)) => (None, by_call(), None, None),
        };
        let is_s3 = profile.is_some_and(|profile| profile.form() == Form::S3);
        let form = form.filter(|_| call.is_none() && is_s3 && head.uri.query().is_none());
        let form = form.map(|form| Upload { form, bucket: decode::bucket(head, hint.bucket_domain) });
        let named = named.or_else(|| form.as_ref().map(|_| POST_OBJECT.to_owned()));
        let operation = named.or_else(|| spoken(&exchange.request)).unwrap_or_else(|| by_path(&head.method, &head.uri));
        let signing_name = model.as_ref().map(|model| &*model.summary().signing_name).or(hint.signing_name);
        let own = profile.map(Profile::event_source).map(str::to_owned);
        let event_source = target.event_source.clone().or(own).unwrap_or_else(|| match (signing_name, hint.host) {
            (Some(name), _) => format!("{name}.amazonaws.com"),
            (None, Some(host)) => decode::without_port(host).to_ascii_lowercase(),
            (None, None) => "unknown".to_owned(),
        });
        let profile = profile.unwrap_or_else(|| profiles.general());
        let unmodelled = call.is_none() && profile.knows_unmodelled(&operation);
        Self { call, profiles, profile, operation, event_source, unmodelled, form, method: &head.method }
    }

    /// The rules for the operation. Only those of operations that somebody knows are kept: callers may make up names.
    pub(super) fn rules(&self) -> Arc<OperationRules> {
        let profiles = self.profiles;
        if self.is_known() {
            profiles.rules(self.profile, &self.operation)
        } else {
            profiles.rules_once(self.profile, &self.operation)
        }
    }

    /// True if a model has the operation, or the profile knows it.
    pub(super) fn is_known(&self) -> bool {
        self.call.is_some() || self.unmodelled
    }

    /// True if the operation changes nothing: what the profile says, what the model says, what its method promises, or what
    /// its name says.
    pub(super) fn read_only(&self, rules: &OperationRules) -> bool {
        let safe = matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        rules.read_only.unwrap_or_else(|| match &self.call {
            Some(call) => {
                let rest = call.protocol().is_rest();
                call.operation().read_only || (rest && safe) || reads_by_name(&call.operation().name)
            }
            None if self.operation.contains(' ') => safe,
            None => reads_by_name(&self.operation),
        })
    }

    /// True if the record says something that only the answer tells, though the answer is not printed.
    pub(super) fn needs_answer(&self, rules: &OperationRules) -> bool {
        let deletes = self.profile.form() == Form::S3 && self.operation == record::DELETE_OBJECTS;
        deletes || rules.resources.iter().any(ResourceRule::reads_answer)
    }

    /// How records of services that speak this call's protocol print moments.
    pub(super) fn usual_times(&self) -> TimeForm {
        match self.call.as_ref().map(Call::protocol) {
            Some(Protocol::Query | Protocol::Ec2) => TimeForm::Words,
            _ => TimeForm::Iso,
        }
    }

    /// What was asked, with the names of the model.
    pub(super) fn asked(&self, exchange: &Exchange) -> Decoded {
        match (&self.call, &self.form) {
            (Some(call), _) => decode::request(call, &exchange.request),
            (None, Some(upload)) => {
                // The fields are before the file, whose content no error repeats.
                let complete = upload.form.is_whole() || exchange.request.body.is_kept();
                Decoded { value: upload.form.asked(upload.bucket.as_deref()), complete, fault: None }
            }
            (None, None) => self.without_model(&exchange.request.body),
        }
    }

    /// Adds the fields of an upload that are not recorded: errors may repeat them.
    pub(super) fn form_secrets(&self, secrets: &mut Secrets) {
        self.form.iter().flat_map(|upload| upload.form.unrecorded()).for_each(|text| secrets.add(text));
    }

    /// A body that no model explains: its JSON, if the profile knows the operation.
    fn without_model(&self, body: &Body) -> Decoded {
        let read = || json::read_object(&body.kept).map(json::as_members);
        match (self.unmodelled && body.is_kept()).then(read).flatten() {
            Some(value) => Decoded { value, complete: true, fault: None },
            None => Decoded { value: Value::empty(), complete: self.unmodelled && body.total == 0, fault: None },
        }
    }

    /// What was asked, in the form that the service's records have.
    pub(super) fn formed_request<'v>(&self, exchange: &Exchange, asked: &'v Value) -> Cow<'v, Value> {
        Cow::Owned(match (self.profile.form(), &self.call) {
            (Form::S3, call) => {
                let payload = call.as_ref().and_then(|call| call.model().input(call.operation())?.payload());
                let reads_body = payload.is_some_and(|member| !member.streaming);
                let names = self.profile.printed_wire_names();
                let fields: Vec<_> = self.form.iter().flat_map(|upload| upload.form.headers()).collect();
                record::s3_request(&exchange.request, asked, &self.operation, (reads_body, &fields), names)
            }
            (Form::Ec2, Some(call)) => record::ec2_request(call.model(), call.operation(), self.profile, asked),
            _ => return Cow::Borrowed(asked),
        })
    }

    /// What was answered, in the form that the service's records have.
    pub(super) fn formed_response<'v>(&self, answered: &'v Value, request_id: Option<&str>) -> Cow<'v, Value> {
        Cow::Owned(match (self.profile.form(), &self.call) {
            (Form::S3, _) => record::s3_response(),
            (Form::Ec2, Some(call)) => {
                record::ec2_response(call.model(), call.operation(), self.profile, answered, request_id)
            }
            _ => return Cow::Borrowed(answered),
        })
    }

    /// What was answered, with the names of the model, or the error; and the id that the service gave the call. Of an answer
    /// that is not `wanted` no more is read than tells whether it is an error.
    pub(super) fn answered(&self, response: &Response, wanted: bool) -> (Result<Decoded, Failure>, Option<String>) {
        let Some(call) = &self.call else {
            let failed = response.head.status.is_client_error() || response.head.status.is_server_error();
            let answered = match Failure::of_stream(response) {
                _ if failed => Err(Failure::without_model(response)),
                Some(failure) => Err(failure),
                None => Ok(self.without_model(&response.body)),
            };
            return (answered, record::request_id(response));
        };
        let answer = decode::outcome(call, response, wanted);
        let id = answer.request_id.or_else(|| record::request_id(response));
        match answer.outcome {
            Outcome::Output(decoded) => (Ok(decoded), id),
            Outcome::Error { code, message } => (Err(Failure { code, message }), id),
        }
    }

    /// An error as the service's records print it.
    pub(super) fn failure(&self, failure: Failure, response: &Response) -> Failure {
        let status = response.head.status;
        // A code in digits is the status again.
        let code = if failure.code.bytes().all(|byte| byte.is_ascii_digit()) {
            let known = self.profiles.status_code(self.profile, &self.operation, status.as_u16());
            match known {
                Some(code) => code.to_owned(),
                // A stream that failed without saying how.
                None if status.is_success() => "InternalFailure".to_owned(),
                None => record::status_words(status),
            }
        } else {
            self.profiles.error_code(self.profile, &failure.code).to_owned()
        };
        let code = match self.profile.prefixes_error_codes() {
            false => code,
            true if status.is_server_error() => format!("Server.{code}"),
            true => format!("Client.{code}"),
        };
        Failure { code, message: failure.message }
    }
}

/// The operation that a request names itself, where its protocol has names.
fn spoken(request: &Request) -> Option<String> {
    let plain = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !name.is_empty() && name.len() <= 128 && name.bytes().all(plain)
    };
    let name = match Spoken::of(&request.head) {
        Spoken::Cbor { operation, .. } | Spoken::Json { operation, .. } => operation.to_owned(),
        Spoken::Form => {
            let query = request.head.uri.query().unwrap_or_default();
            let fields = [query.as_bytes(), &request.body.kept];
            let mut fields = fields.into_iter().flat_map(form_urlencoded::parse);
            fields.find(|(name, _)| name == "Action")?.1.into_owned()
        }
        Spoken::Rest => return None,
    };
    plain(&name).then_some(name)
}

/// Method and path of a call of which nothing else is known. What looks like an id, or could be a token, is `*`.
fn by_path(method: &Method, uri: &Uri) -> String {
    let segments = uri.path().split('/').take(16).map(|segment| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let version = segment.len() <= 4;
        let word = version || !segment.bytes().any(|byte| byte.is_ascii_digit());
        if segment.len() <= MAX_SEGMENT && segment.bytes().all(plain) && word { segment } else { "*" }
    });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}
