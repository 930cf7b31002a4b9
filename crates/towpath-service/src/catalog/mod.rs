//! The catalog: event data stores, channels, trails, their tags and resource policies, and organizations.
//!
//! All of it is in memory as one immutable [`CatalogState`]; readers take the current one without a lock. A change is
//! decided on the current state, committed to the metadata store, and only then published, one change at a time. A
//! crash between commit and publishing loses nothing: the next start reads what was committed.

mod change;
mod delegated;
mod policy_record;
mod state;
mod trails;

use std::sync::Arc;

use arc_swap::ArcSwap;
use towpath_meta::{Key, MetaError, MetaStore, MetaStoreExt};

pub use change::Change;
pub use state::{CatalogState, Tag};

/// Why the catalog could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The metadata store failed.
    #[error("cannot {doing} the catalog")]
    Meta {
        /// `read` or `change`.
        doing: &'static str,
        /// The reason.
        #[source]
        cause: MetaError,
    },
}

/// Owns the catalog of the process.
pub struct Catalog {
    meta: Arc<dyn MetaStore>,
    state: ArcSwap<CatalogState>,

    // Held while a change is decided, committed and published, so that changes see each other.
    changing: tokio::sync::Mutex<()>,
}

impl Catalog {
    /// Reads the whole catalog.
    pub async fn open(meta: Arc<dyn MetaStore>) -> Result<Self, CatalogError> {
        let state = state::read(meta.as_ref()).await?;
        Ok(Self { meta, state: ArcSwap::from_pointee(state), changing: tokio::sync::Mutex::new(()) })
    }

    /// The current state. It does not change while it is held.
    pub fn state(&self) -> Arc<CatalogState> {
        self.state.load_full()
    }

    /// Decides a change on the current state, makes it durable, and publishes it.
    ///
    /// `decide` may refuse; then nothing happens. When this returns `Ok`, the change survives a crash and every later
    /// [`Catalog::state`] shows it.
    pub async fn change<T, E: From<CatalogError>>(
        &self,
        decide: impl FnOnce(&CatalogState, &mut Change) -> Result<T, E>,
    ) -> Result<T, E> {
        let _changing = self.changing.lock().await;
        let state = self.state.load_full();
        let mut change = Change::default();
        let decided = decide(&state, &mut change)?;
        if !change.is_empty() {
            let writes = change.writes().map_err(|cause| CatalogError::Meta { doing: "change", cause })?;
            let committed = self.meta.commit(&[], &writes).await;
            committed.map_err(|cause| CatalogError::Meta { doing: "change", cause })?;
            self.state.store(Arc::new(change.applied_to(&state)));
        }
        Ok(decided)
    }
}

/// The keys under which the catalog keeps its records.
pub(crate) mod keys {
    use super::Key;

    pub(crate) fn area(name: &'static str) -> Key {
        Key::new(name).expect("area names are plain words")
    }

    pub(crate) fn record(area_name: &'static str, id: &str) -> Key {
        area(area_name).child(id).expect("ids and ARNs of the catalog are shorter than a key may be")
    }

    pub(crate) const STORES: &str = "eds";
    pub(crate) const CHANNELS: &str = "channel";
    // The delivery keeps its own records beside these, below trail/delivery/.
    pub(crate) const TRAILS: &str = "trail/record";
    pub(crate) const ORGANIZATIONS: &str = "organization";
    pub(crate) const TAGS: &str = "tags";
    pub(crate) const POLICIES: &str = "policy";
}

async fn read_area(meta: &dyn MetaStore, name: &'static str) -> Result<Vec<towpath_meta::Record>, CatalogError> {
    meta.list_all(&keys::area(name)).await.map_err(|cause| CatalogError::Meta { doing: "read", cause })
}

#[cfg(test)]
mod tests;
