//! The port of the buckets, beside that of the API and with the same certificate.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::error;

use towpath_bucket::{Encryption, S3Server};
use towpath_port::{Tls, TlsFacts};

use super::tasks::Lost;

/// How long running requests may go on after the signal to stop, as at the port of the API.
const GRACE: Duration = Duration::from_secs(3);

/// Serves until `stop`. Should the port end by itself, `/readyz` says so.
pub async fn serve(server: S3Server, listener: TcpListener, tls: Option<Tls>, stop: CancellationToken, lost: Lost) {
    let told = stop.clone();
    let served = match tls {
        None => tokio::spawn(server.serve(listener, |stream| async { Ok((stream, None)) }, stop, GRACE)),
        Some(tls) => {
            let accept = move |stream: TcpStream| {
                let tls = tls.clone();
                async move {
                    let stream = tls.accept(stream).await?;
                    let facts = TlsFacts::of(&stream);
                    let version = facts.version.map(str::to_owned);
                    Ok((stream, Some(Encryption { version, cipher_suite: facts.cipher_suite })))
                }
            };
            tokio::spawn(server.serve(listener, accept, stop, GRACE))
        }
    };
    if served.await.is_err() || !told.is_cancelled() {
        error!("the port of the buckets ended by itself; restart the server");
        lost.note("s3");
    }
}
