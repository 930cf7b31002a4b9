//! Content on its way from its file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tokio::task::spawn_blocking;

use super::CHUNK;

/// Streams a range of a file in chunks. A file that is too short is an error, never a short answer.
pub(crate) fn stream(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let file = Arc::new(file);
    futures::stream::try_unfold((file, range), |(file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(CHUNK).min(CHUNK);
        let from = Arc::clone(&file);
        let read = spawn_blocking(move || {
            let mut buffer = vec![0; length];
            from.read_exact_at(&mut buffer, range.start)?;
            Ok::<_, io::Error>(Bytes::from(buffer))
        });
        let bytes = read.await.map_err(|_| io::Error::other("the process is stopping"))??;
        Ok(Some((bytes, (file, range.start + length as u64..range.end))))
    })
}
