//! towpath-query

mod error;
mod ledger;
mod memory;
mod page_token;
mod query;
mod result_file;
mod settings;

pub use error::QueryError;
pub use ledger::ListedQuery;
pub use query::{QueryId, QueryRecord, QueryStatistics, QueryStatus, Scope};
pub use result_file::Row;
pub use settings::QuerySettings;
