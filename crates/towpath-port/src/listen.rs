//! Accepting connections, never more than there are places.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Pause after the operating system could not hand out a connection, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The places for connections of one port.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

/// The place of one connection, free again when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// As many places as connections may be open.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
    }

    /// The next connection with its place, or `None` once `stop` is told. While all places are taken, connections wait in
    /// the operating system's queue.
    pub async fn accept(
        &self,
        listener: &TcpListener,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, SocketAddr, Place)> {
        let permit = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            permit = Arc::clone(&self.0).acquire_owned() => permit.ok()?,
        };
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Refused only by connections that are gone already.
                    let _ = stream.set_nodelay(true);
                    return Some((stream, peer, Place { _permit: permit }));
                }
                Err(cause) => {
                    warn!(%cause, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_connections_are_accepted_than_there_are_places() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (places, stop) = (Places::new(1), CancellationToken::new());
        let _clients = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (_, _, place) = places.accept(&listener, &stop).await.unwrap();

        let second = tokio::time::timeout(Duration::from_millis(50), places.accept(&listener, &stop));
        assert!(second.await.is_err());
        drop(place);
        assert!(places.accept(&listener, &stop).await.is_some());
    }

    #[tokio::test]
    async fn nothing_is_accepted_after_the_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        assert!(Places::new(1).accept(&listener, &stop).await.is_none());
    }
}
