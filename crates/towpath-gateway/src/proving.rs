//! Holds back the end of a body until the body is proven to be the one that was signed.

use std::collections::VecDeque;

use bytes::Bytes;
use hyper::body::Frame;

use crate::verify::{BodyProof, Forged};

/// Frames of a body on their way, the last of them held back.
pub struct Proving {
    // None once the body was proven.
    proof: Option<BodyProof>,
    held: Option<Bytes>,
    due: VecDeque<Frame<Bytes>>,
}

impl Proving {
    /// Holds back what `proof` has not proven.
    pub fn new(proof: BodyProof) -> Self {
        Self { proof: Some(proof), held: None, due: VecDeque::new() }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// The body is not the one that was signed, as far as that is decided by now.
    pub fn push(&mut self, frame: Frame<Bytes>) -> Result<(), Forged> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                if let Some(proof) = &mut self.proof {
                    proof.pass(&data)?;
                }
                self.due.extend(self.held.replace(data).map(Frame::data));
            }
            Err(trailers) => {
                self.end()?;
                self.due.push_back(trailers);
            }
        }
        Ok(())
    }

    /// Takes note that the body is whole, and lets go of what was held back.
    ///
    /// # Errors
    /// It is not the one that was signed.
    pub fn end(&mut self) -> Result<(), Forged> {
        if let Some(proof) = self.proof.take() {
            proof.finish()?;
            self.due.extend(self.held.take().map(Frame::data));
        }
        Ok(())
    }

    /// The next frame that may pass.
    pub fn pop(&mut self) -> Option<Frame<Bytes>> {
        self.due.pop_front()
    }

    /// True if nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.proof.is_none() && self.due.is_empty()
    }
}
