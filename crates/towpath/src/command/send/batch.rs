//! Batches: at most 100 entries, below a megabyte, no id twice.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};

use super::entry::{Entry, MAX_ENTRY, Refused};

/// Most entries of one call.
pub const MAX_ENTRIES: usize = 100;

/// Longest line that is read; a longer one is passed over.
const MAX_LINE: usize = 4 << 20;

/// Entries to send together, and lines among them that cannot be sent.
#[derive(Debug, Default)]
pub struct Batch {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The lines that cannot be sent.
    pub refused: Vec<Refused>,
    /// Bytes read for all of them.
    pub bytes: u64,
}

/// A line as it was read.
#[derive(Debug)]
pub struct Line {
    /// What is in it; nothing if it is empty.
    pub content: Option<Result<Entry, Refused>>,
    /// Its length, line break included.
    pub bytes: u64,
}

/// Reads lines.
pub struct Lines<R> {
    reader: R,
    line: u64,
    failed: bool,
}

/// Gathers lines into batches.
#[derive(Default)]
pub struct Batcher {
    batch: Batch,
    ids: HashSet<String>,
    length: usize,
}

impl Batcher {
    /// Adds a line. Returns the batch before it if the line does not fit in.
    pub fn add(&mut self, line: Line) -> Option<Batch> {
        let full = match &line.content {
            Some(Ok(entry)) => {
                self.batch.entries.len() == MAX_ENTRIES
                    || self.length + entry.length > MAX_ENTRY
                    || self.ids.contains(&entry.event.id)
            }
            Some(Err(_)) => self.batch.refused.len() == MAX_ENTRIES,
            None => false,
        };
        let before = if full { self.take() } else { None };
        self.batch.bytes += line.bytes;
        match line.content {
            Some(Ok(entry)) => {
                self.length += entry.length;
                self.ids.insert(entry.event.id.clone());
                self.batch.entries.push(entry);
            }
            Some(Err(refused)) => self.batch.refused.push(refused),
            None => {}
        }
        before
    }

    /// True if there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.batch.entries.is_empty() && self.batch.refused.is_empty()
    }

    /// What there is so far.
    pub fn take(&mut self) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        self.ids.clear();
        self.length = 0;
        Some(std::mem::take(&mut self.batch))
    }
}

impl<R: BufRead> Lines<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, failed: false }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut read = (&mut self.reader).take(MAX_LINE as u64).read_until(b'\n', &mut bytes)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if bytes.len() == MAX_LINE && bytes.last() != Some(&b'\n') {
            read += self.skip_line()?;
            let refused = Refused::not_sent(self.line, format!("the line is longer than {MAX_LINE} bytes"));
            return Ok(Some(Line { content: Some(Err(refused)), bytes: read }));
        }
        Ok(Some(Line { content: Entry::parse(self.line, &bytes).transpose(), bytes: read }))
    }

    fn skip_line(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let piece = self.reader.fill_buf()?;
            let (used, done) = match piece.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (piece.len(), piece.is_empty()),
            };
            self.reader.consume(used);
            skipped += used as u64;
            if done {
                return Ok(skipped);
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let line = self.read().transpose();
        self.failed = matches!(line, Some(Err(_)));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(text: &str) -> Vec<Batch> {
        let mut batcher = Batcher::default();
        let mut batches: Vec<_> = Lines::new(text.as_bytes()).filter_map(|line| batcher.add(line.unwrap())).collect();
        batches.extend(batcher.take());
        batches
    }

    fn sizes(text: &str) -> Vec<usize> {
        batches(text).iter().map(|batch| batch.entries.len()).collect()
    }

    #[test]
    fn a_batch_ends_at_a_hundred_entries() {
        let text: String = (0..250).map(|n| format!("{{\"UID\":\"{n}\"}}\n")).collect();
        assert_eq!(sizes(&text), [100, 100, 50]);
        let lines: Vec<_> = batches(&text).iter().flat_map(|b| &b.entries).map(|e| e.line).collect();
        assert_eq!(lines, (1..=250).collect::<Vec<_>>());
        assert_eq!(batches(&text).iter().map(|batch| batch.bytes).sum::<u64>(), text.len() as u64);
    }

    #[test]
    fn a_batch_stays_below_a_megabyte_as_it_is_sent() {
        // Quotes double when the event becomes a JSON string.
        let line = format!("{{\"a\":\"{}\"}}\n", "\\\"".repeat(60_000));
        let text = line.repeat(8);
        for batch in batches(&text) {
            assert!(batch.entries.iter().map(|entry| entry.length).sum::<usize>() <= MAX_ENTRY);
        }
        assert!(sizes(&text).len() > 1);
        assert_eq!(sizes(&text).iter().sum::<usize>(), 8);
    }

    #[test]
    fn an_id_that_repeats_begins_a_new_batch() {
        let text =
            "{\"id\":\"a\",\"eventData\":{}}\n{\"id\":\"b\",\"eventData\":{}}\n{\"id\":\"a\",\"eventData\":{}}\n";
        assert_eq!(sizes(text), [2, 1]);
    }

    #[test]
    fn bad_lines_are_told_and_the_others_sent() {
        let long = "x".repeat(MAX_LINE + 10);
        let text = format!("{{\"UID\":\"1\"}}\n\nnonsense\n{long}\n{{\"UID\":\"2\"}}");
        let batches = batches(&text);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(batches[0].refused.iter().map(|refused| refused.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(batches[0].bytes, text.len() as u64);
    }

    #[test]
    fn a_file_of_bad_lines_only_does_not_gather_them_all() {
        let batches = batches(&"nonsense\n".repeat(1000));
        assert_eq!(batches.iter().map(|batch| batch.refused.len()).sum::<usize>(), 1000);
    }
}
