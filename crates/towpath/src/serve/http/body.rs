//! Request bodies: bounded each, bounded together, and on a deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Http;

/// Body memory is handed out in pieces of this size.
const PIECE: u64 = 16 << 10;

/// How long a body waits for memory that other bodies hold.
const MEMORY_WAIT: Duration = Duration::from_secs(2);

/// A refused body is still read up to this size and for this long, so that the client gets to read the answer.
const DRAIN_BYTES: u64 = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The memory for bodies of all requests together.
#[derive(Clone)]
pub struct BodyMemory(Arc<Semaphore>);

/// A body in memory; the memory is given back when this is dropped.
pub struct Held {
    /// The bytes.
    pub bytes: Bytes,
    /// Returns the memory.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is longer than its route allows.
    TooLarge,
    /// Other bodies hold all the memory.
    Busy,
    /// It did not arrive in time.
    TooSlow,
    /// The client broke off, or broke the protocol.
    Broken,
}

impl BodyMemory {
    /// Memory for `bytes` of bodies.
    pub fn new(bytes: u64) -> Self {
        let pieces = usize::try_from(bytes / PIECE).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(pieces)))
    }

    /// Takes a body in. Memory is taken as bytes arrive, not as a header announces them.
    pub async fn read(&self, mut body: Incoming, limit: u64, http: &Http) -> Result<Held, Refused> {
        if body.size_hint().lower() > limit {
            drain(body).await;
            return Err(Refused::TooLarge);
        }
        let deadline = Instant::now() + http.body_timeout;
        let mut bytes = Gathered::default();
        let mut permit: Option<OwnedSemaphorePermit> = None;
        loop {
            let pause = deadline.min(Instant::now() + http.body_pause);
            let frame = match timeout_at(pause, body.frame()).await {
                Err(_) => return Err(Refused::TooSlow),
                Ok(None) => return Ok(Held { bytes: bytes.finish(), permit }),
                Ok(Some(Err(_))) => return Err(Refused::Broken),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers say nothing that an operation reads.
            let Ok(data) = frame.into_data() else { continue };
            let total = bytes.len() + data.len() as u64;
            if total > limit {
                drop((bytes, permit));
                drain(body).await;
                return Err(Refused::TooLarge);
            }
            let pieces = total.div_ceil(PIECE) - bytes.len().div_ceil(PIECE);
            match self.take(pieces).await {
                None => {
                    drop((bytes, permit));
                    drain(body).await;
                    return Err(Refused::Busy);
                }
                Some(more) => match &mut permit {
                    Some(permit) => permit.merge(more),
                    None => permit = Some(more),
                },
            }
            bytes.push(data, body.size_hint().lower());
        }
    }

    async fn take(&self, pieces: u64) -> Option<OwnedSemaphorePermit> {
        let pieces = u32::try_from(pieces).ok()?;
        timeout(MEMORY_WAIT, Arc::clone(&self.0).acquire_many_owned(pieces)).await.ok()?.ok()
    }
}

/// The bytes so far. A body that came in one piece is not copied.
#[derive(Default)]
struct Gathered {
    only: Option<Bytes>,
    many: BytesMut,
}

impl Gathered {
    fn len(&self) -> u64 {
        (self.only.as_ref().map_or(0, Bytes::len) + self.many.len()) as u64
    }

    fn push(&mut self, data: Bytes, expected: u64) {
        if self.only.is_none() && self.many.is_empty() {
            self.only = Some(data);
            return;
        }
        if let Some(first) = self.only.take() {
            // What is announced beyond a mebibyte is believed when it arrives.
            self.many.reserve(first.len() + data.len() + expected.min(1 << 20) as usize);
            self.many.extend_from_slice(&first);
        }
        self.many.extend_from_slice(&data);
    }

    fn finish(self) -> Bytes {
        self.only.unwrap_or_else(|| self.many.freeze())
    }
}

/// Reads and drops a body, within bounds, so that the client gets to read the answer.
pub async fn drain(mut body: Incoming) {
    let all = async {
        let mut rest = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match rest.checked_sub(length) {
                Some(less) => rest = less,
                None => return,
            }
        }
    };
    // The answer goes out whether or not the client stopped sending.
    let _ = timeout(DRAIN_TIME, all).await;
}
