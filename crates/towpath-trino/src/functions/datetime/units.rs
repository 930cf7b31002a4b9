//! Time units, and the arithmetic of `date_add`, `date_diff` and `date_trunc`.

use crate::functions::calendar::{DAY, add_months, day_of_week, days_of, split};
use crate::functions::scalar::{Out, Row};

/// A unit of `date_add`, `date_diff` and `date_trunc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Micros(i64),
    Days(i64),
    Months(i64),
}

/// Reads a unit by name.
pub(crate) fn unit(name: &str) -> Result<Unit, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "millisecond" => Unit::Micros(1000),
        "second" => Unit::Micros(1_000_000),
        "minute" => Unit::Micros(60_000_000),
        "hour" => Unit::Micros(3_600_000_000),
        "day" => Unit::Days(1),
        "week" => Unit::Days(7),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        other => return Err(format!("'{other}' is not a valid time unit")),
    })
}

/// Moves wall-clock microseconds by a number of units.
pub(crate) fn add(wall: i64, unit: Unit, amount: i64) -> Result<i64, String> {
    let moved = match unit {
        Unit::Micros(micros) => amount.checked_mul(micros).and_then(|delta| wall.checked_add(delta)),
        Unit::Days(days) => {
            amount.checked_mul(days).and_then(|d| d.checked_mul(DAY)).and_then(|delta| wall.checked_add(delta))
        }
        Unit::Months(months) => {
            let amount = amount.checked_mul(months).filter(|m| m.abs() < 1_000_000);
            amount.map(|months| add_months(wall.div_euclid(DAY), months) * DAY + wall.rem_euclid(DAY))
        }
    };
    moved.filter(|m| m.abs() < i64::MAX / 2).ok_or_else(|| "the result is out of range".into())
}

/// Cuts wall-clock microseconds down to the start of a unit.
pub(crate) fn truncate(wall: i64, name: &str) -> Result<i64, String> {
    let clock = split(wall);
    Ok(match (unit(name)?, name.to_ascii_lowercase().as_str()) {
        (Unit::Micros(micros), _) => wall - wall.rem_euclid(micros),
        (Unit::Days(1), _) => clock.days * DAY,
        (Unit::Days(_), _) => (clock.days - day_of_week(clock.days) + 1) * DAY,
        (_, "month") => days_of(clock.year, clock.month, 1) * DAY,
        (_, "quarter") => days_of(clock.year, (clock.month - 1) / 3 * 3 + 1, 1) * DAY,
        _ => days_of(clock.year, 1, 1) * DAY,
    })
}

pub(super) fn date_diff(r: &Row<'_>) -> Out<i64> {
    let unit = unit(r.text(0))?;
    let (from, to) = match unit {
        Unit::Micros(_) => (r.instant(1), r.instant(2)),
        _ => (r.wall(1), r.wall(2)),
    };
    Ok(Some(match unit {
        Unit::Micros(micros) => to.saturating_sub(from) / micros,
        Unit::Days(days) => to.saturating_sub(from) / (days * DAY),
        Unit::Months(months) => {
            let (a, b) = (split(from), split(to));
            let mut whole = (b.year - a.year) * 12 + b.month - a.month;
            // A month that is begun but not complete does not count.
            let reached = add_months(a.days, whole) * DAY + from.rem_euclid(DAY);
            if whole > 0 && reached > to {
                whole -= 1;
            } else if whole < 0 && reached < to {
                whole += 1;
            }
            whole / months
        }
    }))
}
