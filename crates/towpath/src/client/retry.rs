//! When and after which pause a call is tried again.

use std::time::Duration;

use rand::Rng;

use super::error::ClientError;

/// How patient a client is.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Tries in all, the first included.
    pub tries: u32,
    /// Tries while the server cannot be reached.
    pub unreachable_tries: u32,
    /// The first pause, doubled with each further try.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Retry {
    /// For a person who waits: gives up within seconds, at once if there is no server.
    pub const PROMPT: Self =
        Self { tries: 5, unreachable_tries: 2, pause: Duration::from_millis(100), longest: Duration::from_secs(5) };

    /// For long work: outlives a restart of the server.
    pub const PATIENT: Self =
        Self { tries: 10, unreachable_tries: 8, pause: Duration::from_millis(100), longest: Duration::from_secs(10) };

    /// For work that tries again by itself.
    pub const ONCE: Self =
        Self { tries: 1, unreachable_tries: 1, pause: Duration::from_millis(100), longest: Duration::from_secs(1) };

    /// The pause before the next try, or `None` to give up. `tried` counts the tries so far; `repeatable` says that
    /// carrying the call out twice does no harm.
    pub fn next(&self, error: &ClientError, tried: u32, repeatable: bool) -> Option<Duration> {
        let tries = match error {
            ClientError::Unreachable { .. } => self.unreachable_tries,
            error if error.is_throttling() => self.tries,
            error if error.is_ambiguous() && repeatable => self.tries,
            _ => 0,
        };
        (tried < tries).then(|| self.pause_after(tried))
    }

    /// A random pause, so that clients that were refused together do not come back together.
    pub fn pause_after(&self, tried: u32) -> Duration {
        let most = self.pause.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(self.longest);
        most.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// True if carrying the operation out twice is the same as once, or is noticed by the server.
pub fn is_repeatable(operation: &str) -> bool {
    !(operation.starts_with("Create") || operation == "StartQuery" || operation == "StartImport")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn refused(status: u16, code: &str) -> ClientError {
        ClientError::Refused {
            operation: "X".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn throttling_is_always_tried_again_and_failure_only_where_it_does_no_harm() {
        let retry = Retry::PROMPT;
        assert!(retry.next(&refused(400, "ThrottlingException"), 1, false).is_some());
        assert!(retry.next(&refused(500, "InternalFailure"), 1, true).is_some());
        assert!(retry.next(&refused(500, "InternalFailure"), 1, false).is_none());
        assert!(retry.next(&refused(400, "ValidationException"), 1, true).is_none());
        assert!(retry.next(&refused(400, "ThrottlingException"), 5, true).is_none());
        assert!(!is_repeatable("StartQuery") && !is_repeatable("CreateChannel") && is_repeatable("GetChannel"));
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let retry = Retry::PATIENT;
        for tried in 1..40 {
            assert!(retry.pause_after(tried) <= retry.longest);
        }
        assert!(retry.pause_after(1) <= Duration::from_millis(100));
        assert!(retry.pause_after(6) >= Duration::from_millis(1_600));
    }
}
