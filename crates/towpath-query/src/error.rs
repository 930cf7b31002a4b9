//! What can go wrong with a query, in the words of the caller's side. The service maps each to the API's error.

use towpath_meta::MetaError;

use crate::{QueryId, QueryStatus};

/// Why a query operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The SQL is wrong: syntax, a name, a type, or something that is not supported. The text names the position as
    /// `line:column` where there is one.
    #[error("{message}")]
    InvalidStatement {
        /// What is wrong, for the person who wrote it.
        message: String,
    },
    /// A table of the statement names no store that the caller can read.
    #[error("event data store {name} not found")]
    StoreNotFound {
        /// The name as it stands in the statement.
        name: String,
    },
    /// The account has too many queries queued or running.
    #[error("account has {limit} queries queued or running, the most at a time")]
    MaxConcurrentQueries {
        /// The quota.
        limit: usize,
    },
    /// No such query here, or no longer.
    #[error("query {id} not found")]
    QueryIdNotFound {
        /// The id that was asked for.
        id: String,
    },
    /// The query has ended already.
    #[error("query {id} is {status}")]
    InactiveQuery {
        /// The query.
        id: QueryId,
        /// How it ended.
        status: QueryStatus,
    },
    /// The token was not given out for this request.
    #[error("next token does not belong to this request")]
    InvalidNextToken,
    /// The number of results asked for is out of range.
    #[error("maximum number of results is {asked}, must be between 1 and {most}")]
    InvalidMaxResults {
        /// What was asked for.
        asked: i64,
        /// The highest that is allowed.
        most: usize,
    },
    /// A time range that ends before it begins.
    #[error("start time is after end time")]
    InvalidTimeRange,
    /// The server is stopping.
    #[error("server is stopping")]
    Stopping,
    /// The metadata store failed.
    #[error("cannot {doing}")]
    Meta {
        /// The step.
        doing: &'static str,
        /// The reason.
        #[source]
        cause: MetaError,
    },
    /// The result file could not be written or read.
    #[error("cannot {doing} results of query {id}")]
    Results {
        /// The step.
        doing: &'static str,
        /// The query.
        id: QueryId,
        /// The reason.
        #[source]
        cause: std::io::Error,
    },
    /// The folder of results could not be used.
    #[error("cannot {doing}")]
    Folder {
        /// The step.
        doing: &'static str,
        /// The reason.
        #[source]
        cause: std::io::Error,
    },
    /// A store could not be read.
    #[error("cannot read event data stores")]
    Lake(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Execution failed in a way that is no fault of the statement.
    #[error("cannot execute")]
    Execute(#[source] datafusion::error::DataFusionError),
}

impl QueryError {
    /// An [`QueryError::InvalidStatement`] with this text.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidStatement { message: message.into() }
    }

    /// True when the caller is at fault; otherwise the server is.
    pub fn is_callers_fault(&self) -> bool {
        !matches!(
            self,
            Self::Meta { .. }
                | Self::Results { .. }
                | Self::Folder { .. }
                | Self::Lake(_)
                | Self::Execute(_)
                | Self::Stopping
        )
    }
}
