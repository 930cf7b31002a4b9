//! `format`, with Java's format specifiers, and membership of addresses in networks.

use std::net::IpAddr;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::Result;

use crate::cell::element_text;
use crate::error::failure;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Shape};
use crate::types::{is_integer, is_number, is_text};

/// Widest field that a format may ask for.
const MAX_WIDTH: usize = 10_000;

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![Shape::new(
        "format",
        |g| match g.types.split_first() {
            Some((first, [_, ..])) if is_text(first) => Ok(DataType::Utf8),
            _ => Err(wrong_arguments("format", &g.types)),
        },
        format,
    )]
}

fn format(call: &Call<'_>) -> Result<ArrayRef> {
    let patterns = call.array_as(0, &DataType::Utf8)?;
    let patterns = patterns.as_string::<i32>();
    let arguments = (1..call.args.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    let mut builder = StringBuilder::new();
    for row in 0..call.rows {
        if patterns.is_null(row) {
            builder.append_null();
            continue;
        }
        match formatted(patterns.value(row), &arguments, row) {
            Ok(text) => builder.append_value(text),
            Err(_) if call.lenient => builder.append_null(),
            Err(message) => return Err(failure(format!("format: {message}"))),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// A format specifier, `%[position$][flags][width][.precision]conversion`.
#[derive(Default)]
struct Specifier {
    position: Option<usize>,
    left: bool,
    zeros: bool,
    groups: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

fn formatted(pattern: &str, arguments: &[ArrayRef], row: usize) -> std::result::Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (specifier, conversion, after) = specifier(rest)?;
        rest = after;
        match conversion {
            '%' => {
                out.push('%');
                continue;
            }
            'n' => {
                out.push('\n');
                continue;
            }
            _ => {}
        }
        let index = specifier.position.unwrap_or_else(|| {
            next += 1;
            next
        });
        let argument = arguments.get(index.wrapping_sub(1)).ok_or("there are fewer arguments than specifiers")?;
        out.push_str(&padded(&specifier, converted(&specifier, conversion, argument, row)?));
    }
    out.push_str(rest);
    Ok(out)
}

fn specifier(text: &str) -> std::result::Result<(Specifier, char, &str), String> {
    let mut found = Specifier::default();
    let mut rest = text;
    let number = |rest: &mut &str| -> Option<usize> {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = rest.split_at(length);
        let number = digits.parse().ok()?;
        *rest = after;
        Some(number)
    };
    let mut ahead = rest;
    if let Some(position) = number(&mut ahead)
        && let Some(after) = ahead.strip_prefix('$')
    {
        found.position = Some(position);
        rest = after;
    }
    loop {
        match rest.chars().next() {
            Some('-') => found.left = true,
            Some('0') => found.zeros = true,
            Some(',') => found.groups = true,
            Some('+') => found.plus = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    found.width = number(&mut rest).unwrap_or(0);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        found.precision = Some(number(&mut rest).ok_or("a precision is missing")?);
    }
    if found.width > MAX_WIDTH || found.precision.is_some_and(|p| p > MAX_WIDTH) {
        return Err(format!("a field is wider than {MAX_WIDTH}"));
    }
    let conversion = rest.chars().next().ok_or("the format ends within a specifier")?;
    Ok((found, conversion, &rest[conversion.len_utf8()..]))
}

fn converted(
    specifier: &Specifier,
    conversion: char,
    argument: &ArrayRef,
    row: usize,
) -> std::result::Result<String, String> {
    if argument.is_null(row) || *argument.data_type() == DataType::Null {
        return Ok("null".into());
    }
    let wrong = || format!("%{conversion} does not fit the type of its argument");
    let integer = || -> std::result::Result<i64, String> {
        if !is_integer(argument.data_type()) {
            return Err(wrong());
        }
        Ok(cast(argument, &DataType::Int64).map_err(|e| e.to_string())?.as_primitive::<Int64Type>().value(row))
    };
    let real = || -> std::result::Result<f64, String> {
        if !is_number(argument.data_type()) || is_integer(argument.data_type()) {
            return Err(wrong());
        }
        Ok(cast(argument, &DataType::Float64).map_err(|e| e.to_string())?.as_primitive::<Float64Type>().value(row))
    };
    let signed = |text: String| if specifier.plus && !text.starts_with('-') { format!("+{text}") } else { text };
    Ok(match conversion {
        's' | 'S' => {
            let text = element_text(argument, row);
            let text = specifier.precision.map_or(text.clone(), |p| text.chars().take(p).collect());
            if conversion == 'S' { text.to_uppercase() } else { text }
        }
        'd' => signed(grouped(specifier, integer()?.to_string())),
        'x' => format!("{:x}", integer()?),
        'X' => format!("{:X}", integer()?),
        'o' => format!("{:o}", integer()?),
        'f' => signed(grouped(specifier, format!("{:.*}", specifier.precision.unwrap_or(6), real()?))),
        'b' => element_text(argument, row),
        other => return Err(format!("%{other} is not supported")),
    })
}

/// Puts commas between groups of three digits.
fn grouped(specifier: &Specifier, number: String) -> String {
    if !specifier.groups {
        return number;
    }
    let (sign, digits) = number.strip_prefix('-').map_or(("", number.as_str()), |d| ("-", d));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

fn padded(specifier: &Specifier, text: String) -> String {
    let missing = specifier.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if specifier.left {
        return text + &" ".repeat(missing);
    }
    if specifier.zeros {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |d| ("-", d));
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    " ".repeat(missing) + &text
}

/// Tells which addresses lie in which networks; text that is neither is NULL.
pub(crate) fn in_network(call: &Call<'_>) -> Result<ArrayRef> {
    let (networks, addresses) = (call.array_as(0, &DataType::Utf8)?, call.array_as(1, &DataType::Utf8)?);
    let pairs = networks.as_string::<i32>().iter().zip(addresses.as_string::<i32>());
    Ok(Arc::new(pairs.map(|(network, address)| holds(network?, address?)).collect::<BooleanArray>()))
}

fn holds(network: &str, address: &str) -> Option<bool> {
    let (base, length) = network.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let same = |a: u128, b: u128, bits: u32| {
        let shift = bits.checked_sub(length)?;
        Some(a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0))
    };
    match (base.parse::<IpAddr>().ok()?, address.parse::<IpAddr>().ok()?) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(u128::from(a), u128::from(b), 128),
        _ => Some(false),
    }
}
