//! How an engine is opened.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use towpath_lake::Lake;
use towpath_log::Log;
use towpath_meta::{MetaError, MetaStore};
use towpath_model::{Clock, Quotas};

use super::{QueryEngine, Shared};
use crate::QuerySettings;
use crate::ledger::Ledger;
use crate::ledger_writer::LedgerWriter;
use crate::live::LiveQueries;
use crate::memory::ProcessMemory;
use crate::page_token::PageTokens;
use crate::sql::Planner;
use crate::workers::Workers;

/// What an engine is made of.
pub struct QueryEngineParts {
    /// Keeps the queries.
    pub meta: Arc<dyn MetaStore>,
    /// Takes the events in; its committed position is what a query must see.
    pub log: Log,
    /// Holds the events.
    pub lake: Lake,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub settings: QuerySettings,
    /// Limits per account.
    pub quotas: Quotas,
    /// Where results are kept; created when missing.
    pub results: PathBuf,
    /// Scratch space; created when missing and emptied at start.
    pub spill: PathBuf,
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is nonsense.
    #[error("{0}")]
    Setting(String),
    /// A folder cannot be used.
    #[error("cannot use folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// The threads of queries cannot be started.
    #[error("cannot start threads for queries")]
    Threads(#[source] io::Error),
    /// The SQL engine cannot be set up.
    #[error("cannot set up the query engine")]
    Planner(#[source] datafusion::error::DataFusionError),
    /// The metadata store failed.
    #[error("cannot read the queries of before")]
    Meta(#[from] MetaError),
}

impl QueryEngine {
    /// Opens the engine: empties the scratch space and closes the queries that a restart interrupted.
    pub async fn open(parts: QueryEngineParts) -> Result<Self, OpenError> {
        let QueryEngineParts { meta, log, lake, clock, settings, quotas, results, spill } = parts;
        settings.check().map_err(OpenError::Setting)?;
        create_folder(&results)?;
        empty_folder(&spill)?;
        let workers = Workers::start(settings.thread_count()).map_err(OpenError::Threads)?;
        let memory = ProcessMemory::new(settings.memory_bytes);
        let planner =
            Planner::new(&settings, &spill, memory, lake.objects().store().clone()).map_err(OpenError::Planner)?;
        let ledger = Ledger::new(meta.clone());
        let shared = Shared {
            log,
            lake,
            clock,
            ledger_writer: LedgerWriter::start(ledger.clone()),
            ledger,
            live: LiveQueries::default(),
            turns: Arc::new(Semaphore::new(settings.running_at_once)),
            timers: tokio::runtime::Handle::current(),
            planner,
            tokens: PageTokens::open(meta.as_ref()).await?,
            settings,
            quotas,
            results,
            strays_removed: AtomicBool::new(false),
            stop: CancellationToken::new(),
        };
        shared.close_interrupted().await?;
        Ok(Self { shared: Arc::new(shared), workers: Arc::new(workers) })
    }
}

fn create_folder(path: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(path).map_err(|cause| OpenError::Folder { path: path.to_owned(), cause })
}

/// Removes what a folder holds. What goes away meanwhile is as good as removed: an engine that ends, of a restart within
/// one process, takes its own files along.
fn empty_folder(path: &Path) -> Result<(), OpenError> {
    create_folder(path)?;
    let failed = |cause| OpenError::Folder { path: path.to_owned(), cause };
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let removed = entry.file_type().and_then(|kind| {
            if kind.is_dir() { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) }
        });
        match removed {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_somebody_else_empties_too_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            for number in 0..40 {
                let inner = folder.path().join(number.to_string());
                std::fs::create_dir_all(&inner).unwrap();
                std::fs::write(inner.join("spilled"), b"rows").unwrap();
            }
            std::thread::scope(|threads| {
                let others = [(); 3].map(|()| threads.spawn(|| empty_folder(folder.path()).map_err(drop)));
                assert!(others.into_iter().all(|other| other.join().unwrap().is_ok()));
            });
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
