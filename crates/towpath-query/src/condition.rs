//! What a filter says about a file as a whole: the part of a WHERE clause that can rule out a file without opening it.
//!
//! A [`Condition`] is weaker than the filter it was made from: a file that it rules out holds no row that passes the
//! filter; of a file that it lets through nothing is known. Expressions that it does not understand let everything
//! through, so not understanding one costs time and never rows.

#[cfg(test)]
mod tests;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator};

/// How deep expressions are looked into; deeper parts let everything through.
const MAX_DEPTH: usize = 64;

const DAY_MILLIS: i64 = 86_400_000;

/// A weaker form of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// Lets every file through.
    Unknown,
    /// Rules out every file.
    Never,
    /// All of them hold for a row.
    All(Vec<Condition>),
    /// One of them holds for a row.
    Any(Vec<Condition>),
    /// A text is one of these. Paths are lower case and dotted: `useridentity.accesskeyid`.
    OneOf {
        /// The column or member of a struct.
        path: String,
        /// The texts, at least one.
        values: Vec<String>,
    },
    /// A text lies between these, both included.
    Between {
        /// The column or member of a struct.
        path: String,
        /// The least text.
        low: Option<String>,
        /// The greatest text.
        high: Option<String>,
    },
    /// A timestamp lies between these, both included, in milliseconds since 1970.
    Time {
        /// The column or member of a struct.
        path: String,
        /// The earliest.
        from: Option<i64>,
        /// The latest.
        to: Option<i64>,
    },
}

/// What is known of a group of rows, such as a file.
pub(crate) trait Facts {
    /// False when no row has this text at `path`.
    fn may_hold(&self, path: &str, value: &str) -> bool;

    /// False when no row has a text between `low` and `high` at `path`.
    fn may_hold_between(&self, path: &str, low: Option<&str>, high: Option<&str>) -> bool;

    /// False when no row has a time between `from` and `to` at `path`.
    fn may_hold_time(&self, path: &str, from: Option<i64>, to: Option<i64>) -> bool;
}

