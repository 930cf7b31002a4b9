//! Questions about events, and their answers.
//!
//! [`QueryEngine`] runs SQL over event data stores with the life cycle of CloudTrail Lake, looks events up in event
//! history, and follows a store live.
//!
//! ```text
//! parse -> (caller resolves and authorizes the stores) -> start: names and types -> QUEUED
//!                                                                                     | its turn
//!   snapshot: files + hot rows at one position -> prune -> read -> rows as text       v
//!   on disk, readable while they grow -------------------------------------------> RUNNING -> FINISHED ...
//! ```
//!
//! What holds:
//!
//! - A query sees every event acknowledged before it ran, each once.
//! - A query that was accepted ends, even if nobody asks for it. One that a crash interrupts, or whose rows a crash
//!   takes, is `FAILED` and says so; rows that are answered are right.
//! - A query that wants too much memory, time or space fails alone. Queries run on threads of their own, which give way
//!   to those that take events in.
//! - Wrong SQL is refused when it is sent, not when it runs.

mod coded_texts;
mod condition;
mod engine;
mod error;
mod event_data_store_table;
mod file_facts;
mod file_reader;
mod history;
mod kept;
mod ledger;
mod ledger_writer;
mod live;
mod memory;
mod page_token;
mod pages;
mod query;
mod repeatable;
mod result_file;
mod rows;
mod run;
mod scan_counters;
mod settings;
mod sort_through_union;
mod sought;
mod sparse_scan;
mod sql;
mod stored_columns;
mod stored_filter;
mod tail;
#[cfg(test)]
mod tests;
mod time_range;
mod value_filters;
mod workers;

pub use engine::{
    ListPage, ListRequest, MAX_PAGE, OpenError, QueryEngine, QueryEngineParts, QueryStore, ResultsPage, ResultsRequest,
    Started,
};
pub use error::QueryError;
pub use history::{LookupEvent, LookupKey, LookupPage, LookupRequest, LookupResource, MAX_LOOKUP_RESULTS};
pub use ledger::ListedQuery;
pub use query::{QueryId, QueryRecord, QueryStatistics, QueryStatus, Scope};
pub use result_file::Row;
pub use settings::QuerySettings;
pub use sql::ParsedQuery;
pub use tail::{MAX_TAIL_WAIT, TailEvent, TailPage};
