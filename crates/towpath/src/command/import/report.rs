//! What became of the files of an import.

use std::io::Write;

use serde_json::{Value, json};

use super::super::{counted, plural, shown, text};
use crate::config::size;
use crate::output::visible;

/// Failures of one file that are shown to people.
const SHOWN: usize = 10;

/// Failures that are kept for the report; all are counted.
const KEPT: usize = 10_000;

/// A record or file that could not be imported.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// The file, by its name below the folder or its place in the bucket.
    pub file: String,
    /// The number of the record in it, where one record failed.
    pub record: Option<u64>,
    /// The kind of failure.
    pub error_type: String,
    /// The reason.
    pub message: String,
}

/// The report of an import.
#[derive(Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The import.
    pub import_id: String,
    /// Its status at the end, as GetImport says it.
    pub status: String,
    /// Files whose events are all in.
    pub files_completed: u64,
    /// Files that are no log files.
    pub files_skipped: u64,
    /// Files with something that could not be imported.
    pub files_failed: u64,
    /// Files that an earlier run had completed.
    pub files_resumed: u64,
    /// Events stored.
    pub events_completed: u64,
    /// Events of uploaded files that were passed over: older than the store's retention period.
    pub events_skipped: u64,
    /// Bytes of files sent.
    pub bytes: u64,
    /// Failures, counted.
    pub failure_count: u64,
    /// The first of them.
    pub failures: Vec<Failed>,
}

impl Report {
    /// Adds what the server says about an uploaded file.
    pub fn add(&mut self, file: &str, length: u64, answer: &Value) {
        self.bytes += length;
        self.events_completed += answer.get("EventsCompleted").and_then(Value::as_u64).unwrap_or(0);
        self.events_skipped += answer.get("EventsSkipped").and_then(Value::as_u64).unwrap_or(0);
        let failures = answer.get("Failures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for failure in failures {
            self.fail(Failed {
                file: file.to_owned(),
                record: failure.get("RecordNumber").and_then(Value::as_u64),
                error_type: shown(failure, "ErrorType"),
                message: shown(failure, "ErrorMessage"),
            });
        }
        match text(answer, "FileStatus") {
            "COMPLETED" if failures.is_empty() => self.files_completed += 1,
            "SKIPPED" => self.files_skipped += 1,
            status => {
                self.files_failed += 1;
                if failures.is_empty() {
                    self.fail(Failed {
                        file: file.to_owned(),
                        record: None,
                        error_type: status.to_owned(),
                        message: "the server does not say why".to_owned(),
                    });
                }
            }
        }
    }

    /// Adds a file that was not sent, or not taken.
    pub fn fail_file(&mut self, file: &str, error_type: &str, message: String) {
        self.files_failed += 1;
        self.fail(Failed { file: file.to_owned(), record: None, error_type: error_type.to_owned(), message });
    }

    /// Adds a failure.
    pub fn fail(&mut self, failed: Failed) {
        self.failure_count += 1;
        if self.failures.len() < KEPT {
            self.failures.push(failed);
        }
    }

    /// True if everything is in.
    pub fn is_success(&self) -> bool {
        self.failure_count == 0 && self.files_failed == 0
    }

    /// Writes the report for people: failures file by file, then the sums.
    pub fn write(&self, out: &mut impl Write, seconds: f64) -> std::io::Result<()> {
        for file in self.failures.chunk_by(|one, next| one.file == next.file) {
            writeln!(out, "{}", visible(&file[0].file))?;
            for failed in &file[..file.len().min(SHOWN)] {
                let record = failed.record.map(|record| format!("record {record}: ")).unwrap_or_default();
                writeln!(out, "  {record}{}: {}", visible(&failed.error_type), visible(&failed.message))?;
            }
            if file.len() > SHOWN {
                let more = plural((file.len() - SHOWN) as u64, "record");
                writeln!(out, "  and {more} more; --output json lists them")?;
            }
        }
        let unlisted = self.failure_count - self.failures.len() as u64;
        if unlisted > 0 {
            writeln!(out, "and {}", plural(unlisted, "further failure"))?;
        }
        let mut parts = vec![format!("{} imported", plural(self.events_completed, "event"))];
        let mut more = |count: u64, noun: &str, what: &str| {
            if count > 0 {
                parts.push(format!("{} {what}", plural(count, noun)));
            }
        };
        more(self.events_skipped, "event", "passed over: older than the store keeps events");
        more(self.files_completed, "file", "completed");
        more(self.files_resumed, "file", "completed by an earlier run");
        more(self.files_skipped, "file", "skipped: no log files");
        more(self.files_failed, "file", "with failures");
        let rate = if self.bytes > 0 {
            format!(" ({}/s)", size::rounded((self.bytes as f64 / seconds.max(0.001)) as u64))
        } else {
            String::new()
        };
        writeln!(out, "{}; import {} took {seconds:.1} s{rate}", parts.join(", "), self.import_id)?;
        if self.events_skipped > 0 {
            writeln!(
                out,
                "a store that keeps events for longer takes the older ones: towpath stores create NAME --retention 3653"
            )?;
        }
        if !self.is_success() {
            writeln!(out, "{} in all; run the same command again to retry the files", counted_failures(self))?;
        }
        Ok(())
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        json!(self)
    }
}

fn counted_failures(report: &Report) -> String {
    let noun = if report.failure_count == 1 { "failure" } else { "failures" };
    format!("{} {noun}", counted(report.failure_count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_listed_file_by_file_and_the_sums_at_the_end() {
        let mut report = Report { import_id: "i".to_owned(), files_resumed: 2, ..Report::default() };
        report.add("a.json.gz", 2048, &json!({"FileStatus": "COMPLETED", "EventsCompleted": 1200, "EventsSkipped": 3}));
        report.add(
            "b\u{1b}.json",
            0,
            &json!({"FileStatus": "FAILED", "EventsCompleted": 5, "Failures": [
                {"RecordNumber": 3, "ErrorType": "InvalidData", "ErrorMessage": "no eventTime"},
                {"ErrorType": "InvalidFormat", "ErrorMessage": "truncated"},
            ]}),
        );
        report.add("digest.json.gz", 0, &json!({"FileStatus": "SKIPPED"}));
        report.fail_file("c.json", "NotRead", "permission denied".to_owned());
        let mut out = Vec::new();
        report.write(&mut out, 2.0).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "b\\u{1b}.json\n  record 3: InvalidData: no eventTime\n  InvalidFormat: truncated\n\
             c.json\n  NotRead: permission denied\n\
             1,205 events imported, 3 events passed over: older than the store keeps events, 1 file completed, 2 files \
             completed by an earlier run, 1 file skipped: no log files, 2 files with failures; import i took 2.0 s \
             (1.0 KiB/s)\n\
             a store that keeps events for longer takes the older ones: towpath stores create NAME --retention 3653\n\
             3 failures in all; run the same command again to retry the files\n"
        );
        assert!(!report.is_success());
        assert_eq!(report.json()["failures"][0]["record"], 3);
    }

    #[test]
    fn failures_without_end_are_counted_and_not_kept() {
        let mut report = Report::default();
        for n in 0..KEPT + 5 {
            report.fail_file(&n.to_string(), "X", String::new());
        }
        assert_eq!((report.failures.len(), report.failure_count), (KEPT, KEPT as u64 + 5));
    }
}
