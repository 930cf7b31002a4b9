//! The lake: from the log to rows that SQL reads.
//!
//! [`Lake`] follows the log from its own durable position. New events become rows of the *hot tail* in memory, once per
//! store (`keys`); a flush turns the tail into Parquet files, one per store and UTC day, and names them in the
//! *manifest* with one commit of the metadata store (`commit`); compaction joins small files, retention removes old
//! ones. A [`Snapshot`] is the files and hot batches of some stores as of one moment: what a query scans.
//!
//! ```text
//! log -> apply: seen before? -> hot tail (Arrow) -> flush -> Parquet + key run --commit--> manifest
//!                                   |                                                        |
//!                                   +-------------------- snapshot --------------------------+
//! ```
//!
//! What holds after any crash or failure: every event of the log that is routed to a store is one row of it; no file
//! that a failed step left behind is ever read.

mod apply;
mod batch;
mod commit;
mod compact;
mod computed;
mod datafile;
mod encode;
mod error;
mod flush;
mod follow;
mod hot;
mod keys;
mod lake;
mod lookup;
mod maintain;
mod names;
mod objects;
mod read;
mod rebuild;
mod record;
mod schema;
mod settings;
mod snapshot;
mod state;
mod stats;
mod tails;
mod tape;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use batch::{BatchBuilder, Row, batch_of};
pub use computed::{Computed, computed};
pub use datafile::{DataFile, FilterPlace};
pub use error::LakeError;
pub use follow::RunError;
pub use lake::{Lake, LakeBuilder, OpenError};
pub use objects::Objects;
pub use read::FileBytes;
pub use record::{is_stored_whole, record_columns, records, stored_documents};
pub use schema::{
    ADMITTED, EVENT_JSON, EVENT_JSON_CHECKSUM, EVENT_TIME, KEY, LOOKUP_RESOURCE_NAMES, LOOKUP_RESOURCE_TYPES,
    LOOKUP_USERNAME, POSITION, file_schema, schema,
};
pub use settings::{LakeSettings, SettingsError};
pub use snapshot::{Located, Snapshot, StoreSnapshot, StoreStats};
pub use stats::{ColumnStats, MAX_VALUES, SortedTexts, stats_columns};