impl Condition {
    /// The condition of filters that must all hold.
    pub(crate) fn of_filters<'a>(filters: impl IntoIterator<Item = &'a Expr>) -> Self {
        Self::all(filters.into_iter().map(|filter| Self::of(filter, 0)))
    }

    /// False when no row of the group passes.
    pub(crate) fn may_match(&self, facts: &impl Facts) -> bool {
        match self {
            Self::Unknown => true,
            Self::Never => false,
            Self::All(conditions) => conditions.iter().all(|condition| condition.may_match(facts)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.may_match(facts)),
            Self::OneOf { path, values } => values.iter().any(|value| facts.may_hold(path, value)),
            Self::Between { path, low, high } => facts.may_hold_between(path, low.as_deref(), high.as_deref()),
            Self::Time { path, from, to } => facts.may_hold_time(path, *from, *to),
        }
    }

    /// The texts of which one must stand at `path` in every row that passes, if the condition names them.
    pub(crate) fn values_at(&self, path: &str) -> Option<&[String]> {
        match self {
            Self::OneOf { path: at, values } if at == path => Some(values),
            Self::All(conditions) => conditions.iter().find_map(|condition| condition.values_at(path)),
            _ => None,
        }
    }

    /// Tells each path at which the condition, or a part of it, asks for one of some texts.
    pub(crate) fn each_text(&self, tell: &mut impl FnMut(&str, &[String])) {
        match self {
            Self::OneOf { path, values } => tell(path, values),
            Self::All(conditions) | Self::Any(conditions) => {
                conditions.iter().for_each(|condition| condition.each_text(tell));
            }
            _ => {}
        }
    }

    /// All conditions must hold.
    pub(crate) fn all(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = Vec::new();
        for condition in conditions {
            match condition {
                Self::Unknown => {}
                Self::Never => return Self::Never,
                Self::All(more) => parts.extend(more),
                other => parts.push(other),
            }
        }
        match parts.len() {
            0 => Self::Unknown,
            1 => parts.swap_remove(0),
            _ => Self::All(parts),
        }
    }

    /// One condition must hold.
    fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = Vec::new();
        for condition in conditions {
            match condition {
                Self::Unknown => return Self::Unknown,
                Self::Never => {}
                Self::Any(more) => parts.extend(more),
                other => parts.push(other),
            }
        }
        // `x = 'a' OR x = 'b'` is one list, as `x IN ('a', 'b')`.
        let mut merged: Vec<Self> = Vec::with_capacity(parts.len());
        for part in parts {
            match (merged.last_mut(), part) {
                (Some(Self::OneOf { path, values }), Self::OneOf { path: next, values: more }) if *path == next => {
                    values.extend(more);
                }
                (_, part) => merged.push(part),
            }
        }
        match merged.len() {
            0 => Self::Never,
            1 => merged.swap_remove(0),
            _ => Self::Any(merged),
        }
    }

    fn of(expr: &Expr, depth: usize) -> Self {
        if depth > MAX_DEPTH {
            return Self::Unknown;
        }
        match expr {
            Expr::Alias(alias) => Self::of(&alias.expr, depth + 1),
            Expr::Literal(ScalarValue::Boolean(Some(false) | None), _) => Self::Never,
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Self::all([Self::of(left, depth + 1), Self::of(right, depth + 1)])
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Self::any([Self::of(left, depth + 1), Self::of(right, depth + 1)])
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                compare(left, *op, right).or_else(|| compare(right, op.swap()?, left)).unwrap_or(Self::Unknown)
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                Self::any(list.iter().map(|item| compare(expr, Operator::Eq, item).unwrap_or(Self::Unknown)))
            }
            Expr::Between(Between { expr, negated: false, low, high }) => Self::all(
                [compare(expr, Operator::GtEq, low), compare(expr, Operator::LtEq, high)]
                    .map(|side| side.unwrap_or(Self::Unknown)),
            ),
            Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
                like(expr, pattern).unwrap_or(Self::Unknown)
            }
            Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "starts_with" => {
                match args.as_slice() {
                    [text, prefix] => prefixed(text, prefix).unwrap_or(Self::Unknown),
                    _ => Self::Unknown,
                }
            }
            Expr::IsTrue(expr) => Self::of(expr, depth + 1),
            _ => Self::Unknown,
        }
    }
}

/// `left op right` where `left` is a path and `right` a literal.
fn compare(left: &Expr, op: Operator, right: &Expr) -> Option<Condition> {
    let Expr::Literal(value, _) = right else { return None };
    if value.is_null() {
        // A comparison with NULL passes no row, but IS NOT DISTINCT FROM does.
        let plain = matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        return plain.then_some(Condition::Never);
    }
    let op = if op == Operator::IsNotDistinctFrom { Operator::Eq } else { op };
    if let Some(text) = text_of(value) {
        let path = text_path(left)?;
        let text = || Some(text.to_owned());
        return match op {
            Operator::Eq => Some(Condition::OneOf { path, values: vec![text()?] }),
            Operator::Lt | Operator::LtEq => Some(Condition::Between { path, low: None, high: text() }),
            Operator::Gt | Operator::GtEq => Some(Condition::Between { path, low: text(), high: None }),
            _ => None,
        };
    }
    let (first, last) = millis_of(value)?;
    let (path, to_day) = time_path(left, value)?;
    // A day stands for all of its milliseconds.
    let (first, last) = if to_day { (first, last) } else { (first, last.min(first.saturating_add(1))) };
    match op {
        Operator::Eq => Some(Condition::Time { path, from: Some(first), to: Some(last) }),
        Operator::Lt | Operator::LtEq => Some(Condition::Time { path, from: None, to: Some(last) }),
        Operator::Gt | Operator::GtEq => Some(Condition::Time { path, from: Some(first), to: None }),
        _ => None,
    }
}

fn like(expr: &Expr, pattern: &Expr) -> Option<Condition> {
    let Expr::Literal(pattern, _) = pattern else { return None };
    let pattern = text_of(pattern)?;
    let prefix = &pattern[..pattern.find(['%', '_']).unwrap_or(pattern.len())];
    between_prefix(text_path(expr)?, prefix)
}

