//! What is measured of an upstream.

use std::time::Instant;

use http::StatusCode;
use metrics::{Counter, Histogram};

use crate::recording;

/// The measurements of one upstream, looked up once and not for each call.
pub struct Measures {
    by_class: [Counter; 5],
    turned_away: Counter,
    seconds: Histogram,
}

impl Measures {
    /// The measurements of the upstream called `name`.
    pub fn of(name: &str) -> Self {
        recording::measure::show_upstream(name);
        let class = |status: &'static str| metrics::counter!("towpath_gateway_calls_total", "upstream" => name.to_owned(), "status" => status);
        Self {
            by_class: [class("1xx"), class("2xx"), class("3xx"), class("4xx"), class("5xx")],
            turned_away: metrics::counter!("towpath_gateway_turned_away_total", "upstream" => name.to_owned()),
            seconds: metrics::histogram!("towpath_gateway_answer_seconds", "upstream" => name.to_owned()),
        }
    }

    /// A call was answered; its head took from `began` until now.
    pub fn answered(&self, status: StatusCode, began: Instant) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.by_class[class].increment(1);
        self.seconds.record(began.elapsed().as_secs_f64());
    }

    /// A call was turned away because too many are under way.
    pub fn turned_away(&self) {
        self.turned_away.increment(1);
    }
}
