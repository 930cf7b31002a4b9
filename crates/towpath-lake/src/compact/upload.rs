//! Writes an object part by part from a thread that may block.

use object_store::MultipartUpload;
use tokio::runtime::Handle;

use crate::error::LakeError;
use crate::lake::Inner;

/// Bytes per part of an upload.
const PART_BYTES: usize = 8 << 20;

/// An object on its way.
pub(super) struct Upload<'a> {
    inner: &'a Inner,
    path: object_store::path::Path,
    upload: Box<dyn MultipartUpload>,
    buffer: Vec<u8>,
}

impl<'a> Upload<'a> {
    pub fn start(inner: &'a Inner, path: &object_store::path::Path) -> Result<Self, LakeError> {
        let upload = Handle::current().block_on(inner.objects.upload(path))?;
        Ok(Self { inner, path: path.clone(), upload, buffer: Vec::new() })
    }

    fn failed(&self, cause: object_store::Error) -> LakeError {
        LakeError::Object { doing: "write", path: self.path.to_string(), cause }
    }

    pub fn write(&mut self, bytes: Vec<u8>) -> Result<(), LakeError> {
        if self.buffer.is_empty() {
            self.buffer = bytes;
        } else {
            self.buffer.extend(bytes);
        }
        if self.buffer.len() >= PART_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), LakeError> {
        let part = std::mem::take(&mut self.buffer);
        Handle::current().block_on(self.upload.put_part(part.into())).map_err(|cause| self.failed(cause))
    }

    pub fn complete(&mut self) -> Result<(), LakeError> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        Handle::current().block_on(self.upload.complete()).map(drop).map_err(|cause| self.failed(cause))
    }

    /// Gives up the upload; what is left of it is collected as an orphan.
    pub fn abort(&mut self) {
        let aborted = Handle::current().block_on(self.upload.abort());
        if let Err(error) = aborted {
            tracing::debug!(%error, path = %self.path, store = ?self.inner.objects.store(), "upload is not aborted");
        }
    }
}
