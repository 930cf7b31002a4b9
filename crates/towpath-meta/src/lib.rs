//! The metadata store: small versioned records that change atomically.
//!
//! Everything Towpath must remember besides events lives here: accounts and keys, stores and channels, the file
//! manifest, queries and imports. A record is a [`Key`], a [`Version`] and some bytes (JSON, by custom). Readers
//! [`get`](MetaStore::get) one or [`list`](MetaStore::list) many; writers say what they expect to find and what they
//! want to write, and [`commit`](MetaStore::commit) does all of it or nothing.
//!
//! [`SqliteMetaStore`] is the durable one, [`MemoryMetaStore`] the complete small one for tests, and
//! [`FailingMetaStore`] wraps either and fails the call a test names. Whatever keeps the promises of [`MetaStore`]
//! passes the same suite.

// First, because the modules below use its macro in their tests.
#[cfg(test)]
#[macro_use]
mod suite;

mod failing;
mod key;
mod memory;
mod sql;
mod sqlite;
mod store;
mod typed;

pub use failing::{FailingMetaStore, Fault};
pub use key::{Key, KeyError, MAX_KEY_BYTES};
pub use memory::MemoryMetaStore;
pub use sqlite::{OpenError, SqliteMetaStore};
pub use store::{
    Expect, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, MAX_PAGE, MAX_VALUE_BYTES, MetaError, MetaStore, Record, Version,
    Write,
};
pub use typed::{MetaStoreExt, Typed};
