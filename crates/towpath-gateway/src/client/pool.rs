//! Connections without a call: those of HTTP/1 wait in a pool, the one of HTTP/2 is shared.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect::{ConnectError, Connector, Link};
use crate::outgoing::Outgoing;

/// How often idle connections are looked through, within their time.
const LOOKS: u32 = 4;

/// Idle connections, the one that was used last in front.
pub struct Pool {
    idle: Mutex<VecDeque<Idle>>,
    most: usize,
    patience: Duration,
}

struct Idle {
    connection: http1::SendRequest<Outgoing>,
    since: Instant,
}

impl Pool {
    /// Keeps at most `most` connections, each at most `patience` long. Must be called within a Tokio runtime.
    pub fn new(most: usize, patience: Duration) -> Arc<Self> {
        let pool = Arc::new(Self { idle: Mutex::default(), most, patience });
        tokio::spawn(look_through(Arc::downgrade(&pool), patience / LOOKS));
        pool
    }

    /// A connection that can be used at once.
    pub fn take(&self) -> Option<http1::SendRequest<Outgoing>> {
        let mut idle = self.idle.lock();
        let oldest = Instant::now().checked_sub(self.patience);
        // A connection that was given back a moment ago may not be ready yet; the next one is.
        let at =
            idle.iter().position(|one| one.connection.is_ready() && oldest.is_none_or(|oldest| one.since > oldest))?;
        idle.remove(at).map(|one| one.connection)
    }

    /// Keeps a connection, in place of the oldest if there are too many.
    pub fn put(&self, connection: http1::SendRequest<Outgoing>) {
        if connection.is_closed() || self.most == 0 {
            return;
        }
        let mut idle = self.idle.lock();
        idle.push_front(Idle { connection, since: Instant::now() });
        let surplus = idle.len().saturating_sub(self.most);
        let kept = idle.len() - surplus;
        idle.truncate(kept);
    }

    fn drop_old(&self) {
        let oldest = Instant::now().checked_sub(self.patience);
        self.idle.lock().retain(|one| !one.connection.is_closed() && oldest.is_none_or(|oldest| one.since > oldest));
    }
}

async fn look_through(pool: Weak<Pool>, pause: Duration) {
    loop {
        tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
        match pool.upgrade() {
            Some(pool) => pool.drop_old(),
            None => return,
        }
    }
}

/// The one connection of HTTP/2.
#[derive(Default)]
pub struct Shared(tokio::sync::Mutex<Option<http2::SendRequest<Outgoing>>>);

impl Shared {
    /// The connection, made anew if it is closed. Callers wait for one that is being made.
    pub async fn get(&self, connector: &Connector) -> Result<http2::SendRequest<Outgoing>, ConnectError> {
        let mut shared = self.0.lock().await;
        if let Some(connection) = shared.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        match connector.connect().await? {
            Link::Http2(connection) => Ok(shared.insert(connection).clone()),
            Link::Http1(_) => Err(ConnectError::NotHttp2),
        }
    }
}
