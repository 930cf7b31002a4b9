//! What was measured of the gateway, and the verdicts over it.

use serde::Serialize;
use serde_json::Value;

use crate::put::load::Outcome;

/// Recorded calls a second that are asked for.
const TARGET: f64 = 15_000.0;
/// Milliseconds that the gateway may add, at p50 and p99.
const ADDED: (f64, f64) = (0.5, 2.0);
/// The share of the direct speed that uploads and downloads must reach.
const SHARE: f64 = 0.9;
/// Megabytes of memory that a long body may cost.
const GROWTH: f64 = 64.0;

/// What is saved.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Calls a second of the steady load.
    pub rate: f64,
    /// Megabytes of a long body.
    pub megabytes: u64,
    /// Straight to the upstream, at the steady rate.
    pub direct: Outcome,
    /// Each policy.
    pub fail_open: Own,
    pub fail_closed: Own,
    /// Long bodies as fast as they go.
    #[serde(flatten)]
    pub loopback: Bodies,
    /// Long bodies at the speed of a network.
    pub network: Bodies,
    /// Long bodies between boto3 and a whole S3 server: seconds as in [`Bodies`], without the relay.
    pub whole: Value,
    /// Gigabits a second of that network.
    pub gigabits: f64,
    /// The most memory of the server before and after uploads and downloads.
    pub memory_before: u64,
    pub memory: u64,
}

/// One policy.
#[derive(Debug, Serialize)]
pub struct Own {
    /// At the steady rate.
    pub open: Outcome,
    /// Each call when the one before is answered: the most that goes through.
    pub closed: Outcome,
    /// Calls of both loads, and how many of them are in the event history afterwards.
    pub calls: u64,
    pub recorded: u64,
    /// Processor seconds of the server per million calls of the closed loop.
    pub processor: f64,
    /// The most memory the server has had.
    pub memory: u64,
}

/// Seconds that long bodies take, the best of three.
#[derive(Debug, Serialize)]
pub struct Bodies {
    pub upload_direct: f64,
    pub upload_relay: f64,
    pub upload: f64,
    pub download_direct: f64,
    pub download_relay: f64,
    pub download: f64,
}

impl Bodies {
    /// None has passed.
    pub fn none() -> Self {
        let [upload_direct, upload_relay, upload, download_direct, download_relay, download] = [f64::INFINITY; 6];
        Self { upload_direct, upload_relay, upload, download_direct, download_relay, download }
    }
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let number = |path: &str| measured.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let mut verdicts = Vec::new();
    for (policy, path) in [("fail-open", "/fail_open"), ("fail-closed", "/fail_closed")] {
        let added = |share: &str| number(&format!("{path}/open/{share}")) - number(&format!("/direct/{share}"));
        let (p50, p99) = (added("p50"), added("p99"));
        // A gateway makes no call faster: where it seems so, the machine was disturbed and nothing is shown.
        let undisturbed = p50 >= 0.0 && p99 >= 0.0;
        verdicts.push((
            format!("gateway, {policy}: added to calls of 1 KB"),
            format!("at most {} ms at p50, {} ms at p99", ADDED.0, ADDED.1),
            format!("{p50:.2} ms, {p99:.2} ms"),
            undisturbed && p50 <= ADDED.0 && p99 <= ADDED.1,
        ));
        // All that is not recorded is held against this load, and nothing for what was recorded twice.
        let missing = (number(&format!("{path}/calls")) - number(&format!("{path}/recorded"))).max(0.0);
        let rate = (number(&format!("{path}/closed/batches")) - missing) / number(&format!("{path}/closed/seconds"));
        verdicts.push((
            format!("gateway, {policy}: recorded calls"),
            format!("{TARGET:.0} calls/s or more"),
            format!("{rate:.0} calls/s"),
            rate >= TARGET,
        ));
    }
    for way in ["upload", "download"] {
        let share = number(&format!("/whole/{way}_direct")) / number(&format!("/whole/{way}"));
        verdicts.push((
            format!("gateway: {way} of {:.0} MiB, boto3 and Towpath's buckets", number("/megabytes")),
            format!("{:.0} % of the direct speed or more", SHARE * 100.0),
            format!("{:.0} %", share * 100.0),
            share >= SHARE,
        ));
    }
    let at_network = format!(", sent at {:.0} Gbit/s", number("/gigabits"));
    for (place, speed) in [("", ", as fast as memory is copied"), ("/network", &at_network)] {
        for way in ["upload", "download"] {
            let share = number(&format!("{place}/{way}_direct")) / number(&format!("{place}/{way}"));
            let bare = number(&format!("{place}/{way}_direct")) / number(&format!("{place}/{way}_relay"));
            verdicts.push((
                format!("gateway: {way} of {:.0} MiB{speed}", number("/megabytes")),
                format!("{:.0} % of the direct speed or more", SHARE * 100.0),
                format!("{:.0} % (a bare TCP relay: {:.0} %)", share * 100.0, bare * 100.0),
                share >= SHARE,
            ));
        }
    }
    let growth = (number("/memory") - number("/memory_before")) / 1e6;
    verdicts.push((
        "gateway: memory for them".to_owned(),
        format!("at most {GROWTH:.0} MB"),
        format!("{growth:.0} MB"),
        growth <= GROWTH,
    ));
    verdicts
}
