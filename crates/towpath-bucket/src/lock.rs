//! Object lock: what may not be deleted or overwritten, until when, and who may change that.
//!
//! An object in *compliance* mode cannot be removed before its time by anyone, the root of the account included. In
//! *governance* mode a caller with `s3:BypassGovernanceRetention` who asks for it may. A legal hold has no end and is
//! taken off with `s3:PutObjectLegalHold`. A bucket may say how long every new object is kept.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How strict a retention is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockMode {
    /// May be bypassed by those who are allowed to.
    #[serde(rename = "GOVERNANCE")]
    Governance,
    /// Holds against everyone.
    #[serde(rename = "COMPLIANCE")]
    Compliance,
}

impl LockMode {
    /// As S3 writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// Reads what S3 writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "GOVERNANCE" => Some(Self::Governance),
            "COMPLIANCE" => Some(Self::Compliance),
            _ => None,
        }
    }
}

/// Until when an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly.
    pub mode: LockMode,
    /// Until when.
    pub until: Timestamp,
}

/// The locks of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Until when it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// True while it is on hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
}

impl Lock {
    /// True when the object has neither.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Says whether the object may be deleted or overwritten at `now`.
    pub fn permits_removal(&self, now: Timestamp, bypass: Bypass) -> bool {
        let kept = self
            .retention
            .is_some_and(|kept| kept.until > now && (kept.mode == LockMode::Compliance || bypass == Bypass::No));
        !kept && !self.legal_hold
    }

    /// Says whether the retention may become `new` at `now`. It may always last longer; all else is a bypass, and
    /// compliance has none.
    pub fn permits_retention(&self, new: Option<Retention>, now: Timestamp, bypass: Bypass) -> bool {
        let Some(old) = self.retention.filter(|kept| kept.until > now) else {
            return true;
        };
        let longer =
            new.is_some_and(|new| new.until >= old.until && (new.mode == old.mode || new.mode == LockMode::Compliance));
        longer || (old.mode == LockMode::Governance && bypass == Bypass::Yes)
    }
}

/// Whether the caller asked to bypass governance and may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// Governance holds.
    No,
    /// It is bypassed.
    Yes,
}

/// How long new objects of a bucket are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How strictly.
    pub mode: LockMode,
    /// For how long.
    pub period: Period,
}

/// A length of time as S3 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// Days.
    Days(u32),
    /// Years of 365 days.
    Years(u32),
}

impl Period {
    /// Most days of a period: 100 years.
    pub const MAX_DAYS: u32 = 36_500;

    /// The days of the period; `None` if it is empty or longer than [`Period::MAX_DAYS`].
    pub fn days(self) -> Option<u32> {
        let days = match self {
            Self::Days(days) => Some(days),
            Self::Years(years) => years.checked_mul(365),
        };
        days.filter(|days| (1..=Self::MAX_DAYS).contains(days))
    }
}

impl DefaultRetention {
    /// The retention of an object that is stored at `now`.
    pub fn from(self, now: Timestamp) -> Retention {
        let days = self.period.days().unwrap_or(Period::MAX_DAYS);
        let until = now.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(Timestamp::MAX);
        Retention { mode: self.mode, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn kept(mode: LockMode, until: i64) -> Lock {
        Lock { retention: Some(Retention { mode, until: at(until) }), legal_hold: false }
    }

    #[test]
    fn compliance_holds_against_everyone_until_its_time() {
        let lock = kept(LockMode::Compliance, 100);
        assert!(!lock.permits_removal(at(99), Bypass::Yes));
        assert!(lock.permits_removal(at(100), Bypass::No));
        let shorter = Some(Retention { mode: LockMode::Compliance, until: at(99) });
        let governance = Some(Retention { mode: LockMode::Governance, until: at(200) });
        assert!(!lock.permits_retention(shorter, at(1), Bypass::Yes));
        assert!(!lock.permits_retention(governance, at(1), Bypass::Yes));
        assert!(!lock.permits_retention(None, at(1), Bypass::Yes));
        let longer = Some(Retention { mode: LockMode::Compliance, until: at(101) });
        assert!(lock.permits_retention(longer, at(1), Bypass::No));
    }

    #[test]
    fn governance_is_bypassed_by_those_who_may() {
        let lock = kept(LockMode::Governance, 100);
        assert!(!lock.permits_removal(at(1), Bypass::No));
        assert!(lock.permits_removal(at(1), Bypass::Yes));
        assert!(!lock.permits_retention(None, at(1), Bypass::No));
        assert!(lock.permits_retention(None, at(1), Bypass::Yes));
    }

    #[test]
    fn a_legal_hold_has_no_end_and_no_bypass() {
        let lock = Lock { retention: None, legal_hold: true };
        assert!(!lock.permits_removal(Timestamp::MAX, Bypass::Yes));
    }

    #[test]
    fn a_default_period_is_counted_from_the_moment_of_storing() {
        let rule = DefaultRetention { mode: LockMode::Compliance, period: Period::Years(1) };
        assert_eq!(rule.from(at(0)).until, at(365 * 86_400));
        assert_eq!(Period::Days(0).days(), None);
        assert_eq!(Period::Years(101).days(), None);
        assert_eq!(Period::Years(u32::MAX).days(), None);
    }
}
