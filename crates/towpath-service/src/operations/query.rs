//! Queries: start, describe, results, list, cancel.
//!
//! A query belongs to the account that owns the stores it reads. A caller of another account names that account
//! (`EventDataStoreOwnerAccountId`) and needs the stores' resource policies on its side.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;
use towpath_model::{AccountId, StoreId};
use towpath_query::{
    ListRequest, QueryError, QueryRecord, QueryStatistics, QueryStatus, QueryStore, ResultsRequest, Scope,
};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::Context;
use super::store_name::{StoreName, require_active};
use crate::query_delivery;
use crate::refusal::{internal, refuse};

/// What stands in a result for SQL's NULL: a JSON null would make several SDKs lose the cell.
const NULL_TEXT: &str = "";

/// StartQuery: wrong SQL, unknown stores and missing rights are told before anything runs.
pub(crate) async fn start(
    context: &Context<'_>,
    input: wire::StartQueryRequest,
) -> Result<wire::StartQueryResponse, ApiError> {
    let statement = match (input.query_statement, input.query_alias) {
        (Some(statement), None) => statement,
        (None, Some(_)) => {
            return Err(refuse(
                errors::UNSUPPORTED_OPERATION_EXCEPTION,
                "QueryAlias belongs to GenerateQuery and dashboards, which are not supported yet; give QueryStatement",
            ));
        }
        _ => {
            return Err(refuse(
                errors::INVALID_PARAMETER_EXCEPTION,
                "exactly one of QueryStatement and QueryAlias must be given",
            ));
        }
    };
    if input.query_parameters.is_some() {
        return Err(refuse(errors::INVALID_PARAMETER_EXCEPTION, "QueryParameters need QueryAlias"));
    }
    let query = context.parts.queries.parse(&statement).map_err(refused)?;
    let owner = match input.event_data_store_owner_account_id.as_deref() {
        Some(named) => owner(context, Some(named))?,
        None => owner_of(context, &query.tables()),
    };
    let mut stores = Vec::new();
    for table in query.tables() {
        stores.push(resolve(context, owner, table)?);
    }
    if stores.is_empty() {
        context.authorize("StartQuery", &context.any("eventdatastore"))?;
    }
    let delivery = match &input.delivery_s3_uri {
        Some(uri) => Some(query_delivery::check(context, owner, uri).await?),
        None => None,
    };
    let scope = Scope { account: owner, region: context.caller.region.clone() };
    let read: Vec<_> = stores.iter().map(|store| store.id).collect();
    let seen = context.records.seen(&read);
    let started = context.parts.queries.begin(query, scope, stores, seen).await.map_err(refused)?;
    let id = started.id();
    if let Some(delivery) = &delivery {
        // Before the answer: whoever has it can rely on the delivery.
        let added = context.parts.query_deliveries.add(id, delivery).await;
        added.map_err(|cause| internal("note a delivery of results", cause))?;
    }
    // It runs already; the answer waits until it is durable, as its record.
    context.answer_after(async move { started.kept().await.map(drop).map_err(refused) });
    Ok(wire::StartQueryResponse {
        query_id: Some(id.to_string()),
        event_data_store_owner_account_id: (owner != context.caller.account).then(|| owner.to_string()),
    })
}

fn resolve(context: &Context<'_>, owner: AccountId, table: &str) -> Result<QueryStore, ApiError> {
    let not_found = || {
        refuse(
            errors::EVENT_DATA_STORE_NOT_FOUND_EXCEPTION,
            format!("there is no event data store {table}; a table is named by the id of an event data store"),
        )
    };
    if table.eq_ignore_ascii_case("$eds_id") {
        return Err(refuse(
            errors::INVALID_QUERY_STATEMENT_EXCEPTION,
            "$EDS_ID is a placeholder; put the id of an event data store in its place",
        ));
    }
    let id: StoreId = table.parse().map_err(|_| not_found())?;
    let name = StoreName { id, account: owner, region: context.caller.region.clone() };
    context.authorize("StartQuery", &name.arn())?;
    let state = context.catalog();
    let store = name.find(&state).map_err(|_| not_found())?;
    require_active(store)?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());
    Ok(QueryStore { name: table.to_owned(), id, kind: store.kind })
}

