//! The metadata store on SQLite: one file, one writer, readers beside it.
//!
//! The database runs in WAL mode with `synchronous = FULL`, so a commit has been fsynced when it returns. All writes go
//! through one connection; readers have their own and never wait for it. Each record carries a CRC-32C, because SQLite
//! itself does not notice a flipped bit in a value.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqlSafeStr, Sqlite, SqliteConnection};
use tracing::{error, info};

use crate::sql::{self, batches};
use crate::store::check_commit;
use crate::{Expect, Key, MAX_PAGE, MetaError, MetaStore, Record, Version, Write};

/// How long a statement waits for a lock another process holds, and a caller for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that read beside the writer.
const READERS: u32 = 4;

/// Primary result codes of SQLite that mean the file is not, or no longer, a sound database.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;
/// Primary result code of SQLite for a failed read, write or sync.
const SQLITE_IOERR: i32 = 10;

/// Keeps records in a SQLite database.
#[derive(Debug)]
pub struct SqliteMetaStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Set when a commit failed in the operating system; see [`MetaError::Stopped`].
    stopped: AtomicBool,
}

/// Why a metadata database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be created or synced.
    #[error("cannot create metadata database {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// SQLite could not open or read the file.
    #[error("cannot open metadata database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: sqlx::Error,
    },
    /// A later version of Towpath wrote the file.
    #[error(
        "metadata database {} has schema version {found}, this version of towpath knows up to {known}; \
         start the version that wrote it, or a later one", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema version in it.
        found: i64,
        /// The highest schema version known here.
        known: i64,
    },
    /// The file is not a database, or its structure is broken.
    #[error("metadata database {} is damaged: {problem}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl SqliteMetaStore {
    /// Opens the database at `path`, creating it (mode 0600) if it is not there, checks its structure and brings its
    /// schema up to date.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        create_private(path).map_err(|cause| OpenError::Create { path: path.to_owned(), cause })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Only macOS needs to be told that a sync shall reach the platter.
            .pragma("fullfsync", "1")
            .pragma("checkpoint_fullfsync", "1")
            .pragma("journal_size_limit", "67108864")
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();

        let store = async {
            let writer = pool(1).connect_with(options.clone()).await?;
            let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "1"));
            Ok(Self { writer, readers, stopped: AtomicBool::new(false) })
        };
        let store = store.await.map_err(|cause| open_error(path, cause))?;
        store.prepare(path).await?;
        Ok(store)
    }

    /// Opens an empty database that lives as long as this value.
    pub async fn in_memory() -> Result<Self, OpenError> {
        let path = Path::new(":memory:");
        let options = SqliteConnectOptions::new().in_memory(true).disable_statement_logging();
        let only = pool(1).connect_with(options).await.map_err(|cause| open_error(path, cause))?;
        let store = Self { writer: only.clone(), readers: only, stopped: AtomicBool::new(false) };
        store.prepare(path).await?;
        Ok(store)
    }

    /// Finishes running calls and closes the file. Dropping the store instead is safe too; closing also folds the
    /// write-ahead log into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Reads the whole database, structure and every record, and reports the first damage.
    pub async fn check_integrity(&self) -> Result<(), MetaError> {
        let problem: String =
            sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&self.readers).await.map_err(read_error)?;
        if problem != "ok" {
            return Err(MetaError::Damaged(problem));
        }
        let (mut after, end) = (String::new(), "\u{10ffff}");
        loop {
            let rows = page(&self.readers, &after, end, 1000).await?;
            match rows.last() {
                None => return Ok(()),
                Some(last) => after = last.key.as_str().to_owned(),
            }
        }
    }

    async fn prepare(&self, path: &Path) -> Result<(), OpenError> {
        let open_error = |cause| open_error(path, cause);
        let mut connection = self.writer.acquire().await.map_err(open_error)?;
        let problem: String =
            sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await.map_err(open_error)?;
        if problem != "ok" {
            return Err(OpenError::Damaged { path: path.to_owned(), problem });
        }
        let known = sql::MIGRATIONS.len() as i64;
        let found = migrate(&mut connection).await.map_err(open_error)?;
        if found > known {
            return Err(OpenError::Newer { path: path.to_owned(), found, known });
        }
        if found < known {
            info!(path = %path.display(), from = found, to = known, "metadata schema updated");
        }
        Ok(())
    }

    /// Does what `commit` promises up to, but without, the COMMIT statement.
    async fn apply(
        transaction: &mut SqliteConnection,
        expect: &[Expect],
        writes: &[Write],
    ) -> Result<Version, ApplyError> {
        check_expectations(transaction, expect).await?;
        let version: i64 = sqlx::query_scalar(sql::NEXT_COMMIT).fetch_one(&mut *transaction).await?;
        let version = Version(u64::try_from(version).map_err(|_| damaged("commit counter is negative"))?);

        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        for write in writes {
            match write {
                Write::Put(key, value) => puts.push((key, value)),
                Write::Delete(key) => deletes.push(key),
            }
        }
        // Index pages are touched in order, which for a large commit is much of the work.
        puts.sort_unstable_by_key(|(key, _)| *key);
        for (size, batch) in batches(&puts) {
            let mut query = sqlx::query(statement(&sql::PUT[size]));
            for (key, value) in batch {
                let crc = checksum(key.as_str(), version, value);
                query = query.bind(key.as_str()).bind(version.0 as i64).bind(crc).bind(&value[..]);
            }
            query.execute(&mut *transaction).await?;
        }
        for (size, batch) in batches(&deletes) {
            let mut query = sqlx::query(statement(&sql::DELETE[size]));
            for key in batch {
                query = query.bind(key.as_str());
            }
            query.execute(&mut *transaction).await?;
        }
        Ok(version)
    }
}

