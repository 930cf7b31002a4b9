//! What the manifest says about a file, in the words of a [`Condition`](crate::condition::Condition).

use towpath_lake::{DataFile, EVENT_TIME};
use towpath_model::EventTime;

use crate::condition::Facts;

/// A file of the manifest.
pub(crate) struct FileFacts<'a>(pub(crate) &'a DataFile);

impl Facts for FileFacts<'_> {
    fn may_hold(&self, path: &str, value: &str) -> bool {
        self.0.may_match(path, &[value])
    }

    fn may_hold_between(&self, path: &str, low: Option<&str>, high: Option<&str>) -> bool {
        let Some(stats) = self.0.columns.get(path) else { return true };
        let inside = |value: &str| low.is_none_or(|low| low <= value) && high.is_none_or(|high| value <= high);
        match &stats.values {
            Some(values) => values.iter().any(inside),
            None => {
                low.zip(stats.max.as_deref()).is_none_or(|(low, max)| low <= max)
                    && high.zip(stats.min.as_deref()).is_none_or(|(high, min)| min <= high)
            }
        }
    }

    fn may_hold_time(&self, path: &str, from: Option<i64>, to: Option<i64>) -> bool {
        if path != EVENT_TIME {
            return true;
        }
        let (first, last) = self.0.times;
        from.is_none_or(|from| EventTime::as_millis(last) >= from)
            && to.is_none_or(|to| EventTime::as_millis(first) <= to)
    }
}
