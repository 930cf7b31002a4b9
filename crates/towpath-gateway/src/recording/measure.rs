//! What is measured of recording. Each counter is there from the start, at zero: an alarm that watches how it grows would
//! miss the first loss otherwise.

use metrics::counter;
use towpath_gap::Reason;

const LOST: &str = "towpath_gateway_calls_lost_total";
const REFUSED: &str = "towpath_gateway_calls_refused_total";
const RECORDS: &str = "towpath_gateway_records_total";
const LOG_FAILURES: &str = "towpath_gateway_log_failures_total";
const SPILL_FAILURES: &str = "towpath_gateway_spill_failures_total";
const GAPS_REFUSED: &str = "towpath_gateway_gap_records_refused_total";

/// Shows the counters of recording.
pub(super) fn show() {
    for name in [RECORDS, LOG_FAILURES, SPILL_FAILURES, GAPS_REFUSED] {
        counter!(name).increment(0);
    }
    show_upstream(super::write::SPILL);
}

/// Shows the counters of an upstream.
pub(crate) fn show_upstream(name: &str) {
    counter!(REFUSED, "upstream" => name.to_owned()).increment(0);
    Reason::ALL.into_iter().for_each(|reason| lost(name, reason, 0));
}

/// Calls passed without a record.
pub(super) fn lost(upstream: &str, reason: Reason, calls: u64) {
    counter!(LOST, "upstream" => upstream.to_owned(), "reason" => reason.as_str()).increment(calls);
}

/// A call was refused because it could not be recorded.
pub(super) fn refused(upstream: &str) {
    counter!(REFUSED, "upstream" => upstream.to_owned()).increment(1);
}
