//! Delivery of query results to buckets: `result_N.csv.gz` and `result_sign.json` (lake-sql.md, "S3 delivery").
//!
//! A delivery is written down before StartQuery answers and is `PENDING` until the query has ended and its files are put.
//! After a crash it begins anew and puts the same names again; the sign file comes last, so that a folder with a sign
//! file is complete. Results that a caller can read are what is delivered: pages of the engine, one at a time.

mod error;
mod put;
mod result_csv;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use towpath_bucket::DeliveryRefusal;
use towpath_meta::{Key, MetaError, MetaStore, MetaStoreExt, Write};
use towpath_model::{AccountId, Arn, Region};
use towpath_query::{QueryError, QueryId, QueryStatus, ResultsRequest, Scope};
use towpath_trail::{ResultFile, SIGN_FILE, SignFile, error_code};
use towpath_wire::cloudtrail::DeliveryStatus;
use towpath_wire::{ApiError, errors};
use tracing::{info, warn};

use crate::operations::Context;
use crate::operations::trail::destination;
use crate::parts::Parts;
use crate::refusal::{internal, refuse};

use error::{DeliverError, failed};
use put::put;
use result_csv::ResultCsv;

/// Deliveries that are under way at a time; each may have one file in memory.
const AT_ONCE: usize = 4;

/// How often queries are looked at that have not ended.
const LOOK: Duration = Duration::from_millis(200);

/// How often the deliveries of queries that are forgotten are forgotten too.
const SWEEP: Duration = Duration::from_secs(600);

/// A delivery as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResultDelivery {
    /// The query's account and region.
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    /// DeliveryS3Uri as it was sent.
    pub(crate) uri: String,
    pub(crate) bucket: String,
    pub(crate) prefix: Option<String>,
    /// A value of `DeliveryStatus`.
    pub(crate) status: String,
}

/// The deliveries there are.
pub struct QueryDeliveries {
    meta: Arc<dyn MetaStore>,
    // Held for a look-up or a change of the set.
    open: Mutex<BTreeSet<String>>,
    added: Notify,
}

fn area() -> Key {
    Key::new("query-delivery").expect("the name is written in this file")
}

fn key(id: &str) -> Key {
    area().child(id).expect("a query id is short")
}

impl QueryDeliveries {
    /// Reads which deliveries a stop of the server has interrupted.
    pub async fn open(meta: Arc<dyn MetaStore>) -> Result<Self, MetaError> {
        let all = meta.list_all_json::<ResultDelivery>(&area()).await?;
        let pending = all.into_iter().filter(|found| found.value.status == DeliveryStatus::Pending.as_str());
        let open = pending.map(|found| found.key.last_part().into_owned()).collect();
        Ok(Self { meta, open: Mutex::new(open), added: Notify::new() })
    }

    /// The delivery of a query, if its results are delivered.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<ResultDelivery>, MetaError> {
        Ok(self.meta.get_json(&key(id)).await?.map(|found| found.value))
    }

    /// Writes a delivery down.
    pub(crate) async fn add(&self, id: QueryId, delivery: &ResultDelivery) -> Result<(), MetaError> {
        let id = id.to_string();
        self.meta.commit(&[], &[Write::json(key(&id), delivery)?]).await?;
        self.open.lock().insert(id);
        self.added.notify_one();
        Ok(())
    }

    async fn end(&self, id: &str, delivery: ResultDelivery, status: DeliveryStatus) -> Result<(), MetaError> {
        let ended = ResultDelivery { status: status.as_str().to_owned(), ..delivery };
        self.meta.commit(&[], &[Write::json(key(id), &ended)?]).await?;
        self.open.lock().remove(id);
        Ok(())
    }
}

impl ResultDelivery {
    /// The stores of the query's account and region, as policies of buckets name them.
    fn source(&self) -> Arn {
        Arn::cloudtrail(&self.region, self.account, "eventdatastore/*")
    }

    /// `[prefix/]AWSLogs/<account>/CloudTrail-Lake/Query/`.
    fn root(&self) -> String {
        let prefix = self.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
        format!("{prefix}AWSLogs/{}/CloudTrail-Lake/Query/", self.account)
    }

    /// The folder of a query: below the root `<year>/<month>/<day>/<query id>/`.
    fn folder(&self, day: Timestamp, id: &str) -> String {
        format!("{}{}/{id}/", self.root(), day.strftime("%Y/%m/%d"))
    }
}

