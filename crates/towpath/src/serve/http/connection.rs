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

/// What is known about a connection.
#[derive(Debug)]
pub struct Watch {
    opened: Instant,
    /// Milliseconds from `opened` to the last byte in either direction.
    last_byte: AtomicU64,
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

    /// Returns when the connection should be closed: no first request within `first`, or no byte for `idle` while no
    /// request is running. A running request has deadlines of its own.
    pub async fn stalled(&self, first: Duration, idle: Duration) {
        loop {
            let age = self.opened.elapsed();
            let silent = age.saturating_sub(Duration::from_millis(self.last_byte.load(Ordering::Relaxed)));
            let rest = if !self.had_request.load(Ordering::Relaxed) {
                first.saturating_sub(age)
            } else if self.running.load(Ordering::Relaxed) > 0 {
                idle
            } else {
                idle.saturating_sub(silent)
            };
            if rest.is_zero() {
                return;
            }
            sleep(rest.max(Duration::from_millis(5))).await;
        }
    }

    fn note(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_byte.store(millis, Ordering::Relaxed);
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
        if let Poll::Ready(Ok(1..)) = &poll {
            self.watch.note();
        }
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(1..)) = &poll {
            self.watch.note();
        }
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
