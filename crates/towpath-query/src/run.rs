//! One query from its place in the queue to its end.
//!
//! ```text
//! QUEUED --turn--> RUNNING --last row--> FINISHED
//!    |                |--error---------> FAILED       rows are thrown away
//!    |                |--time is over--> TIMED_OUT    rows stay readable
//!    +---cancel-------+----------------> CANCELLED    rows stay readable
//! ```
//!
//! The end of a query is told at once and kept a moment later. When the process is killed in between, the next start finds
//! the end in the file of its rows; a query that left no whole file is closed as FAILED. Rows are written before the end is
//! told, but not synced: a crash of the machine may take them, or parts of them, after the end was kept. Checksums tell when
//! they are read, and the query has FAILED then; wrong rows are never answered.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, StreamExt};

use crate::engine::Shared;
use crate::live::LiveQuery;
use crate::result_file::ResultWriter;
use crate::sql::{CellWriter, PlannedQuery};
use crate::{QueryRecord, QueryStatus};

/// What a query that wanted too much memory or scratch space says.
const EXHAUSTED: &str = "Query exhausted resources at this scale factor";
/// What a query says that failed through no fault of its own; the log says more.
const INTERNAL: &str = "Query failed for an internal reason";
/// What a query says whose rows are too large, one or all.
const TOO_LARGE: &str = "Query response is too large";
/// What a query says that was running when the process ended.
pub(crate) const INTERRUPTED: &str = "Query was interrupted by a restart of the server";

/// What a query says that had ended, and whose rows did not outlive a crash of the machine.
pub(crate) const LOST: &str = "Query results were lost in a crash of the machine; start the query again";

/// How often and how long apart the end of a query is written again when the metadata store is out of reach.
const CLOSE_RETRIES: u32 = 8;
const CLOSE_RETRY_AFTER: Duration = Duration::from_millis(100);

/// Why rows stopped coming before the last.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("{}", TOO_LARGE)]
    TooLarge,
    #[error("cannot write results")]
    Write(#[from] io::Error),
    #[error(transparent)]
    Execute(#[from] DataFusionError),
}

/// How a run ended.
enum Ending {
    Finished,
    Failed(RunError),
    Cancelled,
    TimedOut,
}

/// Takes a query to its end.
///
/// It reads nothing before `seen` is over.
pub(crate) async fn run(
    shared: Arc<Shared>,
    live: Arc<LiveQuery>,
    planned: PlannedQuery,
    seen: impl Future<Output = ()> + Send,
) {
    let turn = tokio::select! {
        biased;
        () = live.cancel.cancelled() => None,
        turn = shared.turns.clone().acquire_owned() => turn.ok(),
    };
    let record = match &turn {
        Some(_) => run_now(&shared, &live, planned, seen).await,
        None => closed(&live, Ending::Cancelled),
    };
    // What it held is given back: the next one may run.
    drop(turn);
    close(&shared, &live, Arc::new(record)).await;
}

async fn run_now(
    shared: &Shared,
    live: &LiveQuery,
    planned: PlannedQuery,
    seen: impl Future<Output = ()> + Send,
) -> QueryRecord {
    live.set_running();
    let path = shared.result_path(live.record.id);
    let mut writer = match ResultWriter::create(&path, planned.columns().len()) {
        Ok(writer) => writer,
        Err(cause) => return closed(live, Ending::Failed(cause.into())),
    };
    let limit = shared.settings.time_limit;
    // Ends the timer when this function returns.
    let mut timer = tokio::task::JoinSet::new();
    timer.spawn_on(async move { tokio::time::sleep(limit).await }, &shared.timers);
    let over = async {
        // A timer that was lost with its runtime ends nothing: the process is stopping.
        if !matches!(timer.join_next().await, Some(Ok(()))) {
            std::future::pending::<()>().await;
        }
    };
    let ending = tokio::select! {
        biased;
        () = live.cancel.cancelled() => Ending::Cancelled,
        () = over => Ending::TimedOut,
        outcome = seen.then(|()| write_rows(shared, live, planned, &mut writer)) => match outcome {
            Ok(()) => Ending::Finished,
            Err(cause) => Ending::Failed(cause),
        },
    };
    if let Ending::Failed(_) = ending {
        let record = closed(live, ending);
        drop(writer);
        discard(&path);
        return record;
    }
    match finish(live, writer, ending) {
        Ok(record) => record,
        Err(cause) => {
            discard(&path);
            closed(live, Ending::Failed(cause.into()))
        }
    }
}

/// Writes what is left, and how the query ended, to its file.
fn finish(live: &LiveQuery, mut writer: ResultWriter, ending: Ending) -> io::Result<QueryRecord> {
    let index = writer.finish_rows()?.clone();
    live.set_rows(writer.file(), index);
    let record = closed(live, ending);
    writer.finish(&serde_json::to_vec(&record)?)?;
    Ok(record)
}

/// Executes the plan and writes each row as it comes.
async fn write_rows(
    shared: &Shared,
    live: &LiveQuery,
    planned: PlannedQuery,
    writer: &mut ResultWriter,
) -> Result<(), RunError> {
    let (plan, task) = planned.physical_plan(shared, live).await?;
    live.set_plan(plan.clone());
    let cells = CellWriter::new(&plan.schema());
    let mut batches = execute_stream(plan.clone(), task)?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let bytes = cells.write_row(&batch, row, writer);
            if bytes > shared.settings.row_bytes || writer.text_bytes() > shared.settings.result_bytes {
                return Err(RunError::TooLarge);
            }
            if writer.end_row()? {
                live.set_rows(writer.file(), writer.index().clone());
            }
        }
        // Rows that come without waiting would otherwise keep a cancellation waiting.
        tokio::task::yield_now().await;
    }
    tracing::debug!(query = %live.record.id, plan = %figures(plan.as_ref()), "query executed");
    Ok(())
}