/// Reads DeliveryS3Uri and makes sure that the bucket takes results.
///
/// # Errors
/// `InvalidS3BucketNameException`, `InvalidS3PrefixException`, `S3BucketDoesNotExistException`,
/// `InsufficientS3BucketPolicyException`; `ServiceUnavailable` when an endpoint does not answer.
pub(crate) async fn check(context: &Context<'_>, account: AccountId, uri: &str) -> Result<ResultDelivery, ApiError> {
    let rest = uri.strip_prefix("s3://").ok_or_else(|| {
        refuse(errors::INVALID_PARAMETER_EXCEPTION, "DeliveryS3Uri has the form s3://bucket or s3://bucket/prefix")
    })?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let delivery = ResultDelivery {
        account,
        region: context.caller.region.clone(),
        uri: uri.to_owned(),
        bucket: destination::bucket(bucket)?,
        prefix: destination::prefix(prefix)?,
        status: DeliveryStatus::Pending.as_str().to_owned(),
    };
    let parts = context.parts;
    let checked = parts.buckets.check_result_delivery(bucket, &delivery.root(), &delivery.source());
    let code = match checked {
        Ok(()) => return Ok(delivery),
        Err(DeliveryRefusal::InsufficientPolicy(_)) => Some("AccessDenied".to_owned()),
        Err(DeliveryRefusal::InvalidName(_)) => Some("NoSuchBucket".to_owned()),
        Err(DeliveryRefusal::NoSuchBucket(_)) => match parts.probe(&delivery).await {
            Ok(()) => return Ok(delivery),
            Err(code) => code,
        },
    };
    Err(match code.as_deref() {
        Some("NoSuchBucket") => {
            refuse(errors::S3_BUCKET_DOES_NOT_EXIST_EXCEPTION, format!("S3 bucket {bucket} does not exist!"))
        }
        Some(_) => refuse(
            errors::INSUFFICIENT_S3_BUCKET_POLICY_EXCEPTION,
            format!("Incorrect S3 bucket policy is detected for bucket: {bucket}"),
        ),
        None => ApiError::new("ServiceUnavailable", format!("bucket {bucket} cannot be reached; try again later")),
    })
}

