//! The calls that benchmarks make, signed, over connections that stay open.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde_json::{Value, json};
use towpath_wire::Call;
use towpath_wire::client;
use towpath_wire::cloudtrail::{
    CreateChannelRequest, CreateEventDataStoreRequest, DescribeQueryRequest, GetQueryResultsRequest, QueryStatus,
    StartQueryRequest,
};
use towpath_wire::sigv4::{Credentials, sign};

/// The region that requests are signed for.
pub const REGION: &str = "us-east-1";

/// A signing client of one server.
#[derive(Clone)]
pub struct Api {
    endpoint: String,
    credentials: Credentials,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// A query that has taken this long is left alone between two looks at it.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);

/// What a query answered, and how long that took.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Rows of cell texts.
    pub rows: Vec<Vec<Option<String>>>,
    /// From the start of the first call to the end of the last.
    pub elapsed: Duration,
    /// What the server says it took.
    pub execution_millis: u64,
    /// What the server says it read.
    pub bytes_scanned: u64,
}

impl Api {
    /// A client for the server at `endpoint`.
    pub fn new(endpoint: String, credentials: Credentials) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { endpoint, credentials, http: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The key that signs.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Makes a call.
    pub async fn call<C: Call>(&self, input: &C) -> anyhow::Result<C::Output> {
        let (mut parts, body) = client::request(&self.endpoint, input)?.into_parts();
        sign(&mut parts, &body, &self.credentials, REGION, "cloudtrail", Timestamp::now())?;
        let answer = self.http.request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        client::answer::<C>(parts.status, &parts.headers, &body)
            .map_err(|error| anyhow!("{} answered {}: {}", C::OPERATION, error.code(), error.message()))
    }

    /// Makes a call from JSON, for inputs with many optional parts.
    pub async fn call_json<C: Call>(&self, input: Value) -> anyhow::Result<C::Output> {
        self.call::<C>(&serde_json::from_value(input)?).await
    }

    /// Creates an event data store whose selectors accept these categories; returns its ARN. Without `live` it takes
    /// imports only, and so not the records of the benchmark's own calls.
    pub async fn create_store(&self, name: &str, categories: &[&str], live: bool) -> anyhow::Result<String> {
        let selectors: Vec<Value> = categories
            .iter()
            .map(|category| {
                let mut fields = vec![json!({"Field": "eventCategory", "Equals": [category]})];
                if *category == "Data" {
                    fields.push(json!({"Field": "resources.type", "Equals": ["AWS::S3::Object"]}));
                }
                json!({"Name": category, "FieldSelectors": fields})
            })
            .collect();
        let input = json!({
            "Name": name, "AdvancedEventSelectors": selectors, "TerminationProtectionEnabled": false,
            "RetentionPeriod": 3653, "BillingMode": "EXTENDABLE_RETENTION_PRICING",
            "StartIngestion": live,
        });
        let made = self.call_json::<CreateEventDataStoreRequest>(input).await?;
        made.event_data_store_arn.context("the new store has no ARN")
    }

    /// Creates a channel into a store; returns its ARN.
    pub async fn create_channel(&self, name: &str, store: &str) -> anyhow::Result<String> {
        let input = json!({
            "Name": name, "Source": "Custom", "Destinations": [{"Type": "EVENT_DATA_STORE", "Location": store}],
        });
        self.call_json::<CreateChannelRequest>(input).await?.channel_arn.context("the new channel has no ARN")
    }

    /// Asks a question and reads the whole answer.
    ///
    /// Results are asked for until the query has ended. The server waits a moment with each answer if it has not, so
    /// there is no pause but for long queries.
    pub async fn query(&self, sql: &str) -> anyhow::Result<Answer> {
        let started = Instant::now();
        let begun = self.call_json::<StartQueryRequest>(json!({"QueryStatement": sql})).await?;
        let id = begun.query_id.context("the query has no id")?;
        let mut input = GetQueryResultsRequest {
            query_id: id.clone(),
            max_query_results: Some(1000),
            ..GetQueryResultsRequest::default()
        };
        let mut page = loop {
            let page = self.call(&input).await?;
            match page.query_status {
                Some(QueryStatus::Queued | QueryStatus::Running) => {}
                Some(QueryStatus::Finished) => break page,
                status => bail!("query {id} is {status:?}: {}", page.error_message.unwrap_or_default()),
            }
            if started.elapsed() > PATIENCE {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let mut answer = Answer::default();
        loop {
            for row in page.query_result_rows.into_iter().flatten() {
                answer.rows.push(row.into_iter().flatten().map(|(_, text)| Some(text)).collect());
            }
            let Some(token) = page.next_token else { break };
            input.next_token = Some(token);
            page = self.call(&input).await?;
        }
        answer.elapsed = started.elapsed();
        let described = self.call_json::<DescribeQueryRequest>(json!({"QueryId": id})).await?;
        let described = serde_json::to_value(&described)?;
        let statistic = |name: &str| described["QueryStatistics"][name].as_u64().unwrap_or_default();
        answer.execution_millis = statistic("ExecutionTimeInMillis");
        answer.bytes_scanned = statistic("BytesScanned");
        Ok(answer)
    }

    /// The one number that a question answers.
    pub async fn number(&self, sql: &str) -> anyhow::Result<u64> {
        let answer = self.query(sql).await?;
        let cell = answer.rows.first().and_then(|row| row.first()).and_then(Option::as_deref);
        cell.context("no answer")?.parse().context("the answer is no number")
    }
}

/// The id at the end of a store's ARN, as SQL names it.
pub fn store_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
