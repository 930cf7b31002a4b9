//! How requests name an event data store: by ARN or by id alone.

use std::sync::Arc;

use towpath_model::{AccountId, Arn, EventDataStore, Region, StoreId};
use towpath_wire::ApiError;
use towpath_wire::errors;

use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::operations::Context;
use crate::refusal::refuse;

/// A store as a request names it. Whether it exists is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreName {
    pub(crate) id: StoreId,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
}

impl StoreName {
    /// Parses an ARN, or a bare id, which means a store of the caller's account and region.
    ///
    /// # Errors
    /// `EventDataStoreARNInvalidException` for any other text.
    pub(crate) fn parse(text: &str, caller: &Caller) -> Result<Self, ApiError> {
        if let Ok(id) = text.parse::<StoreId>() {
            return Ok(Self { id, account: caller.account, region: caller.region.clone() });
        }
        let invalid = || {
            refuse(
                errors::EVENT_DATA_STORE_ARN_INVALID_EXCEPTION,
                "an event data store is named by its ARN, \
                 arn:aws:cloudtrail:<region>:<account>:eventdatastore/<id>, or by its id",
            )
        };
        let arn: Arn = text.parse().map_err(|_| invalid())?;
        let id = arn.resource().strip_prefix("eventdatastore/").and_then(|id| id.parse().ok());
        match (arn.service(), id, arn.account_id(), arn.region().parse().ok()) {
            ("cloudtrail", Some(id), Some(account), Some(region)) => Ok(Self { id, account, region }),
            _ => Err(invalid()),
        }
    }

    /// As [`StoreName::parse`]; a bare id may also mean a store that the caller manages as a delegated administrator.
    pub(crate) fn resolve(text: &str, context: &Context<'_>) -> Result<Self, ApiError> {
        let (caller, state) = (context.caller, context.catalog());
        let name = Self::parse(text, caller)?;
        let delegated = |store: &&Arc<EventDataStore>| {
            name.account == caller.account && state.is_delegated(caller.account, store) && store.region == name.region
        };
        match state.store(name.id).filter(delegated) {
            Some(store) if !text.starts_with("arn:") => Ok(Self { account: store.account, ..name }),
            _ => Ok(name),
        }
    }

    /// The ARN in full.
    pub(crate) fn arn(&self) -> Arn {
        Arn::cloudtrail(&self.region, self.account, &format!("eventdatastore/{}", self.id))
    }

    /// Finds the store.
    ///
    /// # Errors
    /// `EventDataStoreNotFoundException` when there is none of that id in that account and region.
    pub(crate) fn find<'a>(&self, state: &'a CatalogState) -> Result<&'a EventDataStore, ApiError> {
        match state.store(self.id) {
            Some(store) if store.account == self.account && store.region == self.region => Ok(store),
            _ => Err(self.not_found()),
        }
    }

    /// `EventDataStoreNotFoundException` for this store.
    pub(crate) fn not_found(&self) -> ApiError {
        refuse(
            errors::EVENT_DATA_STORE_NOT_FOUND_EXCEPTION,
            format!("there is no event data store {} in account {} and region {}", self.id, self.account, self.region),
        )
    }
}

/// Refuses what cannot be done to a store whose deletion is pending.
pub(crate) fn require_active(store: &EventDataStore) -> Result<(), ApiError> {
    if store.queryable() {
        return Ok(());
    }
    Err(refuse(
        errors::INACTIVE_EVENT_DATA_STORE_EXCEPTION,
        format!("event data store {} is pending deletion; restore it first (RestoreEventDataStore)", store.id),
    ))
}
