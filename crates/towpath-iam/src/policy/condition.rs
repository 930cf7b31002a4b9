//! Conditions of a statement.
//!
//! A condition block is a conjunction: every operator and every key under it must hold. The values of one key are
//! alternatives; for a negated operator none of them may match. A key that the request does not have fails a plain
//! operator and satisfies a negated one; `...IfExists` is satisfied by it; `ForAllValues:` too, `ForAnyValue:` never.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Effect;
use super::context::Facts;
use super::pattern::{ArnPattern, Case, Lookup, Pattern, Variables, Wildcards};

/// One operator with one key and its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) operator: Operator,
    /// As written; compared without regard to case.
    pub(crate) key: String,
    test: Test,
}

/// An operator as written: quantifier, name, `IfExists`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    quantifier: Option<Quantifier>,
    name: Name,
    if_exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    ForAllValues,
    ForAnyValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Null,
    Matching {
        comparison: Comparison,
        negated: bool,
    },
    /// Not known here; kept so that a stored policy with it denies.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Text(Wildcards, Case),
    Arn,
    IpAddress,
    Bool,
    Numeric(Order),
    Date(Order),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The values of a condition, ready to be compared.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    Text(Vec<Pattern>, Case),
    Arn(Vec<ArnPattern>),
    Bools(Vec<bool>),
    Networks(Vec<IpNet>),
    Numbers(Vec<f64>, Order),
    Dates(Vec<Timestamp>, Order),
    Absent(Vec<bool>),
    Unknown,
}

impl Operator {
    /// Parses the name of an operator; one that is not known is [`Name::Unknown`].
    pub(crate) fn parse(text: &str) -> Self {
        let (quantifier, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Quantifier::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::ForAnyValue), rest),
            _ => (None, text),
        };
        let (base, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |base| (base, true));
        let name = name(base);
        // A check for presence has no variant that minds presence, and none over several values.
        let name = if name == Name::Null && (if_exists || quantifier.is_some()) { Name::Unknown } else { name };
        Self { quantifier, name, if_exists }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.name != Name::Unknown
    }

    /// True for plain `StringEquals`.
    pub(crate) fn is_string_equals(&self) -> bool {
        *self == Self::parse("StringEquals")
    }

    fn negated(&self) -> bool {
        matches!(self.name, Name::Matching { negated: true, .. })
    }
}

fn name(base: &str) -> Name {
    use Comparison::{Arn, Bool, Date, IpAddress, Numeric, Text};
    let plain = |comparison| Name::Matching { comparison, negated: false };
    let negated = |comparison| Name::Matching { comparison, negated: true };
    match base {
        "StringEquals" => plain(Text(Wildcards::No, Case::Sensitive)),
        "StringNotEquals" => negated(Text(Wildcards::No, Case::Sensitive)),
        "StringEqualsIgnoreCase" => plain(Text(Wildcards::No, Case::Insensitive)),
        "StringNotEqualsIgnoreCase" => negated(Text(Wildcards::No, Case::Insensitive)),
        "StringLike" => plain(Text(Wildcards::Yes, Case::Sensitive)),
        "StringNotLike" => negated(Text(Wildcards::Yes, Case::Sensitive)),
        // Both pairs mean the same.
        "ArnEquals" | "ArnLike" => plain(Arn),
        "ArnNotEquals" | "ArnNotLike" => negated(Arn),
        "IpAddress" => plain(IpAddress),
        "NotIpAddress" => negated(IpAddress),
        "Bool" => plain(Bool),
        "NumericEquals" => plain(Numeric(Order::Equal)),
        "NumericNotEquals" => negated(Numeric(Order::Equal)),
        "NumericLessThan" => plain(Numeric(Order::Less)),
        "NumericLessThanEquals" => plain(Numeric(Order::LessOrEqual)),
        "NumericGreaterThan" => plain(Numeric(Order::Greater)),
        "NumericGreaterThanEquals" => plain(Numeric(Order::GreaterOrEqual)),
        "DateEquals" => plain(Date(Order::Equal)),
        "DateNotEquals" => negated(Date(Order::Equal)),
        "DateLessThan" => plain(Date(Order::Less)),
        "DateLessThanEquals" => plain(Date(Order::LessOrEqual)),
        "DateGreaterThan" => plain(Date(Order::Greater)),
        "DateGreaterThanEquals" => plain(Date(Order::GreaterOrEqual)),
        "Null" => Name::Null,
        _ => Name::Unknown,
    }
}

