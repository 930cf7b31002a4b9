//! What a query reads: the files and hot rows of some stores, all as of one moment.

use std::sync::Arc;

use arrow::array::RecordBatch;

use towpath_model::{EventTime, Position, StoreId, StoreKind};

use crate::datafile::DataFile;

/// Stores as of one moment. Every event below `position` that is in one of the stores is in exactly one file or hot
/// batch; files stay in storage until the snapshot and every `Arc` taken from it are dropped.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Everything below was applied; nothing at or above is included.
    pub position: Position,
    /// The stores, in the order asked for.
    pub stores: Vec<StoreSnapshot>,
}

/// One store as of the moment of a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct StoreSnapshot {
    /// The store.
    pub store: StoreId,
    /// Its kind: names [`schema`](crate::schema) and [`file_schema`](crate::file_schema).
    pub kind: StoreKind,
    /// Its live files.
    pub files: Arc<Vec<Arc<DataFile>>>,
    /// Its rows that are in no file yet, in batches with the kind's file schema, in order of position.
    pub hot: Vec<RecordBatch>,
    /// Rows that occurred before this are expired: a query must leave them out. `None`: nothing expires.
    pub cutoff: Option<EventTime>,
    /// The moment's position, as in [`Snapshot::position`].
    pub position: Position,
}

/// Where an event lies.
#[derive(Clone, Debug)]
pub struct Located {
    /// When it occurred.
    pub time: EventTime,
    /// The files of which one holds it; empty while it is in the hot tail.
    pub files: Vec<Arc<DataFile>>,
}

/// Figures of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Rows, hot ones included; expired rows that share a file with live ones count until the file goes.
    pub rows: u64,
    /// Bytes of all records' text.
    pub raw_bytes: u64,
    /// Bytes of Parquet files.
    pub file_bytes: u64,
    /// Number of Parquet files.
    pub files: u64,
    /// The earliest and the latest `eventtime`.
    pub times: Option<(EventTime, EventTime)>,
}
