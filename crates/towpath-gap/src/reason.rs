//! Why calls have no record.

use serde::{Deserialize, Serialize};

/// Why calls have no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// As many calls as may wait were waiting.
    #[serde(rename = "QUEUE_FULL")]
    Full,
    /// A call was given up before its record could be made.
    #[serde(rename = "CALL_GIVEN_UP")]
    Broken,
    /// The log refuses the record, and will whenever it is sent.
    #[serde(rename = "RECORD_REFUSED")]
    Refused,
    /// Recording stopped before the record was durable.
    #[serde(rename = "STOPPED")]
    Stopped,
    /// The process ended without stopping in order: killed, or the machine failed.
    #[serde(rename = "UNCLEAN_STOP")]
    Killed,
    /// Records that waited on disk could not be read again.
    #[serde(rename = "SPILL_DAMAGED")]
    Damaged,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [Self::Full, Self::Broken, Self::Refused, Self::Stopped, Self::Killed, Self::Damaged];

    /// Its text in a gap record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "QUEUE_FULL",
            Self::Broken => "CALL_GIVEN_UP",
            Self::Refused => "RECORD_REFUSED",
            Self::Stopped => "STOPPED",
            Self::Killed => "UNCLEAN_STOP",
            Self::Damaged => "SPILL_DAMAGED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_under_the_name_that_a_gap_record_has() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
