//! Bodies in `aws-chunked` coding with a signature for each chunk, proven as they pass.
//!
//! ```text
//! 10000;chunk-signature=ad80...\r\n   size in hexadecimal
//! ...\r\n                             so many bytes
//! 0;chunk-signature=b6c6...\r\n       the last chunk is empty
//! x-amz-checksum-crc32c:sOO8/Q==\r\n  trailers, if the head says that there are some,
//! x-amz-trailer-signature:d81f...\r\n and their signature
//! \r\n
//! ```
//!
//! A chunk passes while it is hashed, and is proven at its end. What follows a chunk that is not the one that was signed
//! does not pass, the end of the body least of all.

use sha2::{Digest, Sha256};
use towpath_wire::sigv4::{BodyHash, ChunkSignatures};

/// The longest line before a chunk, and among the trailers, in bytes.
const MAX_LINE: usize = 4096;
/// The most trailers.
const MAX_TRAILERS: usize = 64;
/// In front of the signature of a chunk.
const CHUNK_SIGNATURE: &str = "chunk-signature=";
/// The trailer with the signature of the others.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Why a body is not the one that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// It is not in chunks.
    #[error("the body is not in chunks as x-amz-content-sha256 says")]
    Form,
    /// A chunk is another.
    #[error("a chunk of the body does not have the signature that stands before it")]
    Chunk,
    /// The trailers are others.
    #[error("the trailers do not have the signature that stands behind them")]
    Trailer,
    /// It breaks off.
    #[error("the body ends before its last chunk")]
    End,
    /// It is longer or shorter.
    #[error("the body does not have the length that x-amz-decoded-content-length says")]
    Length,
}

/// Proves a body.
pub struct ChunkProof {
    signatures: ChunkSignatures,
    // What x-amz-decoded-content-length says, and what has come.
    announced: Option<u64>,
    decoded: u64,
    state: State,
    // A line that has not ended yet.
    line: Vec<u8>,
}

enum State {
    /// In the line before a chunk.
    Head,
    /// In a chunk, of which so many bytes are left.
    Data { left: u64, last: bool, hash: Sha256, signature: [u8; 32] },
    /// Behind a chunk, where a line ends.
    DataEnd,
    /// Among trailers.
    Trailers { hash: Sha256, count: usize, proven: bool },
    /// At the end; nothing may follow.
    Over,
}

impl ChunkProof {
    /// Proves a body against the chain of signatures that the head begins; `announced` is its length without the coding.
    pub fn new(signatures: ChunkSignatures, announced: Option<u64>) -> Self {
        Self { signatures, announced, decoded: 0, state: State::Head, line: Vec::new() }
    }

    /// Takes a part of the body.
    ///
    /// # Errors
    /// The body is not the one that was signed.
    pub fn pass(&mut self, mut part: &[u8]) -> Result<(), ChunkError> {
        while !part.is_empty() {
            if let State::Data { left, hash, .. } = &mut self.state {
                let (now, rest) = part.split_at(usize::try_from(*left).unwrap_or(usize::MAX).min(part.len()));
                hash.update(now);
                *left -= now.len() as u64;
                self.decoded += now.len() as u64;
                part = rest;
                self.end_chunk_if_whole()?;
                continue;
            }
            if matches!(self.state, State::Over) {
                return Err(ChunkError::Form);
            }
            let (line, rest) = match part.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&part[..end], Some(&part[end + 1..])),
                None => (part, None),
            };
            if self.line.len() + line.len() > MAX_LINE {
                return Err(ChunkError::Form);
            }
            self.line.extend_from_slice(line);
            let Some(rest) = rest else { return Ok(()) };
            part = rest;
            let line = std::mem::take(&mut self.line);
            self.take_line(line.strip_suffix(b"\r").unwrap_or(&line))?;
        }
        Ok(())
    }

    /// Decides, the body having ended.
    ///
    /// # Errors
    /// The body is not the one that was signed.
    pub fn finish(self) -> Result<(), ChunkError> {
        match self.state {
            // Some clients leave the last empty line away.
            State::Over | State::Trailers { proven: true, .. } if self.line.is_empty() => {}
            _ => return Err(ChunkError::End),
        }
        match self.announced {
            Some(announced) if announced != self.decoded => Err(ChunkError::Length),
            _ => Ok(()),
        }
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        match &mut self.state {
            State::Head => {
                let (size, signature) = chunk(line).ok_or(ChunkError::Form)?;
                self.state = State::Data { left: size, last: size == 0, hash: Sha256::new(), signature };
                self.end_chunk_if_whole()
            }
            State::DataEnd if line.is_empty() => {
                self.state = State::Head;
                Ok(())
            }
            State::Trailers { hash, count, proven } => {
                if line.is_empty() {
                    // The end, of a body without trailers or after their signature; some clients end each trailer so.
                    if *proven {
                        self.state = State::Over;
                    }
                    return Ok(());
                }
                let (name, value) = split(line).ok_or(ChunkError::Form)?;
                *count += 1;
                if *proven || *count > MAX_TRAILERS {
                    return Err(ChunkError::Form);
                }
                if name != TRAILER_SIGNATURE {
                    hash.update(name.as_bytes());
                    hash.update(b":");
                    hash.update(value.as_bytes());
                    hash.update(b"\n");
                    return Ok(());
                }
                let signature = digits(value).ok_or(ChunkError::Form)?;
                let hash = BodyHash::finished(std::mem::take(hash));
                *proven = self.signatures.verify_trailer(&hash, &signature);
                if *proven { Ok(()) } else { Err(ChunkError::Trailer) }
            }
            State::DataEnd | State::Data { .. } | State::Over => Err(ChunkError::Form),
        }
    }

    fn end_chunk_if_whole(&mut self) -> Result<(), ChunkError> {
        let State::Data { left: 0, last, hash, signature } = &mut self.state else { return Ok(()) };
        if !self.signatures.verify(&BodyHash::finished(std::mem::take(hash)), signature) {
            return Err(ChunkError::Chunk);
        }
        self.state = match last {
            // Without trailers nothing is left to be proven.
            true => State::Trailers { hash: Sha256::new(), count: 0, proven: !self.signatures.has_trailer() },
            false => State::DataEnd,
        };
        Ok(())
    }
}

