//! Which numbers among Parquet's runs of equal numbers and of packed ones are wanted.

use std::ops::Range;

use parquet::errors::{ParquetError, Result};

use super::{cut, varint};

/// Where numbers end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All that were counted are there.
    Counted,
    /// There may be fewer.
    Open,
}

/// Tells which of up to `count` numbers of `width` bits are wanted: Parquet's runs of equal numbers and of packed ones.
pub(super) fn matches(
    mut runs: &[u8],
    width: u8,
    count: usize,
    end: End,
    wanted: impl Fn(u64) -> bool,
    tell: &mut dyn FnMut(Range<usize>),
) -> Result<()> {
    if width > 32 {
        return Err(ParquetError::General(format!("numbers of {width} bits")));
    }
    let width = usize::from(width);
    let mut at = 0;
    while at < count && (end == End::Counted || !runs.is_empty()) {
        let header = varint(&mut runs)?;
        let length = (header >> 1) as usize;
        if header & 1 == 0 {
            let (value, rest) = runs.split_at_checked(width.div_ceil(8)).ok_or_else(cut)?;
            let value = value.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte));
            let length = length.min(count - at);
            if length > 0 && wanted(value) {
                tell(at..at + length);
            }
            at += length;
            runs = rest;
            continue;
        }
        // Groups of eight numbers; the last one may hold fillers, or be cut off behind the last number.
        let bytes = length.checked_mul(width).ok_or_else(cut)?.min(runs.len());
        let (packed, rest) = runs.split_at(bytes);
        let numbers = length.saturating_mul(8).min(count - at);
        if length == 0 || (end == End::Counted && (numbers * width).div_ceil(8) > bytes) {
            return Err(cut());
        }
        packed_matches(packed, width, numbers, at, &wanted, tell);
        at += numbers;
        runs = rest;
    }
    Ok(())
}

/// Tells which of `count` packed numbers are wanted; the first of them is called `first`.
fn packed_matches(
    packed: &[u8],
    width: usize,
    count: usize,
    first: usize,
    wanted: &impl Fn(u64) -> bool,
    tell: &mut dyn FnMut(Range<usize>),
) {
    let mut tell_hits = |group: usize, mut hits: u8| {
        while hits != 0 {
            let from = hits.trailing_zeros() as usize;
            let length = (hits >> from).trailing_ones() as usize;
            hits = (u16::from(hits) >> (from + length) << (from + length)) as u8;
            let (from, to) = (group * 8 + from, (group * 8 + from + length).min(count));
            if from < to {
                tell(first + from..first + to);
            }
        }
    };
    let tell_hits = &mut tell_hits;
    if width == 0 {
        (0..count.div_ceil(8)).filter(|_| wanted(0)).for_each(|group| tell_hits(group, u8::MAX));
        return;
    }
    // A width that the compiler knows makes all shifts constant.
    macro_rules! by_width {
        ($($known:literal)*) => {
            match width {
                $($known => groups::<$known>(packed, width, wanted, tell_hits),)*
                _ => groups::<UNKNOWN>(packed, width, wanted, tell_hits),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

/// Stands for a width that is not known when this is compiled.
const UNKNOWN: usize = 0;

/// Tells for each group of eight packed numbers that has wanted ones which these are, as bits.
fn groups<const KNOWN: usize>(
    packed: &[u8],
    width: usize,
    wanted: &impl Fn(u64) -> bool,
    tell: &mut impl FnMut(usize, u8),
) {
    let width = if KNOWN == UNKNOWN { width } else { KNOWN };
    let mask = (1 << width) - 1;
    for (group, bytes) in packed.chunks(width).enumerate() {
        // With room behind it for reading eight bytes at a time.
        let mut window = [0; 40];
        match bytes.len() == width {
            true => window[..width].copy_from_slice(&bytes[..width]),
            false => window[..bytes.len()].copy_from_slice(bytes),
        }
        let mut hits = 0;
        for number in 0..8 {
            let bit = number * width;
            let word: [u8; 8] = window[bit / 8..bit / 8 + 8].try_into().unwrap_or_default();
            hits |= u8::from(wanted((u64::from_le_bytes(word) >> (bit % 8)) & mask)) << number;
        }
        if hits != 0 {
            tell(group, hits);
        }
    }
}
