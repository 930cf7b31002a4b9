//! Content on its way to its file.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{CHUNK, Content, ContentFiles, Draft};
use crate::checksum::Algorithm;
use crate::error::BucketError;
use crate::name::BucketName;

/// Writes the content of an object or a part as it arrives, off the async threads.
pub struct ContentWriter {
    draft: Option<Draft>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    written: u64,
    limit: u64,
}

impl ContentWriter {
    pub(crate) async fn begin(
        files: Arc<ContentFiles>,
        bucket: BucketName,
        algorithm: Option<Algorithm>,
        limit: u64,
    ) -> Result<Self, BucketError> {
        let draft = spawn_blocking(move || files.draft(&bucket, algorithm)).await?;
        let draft = draft.map_err(BucketError::file("create a file for content"))?;
        Ok(Self { draft: Some(draft), pending: Vec::new(), pending_bytes: 0, written: 0, limit })
    }

    /// Adds bytes. They may still be in memory when this returns, at most a few hundred KiB of them.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return Err(BucketError::TooLarge { limit: self.limit });
        }
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes >= CHUNK { self.flush().await } else { Ok(()) }
    }

    /// The bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    async fn flush(&mut self) -> Result<(), BucketError> {
        let (pending, Some(mut draft)) = (std::mem::take(&mut self.pending), self.draft.take()) else {
            return Err(BucketError::Interrupted);
        };
        self.pending_bytes = 0;
        let written = spawn_blocking(move || {
            for bytes in pending {
                draft.write(&bytes)?;
            }
            Ok(draft)
        });
        self.draft = Some(written.await?.map_err(BucketError::file("write content"))?);
        Ok(())
    }

    /// Makes the content durable.
    pub(crate) async fn finish(mut self) -> Result<Content, BucketError> {
        self.flush().await?;
        let draft = self.draft.take().ok_or(BucketError::Interrupted)?;
        spawn_blocking(move || draft.place()).await?.map_err(BucketError::file("make content durable"))
    }
}
