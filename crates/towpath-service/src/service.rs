//! The path of a request through the service.

mod submission;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use towpath_admit::{ApiSource, Parameters, Plane, TlsDetails};
use towpath_model::Event;
use towpath_wire::sigv4::SigningKeys;
use towpath_wire::sts::StsRequest;
use towpath_wire::{ApiError, Operation, Protocol, RequestId, Route, response, route};
use uuid::Uuid;

use crate::audit::{self, Call};
use crate::authenticate::authenticate;
use crate::caller::Caller;
use crate::event_context;
use crate::operations::{Context, Pending, Touched, admin, dispatch, json, organization, sts};
use crate::parts::Parts;
use crate::records::Records;
use crate::throttle::Throttle;
use crate::upload::{self, Sent};

/// Longest body of an uploaded log file or batch of them, in bytes.
pub const MAX_UPLOAD_BODY: usize = 64 * 1024 * 1024;

/// Secrets' signing keys that are remembered.
const SIGNING_KEYS: usize = 10_000;

/// A request that was read from a connection.
#[derive(Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, within [`Service::max_body`].
    pub body: Bytes,
    /// Who sent it.
    pub peer: IpAddr,
    /// The encryption of the connection; none if the request came in the clear.
    pub tls: Option<TlsDetails>,
}

/// Answers requests. Cloning is cheap.
#[derive(Clone)]
pub struct Service {
    parts: Arc<Parts>,
    records: Arc<Records>,
    throttle: Arc<Throttle>,
    signing_keys: Arc<SigningKeys>,
}

impl Service {
    /// Serves with these parts.
    pub fn new(parts: Arc<Parts>) -> Self {
        let throttle = Arc::new(Throttle::new(&parts.settings.throttles));
        let records = Arc::new(Records::new(parts.log.clone(), parts.settings.audit_reads));
        Self { parts, records, throttle, signing_keys: Arc::new(SigningKeys::new(SIGNING_KEYS)) }
    }

