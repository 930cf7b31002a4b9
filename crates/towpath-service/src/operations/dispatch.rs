//! From a decoded input to its operation.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use towpath_wire::{ApiError, Input, Operation};

use super::{
    Context, channel, event_configuration, event_data_store, import, ingestion, lookup_events, organization, query,
    resource_policy, tags, trail,
};
use crate::refusal::internal;

/// Runs the operation and returns its output as JSON: written once, for the answer and for the call's record.
///
/// # Errors
/// `UnsupportedOperationException` for operations of the service model that Towpath does not have yet.
pub(crate) async fn dispatch(
    context: &Context<'_>,
    operation: Operation,
    input: Input,
) -> Result<Box<RawValue>, ApiError> {
    match input {
        Input::CreateTrail(input) => json(trail::create(context, input).await),
        Input::GetTrail(input) => json(trail::get(context, input).await),
        Input::UpdateTrail(input) => json(trail::update(context, input).await),
        Input::DescribeTrails(input) => json(trail::describe(context, input).await),
        Input::ListTrails(input) => json(trail::list(context, input).await),
        Input::DeleteTrail(input) => json(trail::delete(context, input).await),
        Input::GetTrailStatus(input) => json(trail::status(context, input).await),
        Input::StartLogging(input) => json(trail::start_logging(context, input).await),
        Input::StopLogging(input) => json(trail::stop_logging(context, input).await),
        Input::PutEventSelectors(input) => json(trail::put_event_selectors(context, input).await),
        Input::GetEventSelectors(input) => json(trail::get_event_selectors(context, input).await),
        Input::ListPublicKeys(input) => json(trail::list_public_keys(context, input).await),
        Input::RegisterOrganizationDelegatedAdmin(input) => json(organization::register(context, input).await),
        Input::DeregisterOrganizationDelegatedAdmin(input) => json(organization::deregister(context, input).await),

        Input::CreateEventDataStore(input) => json(event_data_store::create(context, input).await),
        Input::GetEventDataStore(input) => json(event_data_store::get(context, input).await),
        Input::UpdateEventDataStore(input) => json(event_data_store::update(context, input).await),
        Input::ListEventDataStores(input) => json(event_data_store::list(context, input).await),
        Input::DeleteEventDataStore(input) => json(event_data_store::delete(context, input).await),
        Input::RestoreEventDataStore(input) => json(event_data_store::restore(context, input).await),
        Input::StartEventDataStoreIngestion(input) => json(ingestion::start(context, input).await),
        Input::StopEventDataStoreIngestion(input) => json(ingestion::stop(context, input).await),
        Input::PutEventConfiguration(input) => json(event_configuration::put(context, input).await),
        Input::GetEventConfiguration(input) => json(event_configuration::get(context, input).await),

        Input::CreateChannel(input) => json(channel::create(context, input).await),
        Input::GetChannel(input) => json(channel::get(context, input).await),
        Input::UpdateChannel(input) => json(channel::update(context, input).await),
        Input::ListChannels(input) => json(channel::list(context, input).await),
        Input::DeleteChannel(input) => json(channel::delete(context, input).await),

        Input::PutResourcePolicy(input) => json(resource_policy::put(context, input).await),
        Input::GetResourcePolicy(input) => json(resource_policy::get(context, input).await),
        Input::DeleteResourcePolicy(input) => json(resource_policy::delete(context, input).await),
        Input::AddTags(input) => json(tags::add(context, input).await),
        Input::RemoveTags(input) => json(tags::remove(context, input).await),
        Input::ListTags(input) => json(tags::list(context, input).await),

        Input::StartQuery(input) => json(query::start(context, input).await),
        Input::DescribeQuery(input) => json(query::describe(context, input).await),
        Input::GetQueryResults(input) => json(query::results(context, input).await),
        Input::ListQueries(input) => json(query::list(context, input).await),
        Input::CancelQuery(input) => json(query::cancel(context, input).await),
        Input::LookupEvents(input) => json(lookup_events::lookup(context, input).await),

        Input::StartImport(input) => json(import::start(context, input).await),
        Input::GetImport(input) => json(import::get(context, input).await),
        Input::ListImports(input) => json(import::list(context, input).await),
        Input::ListImportFailures(input) => json(import::failures(context, input).await),
        Input::StopImport(input) => json(import::stop(context, input).await),

        _ => Err(ApiError::unsupported_operation(operation)),
    }
}

/// An output as the JSON that is answered.
pub(crate) fn json<T: Serialize>(outcome: Result<T, ApiError>) -> Result<Box<RawValue>, ApiError> {
    to_raw_value(&outcome?).map_err(|cause| internal("write answer", cause))
}
