//! `towpath-bench scale`: many stores, many queries in history, many queries at a time, and no cliff.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::{Value, json};
use towpath_wire::cloudtrail::{ListEventDataStoresRequest, ListQueriesRequest};

use crate::api::{Api, store_id};
use crate::put::scratch;
use crate::results;
use crate::server::Server;

/// A median may grow by this factor from the first to the last tenth before it counts as a cliff.
const CLIFF: f64 = 3.0;

/// `towpath-bench scale`.
#[derive(Debug, clap::Args)]
pub struct Scale {
    /// Event data stores
    #[arg(long, default_value_t = 1000)]
    stores: usize,
    /// Queries in history
    #[arg(long, default_value_t = 10_000)]
    queries: usize,
    /// Queries at a time
    #[arg(long, default_value_t = 100)]
    concurrent: usize,
    /// Stores take live management events too, so that each call of the benchmark is recorded in all of them
    #[arg(long)]
    live: bool,
}

#[derive(Debug, Serialize)]
struct Measured {
    live: bool,
    stores: usize,
    queries: usize,
    concurrent: usize,
    /// CreateEventDataStore: the first and the last tenth, in milliseconds.
    create: Growth,
    /// A query from StartQuery to its rows: likewise.
    query: Growth,
    /// ListEventDataStores and ListQueries with full history: the median of a page.
    list_stores_millis: f64,
    list_queries_millis: f64,
    /// Queries a second one after the other, and that many at a time.
    alone_per_second: f64,
    concurrent_per_second: f64,
    concurrent_median_millis: f64,
    concurrent_longest_millis: f64,
    start_seconds: f64,
    server_memory: u64,
}

/// Medians, and what 99 of 100 stay within, of the first and the last tenth.
#[derive(Debug, Serialize)]
struct Growth {
    first: f64,
    last: f64,
    first_p99: f64,
    last_p99: f64,
}

impl Scale {
    /// Measures on a server of its own.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.stores >= 20 && self.queries >= 100 && self.concurrent >= 1, "that is too little to see a cliff");
        let folder = tempfile::Builder::new().prefix("scale").tempdir_in(scratch()?)?;
        let data = folder.path().join("data");
        let stores = format!("quotas.event_data_stores={}", self.stores + 10);
        let queries = format!("quotas.concurrent_queries={}", self.concurrent + 10);
        let server = Server::start(&data, &[&stores, &queries])?;
        let api = server.api()?;

        let (mut arns, mut times) = (Vec::new(), Vec::new());
        for number in 0..self.stores {
            let started = Instant::now();
            arns.push(api.create_store(&format!("bench-{number}"), &["Management"], self.live).await?);
            times.push(started.elapsed());
        }
        let create = growth(&times);
        eprintln!("{} stores: {create:?}", self.stores);

        let question = format!(
            "SELECT eventname, count(*) AS events FROM {} GROUP BY eventname ORDER BY 2 DESC, 1 LIMIT 5",
            store_id(&arns[0])
        );
        let mut times = Vec::new();
        let started = Instant::now();
        for _ in 0..self.queries {
            times.push(api.query(&question).await?.elapsed);
        }
        let alone_per_second = self.queries as f64 / started.elapsed().as_secs_f64();
        let query = growth(&times);
        eprintln!("{} queries: {query:?}", self.queries);

        let list_stores_millis = millis(&pages(&api, "stores", 20).await?);
        let list_queries_millis = millis(&pages(&api, &arns[0], 20).await?);

        let rounds = self.concurrent * 5;
        let started = Instant::now();
        let times: Vec<Duration> = stream::iter((0..rounds).map(|_| api.query(&question)))
            .buffer_unordered(self.concurrent)
            .map_ok(|answer| answer.elapsed)
            .try_collect()
            .await?;
        let concurrent_per_second = rounds as f64 / started.elapsed().as_secs_f64();
        let server_memory = server.peak_memory()?;
        server.stop()?;
        let again = Server::start(&data, &[&stores, &queries])?;
        let start_seconds = again.started_in().as_secs_f64();
        again.stop()?;
        results::save(
            "scale",
            &Measured {
                live: self.live,
                stores: self.stores,
                queries: self.queries,
                concurrent: self.concurrent,
                create,
                query,
                list_stores_millis,
                list_queries_millis,
                alone_per_second,
                concurrent_per_second,
                concurrent_median_millis: millis(&times),
                concurrent_longest_millis: times.iter().max().map_or(0.0, |time| time.as_secs_f64() * 1e3),
                start_seconds,
                server_memory,
            },
        )
    }
}

/// How long each of a few pages takes: of stores, or of the queries of a store.
async fn pages(api: &Api, of: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
    let (mut times, mut token) = (Vec::new(), Value::Null);
    for _ in 0..count {
        let started = Instant::now();
        let mut input = json!({"MaxResults": 50});
        if !token.is_null() {
            input["NextToken"] = token;
        }
        let page = if of == "stores" {
            serde_json::to_value(api.call_json::<ListEventDataStoresRequest>(input).await?)?
        } else {
            input["EventDataStore"] = of.into();
            serde_json::to_value(api.call_json::<ListQueriesRequest>(input).await?)?
        };
        times.push(started.elapsed());
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    Ok(times)
}

fn growth(times: &[Duration]) -> Growth {
    let tenth = (times.len() / 10).max(1);
    let (early, late) = (&times[..tenth], &times[times.len() - tenth..]);
    Growth {
        first: millis(early),
        last: millis(late),
        first_p99: quantile(early, 0.99),
        last_p99: quantile(late, 0.99),
    }
}

/// The median in milliseconds.
fn millis(times: &[Duration]) -> f64 {
    quantile(times, 0.5)
}

/// What this share of the times stays within, in milliseconds.
fn quantile(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let number = |path: &str| measured.pointer(path).and_then(Value::as_f64).unwrap_or_default();
    let count = |name: &str| measured[name].as_u64().unwrap_or_default();
    let grows = |name: &str, what: String| {
        let (first, last) = (number(&format!("/{name}/first")), number(&format!("/{name}/last")));
        let (early, late) = (number(&format!("/{name}/first_p99")), number(&format!("/{name}/last_p99")));
        let text = format!("median {first:.1} ms (p99 {early:.1}) at first, {last:.1} ms (p99 {late:.1}) at last");
        (what, format!("at most {CLIFF} times slower at the end"), text, first > 0.0 && last <= CLIFF * first)
    };
    let (alone, together) = (number("/alone_per_second"), number("/concurrent_per_second"));
    vec![
        grows("create", format!("creating {} stores", count("stores"))),
        grows("query", format!("{} queries in history", count("queries"))),
        (
            format!("{} queries at a time", count("concurrent")),
            "no fewer a second than one after the other".to_owned(),
            format!("{together:.0}/s against {alone:.0}/s, longest {:.0} ms", number("/concurrent_longest_millis")),
            together >= alone && alone > 0.0,
        ),
        (
            "server start with all of that".to_owned(),
            "under 2 s".to_owned(),
            format!("{:.2} s", number("/start_seconds")),
            number("/start_seconds") < 2.0 && measured["start_seconds"].is_number(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_compares_the_medians_of_the_first_and_the_last_tenth() {
        let times: Vec<Duration> = (0..100).map(Duration::from_millis).collect();
        let growth = growth(&times);
        assert_eq!((growth.first, growth.last), (5.0, 95.0));
        assert_eq!((growth.first_p99, growth.last_p99), (9.0, 99.0));
    }
}