/// DescribeQuery by id.
///
/// The statistics say, besides what CloudTrail says, how many files were read and how many were ruled out unread;
/// clients that do not know these members pass over them.
pub(crate) async fn describe(context: &Context<'_>, input: wire::DescribeQueryRequest) -> Result<Value, ApiError> {
    let id = match (input.query_id, input.query_alias) {
        (Some(id), None) => id,
        (None, Some(_)) => {
            return Err(refuse(
                errors::UNSUPPORTED_OPERATION_EXCEPTION,
                "QueryAlias belongs to GenerateQuery and dashboards, which are not supported yet; give QueryId",
            ));
        }
        _ => {
            return Err(refuse(
                errors::INVALID_PARAMETER_EXCEPTION,
                "exactly one of QueryId and QueryAlias must be given",
            ));
        }
    };
    check_store(context, input.event_data_store.as_deref())?;
    let (_, record) = find(context, "DescribeQuery", &id, input.event_data_store_owner_account_id.as_deref()).await?;
    let statistics = record.statistics;
    let delivery = query_delivery::shown(context, &record.id.to_string()).await?;
    let (delivery_s3_uri, delivery_status) = delivery.unzip();
    let answer = wire::DescribeQueryResponse {
        delivery_s3_uri,
        delivery_status,
        query_id: Some(record.id.to_string()),
        query_string: Some(record.statement),
        query_status: Some(status_to_wire(record.status)),
        query_statistics: Some(wire::QueryStatisticsForDescribeQuery {
            events_matched: Some(signed(statistics.events_matched)),
            events_scanned: Some(signed(statistics.events_scanned)),
            bytes_scanned: Some(signed(statistics.bytes_scanned)),
            execution_time_in_millis: Some(statistics.execution_millis.try_into().unwrap_or(i32::MAX)),
            creation_time: Some(record.created.into()),
        }),
        error_message: record.error,
        event_data_store_owner_account_id: foreign(context, record.scope.account),
        ..wire::DescribeQueryResponse::default()
    };
    let mut answer = serde_json::to_value(answer).map_err(|cause| internal("write answer", cause))?;
    answer["QueryStatistics"]["FilesScanned"] = statistics.files_scanned.into();
    answer["QueryStatistics"]["FilesPruned"] = statistics.files_pruned.into();
    Ok(answer)
}

/// GetQueryResults.
pub(crate) async fn results(
    context: &Context<'_>,
    input: wire::GetQueryResultsRequest,
) -> Result<ResultsAnswer, ApiError> {
    check_store(context, input.event_data_store.as_deref())?;
    let owner = input.event_data_store_owner_account_id.as_deref();
    let (scope, _) = find(context, "GetQueryResults", &input.query_id, owner).await?;
    let request = ResultsRequest { max_results: input.max_query_results.map(i64::from), next_token: input.next_token };
    let page = context.parts.queries.results(&scope, &input.query_id, &request).await.map_err(refused)?;
    let QueryStatistics { bytes_scanned, rows: total, .. } = page.statistics;
    Ok(ResultsAnswer {
        query_status: status_to_wire(page.status),
        query_statistics: wire::QueryStatistics {
            results_count: Some(page.rows.len().try_into().unwrap_or(i32::MAX)),
            total_results_count: Some(total.try_into().unwrap_or(i32::MAX)),
            bytes_scanned: Some(signed(bytes_scanned)),
        },
        query_result_rows: ResultRows { columns: page.columns, rows: page.rows },
        next_token: page.next_token,
        error_message: page.error,
    })
}

/// `GetQueryResultsResponse` of the service model, its rows as they were read: a map for each cell would take longer to
/// make than all else.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResultsAnswer {
    query_status: wire::QueryStatus,
    query_statistics: wire::QueryStatistics,
    query_result_rows: ResultRows,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

