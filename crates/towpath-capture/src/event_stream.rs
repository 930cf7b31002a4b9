//! Streams of events (`application/vnd.amazon.eventstream`), read along as they pass.
//!
//! A stream is a sequence of messages: lengths and their checksum, headers, a payload, a checksum of all. A record needs
//! little of it: the members that RPC protocols send in a first message, and how the stream failed, if it did. So that is
//! what is kept; events themselves are left out, as streams of bytes are. Nothing is held up for it, and what turns out to be
//! no stream is not looked at any further.

use bytes::Bytes;
use flate2::Crc;

#[cfg(test)]
pub(crate) mod tests;

/// The content type of streams of events.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Lengths of a message and of its headers, and their checksum.
const PRELUDE: usize = 12;
/// The checksum at a message's end.
const SUM: usize = 4;
/// The longest message, in bytes: services' bound is 16 MiB, clients take up to 24.
const MAX_MESSAGE: usize = 25 << 20;
/// The longest headers of a message that the format allows.
const MAX_HEADERS: usize = 128 << 10;
/// The longest headers that are read. Those of AWS's services have some hundred bytes.
const READ_HEADERS: usize = 16 << 10;
/// The longest payload that is kept.
const MAX_PAYLOAD: usize = 64 << 10;
/// The longest text of a header that is kept.
const MAX_TEXT: usize = 8 << 10;

/// What a stream of events said that its record needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSaid {
    /// How many messages came whole, with right checksums.
    pub messages: u64,
    /// The members that stand beside the stream, in the form of the protocol: the payload of `initial-response`, or of
    /// `initial-request`.
    pub initial: Option<Bytes>,
    /// How the stream failed: the first exception or error.
    pub failure: Option<StreamFailure>,
}

/// An exception or an error in a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamFailure {
    /// The exception by the name of its member in the model, or the code of an error that the model does not have.
    pub code: String,
    /// What an error says beside its code.
    pub message: Option<String>,
    /// The exception's members, in the form of the protocol; empty if they are too long.
    pub payload: Bytes,
}

/// Reads a stream along.
#[derive(Debug, Default)]
pub struct EventStream {
    at: At,
    /// The part that is being gathered: prelude, headers, payload or checksum.
    part: Vec<u8>,
    /// Over the message so far.
    sum: Crc,
    message: Message,
    said: StreamSaid,
    /// True for what a signed message holds: messages are not signed twice.
    inner: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Prelude,
    Headers {
        left: usize,
        payload: usize,
    },
    Payload {
        left: usize,
    },
    Sum,
    /// Nothing that is read: this is no stream of events, or it is broken.
    Off,
}

/// The message that is passing.
#[derive(Debug, Default)]
struct Message {
    /// `event`, `exception` or `error`.
    kind: Option<String>,
    /// The member of the model, or `initial-response`.
    event: Option<String>,
    exception: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    /// True for an envelope that signs a message, which is its payload.
    signed: bool,
    /// Its payload, if that is kept.
    payload: Option<Vec<u8>>,
}

