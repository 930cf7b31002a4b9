//! An upstream that answers at once: small calls with a kilobyte, uploads with nothing, downloads with as much as is asked.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a piece of a long body.
pub const PIECE: usize = 128 << 10;

/// Serves for ever, on a thread of its own as a service on another machine would have; returns the address.
pub fn start() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("upstream".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
    })?;
    Ok(address)
}

async fn serve(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let answer = Bytes::from(super::calls::answer());
    let service = service_fn(move |request| respond(request, answer.clone()));
    // How a connection ended shows in the calls.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    request: Request<Incoming>,
    small: Bytes,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, mut body) = request.into_parts();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let response = Response::builder();
    let response = match head.method {
        Method::GET => {
            let length: u64 = head.uri.query().and_then(|query| query.parse().ok()).unwrap_or(0);
            response.header("content-length", length).body(long(length).boxed())
        }
        Method::PUT => response.header("content-length", 0).body(Full::new(Bytes::new()).boxed()),
        _ => response.header("content-type", "application/x-amz-json-1.1").body(Full::new(small).boxed()),
    };
    Ok(response.expect("these headers are well formed"))
}

/// A body of `length` bytes.
pub fn long(length: u64) -> StreamBody<impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>>> {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    StreamBody::new(stream::unfold(length, move |left| {
        let next = piece.slice(..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        async move {
            let rest = left - next.len() as u64;
            (!next.is_empty()).then(|| (Ok(Frame::data(next)), rest))
        }
    }))
}
