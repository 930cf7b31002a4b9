//! Trino types and the Arrow types that carry them.
//!
//! | Trino | Arrow |
//! |---|---|
//! | `varchar` | `Utf8`, `Utf8View`, or a dictionary of one of them |
//! | `json` | `LargeUtf8`: the one text type that tables do not use, so that the type itself is the marker, at any depth |
//! | `timestamp(p)` | `Timestamp` without a zone, or milliseconds with zone `UTC` |
//! | `timestamp(p) with time zone` | microseconds with a zone |
//! | `bigint` | `Int64`, and `UInt64` where DataFusion counts |
//! | `interval ...` | `Interval` of any unit, `Duration` |
//!
//! All other types map one to one.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};

/// The Arrow type of Trino's `json`.
pub(crate) const JSON: DataType = DataType::LargeUtf8;

/// The Arrow type of Trino's `timestamp(3)`.
pub(crate) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// Returns the Arrow type of Trino's `timestamp with time zone` in `zone`.
pub(crate) fn zoned(zone: &str) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
}

/// Returns the Arrow type of Trino's `array(element)`.
pub(crate) fn array_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// Returns the Arrow type of Trino's `map(key, value)`.
pub(crate) fn map_of(key: DataType, value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

/// True for every carrier of `varchar`.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// True for `timestamp with time zone`, as against a plain timestamp.
pub(crate) fn is_zoned(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_)))
}

/// True for integers of any width.
pub(crate) fn is_integer(data_type: &DataType) -> bool {
    data_type.is_integer()
}

/// True for integers, decimals and floating point numbers.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// True for intervals, and for the durations that differences of timestamps are.
pub(crate) fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

/// Returns the key and value types of a map.
pub(crate) fn map_parts(data_type: &DataType) -> Option<(&DataType, &DataType)> {
    let DataType::Map(entries, _) = data_type else { return None };
    let DataType::Struct(fields) = entries.data_type() else { return None };
    Some((fields.first()?.data_type(), fields.get(1)?.data_type()))
}

/// Returns the element type of an array.
pub(crate) fn element(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type())
        }
        _ => None,
    }
}

/// Writes the Trino name of a type, as `typeof` does: `array(row(arn varchar))`.
pub fn trino_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "unknown".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 | DataType::UInt8 => "smallint".into(),
        DataType::Int32 | DataType::UInt16 => "integer".into(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".into(),
        DataType::Float16 | DataType::Float32 => "real".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            format!("decimal({p},{s})")
        }
        DataType::Utf8 | DataType::Utf8View => "varchar".into(),
        DataType::LargeUtf8 => "json".into(),
        DataType::Dictionary(_, value) => trino_type_name(value),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "varbinary".into()
        }
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Time32(TimeUnit::Second) => "time(0)".into(),
        DataType::Time32(_) => "time(3)".into(),
        DataType::Time64(TimeUnit::Nanosecond) => "time(9)".into(),
        DataType::Time64(_) => "time(6)".into(),
        DataType::Timestamp(_, _) if is_zoned(data_type) => "timestamp(3) with time zone".into(),
        DataType::Timestamp(TimeUnit::Second, _) => "timestamp(0)".into(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => "timestamp(3)".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp(6)".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "timestamp(9)".into(),
        DataType::Interval(IntervalUnit::YearMonth) => "interval year to month".into(),
        DataType::Interval(_) | DataType::Duration(_) => "interval day to second".into(),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|f| match f.name().as_str() {
                    "" => trino_type_name(f.data_type()),
                    name => format!("{name} {}", trino_type_name(f.data_type())),
                })
                .collect();
            format!("row({})", fields.join(", "))
        }
        other => match (element(other), map_parts(other)) {
            (Some(item), _) => format!("array({})", trino_type_name(item)),
            (_, Some((key, value))) => format!("map({}, {})", trino_type_name(key), trino_type_name(value)),
            _ => other.to_string().to_lowercase(),
        },
    }
}

/// How deep types may nest in a cast.
const MAX_DEPTH: usize = 16;

/// A Trino type as written in a cast.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TypeName {
    pub(crate) data_type: DataType,
    /// The `n` of `varchar(n)` and `char(n)`.
    pub(crate) length: Option<usize>,
}

/// Reads a Trino type: `bigint`, `array(varchar)`, `map(varchar, json)`, `row(a bigint, b array(double))`,
/// `timestamp(3) with time zone`. Names are matched without regard to case.
pub(crate) fn parse_type(text: &str) -> Result<TypeName, String> {
    let lower = text.to_lowercase();
    let mut words = TypeWords { rest: &lower, depth: 0 };
    let parsed = words.type_name()?;
    match words.rest.trim() {
        "" => Ok(parsed),
        rest => Err(format!("unexpected {rest:?} after a type")),
    }
}

struct TypeWords<'a> {
    rest: &'a str,
    depth: usize,
}