/// Rows as lists of one-entry maps, every value a text.
struct ResultRows {
    columns: Arc<[String]>,
    rows: Vec<Vec<Option<String>>>,
}

impl Serialize for ResultRows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(|cells| ResultRow { columns: &self.columns, cells }))
    }
}

struct ResultRow<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

impl Serialize for ResultRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.columns.iter().zip(self.cells).map(|(name, text)| ResultCell { name, text }))
    }
}

struct ResultCell<'a> {
    name: &'a str,
    text: &'a Option<String>,
}

impl Serialize for ResultCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.name, self.text.as_deref().unwrap_or(NULL_TEXT))])
    }
}

/// ListQueries of one store, newest first.
pub(crate) async fn list(
    context: &Context<'_>,
    input: wire::ListQueriesRequest,
) -> Result<wire::ListQueriesResponse, ApiError> {
    let name = StoreName::resolve(&input.event_data_store, context)?;
    context.authorize("ListQueries", &name.arn())?;
    require_active(name.find(&context.catalog())?)?;
    let request = ListRequest {
        start_time: input.start_time.map(Into::into),
        end_time: input.end_time.map(Into::into),
        status: input.query_status.map(status_from_wire),
        max_results: input.max_results.map(i64::from),
        next_token: input.next_token,
    };
    let page = context.parts.queries.list(name.id, &request).await.map_err(|error| match error {
        QueryError::InvalidTimeRange => refuse(errors::INVALID_DATE_RANGE_EXCEPTION, "StartTime is after EndTime"),
        other => refused(other),
    })?;
    let query = |query: towpath_query::ListedQuery| wire::Query {
        query_id: Some(query.id.to_string()),
        query_status: Some(status_to_wire(query.status)),
        creation_time: Some(query.created.into()),
    };
    Ok(wire::ListQueriesResponse {
        queries: Some(page.queries.into_iter().map(query).collect()),
        next_token: page.next_token,
    })
}

/// CancelQuery.
pub(crate) async fn cancel(
    context: &Context<'_>,
    input: wire::CancelQueryRequest,
) -> Result<wire::CancelQueryResponse, ApiError> {
    check_store(context, input.event_data_store.as_deref())?;
    let owner = input.event_data_store_owner_account_id.as_deref();
    let (scope, _) = find(context, "CancelQuery", &input.query_id, owner).await?;
    let status = context.parts.queries.cancel(&scope, &input.query_id).await.map_err(refused)?;
    Ok(wire::CancelQueryResponse {
        query_id: input.query_id,
        query_status: status_to_wire(status),
        event_data_store_owner_account_id: foreign(context, scope.account),
    })
}

/// Finds a query and refuses a caller who may not do `action` on every store that it reads.
async fn find(
    context: &Context<'_>,
    action: &'static str,
    id: &str,
    owner_text: Option<&str>,
) -> Result<(Scope, QueryRecord), ApiError> {
    let account = owner(context, owner_text)?;
    let mut scope = Scope { account, region: context.caller.region.clone() };
    let mut record = context.parts.queries.describe(&scope, id).await;
    if let (Err(_), None) = (&record, owner_text)
        && let Some(managed) = delegated(context, id).await
    {
        (scope.account, record) = (managed.scope.account, Ok(managed));
    }
    let stores = record.as_ref().map_or(&[] as &[_], |record| &record.stores);
    if stores.is_empty() {
        context.authorize(action, &context.any("eventdatastore"))?;
    }
    for store in stores {
        let name = StoreName { id: *store, account: scope.account, region: scope.region.clone() };
        context.authorize(action, &name.arn())?;
        context.touched("AWS::CloudTrail::EventDataStore", &name.arn());
        // A store pending deletion takes its results with it; one that is gone has none to show.
        require_active(name.find(&context.catalog())?)?;
    }
    Ok((scope, record.map_err(refused)?))
}

