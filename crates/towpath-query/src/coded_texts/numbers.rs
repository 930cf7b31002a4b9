//! Single numbers among Parquet's runs of equal numbers and of packed ones, without decoding those before them.

use std::ops::Range;

use parquet::errors::{ParquetError, Result};

use super::{cut, varint};

/// Tells the code of each of these rows of a page, in order; `None` for a row without a value.
///
/// `levels` says which rows have a value: those with the level `defined`. Without it all have one. `rows` rise.
pub(super) fn at(
    levels: Option<&[u8]>,
    defined: u64,
    values: &[u8],
    rows: &[Range<usize>],
    tell: &mut dyn FnMut(Option<u64>) -> Result<()>,
) -> Result<()> {
    let width = (64 - defined.leading_zeros()) as usize;
    let mut levels = levels.map(|levels| Numbers::new(levels, width)).transpose()?;
    // A page whose rows all lack a value may have no codes at all.
    let mut codes = match values.split_first() {
        Some((width, runs)) => Some(Numbers::new(runs, usize::from(*width))?),
        None => None,
    };
    // The rows before `next` have `before` values.
    let (mut next, mut before) = (0, 0);
    for row in rows.iter().cloned().flatten() {
        let has_value = match &mut levels {
            None => {
                before = row;
                true
            }
            Some(levels) => {
                before += levels.count(next..row, defined)?;
                levels.get(row)? == defined
            }
        };
        tell(match has_value {
            true => Some(codes.as_mut().ok_or_else(cut)?.get(before)?),
            false => None,
        })?;
        before += usize::from(has_value);
        next = row + 1;
    }
    Ok(())
}

/// Numbers that are looked at from the first to the last.
struct Numbers<'a> {
    rest: &'a [u8],
    width: usize,
    // The numbers of the run that is looked at.
    run: Range<usize>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Equal(u64),
    Packed(&'a [u8]),
}

impl<'a> Numbers<'a> {
    fn new(runs: &'a [u8], width: usize) -> Result<Self> {
        if width > 32 {
            return Err(ParquetError::General(format!("numbers of {width} bits")));
        }
        Ok(Self { rest: runs, width, run: 0..0, kind: Kind::Equal(0) })
    }

    /// Goes on to the run that has number `at`.
    fn reach(&mut self, at: usize) -> Result<()> {
        while at >= self.run.end {
            let header = varint(&mut self.rest)?;
            let length = (header >> 1) as usize;
            let (bytes, count) = match header & 1 {
                0 => (self.width.div_ceil(8), length),
                // Groups of eight; the last run may be cut off behind its last number.
                _ => (length.checked_mul(self.width).ok_or_else(cut)?.min(self.rest.len()), length.saturating_mul(8)),
            };
            let (run, rest) = self.rest.split_at_checked(bytes).ok_or_else(cut)?;
            self.kind = match header & 1 {
                0 => Kind::Equal(run.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte))),
                _ => Kind::Packed(run),
            };
            self.run = self.run.end..self.run.end.checked_add(count).ok_or_else(cut)?;
            self.rest = rest;
        }
        Ok(())
    }

    /// The number at a place, which is not before the run that was reached.
    fn get(&mut self, at: usize) -> Result<u64> {
        self.reach(at)?;
        match self.kind {
            Kind::Equal(value) => Ok(value),
            Kind::Packed(run) => unpacked(run, self.width, at - self.run.start),
        }
    }

    /// How many numbers of a range are `wanted`.
    fn count(&mut self, range: Range<usize>, wanted: u64) -> Result<usize> {
        let (mut at, mut count) = (range.start, 0);
        while at < range.end {
            self.reach(at)?;
            let end = range.end.min(self.run.end);
            count += match self.kind {
                Kind::Equal(value) => {
                    if value == wanted {
                        end - at
                    } else {
                        0
                    }
                }
                Kind::Packed(run) => {
                    let inside = at - self.run.start..end - self.run.start;
                    match (self.width, wanted) {
                        (1, 1) => ones(run, inside).ok_or_else(cut)?,
                        _ => {
                            let mut equal = 0;
                            for number in inside {
                                equal += usize::from(unpacked(run, self.width, number)? == wanted);
                            }
                            equal
                        }
                    }
                }
            };
            at = end;
        }
        Ok(count)
    }
}

/// One of packed numbers of up to 32 bits.
fn unpacked(run: &[u8], width: usize, at: usize) -> Result<u64> {
    let bit = at * width;
    let bytes = run.get(bit / 8..(bit + width).div_ceil(8)).ok_or_else(cut)?;
    let word = bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    Ok((word >> (bit % 8)) & ((1 << width) - 1))
}

/// How many bits of a range are set; `None` if there are not so many.
fn ones(bits: &[u8], range: Range<usize>) -> Option<usize> {
    let mut bytes = bits.get(range.start / 8..range.end.div_ceil(8))?.iter().copied();
    let (before, after) = (range.start % 8, range.end.div_ceil(8) * 8 - range.end);
    let first = bytes.next()? & (u8::MAX << before);
    let Some(last) = bytes.next_back() else { return Some((first & (u8::MAX >> after)).count_ones() as usize) };
    let between: u32 = bytes.map(u8::count_ones).sum();
    Some((first.count_ones() + between + (last & (u8::MAX >> after)).count_ones()) as usize)
}