impl EventStream {
    /// Takes note of bytes that pass. The work is linear in them, and what is kept is bounded.
    pub fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            match self.at {
                At::Off => return,
                At::Prelude => {
                    if self.gather(&mut data, PRELUDE) {
                        self.begin();
                    }
                }
                At::Headers { left, payload } => {
                    let length = left.min(data.len());
                    let (now, rest) = data.split_at(length);
                    self.sum.update(now);
                    if self.part.len() + left <= READ_HEADERS {
                        self.part.extend_from_slice(now);
                    }
                    data = rest;
                    match left - length {
                        0 => self.read_headers(payload),
                        left => self.at = At::Headers { left, payload },
                    }
                }
                At::Payload { left } => {
                    let length = left.min(data.len());
                    let (now, rest) = data.split_at(length);
                    self.sum.update(now);
                    if let Some(kept) = &mut self.message.payload {
                        kept.extend_from_slice(now);
                    }
                    data = rest;
                    self.at = match left - length {
                        0 => At::Sum,
                        left => At::Payload { left },
                    };
                }
                At::Sum => {
                    if self.gather(&mut data, SUM) {
                        self.end_message();
                    }
                }
            }
        }
    }

    /// What the stream said so far.
    pub fn said(self) -> StreamSaid {
        self.said
    }

    /// What a stream of which the first bytes are there says.
    pub fn read(bytes: &[u8]) -> StreamSaid {
        let mut stream = Self::default();
        stream.pass(bytes);
        stream.said
    }

    /// Fills the part up to a length; true once it has it.
    fn gather(&mut self, data: &mut &[u8], length: usize) -> bool {
        let (now, rest) = data.split_at((length - self.part.len()).min(data.len()));
        self.part.extend_from_slice(now);
        *data = rest;
        self.part.len() == length
    }

    fn begin(&mut self) {
        let number = |at: usize| u32::from_be_bytes(self.part[at..at + 4].try_into().expect("four bytes"));
        let (total, headers, sum) = (number(0) as usize, number(4) as usize, number(8));
        self.sum.reset();
        self.sum.update(&self.part[..8]);
        let payload = total.checked_sub(PRELUDE + SUM).and_then(|rest| rest.checked_sub(headers));
        let (Some(payload), true) = (payload, headers <= MAX_HEADERS && total <= MAX_MESSAGE) else {
            return self.stop();
        };
        if self.sum.sum() != sum {
            return self.stop();
        }
        self.sum.update(&self.part[8..]);
        self.part.clear();
        self.message = Message::default();
        match headers {
            0 => self.read_headers(payload),
            left => self.at = At::Headers { left, payload },
        }
    }

    fn read_headers(&mut self, payload: usize) {
        self.message.read(&self.part);
        self.part.clear();
        if payload <= MAX_PAYLOAD && self.message.is_wanted(self.said.messages == 0) {
            self.message.payload = Some(Vec::with_capacity(payload));
        }
        self.at = match payload {
            0 => At::Sum,
            left => At::Payload { left },
        };
    }

    fn end_message(&mut self) {
        let told = u32::from_be_bytes(self.part[..SUM].try_into().expect("four bytes"));
        self.part.clear();
        if told != self.sum.sum() {
            return self.stop();
        }
        self.at = At::Prelude;
        let mut message = std::mem::take(&mut self.message);
        let is_first = self.said.messages == 0;
        self.said.messages += 1;
        let payload = Bytes::from(message.payload.take().unwrap_or_default());
        match message.kind.as_deref() {
            _ if message.signed && is_first && !self.inner => {
                let mut inner = Self { inner: true, ..Self::default() };
                inner.pass(&payload);
                self.said.initial = inner.said.initial;
            }
            _ if message.signed => (),
            Some("event") if is_first && message.is_initial() => self.said.initial = Some(payload),
            Some("exception") => {
                let code = message.exception.unwrap_or_default();
                self.said.failure.get_or_insert(StreamFailure { code, message: None, payload });
            }
            Some("error") => {
                let code = message.error_code.unwrap_or_default();
                let failure = StreamFailure { code, message: message.error_message, payload: Bytes::new() };
                self.said.failure.get_or_insert(failure);
            }
            _ => (),
        }
    }

    fn stop(&mut self) {
        self.at = At::Off;
        self.part = Vec::new();
        self.message = Message::default();
    }
}

impl Message {
    /// Reads headers: a name, a type and a value each. What is broken ends the reading; the checksum will tell.
    fn read(&mut self, mut bytes: &[u8]) {
        while let Some((name, value, rest)) = header(bytes) {
            bytes = rest;
            let text = || Some(String::from_utf8_lossy(&value[..value.len().min(MAX_TEXT)]).into_owned());
            match name {
                b":message-type" => self.kind = text(),
                b":event-type" => self.event = text(),
                b":exception-type" => self.exception = text(),
                b":error-code" => self.error_code = text(),
                b":error-message" => self.error_message = text(),
                b":chunk-signature" => self.signed = true,
                _ => (),
            }
        }
    }

    fn is_initial(&self) -> bool {
        matches!(self.event.as_deref(), Some("initial-response" | "initial-request"))
    }

    /// True if the payload is to be kept.
    fn is_wanted(&self, is_first: bool) -> bool {
        self.kind.as_deref() == Some("exception") || (is_first && (self.signed || self.is_initial()))
    }
}

/// The first header: its name, its value, and what is behind it.
fn header(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        // True and false.
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        // A number, and a moment in milliseconds.
        5 | 8 => (8, rest),
        // Bytes and texts say how long they are.
        6 | 7 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        // A UUID.
        9 => (16, rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((name, value, rest))
}
