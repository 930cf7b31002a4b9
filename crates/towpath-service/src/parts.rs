//! The parts of the server that operations work with.

use std::sync::Arc;

use jiff::Timestamp;
use towpath_admit::EventIds;
use towpath_bucket::Buckets;
use towpath_iam::Directory;
use towpath_import::Importer;
use towpath_lake::{Lake, LakeError};
use towpath_log::Log;
use towpath_model::{AccountId, Clock, EventDataStore, StoreId, StoreKind};
use towpath_query::QueryEngine;
use towpath_trail::{Delivery, Destinations, SigningKeys};
use towpath_wire::ApiError;

use crate::catalog::{Catalog, CatalogState, Change};
use crate::ingestion_status::IngestionStatuses;
use crate::query_delivery::QueryDeliveries;
use crate::refusal::{CatalogRefusal, internal};
use crate::settings::ServiceSettings;

/// Days that event history reaches back.
const HISTORY_DAYS: u32 = 90;

/// Everything the operations need, opened and recovered.
pub struct Parts {
    /// Identities.
    pub directory: Directory,
    /// Stores, channels, trails, tags, policies, organizations.
    pub catalog: Arc<Catalog>,
    /// Latest ingestion of each channel.
    pub statuses: IngestionStatuses,
    /// The one write path.
    pub log: Log,
    /// Events in tables.
    pub lake: Lake,
    /// Queries and look-ups.
    pub queries: QueryEngine,
    /// Deliveries of query results to buckets.
    pub query_deliveries: QueryDeliveries,
    /// Imports.
    pub imports: Importer,
    /// The delivery of trails.
    pub delivery: Delivery,
    /// The keys that sign digests.
    pub signing_keys: Arc<SigningKeys>,
    /// Buckets in the data directory.
    pub buckets: Buckets,
    /// Buckets that trails deliver to, wherever they are.
    pub trail_buckets: Arc<dyn towpath_trail::Buckets>,
    /// The services that have the topics, keys, log groups and roles that trails name.
    pub destinations: Destinations,
    /// Ids of audit events.
    pub event_ids: EventIds,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What may be tuned.
    pub settings: ServiceSettings,
    /// The account made at the first start, which manages the others.
    pub first_account: AccountId,
    /// When the server started.
    pub started: Timestamp,
}

impl Parts {
    /// Tells the lake how long the events of every store and of every account's history stay. Called once at start.
    pub async fn apply_retention(&self) -> Result<(), LakeError> {
        for store in self.catalog.state().all_stores() {
            self.lake.set_retention(store.id, store.kind, Some(store.retention_days)).await?;
        }
        for account in self.directory.list_accounts() {
            self.keep_history(account.id).await?;
        }
        Ok(())
    }

    /// Gives the event history of an account its retention.
    pub(crate) async fn keep_history(&self, account: AccountId) -> Result<(), LakeError> {
        self.lake.set_retention(StoreId::history_of(account), StoreKind::History, Some(HISTORY_DAYS)).await
    }

    /// Tells the lake how long the events of a store stay.
    pub(crate) async fn set_retention(&self, store: &EventDataStore) -> Result<(), ApiError> {
        let set = self.lake.set_retention(store.id, store.kind, Some(store.retention_days)).await;
        set.map_err(|cause| internal("set retention", cause))
    }

    /// Changes the catalog; see [`Catalog::change`].
    pub(crate) async fn change_catalog<T>(
        &self,
        decide: impl FnOnce(&CatalogState, &mut Change) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let decide = |state: &CatalogState, change: &mut Change| decide(state, change).map_err(CatalogRefusal);
        self.catalog.change(decide).await.map_err(|refusal| refusal.0)
    }

    /// Has the delivery take notice of changed trails. If that fails it does so by itself a little later.
    pub(crate) async fn trails_changed(&self) {
        if let Err(cause) = self.delivery.trails_changed().await {
            internal("tell the delivery of changed trails", cause);
        }
    }

    pub(crate) async fn import_running_into(&self, store: StoreId) -> Result<bool, ApiError> {
        self.imports.runs_into(store).await.map_err(|cause| internal("list imports", cause))
    }
}
