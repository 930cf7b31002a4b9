//! ISO 8601.

use crate::functions::calendar::{DAY, date_text, parse_moment, timestamp_text};
use crate::functions::scalar::Row;

pub(super) fn iso_moment(text: &str) -> Result<i64, String> {
    parse_moment(text).map(|m| m.instant()).ok_or_else(|| format!("'{text}' is not an ISO 8601 timestamp"))
}

pub(super) fn iso_text(r: &Row<'_>) -> String {
    let wall = r.wall(0);
    let text = timestamp_text(wall, 3).replace(' ', "T");
    if r.is_date(0) {
        return date_text(wall.div_euclid(DAY));
    }
    let minutes = (wall - r.instant(0)) / 60_000_000;
    match (r.is_zoned(0), minutes) {
        (false, _) => text,
        (true, 0) => format!("{text}Z"),
        (true, m) => format!("{text}{}{:02}:{:02}", if m < 0 { '-' } else { '+' }, m.abs() / 60, m.abs() % 60),
    }
}
