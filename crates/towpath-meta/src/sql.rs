//! The SQL of the metadata store, kept to what SQLite and PostgreSQL read alike.
//!
//! Statements use `$n` parameters, `ON CONFLICT ... DO UPDATE`, 64-bit integers, and no functions. What
//! differs between databases stays with the implementation: opening, how a write transaction begins, and in the schema
//! the name of the bytes type and the collation that makes text keys compare by bytes.
//!
//! Batches come in a few fixed sizes, so that some prepared statements serve a commit of any length. A small commit is one
//! batch: each statement is a question to the thread of its connection, and these take most of a small commit's time.

use std::sync::LazyLock;

/// Rows in one statement, largest first; the last is 1, so every length can be made of them.
pub(crate) const BATCHES: [usize; 18] = [256, 64, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1];

/// The schema, one list of statements per version. A released version is never edited; changes are new versions.
pub(crate) const MIGRATIONS: &[&[&str]] = &[&[
    "CREATE TABLE record (
        key      TEXT   NOT NULL PRIMARY KEY,
        version  BIGINT NOT NULL,
        checksum BIGINT NOT NULL,
        value    BLOB   NOT NULL
    )",
    "CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
    "INSERT INTO counter (name, value) VALUES ('commit', 0)",
]];

/// Where the schema version is kept; exists before everything else.
pub(crate) const CREATE_SCHEMA_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)";
pub(crate) const READ_SCHEMA_VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM schema_version";
pub(crate) const WRITE_SCHEMA_VERSION: &str = "INSERT INTO schema_version (version) VALUES ($1)";

pub(crate) const GET: &str = "SELECT key, version, checksum, value FROM record WHERE key = $1";
pub(crate) const LIST: &str = "SELECT key, version, checksum, value FROM record
    WHERE key > $1 AND key < $2 ORDER BY key LIMIT $3";
pub(crate) const NEXT_COMMIT: &str = "UPDATE counter SET value = value + 1 WHERE name = 'commit' RETURNING value";

/// Reads `(key, version)` of a batch of keys.
pub(crate) static VERSIONS: LazyLock<[String; BATCHES.len()]> = LazyLock::new(|| {
    BATCHES.map(|rows| format!("SELECT key, version FROM record WHERE key IN ({})", parameters(1, rows)))
});

/// Deletes a batch of keys.
pub(crate) static DELETE: LazyLock<[String; BATCHES.len()]> =
    LazyLock::new(|| BATCHES.map(|rows| format!("DELETE FROM record WHERE key IN ({})", parameters(1, rows))));

/// Writes a batch of `(key, version, checksum, value)`.
pub(crate) static PUT: LazyLock<[String; BATCHES.len()]> = LazyLock::new(|| {
    BATCHES.map(|rows| {
        let rows: Vec<_> = (0..rows).map(|row| format!("({})", parameters(row * 4 + 1, 4))).collect();
        format!(
            "INSERT INTO record (key, version, checksum, value) VALUES {} ON CONFLICT (key) DO UPDATE SET \
             version = excluded.version, checksum = excluded.checksum, value = excluded.value",
            rows.join(", ")
        )
    })
});

/// Cuts `items` into batches, each with the index of its size in [`BATCHES`].
pub(crate) fn batches<T>(mut items: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    std::iter::from_fn(move || {
        let (index, size) = BATCHES.iter().copied().enumerate().find(|(_, size)| *size <= items.len())?;
        let (batch, rest) = items.split_at(size);
        items = rest;
        Some((index, batch))
    })
}

fn parameters(first: usize, count: usize) -> String {
    let names: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_item_once_and_in_order() {
        for length in [0, 1, 15, 16, 17, 255, 256, 257, 1000] {
            let items: Vec<_> = (0..length).collect();
            let mut seen = Vec::new();
            for (index, batch) in batches(&items) {
                assert_eq!(batch.len(), BATCHES[index]);
                seen.extend_from_slice(batch);
            }
            assert_eq!(seen, items);
        }
    }
}
