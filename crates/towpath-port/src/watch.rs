//! A connection that is watched: the moment of its last byte and the number of its running requests are known.
//!
//! Hyper has a deadline for the headers of an HTTP/1 request. It has none for a client that connects and says nothing,
//! stops in the middle of the HTTP/2 preface, keeps an HTTP/2 connection open without a request, or does not read its
//! answer. The watch closes those.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

/// The value of `stuck_since` while nothing waits for the client.
const TAKES: u64 = u64::MAX;

/// What is known about a connection.
#[derive(Debug)]
pub struct Watch {
    opened: Instant,
    /// Milliseconds from `opened` to the last byte in either direction.
    last_byte: AtomicU64,
    /// Milliseconds from `opened` to the moment since when the client takes no byte of what is there for it; `TAKES` while it
    /// takes them.
    stuck_since: AtomicU64,
    running: AtomicUsize,
    had_request: AtomicBool,
}

/// Counts a request as running until it is dropped.
pub struct Running(Arc<Watch>);

/// A stream that tells its watch of every byte.
pub struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
}

impl Watch {
    /// Starts to watch a connection that was opened now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            last_byte: AtomicU64::new(0),
            stuck_since: AtomicU64::new(TAKES),
            running: AtomicUsize::new(0),
            had_request: AtomicBool::new(false),
        })
    }

    /// The stream as the HTTP library shall use it.
    pub fn over<S>(self: &Arc<Self>, stream: S) -> Watched<S> {
        Watched { stream, watch: Arc::clone(self) }
    }

    /// Notes that a request's headers have arrived.
    pub fn begin(self: &Arc<Self>) -> Running {
        self.had_request.store(true, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Returns when the connection should be closed: no first request within `first`, no byte for `idle` while no request
    /// is running, or for `idle` none taken of an answer. A running request has deadlines of its own for all else.
    pub async fn stalled(&self, first: Duration, idle: Duration) {
        loop {
            let age = self.opened.elapsed();
            let since = |moment: u64| age.saturating_sub(Duration::from_millis(moment));
            let stuck = self.stuck_since.load(Ordering::Relaxed);
            let rest = if !self.had_request.load(Ordering::Relaxed) {
                first.saturating_sub(age)
            } else if stuck != TAKES {
                idle.saturating_sub(since(stuck))
            } else if self.running.load(Ordering::Relaxed) > 0 {
                idle
            } else {
                idle.saturating_sub(since(self.last_byte.load(Ordering::Relaxed)))
            };
            if rest.is_zero() {
                return;
            }
            sleep(rest.max(Duration::from_millis(5))).await;
        }
    }

    fn note(&self) {
        self.last_byte.store(self.age(), Ordering::Relaxed);
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(1..)) => {
                self.note();
                self.stuck_since.store(TAKES, Ordering::Relaxed);
            }
            Poll::Pending if self.stuck_since.load(Ordering::Relaxed) == TAKES => {
                self.stuck_since.store(self.age(), Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(TAKES - 1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.note();
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.note();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch.note_write(&poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch.note_write(&poll);
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_connection_without_a_request_stalls_though_bytes_come() {
        let (ours, mut theirs) = duplex(64);
        let watch = Watch::new();
        let mut stream = watch.over(ours);
        theirs.write_all(b"PRI").await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        timeout(LONG, watch.stalled(SHORT, LONG)).await.unwrap();
    }

    #[tokio::test]
    async fn a_running_request_may_be_silent_and_an_idle_connection_may_not() {
        let watch = Watch::new();
        let running = watch.begin();
        assert!(timeout(4 * SHORT, watch.stalled(LONG, SHORT)).await.is_err());
        drop(running);
        timeout(LONG, watch.stalled(LONG, SHORT)).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answer_stalls_and_one_that_reads_again_does_not() {
        let (ours, mut theirs) = duplex(8);
        let watch = Watch::new();
        let mut stream = watch.over(ours);
        let _running = watch.begin();
        let writer = tokio::spawn(async move { stream.write_all(&[0; 64]).await.map(|()| stream) });
        timeout(LONG, watch.stalled(LONG, SHORT)).await.unwrap();

        theirs.read_exact(&mut [0; 64]).await.unwrap();
        let _stream = writer.await.unwrap().unwrap();
        assert!(timeout(4 * SHORT, watch.stalled(LONG, SHORT)).await.is_err());
    }
}
