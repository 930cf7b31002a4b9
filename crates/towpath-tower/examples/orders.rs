//! A service whose requests are recorded in Towpath, from inside the service: docs/tower.md runs it.
//!
//! It takes orders from customers who have a key, and keeps none. What it needs is in the environment:
//!
//! | Variable | Is |
//! |---|---|
//! | `AWS_ENDPOINT_URL` | the Towpath server |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` | a key that may `towpath:PutRecords` |
//! | `ORDERS_ACCOUNT` | the account whose events the requests are |
//! | `ORDERS_LISTEN` | where it listens (127.0.0.1:8080) |
//! | `ORDERS_STATE` | the folder of what must outlive it (`./orders-state`) |
//! | `ORDERS_QUEUE` | how many events may wait for the server (10000) |

use std::collections::HashMap;
use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::future::{Ready, ready};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_layer::Layer;
use tower_service::Service;
use towpath_tower::{
    AccountId, Credentials, Endpoint, Event, EventLayer, Recorder, RecorderSettings, Secret, Seen, UserIdentity,
};

/// The customers, by their keys. A real service asks whoever knows them.
const CUSTOMERS: [(&str, &str); 2] = [("key-of-alice", "alice"), ("key-of-bob", "bob")];
/// How long requests may take to end, and then events to reach the server, when the service is told to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// The customer whose key a request carries. Who claims to be somebody without a key is nobody.
fn customer(request: &request::Parts) -> Option<&'static str> {
    let key = request.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    CUSTOMERS.iter().find(|(theirs, _)| *theirs == key).map(|(_, name)| *name)
}

/// What the service tells of an order, for whoever records the request.
#[derive(Clone)]
struct Ordered {
    id: u64,
    item: String,
}

/// The service. hyper's functions are services of another kind; the layer wants tower's.
#[derive(Clone)]
struct Orders;

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Service<Request<Incoming>> for Orders {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (head, _) = request.into_parts();
        let item = head.uri.path().strip_prefix("/orders/").filter(|item| !item.is_empty());
        let (status, text, ordered) = match (&head.method, item) {
            _ if head.uri.path() == "/health" => (StatusCode::OK, "well\n".to_owned(), None),
            _ if customer(&head).is_none() => (StatusCode::FORBIDDEN, "no such customer\n".to_owned(), None),
            (&Method::GET, None) => (StatusCode::OK, "nothing is kept\n".to_owned(), None),
            (&Method::POST, Some(item)) => {
                let id = NEXT.fetch_add(1, Ordering::Relaxed);
                (StatusCode::CREATED, format!("{id}\n"), Some(Ordered { id, item: item.to_owned() }))
            }
            _ => (StatusCode::NOT_FOUND, "no such thing\n".to_owned(), None),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        if let Some(ordered) = ordered {
            response.extensions_mut().insert(ordered);
        }
        ready(Ok(response))
    }
}

/// What is recorded of a request: who, what, and how it ended. Nothing else gets into the record.
fn describe(seen: &Seen<'_>, account: AccountId) -> Option<Event> {
    let request = seen.request;
    let name = match request.method {
        _ if request.uri.path() == "/health" => return None,
        Method::GET => "ListOrders",
        _ => "CreateOrder",
    };
    let identity = match customer(request) {
        Some(name) => UserIdentity::outsider(format!("customer:{name}"), Some(name.to_owned())),
        None => UserIdentity::unknown(),
    };
    // A service with an address of its own takes it from the connection.
    let mut event = Event::new(name, identity, "127.0.0.1");
    event.read_only = request.method == Method::GET;
    event.user_agent = request.headers.get(USER_AGENT).and_then(|it| it.to_str().ok()).map(str::to_owned);
    let status = seen.response.map_or(StatusCode::INTERNAL_SERVER_ERROR, |head| head.status);
    if !status.is_success() {
        let code = if status == StatusCode::FORBIDDEN { "AccessDenied" } else { status.as_str() };
        event.error = Some((code.to_owned(), status.canonical_reason().unwrap_or_default().to_owned()));
    }
    if let Some(ordered) = seen.response.and_then(|head| head.extensions.get::<Ordered>()) {
        event.parameters = Some(json!({ "item": ordered.item }));
        event.response = Some(json!({ "orderId": ordered.id }));
        let arn = format!("arn:aws:orders:us-east-1:{account}:order/{}", ordered.id);
        event.resources = vec![("Example::Shop::Order".to_owned(), arn)];
    }
    Some(event)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given: HashMap<_, _> = env::vars().collect();
    let or = |name: &str, other: &str| given.get(name).cloned().unwrap_or_else(|| other.to_owned());
    let must = |name: &str| given.get(name).cloned().ok_or_else(|| format!("set {name}"));

    let credentials = Credentials {
        access_key_id: must("AWS_ACCESS_KEY_ID")?,
        secret_access_key: Secret::new(must("AWS_SECRET_ACCESS_KEY")?),
        session_token: None,
    };
    let account: AccountId = must("ORDERS_ACCOUNT")?.parse()?;
    let server = must("AWS_ENDPOINT_URL")?;
    let endpoint = Endpoint::new(&server, credentials, account, "us-east-1".parse()?, "orders.example.org")?;
    let settings = RecorderSettings { queue_events: or("ORDERS_QUEUE", "10000").parse()?, ..Default::default() };
    let recorder = Recorder::open(endpoint, settings, &PathBuf::from(or("ORDERS_STATE", "./orders-state")))?;
    let orders = EventLayer::new(recorder.clone(), move |seen: &Seen<'_>| describe(seen, account)).layer(Orders);

    let listener = TcpListener::bind(or("ORDERS_LISTEN", "127.0.0.1:8080")).await?;
    println!("orders are taken on http://{}", listener.local_addr()?);
    print!("{}", recorder.key().public_key_pem());
    let (mut stop, requests) = (signal(SignalKind::terminate())?, GracefulShutdown::new());
    let mut stop = pin!(stop.recv());
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = &mut stop => break,
        };
        let service = TowerToHyperService::new(orders.clone());
        let serving = requests.watch(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move { drop(serving.await) });
    }
    // First the requests end, then their events go out.
    drop(listener);
    drop(tokio::time::timeout(PATIENCE, requests.shutdown()).await);
    if !recorder.close(PATIENCE).await {
        eprintln!("the server does not have all events; the next start tells which time is missing");
    }
    Ok(())
}