impl Condition {
    /// Makes a condition of the operator, the key and the values as written; the error says which value is wrong.
    pub(crate) fn new(
        operator: Operator,
        key: &str,
        values: &[String],
        variables: Variables,
    ) -> Result<Self, (usize, String)> {
        let test = match operator.name {
            Name::Unknown => Test::Unknown,
            Name::Null => Test::Absent(each(values, boolean)?),
            Name::Matching { comparison, .. } => match comparison {
                Comparison::Text(wildcards, case) => {
                    Test::Text(each(values, |value| Pattern::compile(value, wildcards, variables))?, case)
                }
                Comparison::Bool => Test::Bools(each(values, boolean)?),
                Comparison::Arn => Test::Arn(each(values, |value| ArnPattern::compile(value, variables))?),
                Comparison::IpAddress => Test::Networks(each(values, network)?),
                Comparison::Numeric(order) => Test::Numbers(each(values, number)?, order),
                Comparison::Date(order) => Test::Dates(each(values, date)?, order),
            },
        };
        Ok(Self { operator, key: key.to_owned(), test })
    }

    /// Says whether the condition holds for a request, as part of a statement with `effect`.
    ///
    /// What cannot be decided never allows: an unknown operator holds in a Deny and fails in an Allow. A variable
    /// without a value matches nothing, and an Allow that depends on it fails.
    pub(crate) fn holds(&self, facts: &Facts<'_>, effect: Effect) -> bool {
        let found = facts.get(&self.key);
        match &self.test {
            Test::Unknown => return effect == Effect::Deny,
            Test::Absent(expected) => return expected.contains(&found.is_none()),
            _ => {}
        }
        let negated = self.operator.negated();
        let Some(found) = found else {
            return match self.operator.quantifier {
                None => self.operator.if_exists || negated,
                Some(Quantifier::ForAllValues) => true,
                Some(Quantifier::ForAnyValue) => false,
            };
        };

        let lookup = |key: &str| facts.single(key);
        let matched: Vec<_> = found.iter().map(|value| self.test.matches(value, &lookup)).collect();
        if effect == Effect::Allow && matched.contains(&None) {
            return false;
        }
        let hit = matched.contains(&Some(true));
        let miss = matched.iter().any(|matched| *matched != Some(true));
        match (self.operator.quantifier, negated) {
            (None | Some(Quantifier::ForAnyValue), false) => hit,
            (None | Some(Quantifier::ForAllValues), true) => !hit,
            (Some(Quantifier::ForAllValues), false) => !miss,
            (Some(Quantifier::ForAnyValue), true) => miss,
        }
    }
}

impl Test {
    /// Says whether `value` matches any of the values of the policy; `None` when a variable has no value.
    fn matches(&self, value: &str, lookup: Lookup<'_>) -> Option<bool> {
        match self {
            Self::Text(patterns, case) => any(patterns, |pattern| pattern.matches(value, *case, lookup)),
            Self::Arn(patterns) => any(patterns, |pattern| pattern.matches(value, lookup)),
            Self::Bools(expected) => Some(boolean(value).is_ok_and(|value| expected.contains(&value))),
            Self::Networks(networks) => {
                let address = value.parse::<IpAddr>().ok().map(|address| address.to_canonical());
                Some(address.is_some_and(|address| networks.iter().any(|network| network.contains(&address))))
            }
            Self::Numbers(numbers, order) => {
                let value = number(value).ok();
                Some(value.is_some_and(|value| numbers.iter().any(|number| order.holds(&value, number))))
            }
            Self::Dates(dates, order) => {
                let value = date(value).ok();
                Some(value.is_some_and(|value| dates.iter().any(|date| order.holds(&value, date))))
            }
            Self::Absent(_) | Self::Unknown => Some(false),
        }
    }
}

/// Whether any test is true; `None` when none is and one could not be made.
fn any<T>(items: &[T], test: impl Fn(&T) -> Option<bool>) -> Option<bool> {
    let mut answer = Some(false);
    for item in items {
        match test(item) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => answer = None,
        }
    }
    answer
}

impl Order {
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

fn each<T>(values: &[String], parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, (usize, String)> {
    values.iter().enumerate().map(|(at, value)| parse(value).map_err(|problem| (at, problem))).collect()
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{text:?} is not a number"))
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("{text:?} is neither an IP address nor a range such as 10.0.0.0/8"))
}

/// A time in ISO 8601 with a zone, a date (its first instant in UTC), or seconds since 1970.
fn date(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).map_err(|_| format!("{text:?} is outside the known years"));
    }
    let midnight = text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let midnight = midnight.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    midnight.map(|zoned| zoned.timestamp()).ok_or_else(|| format!("{text:?} is not a time in ISO 8601"))
}
