//! One call through the gateway, from its head to its answer.
//!
//! ```text
//! route, check        where it goes; what has two meanings is refused
//! begin               room for its record, or it is refused
//! verify              its signature, where told
//! send                to the upstream, the body streaming behind
//! answer              back to the client, the record made as the last byte passes
//! ```

mod sending;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use towpath_model::Clock;
use towpath_port::Place;
use tracing::debug;

use crate::answer::{AnswerBody, DURABLE_WITHIN, Passing, SHORT};
use crate::call::{Call, Caller};
use crate::client::{Client, Lease, SendError, SetupError};
use crate::gate::Gatekeeper;
use crate::headers;
use crate::host;
use crate::kept::Failed;
use crate::measure::Measures;
use crate::outgoing::{NotOpened, Outgoing, OutgoingError};
use crate::recording::{Acknowledgement, Policy, Recording};
use crate::refusal::Refusal;
use crate::route::Routes;
use crate::settings::{ClientLimits, GatewaySettings};
use crate::tunnel;
use crate::upstream::{Origin, Upstream};
use crate::verify::{Left, Verifier};
use crate::websocket;
use sending::Sending;
pub(crate) use sending::with_causes;

/// Passes calls on and has them recorded. All methods may be called concurrently.
pub struct Gateway {
    routes: Routes<Arc<Served>>,
    recording: Recording,
    // None where nobody here knows the secrets of access keys.
    verifier: Option<Verifier>,
    clock: Arc<dyn Clock>,
    limits: ClientLimits,
    places: Arc<Semaphore>,
    // Conversations in other protocols, and what is waited for after clients have gone.
    running: TaskTracker,
    give_up: CancellationToken,
}

/// An upstream that is served.
struct Served {
    upstream: Upstream,
    way: Option<(Origin, Client)>,
    measures: Measures,
}

/// The connection that a request came over.
#[derive(Clone)]
pub struct From {
    /// Who is at the other end.
    pub caller: Caller,
    /// Its place, which a conversation in another protocol takes along.
    pub place: Arc<Place>,
}

/// Why a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("upstream {name} cannot be used")]
pub struct GatewayError {
    name: String,
    #[source]
    cause: SetupError,
}

impl AsRef<Upstream> for Arc<Served> {
    fn as_ref(&self) -> &Upstream {
        &self.upstream
    }
}

impl Served {
    fn new(upstream: Upstream) -> Result<Arc<Self>, GatewayError> {
        let way = match &upstream.origin {
            None => None,
            Some(origin) => {
                let client = Client::new(origin, upstream.limits);
                let name = || upstream.recorded.name.to_string();
                Some((origin.clone(), client.map_err(|cause| GatewayError { name: name(), cause })?))
            }
        };
        let measures = Measures::of(&upstream.recorded.name);
        Ok(Arc::new(Self { upstream, way, measures }))
    }

    fn is_durable(&self) -> bool {
        self.upstream.recorded.policy == Policy::FailClosed
    }
}

