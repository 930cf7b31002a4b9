//! Just enough HTTP/1.1 for two ends of which both are ours: messages that announce their length, over plain sockets.
//!
//! Sender and upstream share the machine with what is measured. What they would spend on a full HTTP library would be
//! missing there, and would hide what the gateway costs.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

/// Bytes that are read or written at a time, at most.
pub const PIECE: usize = 256 << 10;
/// A head that is longer is none of ours.
const MAX_HEAD: usize = 16 << 10;
/// How far ahead of its pace a body may be.
const AHEAD: Duration = Duration::from_micros(100);

/// A connection, from either end.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and not taken yet.
    filled: usize,
}

/// The head of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Its first line.
    pub line: String,
    /// Bytes of its body.
    pub length: u64,
}

impl Wire {
    /// Connects to an address.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Self::over(TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?)
    }

    /// Speaks over a connection.
    pub fn over(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; PIECE], filled: 0 })
    }

    /// Writes all of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The head of the next message; `None` if the other end has closed the connection before it.
    pub fn head(&mut self) -> anyhow::Result<Option<Head>> {
        loop {
            if let Some(end) = end_of_head(&self.buffer[..self.filled]) {
                let head = Head::parse(&self.buffer[..end])?;
                self.take(end);
                return Ok(Some(head));
            }
            ensure!(self.filled < MAX_HEAD, "a head does not end");
            let got = self.stream.read(&mut self.buffer[self.filled..])?;
            match (got, self.filled) {
                (0, 0) => return Ok(None),
                (0, _) => bail!("the connection broke off"),
                _ => self.filled += got,
            }
        }
    }

    /// Reads `length` bytes and forgets them.
    pub fn skip(&mut self, length: u64) -> anyhow::Result<()> {
        let there = self.filled.min(usize::try_from(length).unwrap_or(usize::MAX));
        self.take(there);
        let mut left = length - there as u64;
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = self.stream.read(&mut self.buffer[..most])?;
            ensure!(got > 0, "{left} of {length} bytes did not come");
            left -= got as u64;
        }
        Ok(())
    }

    /// Writes a body of `length` bytes, at most so many bytes a second.
    pub fn write_body(&mut self, length: u64, most: Option<f64>) -> io::Result<()> {
        let piece = vec![b'x'; PIECE];
        let began = Instant::now();
        let mut sent = 0;
        while sent < length {
            let next = PIECE.min(usize::try_from(length - sent).unwrap_or(usize::MAX));
            self.stream.write_all(&piece[..next])?;
            sent += next as u64;
            let due = most.map_or(Duration::ZERO, |most| Duration::from_secs_f64(sent as f64 / most));
            let ahead = due.saturating_sub(began.elapsed());
            if ahead > AHEAD {
                std::thread::sleep(ahead);
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(bytes).context("a head is no text")?;
        let mut lines = text.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let mut length = 0;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("a length is no number")?;
            }
            ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "a body comes in chunks");
        }
        Ok(Self { line, length })
    }

    /// The status of an answer.
    pub fn status(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn messages_that_arrive_in_parts_or_together_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = Wire::connect(listener.local_addr().unwrap()).unwrap();
        let mut near = Wire::over(listener.accept().unwrap().0).unwrap();
        far.write(b"HTTP/1.1 200 OK\r\nContent-").unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            far.write(b"Length: 3\r\n\r\nabcHTTP/1.1 404 No\r\n\r\n").unwrap();
        });
        let head = near.head().unwrap().unwrap();
        assert_eq!((head.status(), head.length), ("200", 3));
        near.skip(3).unwrap();
        let head = near.head().unwrap().unwrap();
        assert_eq!((head.status(), head.length), ("404", 0));
        assert_eq!(near.head().unwrap(), None);
    }

    #[test]
    fn a_body_keeps_its_pace() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = Wire::connect(listener.local_addr().unwrap()).unwrap();
        let mut near = Wire::over(listener.accept().unwrap().0).unwrap();
        let began = Instant::now();
        std::thread::spawn(move || far.write_body(1_000_000, Some(10e6)).unwrap());
        near.skip(1_000_000).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(70), "{:?}", began.elapsed());
    }
}
