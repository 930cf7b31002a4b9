//! Bounds on log files, and why one cannot be read.

use std::fmt;
use std::io;

/// Bounds on a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFileLimits {
    /// The longest record, in bytes; longer ones are reported and passed over.
    pub record_bytes: usize,
    /// The longest text of a file after decompression, in bytes.
    pub text_bytes: u64,
    /// How many times longer than the file its text may be, once the text is longer than 64 MiB.
    pub ratio: u32,
}

impl Default for LogFileLimits {
    /// Records of 1 MiB, files of 64 GiB, a ratio of 250 (delivered files have 5 to 20).
    fn default() -> Self {
        Self { record_bytes: 1024 * 1024, text_bytes: 64 << 30, ratio: 250 }
    }
}

/// Why a log file cannot be read, or not to its end. The records before that place are good.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The source failed.
    #[error("cannot read the file")]
    Read(#[source] io::Error),
    /// The file is compressed in another way than gzip.
    #[error("the file is compressed with {0}; only gzip is read")]
    Compression(&'static str),
    /// The gzip data end too early.
    #[error("the gzip data end too early")]
    GzipEnds,
    /// The gzip data are damaged.
    #[error("the gzip data are damaged")]
    Gzip(#[source] io::Error),
    /// The text is longer than allowed.
    #[error("the decompressed text has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The text is suspiciously longer than the file.
    #[error("the decompressed text is more than {limit} times longer than the file")]
    Ratio {
        /// The limit.
        limit: u32,
    },
    /// The file is JSON of another kind.
    #[error("the file is {0}, not a log file")]
    Foreign(Foreign),
    /// The file does not begin like JSON.
    #[error("the file is not JSON text")]
    NotJson,
    /// What follows cannot be taken apart.
    #[error("the JSON text is broken at byte {offset}: {what}; the rest of the file was not read")]
    Broken {
        /// Byte offset in the decompressed text.
        offset: u64,
        /// What was wrong.
        what: &'static str,
    },
}

/// Files that lie beside log files and hold no events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A digest of log files.
    Digest,
    /// A snapshot or history of AWS Config.
    Config,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digest => "a CloudTrail digest",
            Self::Config => "an AWS Config file",
        })
    }
}
