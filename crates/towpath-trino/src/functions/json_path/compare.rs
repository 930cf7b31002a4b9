//! Values of a path: how they compare, and how they are counted with.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Comparison;
use crate::functions::json_text::{Kind, kind, unquoted};

/// A JSON number: whole numbers are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Double(f64),
}

impl Number {
    /// Reads a raw value; none if it is no number.
    pub(super) fn read(raw: &str) -> Option<Self> {
        if kind(raw) != Some(Kind::Number) {
            return None;
        }
        let text = raw.trim();
        text.parse().map(Self::Whole).ok().or_else(|| text.parse().map(Self::Double).ok())
    }

    pub(super) fn json(self) -> String {
        match self {
            Self::Whole(whole) => whole.to_string(),
            Self::Double(double) => serde_json::Number::from_f64(double).map_or("null".to_owned(), |n| n.to_string()),
        }
    }

    /// As an index: the whole part.
    pub(super) fn whole(self) -> Option<i64> {
        match self {
            Self::Whole(whole) => i64::try_from(whole).ok(),
            Self::Double(double) => (double.abs() < 9e15).then_some(double as i64),
        }
    }

    pub(super) fn negated(self) -> Option<Self> {
        Some(match self {
            Self::Whole(whole) => Self::Whole(whole.checked_neg()?),
            Self::Double(double) => Self::Double(-double),
        })
    }

    pub(super) fn absolute(self) -> Option<Self> {
        Some(match self {
            Self::Whole(whole) => Self::Whole(whole.checked_abs()?),
            Self::Double(double) => Self::Double(double.abs()),
        })
    }

    pub(super) fn rounded(self, round: fn(f64) -> f64) -> Self {
        match self {
            Self::Double(double) if round(double).abs() < 9e15 => Self::Whole(round(double) as i128),
            Self::Double(double) => Self::Double(round(double)),
            whole => whole,
        }
    }

    /// The result of an operator; none if there is none.
    pub(super) fn calculated(self, operator: char, other: Self) -> Option<Self> {
        if let (Self::Whole(a), Self::Whole(b)) = (self, other) {
            return match operator {
                '+' => a.checked_add(b),
                '-' => a.checked_sub(b),
                '*' => a.checked_mul(b),
                '/' => a.checked_div(b),
                _ => a.checked_rem(b),
            }
            .map(Self::Whole);
        }
        let (a, b) = (self.double(), other.double());
        let result = match operator {
            '+' => a + b,
            '-' => a - b,
            '*' => a * b,
            '/' => a / b,
            _ => a % b,
        };
        result.is_finite().then_some(Self::Double(result))
    }

    fn double(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Double(double) => double,
        }
    }

    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            _ => self.double().partial_cmp(&other.double()),
        }
    }
}

/// Compares two raw values; unknown if they cannot be compared. Null equals null alone and differs from all else.
pub(super) fn compare(left: &str, operator: Comparison, right: &str) -> Option<bool> {
    let order = match (kind(left)?, kind(right)?) {
        (Kind::Null, Kind::Null) => Ordering::Equal,
        (Kind::Null, _) | (_, Kind::Null) => {
            return match operator {
                Comparison::Equal => Some(false),
                Comparison::Different => Some(true),
                _ => None,
            };
        }
        (Kind::Number, Kind::Number) => Number::read(left)?.order(Number::read(right)?)?,
        (Kind::Text, Kind::Text) => unquoted(Cow::Borrowed(left)).cmp(&unquoted(Cow::Borrowed(right))),
        (Kind::Boolean, Kind::Boolean) => left.trim().starts_with('t').cmp(&right.trim().starts_with('t')),
        _ => return None,
    };
    Some(match operator {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::Different => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    })
}

/// True if any answer is, else unknown if any is, else false.
pub(super) fn truth(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    for answer in answers {
        match answer {
            Some(true) => return Some(true),
            None => unknown = true,
            Some(false) => {}
        }
    }
    if unknown { None } else { Some(false) }
}