/// A query over event data stores that the caller manages as a delegated administrator.
async fn delegated(context: &Context<'_>, id: &str) -> Option<QueryRecord> {
    let (caller, state) = (context.caller, context.catalog());
    let scope = Scope { account: state.delegating(caller.account)?.management, region: caller.region.clone() };
    let found = context.parts.queries.describe(&scope, id).await.ok()?;
    let managed = |id: &StoreId| state.store(*id).is_some_and(|store| state.is_delegated(caller.account, store));
    (!found.stores.is_empty() && found.stores.iter().all(managed)).then_some(found)
}

/// Whose stores a statement reads: the caller's, or its organization's where it is a delegated administrator.
fn owner_of(context: &Context<'_>, tables: &[&str]) -> AccountId {
    let (account, state) = (context.caller.account, context.catalog());
    let mut stores = tables.iter().filter_map(|table| state.store(table.parse().ok()?));
    stores.find(|store| state.is_delegated(account, store)).map_or(account, |store| store.account)
}

/// The deprecated EventDataStore member is checked for its form and otherwise ignored.
fn check_store(context: &Context<'_>, store: Option<&str>) -> Result<(), ApiError> {
    store.map(|store| StoreName::parse(store, context.caller)).transpose().map(drop)
}

fn owner(context: &Context<'_>, text: Option<&str>) -> Result<AccountId, ApiError> {
    let Some(text) = text else { return Ok(context.caller.account) };
    text.parse().map_err(|_| {
        refuse(errors::INVALID_PARAMETER_EXCEPTION, "EventDataStoreOwnerAccountId must have twelve digits")
    })
}

fn foreign(context: &Context<'_>, owner: AccountId) -> Option<String> {
    (owner != context.caller.account).then(|| owner.to_string())
}

/// What a failed query operation answers.
pub(super) fn refused(error: QueryError) -> ApiError {
    let message = error.to_string();
    match error {
        QueryError::InvalidStatement { .. } => refuse(errors::INVALID_QUERY_STATEMENT_EXCEPTION, message),
        QueryError::StoreNotFound { .. } => refuse(errors::EVENT_DATA_STORE_NOT_FOUND_EXCEPTION, message),
        QueryError::MaxConcurrentQueries { .. } => refuse(errors::MAX_CONCURRENT_QUERIES_EXCEPTION, message),
        QueryError::QueryIdNotFound { .. } => refuse(errors::QUERY_ID_NOT_FOUND_EXCEPTION, message),
        QueryError::InactiveQuery { .. } => refuse(errors::INACTIVE_QUERY_EXCEPTION, message),
        QueryError::InvalidNextToken => refuse(errors::INVALID_NEXT_TOKEN_EXCEPTION, message),
        QueryError::InvalidMaxResults { .. } => refuse(errors::INVALID_MAX_RESULTS_EXCEPTION, message),
        QueryError::InvalidTimeRange => refuse(errors::INVALID_TIME_RANGE_EXCEPTION, message),
        QueryError::Stopping => ApiError::unavailable(),
        other => internal("query", other),
    }
}

fn status_to_wire(status: QueryStatus) -> wire::QueryStatus {
    match status {
        QueryStatus::Queued => wire::QueryStatus::Queued,
        QueryStatus::Running => wire::QueryStatus::Running,
        QueryStatus::Finished => wire::QueryStatus::Finished,
        QueryStatus::Failed => wire::QueryStatus::Failed,
        QueryStatus::Cancelled => wire::QueryStatus::Cancelled,
        QueryStatus::TimedOut => wire::QueryStatus::TimedOut,
    }
}

fn status_from_wire(status: wire::QueryStatus) -> QueryStatus {
    match status {
        wire::QueryStatus::Queued => QueryStatus::Queued,
        wire::QueryStatus::Running => QueryStatus::Running,
        wire::QueryStatus::Finished => QueryStatus::Finished,
        wire::QueryStatus::Failed => QueryStatus::Failed,
        wire::QueryStatus::Cancelled => QueryStatus::Cancelled,
        wire::QueryStatus::TimedOut => QueryStatus::TimedOut,
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
