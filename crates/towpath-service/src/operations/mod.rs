//! The operations, one file per resource. Each authorizes, decides, and answers; none knows of HTTP.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use towpath_model::{AccountId, Arn, EventDataStore, StoreId};
use towpath_wire::ApiError;
use uuid::Uuid;

use crate::authorize;
use crate::caller::Caller;
use crate::catalog::{CatalogState, Change};
use crate::ingestion_status::IngestionStatus;
use crate::parts::Parts;
use crate::records::Records;
use crate::refusal::internal;
use crate::settings::ServiceSettings;

use store_name::StoreName;

pub(crate) mod admin;
pub(crate) mod channel;
mod dispatch;
pub(crate) mod event_configuration;
pub(crate) mod event_data_store;
pub(crate) mod import;
pub(crate) mod ingestion;
pub(crate) mod lookup_events;
pub(crate) mod organization;
mod page;
pub(crate) mod put_audit_events;
pub(crate) mod query;
pub(crate) mod resource_policy;
mod selectors;
mod store_name;
pub(crate) mod sts;
pub(crate) mod tags;
pub(crate) mod trail;

pub(crate) use dispatch::{dispatch, json};

/// What an operation works with: the caller, the parts of the server, and what is to be said about the call in its
/// audit record.
pub(crate) struct Context<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) parts: &'a Parts,
    pub(crate) records: &'a Records,
    touched: Mutex<Vec<Touched>>,
    pending: Mutex<Option<Pending<'a>>>,
}

/// Work that the answer to a call waits for. If it fails, so has the call, and a second record says so.
pub(crate) enum Pending<'a> {
    /// It runs while the call is recorded.
    Beside(BoxFuture<'a, Result<(), ApiError>>),
    /// It begins when the record of the call is durable.
    After(BoxFuture<'a, Result<(), ApiError>>),
}

/// A resource that a call concerns, for the `resources` of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) kind: &'static str,
    pub(crate) arn: Arn,
}

impl<'a> Context<'a> {
    pub(crate) fn new(caller: &'a Caller, parts: &'a Parts, records: &'a Records) -> Self {
        Self { caller, parts, records, touched: Mutex::default(), pending: Mutex::default() }
    }

    pub(crate) fn settings(&self) -> &ServiceSettings {
        &self.parts.settings
    }

    pub(crate) fn catalog(&self) -> Arc<CatalogState> {
        self.parts.catalog.state()
    }

    /// The ARN that stands for every resource of a kind of the caller, for operations that name none.
    pub(crate) fn any(&self, kind: &str) -> Arn {
        Arn::cloudtrail(&self.caller.region, self.caller.account, &format!("{kind}/*"))
    }

    /// Refuses with AccessDeniedException unless the caller may do `cloudtrail:<action>` on the resource.
    pub(crate) fn authorize(&self, action: &str, resource: &Arn) -> Result<(), ApiError> {
        if self.catalog().may_as_delegate(self.caller.account, action, resource) {
            return self.authorize_as_own(action, resource);
        }
        authorize::authorize(self, &format!("cloudtrail:{action}"), resource.as_str(), resource.account_id())
    }

    /// As [`Context::authorize`] for resources that an account uses as its own, whoever owns them: those of its
    /// organization.
    pub(crate) fn authorize_as_own(&self, action: &str, resource: &Arn) -> Result<(), ApiError> {
        authorize::authorize(self, &format!("cloudtrail:{action}"), resource.as_str(), Some(self.caller.account))
    }

    /// Refuses what belongs to another account as if it did not exist.
    pub(crate) fn own(&self, account: AccountId, not_found: impl FnOnce() -> ApiError) -> Result<(), ApiError> {
        if account == self.caller.account { Ok(()) } else { Err(not_found()) }
    }

    /// Refuses a store of another account as if it did not exist, unless the caller's account may do `action` on it as a
    /// delegated administrator.
    pub(crate) fn own_or_delegated(&self, action: &str, store: &StoreName) -> Result<(), ApiError> {
        if self.catalog().may_as_delegate(self.caller.account, action, &store.arn()) {
            return Ok(());
        }
        self.own(store.account, || store.not_found())
    }

    /// Changes the catalog; see [`crate::catalog::Catalog::change`].
    pub(crate) async fn change<T>(
        &self,
        decide: impl FnOnce(&CatalogState, &mut Change) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.parts.change_catalog(decide).await
    }

    /// Notes a resource for the call's audit record.
    pub(crate) fn touched(&self, kind: &'static str, arn: &Arn) {
        let touched = Touched { kind, arn: arn.clone() };
        let mut all = self.touched.lock();
        if !all.contains(&touched) {
            all.push(touched);
        }
    }

    /// Notes a resource whose kind its ARN tells.
    pub(crate) fn touched_arn(&self, arn: &Arn) {
        let kind = match arn.resource().split('/').next() {
            Some("channel") => "AWS::CloudTrail::Channel",
            Some("trail") => trail::KIND,
            _ => "AWS::CloudTrail::EventDataStore",
        };
        self.touched(kind, arn);
    }

    pub(crate) fn take_touched(&self) -> Vec<Touched> {
        std::mem::take(&mut self.touched.lock())
    }

    /// Has the answer wait for `work`, which runs beside the recording of the call. If it fails, so has the call.
    pub(crate) fn answer_after(&self, work: impl Future<Output = Result<(), ApiError>> + Send + 'static) {
        *self.pending.lock() = Some(Pending::Beside(work.boxed()));
    }

    /// Has `work` done when the record of the call is durable, and the answer wait for it. If it fails, so has the call.
    /// If the server is killed in between, the record says what was not done: for calls that end the recording of events,
    /// where the other order would lose the record.
    pub(crate) fn do_after_record(&self, work: impl Future<Output = Result<(), ApiError>> + Send + 'a) {
        *self.pending.lock() = Some(Pending::After(work.boxed()));
    }

    pub(crate) fn take_pending(&self) -> Option<Pending<'a>> {
        self.pending.lock().take()
    }

    pub(crate) fn ingestion_status(&self, channel: Uuid) -> Option<IngestionStatus> {
        self.parts.statuses.get(channel)
    }

    pub(crate) async fn forget_ingestion_status(&self, channel: Uuid) -> Result<(), ApiError> {
        self.parts.statuses.forget(channel).await.map_err(|cause| internal("forget ingestion status", cause))
    }

    /// Tells the lake how long the events of a store stay.
    pub(crate) async fn retention_changed(&self, store: &EventDataStore) -> Result<(), ApiError> {
        self.parts.set_retention(store).await
    }

    /// True while an import into the store is running.
    pub(crate) async fn import_running_into(&self, store: StoreId) -> Result<bool, ApiError> {
        self.parts.import_running_into(store).await
    }
}
