//! What a person may tune about queries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits on queries. Printed at start.
///
/// The memory limits bound what operators hold (sorts, joins, aggregations); what they cannot hold they spill to disk
/// where they can, and fail alone where they cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerySettings {
    /// Queries that run at a time in the process; others wait in line. At least 1.
    pub running_at_once: usize,
    /// Threads that execute queries; 0 means as many as the machine has cores.
    pub threads: usize,
    /// Bytes that all queries may hold at a time.
    pub memory_bytes: usize,
    /// Bytes that one query may hold.
    pub memory_bytes_per_query: usize,
    /// Bytes that all queries may spill to disk.
    pub spill_bytes: u64,
    /// Bytes of Parquet footers and page indexes that stay in memory.
    pub metadata_cache_bytes: usize,
    /// Bytes of files' filters of values that stay in memory: some 10 KB for each file and column that is asked for.
    pub filter_cache_bytes: usize,
    /// Bytes of decompressed pages that stay in memory, of those that questions about few rows read.
    pub page_cache_bytes: usize,
    /// How long a query may run before it is `TIMED_OUT`.
    pub time_limit: Duration,
    /// How long queries and their results are kept after they were created.
    pub keep: Duration,
    /// Bytes of text that a whole result may have.
    pub result_bytes: u64,
    /// Bytes of text that one row of a result may have.
    pub row_bytes: usize,
    /// Bytes of text after which a page of results ends, even if more rows were asked for.
    pub page_bytes: usize,
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self {
            running_at_once: 4,
            threads: 0,
            memory_bytes: 1 << 30,
            memory_bytes_per_query: 512 << 20,
            spill_bytes: 32 << 30,
            metadata_cache_bytes: 128 << 20,
            filter_cache_bytes: 64 << 20,
            page_cache_bytes: 128 << 20,
            time_limit: Duration::from_secs(3600),
            keep: Duration::from_secs(7 * 86_400),
            result_bytes: 4 << 30,
            row_bytes: 8 << 20,
            page_bytes: 8 << 20,
        }
    }
}

impl QuerySettings {
    /// Refuses nonsense with the name of the field.
    pub fn check(&self) -> Result<(), String> {
        let least = [
            ("running_at_once", self.running_at_once as u64, 1),
            ("memory_bytes", self.memory_bytes as u64, 16 << 20),
            ("memory_bytes_per_query", self.memory_bytes_per_query as u64, 1 << 20),
            ("time_limit (ms)", self.time_limit.as_millis() as u64, 1),
            ("keep (s)", self.keep.as_secs(), 1),
            ("result_bytes", self.result_bytes, 1),
            ("row_bytes", self.row_bytes as u64, 1),
            ("page_bytes", self.page_bytes as u64, 1),
        ];
        match least.iter().find(|(_, value, least)| value < least) {
            Some((name, value, least)) => Err(format!("query setting {name} is {value}, less than {least}")),
            None => Ok(()),
        }
    }

    /// How many threads execute queries.
    pub(crate) fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            threads => threads,
        }
    }
}