fn prefixed(expr: &Expr, prefix: &Expr) -> Option<Condition> {
    let Expr::Literal(prefix, _) = prefix else { return None };
    between_prefix(text_path(expr)?, text_of(prefix)?)
}

fn between_prefix(path: String, prefix: &str) -> Option<Condition> {
    if prefix.is_empty() || prefix.contains('\\') {
        return None;
    }
    // No text that begins with the prefix is greater than the prefix followed by the greatest character.
    let high = format!("{prefix}{}", char::MAX);
    Some(Condition::Between { path, low: Some(prefix.to_owned()), high: Some(high) })
}

/// The dotted path of a column or a member of a struct, seen through casts from text to text.
fn text_path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Cast(cast) if is_text(cast.field.data_type()) => text_path(&cast.expr),
        Expr::TryCast(cast) if is_text(cast.field.data_type()) => text_path(&cast.expr),
        other => path_of(other),
    }
}

/// The path of a timestamp, seen through casts that keep the instant; true when the cast cuts it to its day.
fn time_path(expr: &Expr, value: &ScalarValue) -> Option<(String, bool)> {
    if let Some(moment) = day_of(expr) {
        return Some((path_of(moment)?, true));
    }
    let compared_as = match expr {
        Expr::Cast(cast) => Some((cast.field.data_type(), &cast.expr)),
        Expr::TryCast(cast) => Some((cast.field.data_type(), &cast.expr)),
        _ => None,
    };
    match compared_as {
        None => Some((path_of(expr)?, matches!(value, ScalarValue::Date32(_)))),
        Some((DataType::Date32, inner)) => Some((path_of(inner)?, true)),
        Some((DataType::Timestamp(_, zone), inner)) if is_utc(zone.as_deref()) => Some((path_of(inner)?, false)),
        Some(_) => None,
    }
}

/// The argument of `date(..)`, which cuts a timestamp to its day.
fn day_of(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "date" => match args.as_slice() {
            [moment] => Some(moment),
            _ => None,
        },
        _ => None,
    }
}

fn path_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Alias(alias) => path_of(&alias.expr),
        Expr::Column(column) => Some(column.name.to_ascii_lowercase()),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "get_field" => {
            let (base, members) = args.split_first()?;
            let mut path = path_of(base)?;
            for member in members {
                let Expr::Literal(member, _) = member else { return None };
                path.push('.');
                path.push_str(&text_of(member)?.to_ascii_lowercase());
            }
            Some(path)
        }
        _ => None,
    }
}

fn text_of(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Dictionary(_, value) => text_of(value),
        other => other.try_as_str().flatten(),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View)
}

fn is_utc(zone: Option<&str>) -> bool {
    matches!(zone, None | Some("UTC" | "+00:00" | "Z"))
}

/// The first and the last millisecond that a literal can stand for.
fn millis_of(value: &ScalarValue) -> Option<(i64, i64)> {
    let around = |value: i64, per_milli: i64| (value.div_euclid(per_milli), value.div_euclid(per_milli) + 1);
    match value {
        ScalarValue::TimestampSecond(Some(v), zone) if is_zone_free(zone) => {
            let millis = v.checked_mul(1000)?;
            Some((millis, millis))
        }
        ScalarValue::TimestampMillisecond(Some(v), _) => Some((*v, *v)),
        ScalarValue::TimestampMicrosecond(Some(v), _) => Some(around(*v, 1000)),
        ScalarValue::TimestampNanosecond(Some(v), _) => Some(around(*v, 1_000_000)),
        ScalarValue::Date32(Some(day)) => {
            let first = i64::from(*day) * DAY_MILLIS;
            Some((first, first + DAY_MILLIS - 1))
        }
        _ => None,
    }
}

fn is_zone_free(zone: &Option<std::sync::Arc<str>>) -> bool {
    is_utc(zone.as_deref())
}
