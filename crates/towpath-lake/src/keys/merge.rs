//! Merging runs of the key index into one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use towpath_model::{EventTime, StoreId};

use super::format::{Span, Stores};
use super::run::Run;
use super::writer::RunWriter;
use crate::error::LakeError;

/// What becomes of a store's keys in a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those of rows that occurred at this time or later; all without one.
    From(Option<EventTime>),
    /// None: the store was dropped.
    Nothing,
}

/// A section of a run, and what is kept of it.
struct Source<'a> {
    run: &'a Arc<Run>,
    section: usize,
    cutoff: Option<EventTime>,
}

/// Writes the entries of `runs`, as far as `keep` says, into `writer`, calling `drain` as bytes come up.
///
/// A key that several stores have in common is kept for as long as one of them keeps it. Reads block by block: memory does
/// not grow with the runs. Not for async threads.
pub(crate) fn merge(
    runs: &[Arc<Run>],
    writer: &mut RunWriter,
    keep: impl Fn(StoreId) -> Keep,
    mut drain: impl FnMut(&mut RunWriter) -> Result<(), LakeError>,
) -> Result<(), LakeError> {
    let mut groups: BTreeMap<Stores, Vec<Source<'_>>> = BTreeMap::new();
    for run in runs {
        for (section, stores) in run.sections() {
            let (stores, cutoff) = kept(stores, &keep);
            if !stores.is_empty() {
                groups.entry(stores).or_default().push(Source { run, section, cutoff });
            }
        }
    }
    for (stores, sources) in groups {
        let span = sources.iter().map(|source| source.run.span(source.section)).reduce(Span::join);
        let span = span.expect("a group has a source at least");
        merge_group(stores, span, &sources, writer, &mut drain)?;
    }
    Ok(())
}

/// The stores that are still there, and before which time none of them keeps a key.
fn kept(stores: &Stores, keep: impl Fn(StoreId) -> Keep) -> (Stores, Option<EventTime>) {
    let (mut left, mut cutoff) = (Vec::with_capacity(stores.len()), None);
    for store in stores.iter() {
        let Keep::From(from) = keep(*store) else { continue };
        // No cutoff is earlier than any.
        cutoff = if left.is_empty() { from } else { cutoff.min(from) };
        left.push(*store);
    }
    let stores = if left.len() == stores.len() { stores.clone() } else { left.into() };
    (stores, cutoff)
}

fn merge_group(
    stores: Stores,
    span: Span,
    sources: &[Source<'_>],
    writer: &mut RunWriter,
    drain: &mut impl FnMut(&mut RunWriter) -> Result<(), LakeError>,
) -> Result<(), LakeError> {
    let mut entries: Vec<_> = sources.iter().map(|source| source.run.entries(source.section)).collect();
    let mut heads = BinaryHeap::new();
    for (at, entries) in entries.iter_mut().enumerate() {
        if let Some(entry) = entries.next() {
            heads.push(Reverse((entry?, at)));
        }
    }
    // Begun with its first entry: a section of nothing is not written.
    let mut begun = Some(stores);
    let mut last = None;
    while let Some(Reverse((entry, at))) = heads.pop() {
        if let Some(next) = entries[at].next() {
            heads.push(Reverse((next?, at)));
        }
        // A key stands in one run only; should it stand in two, once is right.
        let expired = sources[at].cutoff.is_some_and(|cutoff| entry.time < cutoff);
        if expired || last == Some(entry.key) {
            continue;
        }
        last = Some(entry.key);
        if let Some(stores) = begun.take() {
            writer.section(stores, span);
        }
        writer.push(entry);
        if writer.waiting() >= 1 << 20 {
            drain(writer)?;
        }
    }
    Ok(())
}