#[async_trait]
impl MetaStore for SqliteMetaStore {
    async fn get(&self, key: &Key) -> Result<Option<Record>, MetaError> {
        let row = sqlx::query(sql::GET).bind(key.as_str()).fetch_optional(&self.readers).await.map_err(read_error)?;
        row.as_ref().map(record).transpose()
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Record>, MetaError> {
        let (start, end) = prefix.range();
        let start = after.map_or(start.as_str(), |after| after.as_str().max(&start));
        page(&self.readers, start, &end, limit.min(MAX_PAGE)).await
    }

    async fn commit(&self, expect: &[Expect], writes: &[Write]) -> Result<Version, MetaError> {
        check_commit(expect, writes)?;
        if self.stopped.load(Ordering::SeqCst) {
            return Err(MetaError::Stopped);
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(read_error)?;
        let version = match Self::apply(&mut transaction, expect, writes).await {
            Ok(version) => version,
            Err(ApplyError::Refused(error)) => return Err(error),
            Err(ApplyError::Sql(cause)) => return Err(read_error(cause)),
        };
        // The commit point. A failure before it leaves nothing: the transaction rolls back when dropped. A failure of
        // the operating system here may have left the commit in the write-ahead log, and what later syncs say about
        // these pages cannot be trusted; so this process writes no more.
        transaction.commit().await.map_err(|cause| {
            if code(&cause).is_some_and(|code| code & 0xff == SQLITE_IOERR) {
                self.stopped.store(true, Ordering::SeqCst);
                error!(%cause, "metadata store stops writing");
            }
            MetaError::InDoubt(cause.into())
        })?;
        Ok(version)
    }
}

/// Why a commit stopped before its commit point.
enum ApplyError {
    Refused(MetaError),
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for ApplyError {
    fn from(cause: sqlx::Error) -> Self {
        Self::Sql(cause)
    }
}

fn damaged(problem: &str) -> ApplyError {
    ApplyError::Refused(MetaError::Damaged(problem.to_owned()))
}

async fn check_expectations(transaction: &mut SqliteConnection, expect: &[Expect]) -> Result<(), ApplyError> {
    let mut found: HashMap<String, Version> = HashMap::new();
    for (size, batch) in batches(expect) {
        let mut query = sqlx::query_as::<_, (String, i64)>(statement(&sql::VERSIONS[size]));
        for expect in batch {
            query = query.bind(expect.key().as_str());
        }
        let rows = query.fetch_all(&mut *transaction).await?;
        found.extend(rows.into_iter().map(|(key, version)| (key, Version(version as u64))));
    }
    for expect in expect {
        expect.check(found.get(expect.key().as_str()).copied()).map_err(ApplyError::Refused)?;
    }
    Ok(())
}

/// Runs the migrations that are missing and returns the schema version found before; runs none if that is newer.
async fn migrate(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(sql::CREATE_SCHEMA_TABLE).execute(&mut *transaction).await?;
    let found: i64 = sqlx::query_scalar(sql::READ_SCHEMA_VERSION).fetch_one(&mut *transaction).await?;
    for (version, statements) in (1_i64..).zip(sql::MIGRATIONS).filter(|(version, _)| *version > found) {
        for statement in statements.iter().copied() {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        sqlx::query(sql::WRITE_SCHEMA_VERSION).bind(version).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(found)
}

async fn page(pool: &SqlitePool, start: &str, end: &str, limit: usize) -> Result<Vec<Record>, MetaError> {
    let query = sqlx::query(sql::LIST).bind(start).bind(end).bind(limit as i64);
    let rows = query.fetch_all(pool).await.map_err(read_error)?;
    rows.iter().map(record).collect()
}

fn record(row: &SqliteRow) -> Result<Record, MetaError> {
    let (key, version, crc, value) = columns(row).map_err(read_error)?;
    let version = Version(version as u64);
    if checksum(key, version, value) != crc {
        return Err(MetaError::Damaged(format!("checksum of record {key:?} does not match")));
    }
    let key = Key::new(key).map_err(|cause| MetaError::Damaged(cause.to_string()))?;
    Ok(Record { key, version, value: Bytes::copy_from_slice(value) })
}

fn columns(row: &SqliteRow) -> Result<(&str, i64, i64, &[u8]), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
}

fn checksum(key: &str, version: Version, value: &[u8]) -> i64 {
    let crc = crc32c::crc32c(key.as_bytes());
    let crc = crc32c::crc32c_append(crc, &version.0.to_le_bytes());
    i64::from(crc32c::crc32c_append(crc, value))
}

fn pool(connections: u32) -> PoolOptions<Sqlite> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY_TIMEOUT)
        // A connection is to a file, or is the database itself: it neither goes stale nor may be closed when idle.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Marks one of the statements of [`sql`] as what it is: built from constants, with no outside text.
fn statement(text: &'static str) -> impl SqlSafeStr {
    text
}

/// Creates an empty file that only its owner may read, and makes its name durable.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn is_damage(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| matches!(code & 0xff, SQLITE_CORRUPT | SQLITE_NOTADB))
        || matches!(error, sqlx::Error::ColumnDecode { .. })
}

fn open_error(path: &Path, cause: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    if is_damage(&cause) {
        return OpenError::Damaged { path, problem: cause.to_string() };
    }
    OpenError::Open { path, cause }
}

/// The error of a statement that wrote nothing.
fn read_error(cause: sqlx::Error) -> MetaError {
    if is_damage(&cause) { MetaError::Damaged(cause.to_string()) } else { MetaError::Unavailable(cause.into()) }
}

#[cfg(test)]
mod tests;