/// `10000;chunk-signature=ad80...`.
fn chunk(line: &[u8]) -> Option<(u64, [u8; 32])> {
    let (size, signature) = std::str::from_utf8(line).ok()?.split_once(';')?;
    let plain = (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = u64::from_str_radix(size, 16).ok().filter(|_| plain)?;
    Some((size, digits(signature.trim().strip_prefix(CHUNK_SIGNATURE)?)?))
}

/// A trailer: its name in small letters, and its value without space around it.
fn split(line: &[u8]) -> Option<(String, &str)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    Some((name.trim().to_ascii_lowercase(), value.trim()))
}

fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;
    use towpath_wire::sigv4::{SignedRequest, SigningKeys};

    use super::*;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const PLAIN: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

    /// The chain of the example in S3's documentation.
    fn chain(stated: &str) -> ChunkSignatures {
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature={seed}"
        );
        let request = Request::put("/k")
            .header("host", "s3.amazonaws.com")
            .header("x-amz-date", "20130524T000000Z")
            .header("x-amz-content-sha256", stated)
            .header("authorization", authorization);
        let (head, ()) = request.body(()).unwrap().into_parts();
        let signed = SignedRequest::parse_passing(&head.method, &head.uri, &head.headers).unwrap();
        signed.chunks(SECRET, &SigningKeys::default()).unwrap()
    }

    fn documented() -> Vec<u8> {
        let chunks = [
            (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ];
        let mut body = Vec::new();
        for (size, signature) in chunks {
            body.extend_from_slice(format!("{size:x};chunk-signature={signature}\r\n").as_bytes());
            body.extend_from_slice(&vec![b'a'; size]);
            body.extend_from_slice(b"\r\n");
        }
        body
    }

    fn prove(body: &[u8], announced: Option<u64>, step: usize) -> Result<(), ChunkError> {
        let mut proof = ChunkProof::new(chain(PLAIN), announced);
        body.chunks(step).try_for_each(|part| proof.pass(part))?;
        proof.finish()
    }

    #[test]
    fn the_body_of_the_documentation_is_proven_however_it_arrives() {
        let body = documented();
        assert_eq!(body.len(), 66_824);
        for step in [1, 7, 1000, 65_536, body.len()] {
            assert_eq!(prove(&body, Some(66_560), step), Ok(()), "{step}");
        }
        assert_eq!(prove(&body, None, 100), Ok(()));
        assert_eq!(prove(&body[..body.len() - 2], None, 100), Ok(()), "without the last empty line");
        assert_eq!(prove(&body, Some(66_561), 100), Err(ChunkError::Length));
    }

    #[test]
    fn a_changed_a_cut_and_a_longer_body_are_found() {
        let body = documented();
        for at in [90, 65_000, 65_700, 66_700] {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(prove(&changed, None, 4096).is_err(), "{at}");
        }
        // The chunk that was changed is found at its own end.
        let mut changed = body.clone();
        changed[100] = b'b';
        assert_eq!(ChunkProof::new(chain(PLAIN), None).pass(&changed[..66_000]), Err(ChunkError::Chunk));
        for end in [0, 50, 65_600, 65_700, 66_800] {
            assert_eq!(prove(&body[..end], None, 4096), Err(ChunkError::End), "{end}");
        }
        assert_eq!(prove(&[&*body, b"x"].concat(), None, 4096), Err(ChunkError::Form));
        assert_eq!(prove(b"plain text\r\n", None, 4096), Err(ChunkError::Form));
        assert_eq!(prove(&[b'0'; MAX_LINE + 1], None, 4096), Err(ChunkError::Form));
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_reading(
            parts in prop::collection::vec("(0|10|;chunk-signature=|[0-9a-f]{64}|\r\n|\n|x-amz-trailer-signature:|a:b|x)", 0..24),
            trailer in any::<bool>(),
            step in 1usize..16,
        ) {
            let stated = if trailer { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" } else { PLAIN };
            let mut proof = ChunkProof::new(chain(stated), None);
            let body = parts.concat();
            if body.as_bytes().chunks(step).try_for_each(|part| proof.pass(part)).is_ok() {
                prop_assert!(proof.finish().is_err(), "nobody can sign by chance");
            }
        }
    }
}