/// A plan with what each step of it took, for the log.
fn figures(plan: &dyn ExecutionPlan) -> String {
    DisplayableExecutionPlan::with_metrics(plan).indent(true).to_string()
}

/// The record of a query that ended so.
fn closed(live: &LiveQuery, ending: Ending) -> QueryRecord {
    let mut record = QueryRecord { statistics: live.statistics(), ..QueryRecord::clone(&live.record) };
    (record.status, record.error) = match ending {
        Ending::Finished => (QueryStatus::Finished, None),
        Ending::Cancelled => (QueryStatus::Cancelled, None),
        Ending::TimedOut => (QueryStatus::TimedOut, Some("Query exceeded its time limit".to_owned())),
        Ending::Failed(cause) => {
            record.statistics.rows = 0;
            tracing::warn!(query = %record.id, error = %chain(&cause), "query failed");
            (QueryStatus::Failed, Some(message_of(&cause)))
        }
    };
    record
}

/// Tells those who wait, and sees to it that the end is kept.
async fn close(shared: &Shared, live: &LiveQuery, record: Arc<QueryRecord>) {
    // Handed over first: whoever knows that all queries have ended need only wait for the ledger.
    let mut kept = shared.ledger_writer.close(record.clone()).boxed();
    live.set_ended(record.clone());
    tracing::info!(
        query = %record.id,
        status = %record.status,
        rows = record.statistics.rows,
        files = record.statistics.files_scanned,
        bytes = record.statistics.bytes_scanned,
        elapsed_ms = record.statistics.execution_millis,
        "query ended"
    );
    let mut attempt = 0;
    loop {
        match kept.await {
            Ok(()) => break shared.live.remove(record.id),
            Err(error) if error.retryable() && attempt < CLOSE_RETRIES => {
                attempt += 1;
                tokio::time::sleep(CLOSE_RETRY_AFTER * attempt).await;
                kept = shared.ledger_writer.close(record.clone()).boxed();
            }
            // It stays among the live ones, so that its end can be asked for; a restart closes it as interrupted.
            Err(cause) => break tracing::error!(query = %record.id, %cause, "cannot keep the end of a query"),
        }
    }
}

/// What the person who asked may read about a failure.
fn message_of(error: &RunError) -> String {
    match error {
        RunError::TooLarge => TOO_LARGE.to_owned(),
        RunError::Write(_) => "Query results could not be written".to_owned(),
        RunError::Execute(error) => execution_message(error),
    }
}

fn execution_message(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => EXHAUSTED.to_owned(),
        DataFusionError::Execution(message) => message.clone(),
        DataFusionError::IoError(cause) if is_out_of_scratch(cause) => EXHAUSTED.to_owned(),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::IoError(_, cause) if is_out_of_scratch(cause) => EXHAUSTED.to_owned(),
            ArrowError::IoError(..) => INTERNAL.to_owned(),
            error => error.to_string(),
        },
        // Threads of queries are cancelled only when the process stops.
        DataFusionError::ExecutionJoin(join) if join.is_cancelled() => INTERRUPTED.to_owned(),
        // These name files and internals.
        DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::Internal(_) => INTERNAL.to_owned(),
        other => other.message().to_string(),
    }
}

/// True when a query may not write more to its scratch space; DataFusion tells so in words alone.
fn is_out_of_scratch(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::Other && cause.to_string().contains("used disk space during the spilling process")
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn discard(path: &std::path::Path) {
    if let Err(cause) = std::fs::remove_file(path)
        && cause.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %cause, "cannot remove results");
    }
}