impl Gateway {
    /// A gateway in front of the upstreams of `settings`. Must be called within a Tokio runtime; nothing is connected yet.
    pub fn new(
        settings: &GatewaySettings,
        recording: Recording,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, GatewayError> {
        let upstreams = settings.upstreams.iter().cloned().map(Served::new).collect::<Result<Vec<_>, _>>()?;
        let unknown = Served::new(Upstream { origin: None, ..settings.unknown.clone() })?;
        let verifier = Verifier::new(recording.identities());
        if let Some(upstream) = settings.upstreams.iter().find(|it| it.verify_signatures && verifier.is_none()) {
            return Err(GatewayError { name: upstream.recorded.name.to_string(), cause: SetupError::NoKeys });
        }
        Ok(Arc::new(Self {
            routes: Routes::new(upstreams, unknown, settings.target_services.clone()),
            recording,
            verifier,
            clock,
            places: Arc::new(Semaphore::new(settings.clients.max_requests)),
            limits: settings.clients.clone(),
            running: TaskTracker::new(),
            give_up: CancellationToken::new(),
        }))
    }

    /// The bounds of clients.
    pub fn limits(&self) -> &ClientLimits {
        &self.limits
    }

    /// Ends what goes on without a client's connection: waits until `grace` is over, then gives it up.
    pub async fn finish(&self, grace: Duration) {
        self.running.close();
        if timeout(grace, self.running.wait()).await.is_err() {
            self.give_up.cancel();
            drop(timeout(Duration::from_secs(1), self.running.wait()).await);
        }
    }

    /// Answers one request.
    pub async fn answer(self: Arc<Self>, mut request: Request<Incoming>, from: From) -> Response<AnswerBody> {
        let began = std::time::Instant::now();
        let version = request.version();
        let websocket = websocket::to_upgrade(&mut request);
        let upgrade = request.headers().contains_key(http::header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let found = self.routes.find(&head);
        let (served, routed) = (Arc::clone(found.taker), found.routed);
        let service = routed.service.clone();
        let refuse = |refusal: &Refusal| {
            served.measures.answered(refusal.status, began);
            own(refusal, &head, service.as_deref())
        };

        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            served.measures.turned_away();
            return refuse(&Refusal::busy());
        };
        let ticket = match self.recording.begin(&served.upstream.recorded) {
            Ok(ticket) => ticket,
            Err(cause) => return refuse(&Refusal::unrecordable(cause)),
        };
        let clock = Arc::clone(&self.clock);
        let call = Call::begin(ticket, routed, &head, from.caller.clone(), clock, served.upstream.kept);
        let Some((origin, _)) = &served.way else {
            let refusal = Refusal::unknown(service.as_deref(), host::asked(&head).unwrap_or_default());
            let told = recorded(call.refused(&refusal), served.is_durable()).await.err().unwrap_or(refusal);
            return refuse(&told);
        };
        if let Err(refusal) = headers::check(&head, self.limits.max_header_size) {
            let told = recorded(call.refused(&refusal), served.is_durable()).await.err().unwrap_or(refusal);
            return refuse(&told);
        }

        let sent = call.sent();
        let mut outgoing = Outgoing::new(body, Arc::clone(&sent), self.limits.body_pause);
        if let Err(unproven) = self.verify(&served, &head, &mut outgoing).await {
            let (refusal, record) = match unproven {
                NotOpened::Forged(forged) => (Refusal::forged(forged.0), None),
                NotOpened::Full => (Refusal::busy(), None),
                NotOpened::Body(error) => {
                    let stalled = matches!(error, OutgoingError::Stalled);
                    let refusal = if stalled { Refusal::request_timeout() } else { Refusal::incomplete_body() };
                    (refusal, Some(with_causes(&error)))
                }
            };
            let record = match record {
                None => call.refused(&refusal),
                Some(broken) => call.broken(broken),
            };
            let told = recorded(record, served.is_durable()).await.err().unwrap_or(refusal);
            return refuse(&told);
        }
        let mut forward = Parts::clone(&head);
        let expects = !origin.http2
            && forward
                .headers
                .get(http::header::EXPECT)
                .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let gate = (expects && !outgoing.is_end_stream()).then(Gatekeeper::default);
        headers::to_upstream(&mut forward, origin, !outgoing.is_end_stream());
        if let Some(gate) = &gate {
            outgoing.wait_at(gate.clone());
        }
        let mut forward = Request::from_parts(forward, outgoing);
        if let Some(gate) = gate.clone() {
            hyper::ext::on_informational(&mut forward, move |interim| {
                if interim.status() == StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }

        let sending = Sending::new(&self, Arc::clone(&served), forward, (sent, gate), call, place);
        let (outcome, call, place) = sending.await;
        let (response, lease) = match outcome {
            Ok(answered) => answered,
            Err(error) => {
                debug!(upstream = %served.upstream.recorded.name, error = %with_causes(&error), "no answer");
                let refusal = refusal_of(&error);
                if matches!(error, SendError::Body(Failed::Forged)) {
                    let told = recorded(call.refused(&refusal), served.is_durable()).await.err().unwrap_or(refusal);
                    return refuse(&told);
                }
                let told = recorded(call.broken(with_causes(&error)), served.is_durable()).await.err();
                return refuse(&told.unwrap_or(refusal));
            }
        };
        served.measures.answered(response.status(), began);
        let passed = Passed { served, call, lease, place, from, upgrade, websocket, version, service };
        self.pass_back(response, passed, &head).await
    }

    /// Verifies a call's signature where that is told. When this returns the head may pass; what is left for the body to
    /// prove is proven as it passes.
    async fn verify(&self, served: &Served, head: &Parts, outgoing: &mut Outgoing) -> Result<(), NotOpened> {
        let Some(verifier) = self.verifier.as_ref().filter(|_| served.upstream.verify_signatures) else {
            return Ok(());
        };
        match verifier.head(head, served.upstream.bucket_domain.as_deref(), self.clock.now())? {
            Left::Nothing => {}
            Left::Body(proof) if outgoing.is_end_stream() => proof.finish()?,
            Left::Body(proof) => outgoing.prove(proof),
            Left::Opening(opening) => outgoing.open(opening).await?,
        }
        Ok(())
    }

    /// Passes an answer on to the client.
    async fn pass_back(&self, response: Response<Incoming>, passed: Passed, asked: &Parts) -> Response<AnswerBody> {
        let Passed { served, mut call, lease, place, from, upgrade, websocket, version, service } = passed;
        let durable = served.is_durable();
        call.answered_by(&response);
        let (mut head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = upgrade else {
                drop(call.broken("the upstream changes the protocol unasked"));
                return own(
                    &Refusal::bad_gateway("the upstream changes the protocol unasked"),
                    asked,
                    service.as_deref(),
                );
            };
            headers::to_client(&mut head, Version::HTTP_11);
            if websocket.as_ref().is_some_and(|expected| !expected.is_in(&head.headers)) {
                drop(call.broken("the upstream has not read the key of the WebSocket"));
                let refusal = Refusal::bad_gateway("the upstream has not read the key of the WebSocket");
                return own(&refusal, asked, service.as_deref());
            }
            let mut response = Response::from_parts(head, body);
            let upstream = hyper::upgrade::on(&mut response);
            if websocket.is_some() {
                let (mut head, body) = response.into_parts();
                websocket::to_stream(&mut head);
                response = Response::from_parts(head, body);
            }
            let talk = tunnel::run(client, upstream, call, served.upstream.limits.body_pause, self.give_up.clone());
            self.running.spawn(async move {
                let _held_until_the_end = (lease, place, from);
                talk.await;
            });
            return response.map(|_| AnswerBody::whole(Bytes::new()));
        }
        // Over HTTP/2 success means that the WebSocket is open.
        if websocket.is_some() && head.status.is_success() {
            drop(call.broken("the upstream answered a WebSocket without changing the protocol"));
            let refusal = Refusal::bad_gateway("the upstream speaks no WebSocket here");
            return own(&refusal, asked, service.as_deref());
        }
        let trails = head.version == Version::HTTP_2;
        headers::to_client(&mut head, version);
        let announced = body.size_hint().exact();
        let passing = Passing::new(body, call, lease, served.upstream.limits.body_pause, durable, trails, place);
        let body = match announced {
            Some(length) if length == 0 || (durable && length <= SHORT) => {
                let (gathered, acknowledgement) = passing.gather().await;
                recorded(acknowledgement, durable).await.map(|()| AnswerBody::gathered(gathered))
            }
            _ => Ok(AnswerBody::passing(passing)),
        };
        match body {
            Ok(body) => Response::from_parts(head, body),
            Err(refusal) => own(&refusal, asked, service.as_deref()),
        }
    }
}

/// What an answer takes along on its way back.
struct Passed {
    served: Arc<Served>,
    call: Call,
    lease: Lease,
    place: OwnedSemaphorePermit,
    from: From,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
    /// What the upstream must answer to a WebSocket that came over HTTP/2.
    websocket: Option<websocket::Expected>,
    version: Version,
    service: Option<Arc<str>>,
}

/// The gateway's own answer.
fn own(refusal: &Refusal, head: &Parts, service: Option<&str>) -> Response<AnswerBody> {
    let mut response = refusal.response(head, service).map(AnswerBody::whole);
    // The rest of the body may still be on its way.
    if head.version < Version::HTTP_2 {
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    response
}

/// Waits for the record, where the answer may not be told without it.
async fn recorded(acknowledgement: Option<Acknowledgement>, durable: bool) -> Result<(), Refusal> {
    let Some(acknowledgement) = acknowledgement.filter(|_| durable) else { return Ok(()) };
    match timeout(DURABLE_WITHIN, acknowledgement.durable()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(Refusal::not_recorded(cause)),
        Err(_) => Err(Refusal::not_recorded("its record was not durable in time")),
    }
}

fn refusal_of(error: &SendError) -> Refusal {
    match error {
        SendError::Busy => Refusal::busy(),
        SendError::Connect(crate::client::ConnectError::Timeout) | SendError::Timeout => {
            Refusal::gateway_timeout(error.to_string())
        }
        SendError::Connect(cause) => Refusal::bad_gateway(cause.to_string()),
        SendError::Broken(_) => Refusal::bad_gateway(error.to_string()),
        SendError::Body(Failed::Stalled) => Refusal::request_timeout(),
        SendError::Body(Failed::Broken) => Refusal::incomplete_body(),
        SendError::Body(Failed::Forged) => Refusal::forged("the body of the request is not the one that was signed"),
    }
}
