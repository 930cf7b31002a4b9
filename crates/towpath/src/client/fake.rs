//! A server for tests of commands: answers from a script, checks every signature, remembers every request.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use towpath_wire::sigv4::{BodyHash, Credentials, DEFAULT_SKEW, Expect, Secret, SignedRequest, SigningKeys};

use super::{Client, Connection, Retry};

const SECRET: &str = "secret-of-the-fake";

/// A request as the fake saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The operation, or the path where it has none.
    pub operation: String,
    /// Path and query.
    pub target: String,
    /// The body as JSON, or null.
    pub input: Value,
    /// The body.
    pub body: Bytes,
}

/// What the fake answers: a status and a body.
pub type Answer = (u16, Value);

type Script = Box<dyn FnMut(&Seen) -> Answer + Send>;

/// The fake server.
pub struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// An error answer.
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    (status, json!({ "__type": code, "message": message }))
}

impl Fake {
    /// Answers every request with what `script` says.
    pub async fn start(script: impl FnMut(&Seen) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let remembered = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&remembered));
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let (status, answer) = answer(&parts, body, &seen, &script);
                        let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
                        *response.status_mut() = StatusCode::from_u16(status).unwrap();
                        Ok::<_, std::convert::Infallible>(response)
                    }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(io, service).await;
                });
            }
        });
        Self { address, seen }
    }

    /// Answers requests in turn; one more than there are answers is an error.
    pub async fn answering(answers: Vec<Answer>) -> Self {
        let mut answers: VecDeque<_> = answers.into();
        Self::start(move |_| answers.pop_front().unwrap_or_else(|| error(400, "Unexpected", "no answer is left"))).await
    }

    /// A client of the fake that holds the right key.
    pub fn client(&self) -> Client {
        self.client_with(SECRET)
    }

    /// A client with a secret.
    pub fn client_with(&self, secret: &str) -> Client {
        let endpoint = format!("http://{}", self.address);
        let credentials = Credentials {
            access_key_id: "AKIAFAKEFAKEFAKEFAKE".to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: Some(Secret::new("a/token+with=signs")),
        };
        let connection = Connection {
            data_endpoint: endpoint.clone(),
            endpoint,
            region: "eu-west-1".to_owned(),
            credentials,
            authorities: None,
            assumed: Vec::new(),
        };
        let quick = std::time::Duration::from_millis(1);
        Client::new(connection, Retry { pause: quick, longest: quick, ..Retry::PATIENT }).unwrap()
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The operations of every request so far.
    pub fn operations(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.operation).collect()
    }
}

fn answer(parts: &Parts, body: Bytes, seen: &Mutex<Vec<Seen>>, script: &Mutex<Script>) -> Answer {
    if let Err(problem) = verify(parts, &body) {
        return error(400, "InvalidSignatureException", &problem);
    }
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or(parts.uri.path()).to_owned();
    let request = Seen {
        operation,
        target: parts.uri.path_and_query().unwrap().to_string(),
        input: serde_json::from_slice(&body).unwrap_or_default(),
        body,
    };
    seen.lock().unwrap().push(request.clone());
    (script.lock().unwrap())(&request)
}

fn verify(parts: &Parts, body: &[u8]) -> Result<(), String> {
    let signed = SignedRequest::parse(&parts.method, &parts.uri, &parts.headers).map_err(|error| error.to_string())?;
    assert_eq!(signed.session_token(), Some("a/token+with=signs"));
    assert_eq!(signed.region(), "eu-west-1");
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let service = match parts.uri.path() {
        "/PutAuditEvents" => "cloudtrail-data",
        path if path.starts_with("/towpath/") || target.starts_with("Towpath") => "towpath",
        _ => "cloudtrail",
    };
    let expect = Expect { service, now: Timestamp::now(), skew: DEFAULT_SKEW };
    signed
        .verify(SECRET.as_bytes(), &BodyHash::of(body), &expect, &SigningKeys::new(8))
        .map(|_| ())
        .map_err(|error| error.to_string())
}
