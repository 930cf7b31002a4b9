//! Pages of results and of lists: how they are asked for, and rows read from where they are.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::ledger::ListedQuery;
use crate::result_file::{ResultReader, Row};
use crate::{QueryError, QueryStatistics, QueryStatus};

/// Most rows of a page of results, and most queries of a page of a list.
pub const MAX_PAGE: usize = 1000;

/// Which page of a result to read.
#[derive(Clone, Debug, Default)]
pub struct ResultsRequest {
    /// `MaxQueryResults`: 1 to 1000, 1000 if absent.
    pub max_results: Option<i64>,
    /// `NextToken` of the page before.
    pub next_token: Option<String>,
}

/// Bytes of a result that is read where it is asked for.
const READ_HERE: u64 = 256 << 10;

/// A page of a result.
#[derive(Clone, Debug)]
pub struct ResultsPage {
    /// Where the query is.
    pub status: QueryStatus,
    /// Why it failed.
    pub error: Option<String>,
    /// Names of the columns in select order; repeated names are possible.
    pub columns: Arc<[String]>,
    /// The rows, each with one cell for each column.
    pub rows: Vec<Row>,
    /// What the query read and gave so far; `rows` of it is `TotalResultsCount`.
    pub statistics: QueryStatistics,
    /// Token of the next page: absent after the last row of a query that has ended.
    pub next_token: Option<String>,
}

/// Which queries to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Started at or after.
    pub start_time: Option<Timestamp>,
    /// Started at or before.
    pub end_time: Option<Timestamp>,
    /// In this status.
    pub status: Option<QueryStatus>,
    /// `MaxResults`: 1 to 1000, 1000 if absent.
    pub max_results: Option<i64>,
    /// `NextToken` of the page before.
    pub next_token: Option<String>,
}

/// A page of a store's queries, newest first.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The queries; may be fewer than asked for though another page follows.
    pub queries: Vec<ListedQuery>,
    /// Token of the next page.
    pub next_token: Option<String>,
}

/// Where rows are read from.
pub(super) enum RowSource {
    Live(ResultReader),
    /// The file, and how many rows it should have.
    File(PathBuf, u64),
}

/// Reads a page of rows, and how many rows there are.
pub(super) async fn read_page(
    source: RowSource,
    first: u64,
    max_rows: usize,
    max_bytes: usize,
) -> io::Result<(Vec<Row>, u64)> {
    // Few rows that were written moments ago are in memory, and sooner read than handed to another thread.
    let here = matches!(&source, RowSource::Live(reader) if reader.bytes() <= READ_HERE);
    let read = move || {
        let reader = match source {
            RowSource::Live(reader) => reader,
            RowSource::File(path, rows) => ResultReader::open(&path, rows)?,
        };
        Ok((reader.read(first, max_rows, max_bytes)?, reader.rows()))
    };
    if here {
        return read();
    }
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|cause| Err(io::Error::other(cause)))
}

pub(super) async fn open_results(path: PathBuf, rows: u64) -> io::Result<()> {
    let open = move || ResultReader::open(&path, rows).map(drop);
    tokio::task::spawn_blocking(open).await.unwrap_or_else(|cause| Err(io::Error::other(cause)))
}

/// True when results are not there or not what was written: no later attempt finds them.
pub(super) fn is_lost(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

pub(crate) fn page_size(asked: Option<i64>) -> Result<usize, QueryError> {
    match asked {
        None => Ok(MAX_PAGE),
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|size| (1..=MAX_PAGE).contains(size))
            .ok_or(QueryError::InvalidMaxResults { asked, most: MAX_PAGE }),
    }
}

/// The first whole millisecond at or after `time`.
pub(crate) fn ceil_millis(time: Timestamp) -> i64 {
    let millis = time.as_millisecond();
    let whole = time.as_nanosecond() == i128::from(millis) * 1_000_000;
    if whole || time.as_nanosecond() < i128::from(millis) * 1_000_000 { millis } else { millis + 1 }
}