impl Parts {
    /// Delivers results of queries as they end; runs until it is dropped. A bucket that answers slowly holds up no other.
    pub async fn deliver_results(&self) {
        let deliveries = &self.query_deliveries;
        let mut swept = tokio::time::Instant::now();
        let (mut running, mut busy) = (FuturesUnordered::new(), BTreeSet::new());
        loop {
            let open: Vec<String> = deliveries.open.lock().difference(&busy).cloned().collect();
            let nothing = open.is_empty() && running.is_empty();
            for id in open {
                if running.len() >= AT_ONCE {
                    break;
                }
                match self.ended(&id).await {
                    Ok(None) => {}
                    Ok(Some((delivery, status))) => {
                        busy.insert(id.clone());
                        running.push(self.deliver_ended(id, delivery, status));
                    }
                    Err(cause) => warn!(query = id, %cause, "cannot look at a delivery of results; it is tried again"),
                }
            }
            if swept.elapsed() >= SWEEP {
                swept = tokio::time::Instant::now();
                if let Err(cause) = self.forget_deliveries().await {
                    warn!(%cause, "cannot forget old deliveries of results");
                }
            }
            let pause = if nothing { SWEEP } else { LOOK };
            tokio::select! {
                Some(id) = running.next(), if !running.is_empty() => { busy.remove(&id); }
                () = deliveries.added.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The delivery of a query that has ended.
    async fn ended(&self, id: &str) -> Result<Option<(ResultDelivery, QueryStatus)>, MetaError> {
        let Some(delivery) = self.query_deliveries.get(id).await? else {
            self.query_deliveries.open.lock().remove(id);
            return Ok(None);
        };
        let scope = Scope { account: delivery.account, region: delivery.region.clone() };
        match self.queries.describe(&scope, id).await {
            Ok(record) if record.status.is_open() => Ok(None),
            Ok(record) => Ok(Some((delivery, record.status))),
            // StartQuery has not made the query durable, or it is forgotten.
            Err(QueryError::QueryIdNotFound { .. }) => Ok(Some((delivery, QueryStatus::Failed))),
            Err(cause) => {
                warn!(query = id, %cause, "cannot look at a query; it is tried again");
                Ok(None)
            }
        }
    }

    async fn deliver_ended(&self, id: String, delivery: ResultDelivery, status: QueryStatus) -> String {
        let scope = Scope { account: delivery.account, region: delivery.region.clone() };
        let outcome = match status {
            QueryStatus::Finished => self.deliver(&id, &scope, &delivery).await,
            QueryStatus::Cancelled => DeliveryStatus::Cancelled,
            // What ends early is not delivered.
            _ => DeliveryStatus::Failed,
        };
        info!(query = id, bucket = delivery.bucket, status = outcome.as_str(), "results delivered");
        if let Err(cause) = self.query_deliveries.end(&id, delivery, outcome).await {
            warn!(query = id, %cause, "cannot note a delivery of results; it begins anew");
            tokio::time::sleep(LOOK).await;
        }
        id
    }

    async fn deliver(&self, id: &str, scope: &Scope, delivery: &ResultDelivery) -> DeliveryStatus {
        let complete = self.clock.now();
        let folder = delivery.folder(complete, id);
        let written = async {
            let store = self.result_store(delivery).await?;
            let files = self.put_results(id, scope, store.as_ref(), &folder).await?;
            Ok::<_, DeliverError>((store, files))
        };
        let (store, files) = match written.await {
            Ok(written) => written,
            Err(error) => return failed(id, &error, [DeliveryStatus::AccessDenied, DeliveryStatus::Failed]),
        };
        let signed = async {
            let signed = SignFile::sign(&self.signing_keys, &delivery.region, files, complete).await?;
            let text = serde_json::to_vec(&signed).map_err(|error| DeliverError::Encode(error.into()))?;
            put(store.as_ref(), format!("{folder}{SIGN_FILE}"), text, "application/json").await
        };
        match signed.await {
            Ok(()) => DeliveryStatus::Success,
            Err(error) => {
                failed(id, &error, [DeliveryStatus::AccessDeniedSigningFile, DeliveryStatus::FailedSigningFile])
            }
        }
    }

    /// The bucket of a delivery, as CloudTrail sees it.
    async fn result_store(&self, delivery: &ResultDelivery) -> Result<Arc<dyn ObjectStore>, DeliverError> {
        if self.buckets.get(&delivery.bucket).is_ok() {
            return Ok(Arc::new(self.buckets.store(&delivery.bucket).delivering(&delivery.source())));
        }
        Ok(self.trail_buckets.open(&delivery.bucket).await?)
    }

    /// Puts the rows of a query; at least one file, though it may hold the names of the columns alone.
    async fn put_results(
        &self,
        id: &str,
        scope: &Scope,
        store: &dyn ObjectStore,
        folder: &str,
    ) -> Result<Vec<ResultFile>, DeliverError> {
        let mut files = Vec::new();
        let mut request = ResultsRequest::default();
        let mut csv: Option<ResultCsv> = None;
        loop {
            let page = self.queries.results(scope, id, &request).await?;
            let begun = csv.take();
            // Compression may take longer than the async threads should wait.
            let written = tokio::task::spawn_blocking(move || {
                let mut csv = begun.map_or_else(|| ResultCsv::new(&page.columns), Ok)?;
                csv.add(&page.rows)?;
                Ok::<_, io::Error>((csv, page.next_token))
            });
            let (grown, next) = written.await?.map_err(DeliverError::Encode)?;
            if next.is_some() && grown.bytes() < self.settings.result_file_bytes {
                csv = Some(grown);
            } else {
                let name = format!("result_{}.csv.gz", files.len() + 1);
                let bytes = tokio::task::spawn_blocking(move || grown.finish()).await?.map_err(DeliverError::Encode)?;
                files.push(ResultFile::of(name.clone(), &bytes));
                put(store, format!("{folder}{name}"), bytes, "application/gzip").await?;
            }
            match next {
                Some(token) => request.next_token = Some(token),
                None => return Ok(files),
            }
        }
    }

    /// Puts an empty object where results will be, into a bucket behind an endpoint, and removes it again.
    async fn probe(&self, delivery: &ResultDelivery) -> Result<(), Option<String>> {
        let probing = async {
            let store = self.trail_buckets.open(&delivery.bucket).await.map_err(|error| error.code)?;
            let path = Path::parse(format!("{}towpath-probe", delivery.root()));
            let path = path.map_err(|_| Some("InvalidS3Prefix".to_owned()))?;
            store.put(&path, PutPayload::new()).await.map_err(|error| error_code(&error))?;
            // The right to delete is none that a delivery needs.
            let _ = store.delete(&path).await;
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(20), probing).await.unwrap_or(Err(None))
    }

    async fn forget_deliveries(&self) -> Result<(), MetaError> {
        let meta = &self.query_deliveries.meta;
        for found in meta.list_all_json::<ResultDelivery>(&area()).await? {
            let delivery = &found.value;
            let scope = Scope { account: delivery.account, region: delivery.region.clone() };
            let ended = delivery.status != DeliveryStatus::Pending.as_str();
            let known = self.queries.describe(&scope, &found.key.last_part()).await;
            if ended && matches!(known, Err(QueryError::QueryIdNotFound { .. })) {
                meta.commit(&[], &[Write::Delete(found.key)]).await?;
            }
        }
        Ok(())
    }
}

/// What DescribeQuery shows of a query's delivery.
pub(crate) async fn shown(context: &Context<'_>, id: &str) -> Result<Option<(String, DeliveryStatus)>, ApiError> {
    let found = context.parts.query_deliveries.get(id).await;
    let found = found.map_err(|cause| internal("read a delivery of results", cause))?;
    Ok(found.map(|delivery| {
        let status = delivery.status.parse().unwrap_or(DeliveryStatus::Unknown);
        (delivery.uri, status)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_query_is_the_published_one() {
        let delivery = ResultDelivery {
            account: "000000000001".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            uri: "s3://b/p".to_owned(),
            bucket: "b".to_owned(),
            prefix: Some("p".to_owned()),
            status: "PENDING".to_owned(),
        };
        let day = "2026-03-04T23:00:00Z".parse().unwrap();
        assert_eq!(delivery.folder(day, "id"), "p/AWSLogs/000000000001/CloudTrail-Lake/Query/2026/03/04/id/");
        assert_eq!(delivery.source().as_str(), "arn:aws:cloudtrail:eu-west-1:000000000001:eventdatastore/*");
    }
}