impl TypeWords<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, wanted: &str) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        if self.eat(wanted) { Ok(()) } else { Err(format!("expected {wanted:?} in a type, found {:?}", self.rest)) }
    }

    fn word(&mut self) -> Result<String, String> {
        self.skip_blanks();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let end = quoted.find('"').ok_or("a quoted name does not end")?;
            let word = quoted[..end].to_owned();
            self.rest = &quoted[end + 1..];
            return Ok(word);
        }
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        if end == 0 {
            return Err(format!("expected a type name, found {:?}", self.rest));
        }
        let word = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        Ok(word)
    }

    fn number(&mut self) -> Result<usize, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("expected a number in a type, found {word:?}"))
    }

    fn optional_number(&mut self) -> Result<Option<usize>, String> {
        if !self.eat("(") {
            return Ok(None);
        }
        let number = self.number()?;
        self.expect(")")?;
        Ok(Some(number))
    }

    fn type_name(&mut self) -> Result<TypeName, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("a type nests more than {MAX_DEPTH} levels"));
        }
        let name = self.word()?;
        let mut length = None;
        let data_type = match name.as_str() {
            "boolean" => DataType::Boolean,
            "tinyint" => DataType::Int8,
            "smallint" => DataType::Int16,
            "integer" | "int" => DataType::Int32,
            "bigint" => DataType::Int64,
            "real" => DataType::Float32,
            "double" => {
                self.eat("precision");
                DataType::Float64
            }
            "decimal" | "numeric" | "dec" => self.decimal()?,
            "varchar" | "char" | "character" | "string" => {
                length = self.optional_number()?;
                DataType::Utf8
            }
            "json" => JSON,
            "varbinary" => DataType::Binary,
            "uuid" | "ipaddress" => DataType::Utf8,
            "date" => DataType::Date32,
            "time" => {
                self.optional_number()?;
                DataType::Time64(TimeUnit::Microsecond)
            }
            "timestamp" => self.timestamp()?,
            "interval" => self.interval()?,
            "array" => {
                let (open, close) = if self.eat("<") { ("<", ">") } else { ("(", ")") };
                if open == "(" {
                    self.expect("(")?;
                }
                let item = self.type_name()?.data_type;
                self.expect(close)?;
                array_of(item)
            }
            "map" => {
                let close = if self.eat("<") { ">" } else { ")" };
                if close == ")" {
                    self.expect("(")?;
                }
                let key = self.type_name()?.data_type;
                self.expect(",")?;
                let value = self.type_name()?.data_type;
                self.expect(close)?;
                map_of(key, value)
            }
            "row" => self.row()?,
            other => return Err(format!("unknown type: {other}")),
        };
        self.depth -= 1;
        Ok(TypeName { data_type, length })
    }

    fn decimal(&mut self) -> Result<DataType, String> {
        if !self.eat("(") {
            return Ok(DataType::Decimal128(38, 0));
        }
        let precision = self.number()?;
        let scale = if self.eat(",") { self.number()? } else { 0 };
        self.expect(")")?;
        if precision == 0 || precision > 38 || scale > precision {
            return Err(format!("decimal({precision},{scale}) is not a decimal type"));
        }
        Ok(DataType::Decimal128(precision as u8, scale as i8))
    }

    fn timestamp(&mut self) -> Result<DataType, String> {
        let precision = self.optional_number()?.unwrap_or(3);
        if self.eat("with time zone") || self.zone_words("with") {
            return Ok(zoned("UTC"));
        }
        self.zone_words("without");
        Ok(DataType::Timestamp(
            match precision {
                0..=3 => TimeUnit::Millisecond,
                4..=6 => TimeUnit::Microsecond,
                7..=12 => TimeUnit::Nanosecond,
                _ => return Err(format!("timestamp({precision}) is not a timestamp type")),
            },
            None,
        ))
    }

    fn zone_words(&mut self, first: &str) -> bool {
        let before = self.rest;
        if self.eat(first) && self.eat("time") && self.eat("zone") {
            return true;
        }
        self.rest = before;
        false
    }

    fn interval(&mut self) -> Result<DataType, String> {
        match self.word()?.as_str() {
            "year" => {
                self.expect("to")?;
                self.expect("month")?;
            }
            "day" => {
                self.expect("to")?;
                self.expect("second")?;
            }
            other => return Err(format!("unknown interval type: {other}")),
        }
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn row(&mut self) -> Result<DataType, String> {
        self.expect("(")?;
        let mut fields = Vec::new();
        loop {
            let (before, depth) = (self.rest, self.depth);
            // A field is a name and a type, or a type alone.
            let field = match self.type_name() {
                Ok(alone) if self.rest.trim_start().starts_with([',', ')']) => Field::new("", alone.data_type, true),
                _ => {
                    (self.rest, self.depth) = (before, depth);
                    let name = self.word()?;
                    Field::new(name, self.type_name()?.data_type, true)
                }
            };
            fields.push(field);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(DataType::Struct(fields.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_written_back() {
        for (text, name) in [
            ("BIGINT", "bigint"),
            ("array(varchar)", "array(varchar)"),
            ("map(varchar, json)", "map(varchar, json)"),
            ("ROW(a bigint, B array(double))", "row(a bigint, b array(double))"),
            ("row(varchar, bigint)", "row(varchar, bigint)"),
            ("timestamp(3) with time zone", "timestamp(3) with time zone"),
            ("timestamp", "timestamp(3)"),
            ("timestamp(6)", "timestamp(6)"),
            ("decimal(10,2)", "decimal(10,2)"),
            ("double precision", "double"),
            ("varchar(20)", "varchar"),
        ] {
            assert_eq!(trino_type_name(&parse_type(text).unwrap().data_type), name, "{text}");
        }
    }

    #[test]
    fn broken_types_are_refused() {
        for text in [
            "",
            "array",
            "array(",
            "array(varchar",
            "map(varchar)",
            "row()",
            "decimal(39,0)",
            "frob",
            "bigint bigint",
            "timestamp(99)",
        ] {
            assert!(parse_type(text).is_err(), "{text}");
        }
        assert!(parse_type(&("array(".repeat(400) + "bigint" + &")".repeat(400))).is_err());
    }
}
