//! What happens by itself as time passes: stores whose wait is over are purged.

use std::sync::Arc;

use jiff::SignedDuration;
use towpath_model::{EventDataStore, EventDataStoreStatus};

use crate::catalog::CatalogError;
use crate::parts::Parts;

/// Why a purge did not finish; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The events could not be removed.
    #[error("cannot remove the events of a deleted event data store")]
    Lake(#[from] towpath_lake::LakeError),
    /// The store's record could not be removed.
    #[error("cannot remove the record of a deleted event data store")]
    Catalog(#[from] CatalogError),
}

impl Parts {
    /// Purges every store that has been pending deletion for the whole wait. Returns how many.
    ///
    /// Events go first: a crash in between leaves a store that is purged again, never events without a store.
    pub async fn purge_deleted(&self) -> Result<usize, PurgeError> {
        let now = self.clock.now();
        let wait = SignedDuration::try_from(self.settings.pending_deletion).unwrap_or(SignedDuration::MAX);
        let over = |store: &EventDataStore| {
            store.status == EventDataStoreStatus::PendingDeletion
                && store.deletion_requested.is_some_and(|asked| now.duration_since(asked) >= wait)
        };
        let state = self.catalog.state();
        let mut purged = 0;
        for store in state.all_stores().filter(|store| over(store)) {
            self.purge(store, over).await?;
            purged += 1;
        }
        Ok(purged)
    }

    async fn purge(
        &self,
        store: &Arc<EventDataStore>,
        over: impl Fn(&EventDataStore) -> bool,
    ) -> Result<(), PurgeError> {
        // The record first says that the store cannot be restored any more; then the events can go.
        let doomed = self
            .catalog
            .change(|state, change| {
                let doomed = state.store(store.id).is_some_and(|current| over(current));
                if doomed {
                    let mut current = EventDataStore::clone(store);
                    current.purging = true;
                    change.put_store(current);
                }
                Ok::<_, CatalogError>(doomed)
            })
            .await?;
        if doomed {
            self.lake.drop_store(store.id).await?;
            self.catalog
                .change(|_, change| {
                    change.delete_store(store);
                    Ok::<_, CatalogError>(())
                })
                .await?;
            tracing::info!(store = %store.id, "purged");
        }
        Ok(())
    }
}