    /// The parts, for those who run them in the background.
    pub fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// The longest body that a request may have, known from its head.
    ///
    /// # Errors
    /// The answer to a request that has no operation; its body need not be read.
    pub fn max_body(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<usize, Box<Response<Bytes>>> {
        if Sent::of(uri.path()).is_some() {
            return Ok(MAX_UPLOAD_BODY);
        }
        match route(method, uri, headers) {
            Ok(route) => Ok(route.max_body()),
            Err(error) => Err(Box::new(error.response(Protocol::of(method, uri, headers), &RequestId::random()))),
        }
    }

    /// Answers a request. Every failure is an answer; this never panics on any input.
    pub async fn call(&self, request: HttpRequest) -> Response<Bytes> {
        let started = Instant::now();
        let request_id = RequestId::from(Uuid::new_v4());
        let (name, response) = self.answer(&request, request_id).await;
        let status = response.status().as_u16().to_string();
        metrics::counter!("towpath_requests_total", "operation" => name.clone(), "status" => status).increment(1);
        metrics::histogram!("towpath_request_seconds", "operation" => name).record(started.elapsed().as_secs_f64());
        response
    }

    async fn answer(&self, request: &HttpRequest, request_id: RequestId) -> (String, Response<Bytes>) {
        if let Some(sent) = Sent::of(request.uri.path()) {
            let outcome = self.upload(request, request_id, sent).await;
            return (sent.operation().to_owned(), finish(Protocol::AwsJson, &request_id, outcome));
        }
        let protocol = Protocol::of(&request.method, &request.uri, &request.headers);
        let route = match route(&request.method, &request.uri, &request.headers) {
            Ok(route) => route,
            Err(error) => return ("none".to_owned(), error.response(protocol, &request_id)),
        };
        let now = self.parts.clock.now();
        let service = route.signing_name();
        let caller = match authenticate(&self.parts, &self.signing_keys, request, service, request_id, now) {
            Ok(caller) => caller,
            Err(error) => return ("unauthenticated".to_owned(), error.response(route.protocol(), &request_id)),
        };
        match route {
            Route::CloudTrail(operation) => {
                let outcome = self.cloudtrail(&caller, operation, request).await;
                (operation.name().to_owned(), finish(Protocol::AwsJson, &request_id, outcome))
            }
            route @ Route::PutAuditEvents(_) => {
                let outcome = self.put_audit_events(&caller, route, request).await;
                ("PutAuditEvents".to_owned(), finish(Protocol::RestJson, &request_id, outcome))
            }
            Route::Sts => {
                let (name, outcome) = self.sts(&caller, request).await;
                let response = outcome.unwrap_or_else(|error| error.response(Protocol::Query, &request_id));
                (name, response)
            }
            Route::Organizations(name) => {
                let outcome = self.organizations(&caller, &name, request).await;
                let known = organization::is_known(&name);
                let name = if known { name } else { "unknown".to_owned() };
                (name, finish(Protocol::AwsJson, &request_id, outcome))
            }
            Route::Towpath(name) => {
                let outcome = self.towpath(&caller, &name, request).await;
                let known = admin::is_known(&name);
                let name = if known { name } else { "unknown".to_owned() };
                (name, finish(Protocol::AwsJson, &request_id, outcome))
            }
        }
    }

    async fn cloudtrail(
        &self,
        caller: &Caller,
        operation: Operation,
        request: &HttpRequest,
    ) -> Result<Box<RawValue>, ApiError> {
        let context = Context::new(caller, &self.parts, &self.records);
        let outcome = match self.admitted(caller, operation.name()) {
            Ok(()) => match operation.decode(&request.body) {
                Ok(input) => dispatch(&context, operation, input).await,
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        let call = Call {
            source: ApiSource::CloudTrail,
            name: operation.name().to_owned(),
            read_only: operation.read_only(),
            plane: Plane::Management,
            request: Parameters::of_json(&request.body),
        };
        self.record(&context, call, outcome).await
    }

    async fn organizations(
        &self,
        caller: &Caller,
        name: &str,
        request: &HttpRequest,
    ) -> Result<Box<RawValue>, ApiError> {
        let context = Context::new(caller, &self.parts, &self.records);
        let outcome = match self.admitted(caller, name) {
            Ok(()) => json(organization::call(&context, name)),
            Err(error) => Err(error),
        };
        let call = Call {
            source: ApiSource::Organizations,
            name: name.to_owned(),
            read_only: true,
            plane: Plane::Management,
            request: Parameters::of_json(&request.body),
        };
        self.record(&context, call, outcome).await
    }

    async fn towpath(&self, caller: &Caller, name: &str, request: &HttpRequest) -> Result<Box<RawValue>, ApiError> {
        if name == "PutRecords" {
            return self.put_records(caller, request).await;
        }
        let context = Context::new(caller, &self.parts, &self.records);
        let outcome = match self.admitted(caller, name) {
            Ok(()) => admin::dispatch(&context, name, &request.body).await,
            Err(error) => Err(error),
        };
        let call = Call {
            source: admin::source(name),
            name: name.to_owned(),
            read_only: admin::read_only(name),
            plane: Plane::Management,
            request: admin::parameters(name, &request.body),
        };
        self.record(&context, call, outcome).await
    }

    async fn upload(&self, request: &HttpRequest, request_id: RequestId, sent: Sent<'_>) -> Result<Value, ApiError> {
        let now = self.parts.clock.now();
        let caller = authenticate(&self.parts, &self.signing_keys, request, "towpath", request_id, now)?;
        let context = Context::new(&caller, &self.parts, &self.records);
        // Recorded by StartUploadImport and FinishUploadImport; one record per file would drown the history.
        upload::take(&context, sent, &request.uri, request.body.clone()).await
    }

    async fn sts(&self, caller: &Caller, request: &HttpRequest) -> (String, Result<Response<Bytes>, ApiError>) {
        let decoded = match StsRequest::decode(&request.uri, &request.body) {
            Ok(decoded) => decoded,
            Err(error) => return ("sts".to_owned(), Err(error)),
        };
        let name = decoded.name().to_owned();
        let context = Context::new(caller, &self.parts, &self.records);
        let outcome = match self.admitted(caller, &name) {
            Ok(()) => sts::call(&context, &decoded),
            Err(error) => Err(error),
        };
        let call = Call {
            source: ApiSource::Sts,
            name: name.clone(),
            read_only: true,
            plane: Plane::Management,
            request: audit::parameters(&sts::parameters(&decoded, &caller.principal)),
        };
        let recorded = match &outcome {
            Ok(answer) => Ok(audit::parameters(&answer.recorded)),
            Err(error) => Err(error),
        };
        let events = self.events(&context, call, recorded, &context.take_touched());
        if let Err(error) = self.records.append(events).await {
            return (name, Err(error));
        }
        (name, outcome.map(|answer| answer.response))
    }

    /// Records a call and returns its outcome, or why it could not be recorded.
    async fn record(
        &self,
        context: &Context<'_>,
        call: Call,
        outcome: Result<Box<RawValue>, ApiError>,
    ) -> Result<Box<RawValue>, ApiError> {
        let touched = context.take_touched();
        let events = |call: Call, outcome: &Result<Box<RawValue>, ApiError>| {
            let recorded = outcome.as_ref().map(|answer| match call.read_only {
                // What was read is in no record.
                true => Parameters::none(),
                false => Parameters::of_json(answer.get().as_bytes()),
            });
            self.events(context, call, recorded, &touched)
        };
        if let Some(pending) = context.take_pending() {
            let record = self.records.append(events(call.clone(), &outcome));
            let done = match pending {
                Pending::Beside(work) => {
                    let (recorded, done) = tokio::join!(record, work);
                    recorded.and(Ok(done))?
                }
                Pending::After(work) => {
                    record.await?;
                    work.await
                }
            };
            if let Err(error) = done {
                // The record says that the call succeeded. One more says how it ended.
                let outcome = Err(error);
                self.records.append(events(call, &outcome)).await?;
                return outcome;
            }
        } else if call.read_only && outcome.is_ok() {
            self.records.append_read(events(call, &outcome)).await?;
        } else {
            self.records.append(events(call, &outcome)).await?;
        }
        outcome
    }

    /// The events that record a call, each with what its destinations ask for.
    fn events(
        &self,
        context: &Context<'_>,
        call: Call,
        outcome: Result<Parameters, &ApiError>,
        touched: &[Touched],
    ) -> Vec<Event> {
        let state = context.catalog();
        let events = audit::events(&state, context.caller, call, outcome, touched.to_vec());
        let max_bytes = self.parts.settings.quotas.large_event_bytes;
        event_context::enrich(&state, context.caller, touched, max_bytes, events)
    }

    fn admitted(&self, caller: &Caller, operation: &str) -> Result<(), ApiError> {
        if self.throttle.admit(caller.account, &caller.region, operation) {
            Ok(())
        } else {
            Err(ApiError::throttling())
        }
    }
}

fn finish(protocol: Protocol, request_id: &RequestId, outcome: Result<impl Serialize, ApiError>) -> Response<Bytes> {
    match outcome {
        Ok(answer) => response::success(protocol, request_id, &answer),
        Err(error) => error.response(protocol, request_id),
    }
}
