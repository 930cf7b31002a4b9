//! A service whose requests are recorded in Towpath.
//!
//! Needs a server (`towpath serve`) and, in the environment, a key that may `towpath:PutRecords`:
//!
//! ```sh
//! export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... ACCOUNT=000000000000
//! cargo run -p towpath-tower --example orders
//! curl -X POST http://127.0.0.1:8080/orders
//! aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=CreateOrder
//! ```

use std::convert::Infallible;
use std::env;
use std::error::Error;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_layer::Layer;
use towpath_tower::{
    Credentials, Endpoint, Event, EventLayer, GapKey, Recorder, RecorderSettings, Secret, Seen, UserIdentity,
};

/// What is recorded of a request: who, what, and how it ended.
fn describe(seen: &Seen<'_>) -> Option<Event> {
    let request = seen.request;
    if request.uri.path() != "/orders" {
        return None;
    }
    let name = if request.method == Method::POST { "CreateOrder" } else { "ListOrders" };
    // A service that knows its callers puts them here.
    let mut event = Event::new(name, UserIdentity::unknown(), "127.0.0.1");
    event.read_only = request.method == Method::GET;
    event.user_agent = request.headers.get("user-agent").and_then(|it| it.to_str().ok()).map(str::to_owned);
    let status = seen.response.map_or(StatusCode::INTERNAL_SERVER_ERROR, |head| head.status);
    if !status.is_success() {
        event.error = Some((status.as_str().to_owned(), status.canonical_reason().unwrap_or_default().to_owned()));
    }
    Some(event)
}

/// A service: hyper's functions are services, and the layer wants tower's kind of one.
#[derive(Clone)]
struct Orders;

impl tower_service::Service<Request<Incoming>> for Orders {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let status = if request.uri().path() == "/orders" { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let mut response = Response::new(Full::new(Bytes::from_static(b"{}\n")));
        *response.status_mut() = status;
        std::future::ready(Ok(response))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let credentials = Credentials {
        access_key_id: env::var("AWS_ACCESS_KEY_ID")?,
        secret_access_key: Secret::new(env::var("AWS_SECRET_ACCESS_KEY")?),
        session_token: None,
    };
    let account = env::var("ACCOUNT")?.parse()?;
    let endpoint =
        Endpoint::new("http://127.0.0.1:4747", credentials, account, "us-east-1".parse()?, "orders.example.org")?;
    // Signs what is told of lost events; its public key is worth keeping elsewhere.
    let key = GapKey::open("orders-gap.key".as_ref())?;
    let recorder = Recorder::start(endpoint, RecorderSettings::default(), key);
    let orders = EventLayer::new(recorder, describe).layer(Orders);

    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(orders.clone());
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
