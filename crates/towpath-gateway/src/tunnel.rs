//! Conversations in another protocol, such as WebSocket: bytes pass in both directions until one side ends, and the call
//! is recorded then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::call::Call;

/// Bytes that are read at a time.
const PIECE: usize = 16 << 10;

/// Passes bytes between client and upstream. Ends when both sides have ended, when neither has sent a byte for `pause`
/// (zero: never), or at `stop`.
pub async fn run(client: OnUpgrade, upstream: OnUpgrade, mut call: Call, pause: Duration, stop: CancellationToken) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(cause) => {
            debug!(%cause, "the protocol was not changed");
            drop(call.broken("the protocol was not changed"));
            return;
        }
    };
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, to_upstream) = tokio::io::split(TokioIo::new(upstream));
    let (moved, seen) = watch::channel(());
    let (sent, got) = (AtomicU64::new(0), AtomicU64::new(0));
    let both = async {
        tokio::join!(pass(from_client, to_upstream, &sent, &moved), pass(from_upstream, to_client, &got, &moved))
    };
    let whole = tokio::select! {
        (asked, answered) = both => asked && answered,
        () = silence(seen, pause) => false,
        () = stop.cancelled() => false,
    };
    call.sent().count(sent.into_inner());
    if let Some(kept) = call.got() {
        kept.count(got.into_inner());
        if whole {
            kept.end();
        }
    }
    drop(call.finish());
}

/// Passes bytes in one direction and counts them; true if the sender ended by itself.
async fn pass<R, W>(mut from: R, mut to: W, passed: &AtomicU64, moved: &watch::Sender<()>) -> bool
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece).await {
            Ok(0) => return to.shutdown().await.is_ok(),
            Ok(length) => {
                if to.write_all(&piece[..length]).await.is_err() || to.flush().await.is_err() {
                    return false;
                }
                passed.fetch_add(length as u64, Ordering::Relaxed);
                moved.send_replace(());
            }
            Err(_) => {
                let _ = to.shutdown().await;
                return false;
            }
        }
    }
}

/// Returns when nothing has moved for `pause`.
async fn silence(mut moved: watch::Receiver<()>, pause: Duration) {
    if pause.is_zero() {
        return std::future::pending().await;
    }
    while let Ok(Ok(())) = tokio::time::timeout(pause, moved.changed()).await {}
}
