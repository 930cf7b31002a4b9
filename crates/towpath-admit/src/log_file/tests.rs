use std::io::{self, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};

use towpath_model::{Category, EventKey};

use super::*;
use crate::imported::Fallback;

mod real;

/// What a file held: the texts of its records, its problems, and how it ended.
#[derive(Debug, Default)]
struct Read {
    records: Vec<ImportedRecord>,
    problems: Vec<RecordProblem>,
    error: Option<LogFileError>,
}

impl Read {
    fn of(bytes: &[u8]) -> Self {
        Self::with(bytes, LogFileLimits::default())
    }

    fn with(source: impl io::Read, limits: LogFileLimits) -> Self {
        let mut read = Self::default();
        let mut file = match LogFile::open(source, limits) {
            Ok(file) => file,
            Err(error) => return Self { error: Some(error), ..read },
        };
        loop {
            match file.next_item() {
                Ok(Some(Item::Record(record))) => read.records.push(record),
                Ok(Some(Item::Problem(problem))) => read.problems.push(problem),
                Ok(None) => break,
                Err(error) => {
                    read.error = Some(error);
                    assert!(file.next_item().unwrap().is_none(), "an error ends the file");
                    break;
                }
            }
        }
        assert_eq!(file.totals().records, read.records.len() as u64);
        assert_eq!(file.totals().problems, read.problems.len() as u64);
        read
    }

    fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|record| std::str::from_utf8(record.text()).unwrap()).collect()
    }

    fn reasons(&self) -> Vec<String> {
        self.problems.iter().map(RecordProblem::to_string).collect()
    }

    fn clean(self) -> Self {
        assert!(self.problems.is_empty() && self.error.is_none(), "{:?} {:?}", self.reasons(), self.error);
        self
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const A: &str = r#"{"eventVersion":"1.08", "eventTime":"2023-07-10T12:00:00Z","eventID":"a","x":[{"y":"}\"]"}]}"#;
const B: &str = r#"{"eventVersion":"1.08","eventTime":"2023-07-10T12:00:01Z","eventID":"b","n":1.50}"#;

#[test]
fn every_usual_form_yields_the_records_byte_for_byte() {
    let forms = [
        format!(r#"{{"Records":[{A},{B}]}}"#),
        format!("\u{feff} {{ \"v\" : {{\"Records\":[1]}} , \"Records\" : [ {A} ,\n {B} ] , \"next\" : null }} \n"),
        format!("[{A},{B}]"),
        format!("{A}\n{B}\n"),
        format!("{A}{B}"),
        format!("{A}\r\n\r\n{B}"),
        format!("{{\"Records\":[{A}]}}\n{{\"Records\":[{B}]}}"),
        json!({"Events": [{"EventId": "a", "CloudTrailEvent": A}, {"EventId": "b", "CloudTrailEvent": B}]}).to_string(),
        json!([{"CloudTrailEvent": A}, {"CloudTrailEvent": format!(" {B}\n")}]).to_string(),
        format!(r#"{{"detail-type":"AWS API Call via CloudTrail","detail":{A}}}{{"detail":{B},"detail-type":"x"}}"#),
    ];
    for form in &forms {
        for bytes in [form.as_bytes().to_vec(), gzip(form.as_bytes())] {
            let read = Read::of(&bytes).clean();
            assert_eq!(read.texts(), [A, B], "{form}");
            assert_eq!(read.records[1].number(), 2);
        }
    }
}

#[test]
fn a_record_knows_where_it_stands() {
    let read = Read::of(format!(r#"{{"Records":[{A},{B}]}}"#).as_bytes()).clean();
    assert_eq!(
        read.records.iter().map(|r| (r.number(), r.offset())).collect::<Vec<_>>(),
        [(1, 12), (2, 13 + A.len() as u64)]
    );
    let detail = format!(r#" {{"detail-type":"x","detail":{A}}}"#);
    assert_eq!(Read::of(detail.as_bytes()).records[0].offset(), detail.find(A).unwrap() as u64);
}

#[test]
fn files_without_records_are_empty_and_not_wrong() {
    for text in ["", " \n", "[]", r#"{"Records":[]}"#, r#"{"Events":[]}"#] {
        assert!(Read::of(text.as_bytes()).clean().records.is_empty(), "{text}");
    }
    assert!(Read::of(&gzip(b"")).clean().records.is_empty());
}

#[test]
fn foreign_files_are_told_apart() {
    let digest = json!({"awsAccountId": "1", "digestStartTime": "2023-07-10T12:00:00Z", "logFiles": []}).to_string();
    let config = json!({"fileVersion": "1.0", "configSnapshotId": "x", "configurationItems": [{}]}).to_string();
    assert!(matches!(Read::of(digest.as_bytes()).error, Some(LogFileError::Foreign(Foreign::Digest))));
    assert!(matches!(Read::of(&gzip(config.as_bytes())).error, Some(LogFileError::Foreign(Foreign::Config))));
    for (bytes, name) in [(&b"PK\x03\x04...."[..], "zip"), (b"BZh9", "bzip2"), (b"\x28\xb5\x2f\xfd1", "zstd")] {
        assert!(matches!(Read::of(bytes).error, Some(LogFileError::Compression(found)) if found == name));
    }
    for bytes in [&b"version account-id"[..], b"\0\0", b"\"x\"", b"<xml/>", b"\xff\xfe{\0"] {
        assert!(matches!(Read::of(bytes).error, Some(LogFileError::NotJson)), "{bytes:?}");
    }
    let mixed = Read::of(format!("{A}\n{digest}\n{B}").as_bytes());
    assert_eq!(mixed.texts(), [A, B]);
    assert_eq!(mixed.reasons(), [format!("record 2 at byte {}: not an event: a CloudTrail digest", A.len() + 1)]);
}

#[test]
fn what_is_no_event_is_reported_and_the_rest_is_read() {
    let cases = [
        ("{}", "not an event: no eventTime"),
        (r#"{"eventTime":null}"#, "not an event: no eventTime"),
        (r#"{"eventTime":"string"}"#, "not an event: eventTime is not a time"),
        (r#"{"eventTime":5}"#, "not an event: eventTime is not a time"),
        (
            r#"{"eventTime":"2023-07-10T12:00:00Z","eventCategory":"Insight"}"#,
            "not an event of the AWS API: its category is Insight",
        ),
        (
            r#"{"eventTime":"2023-07-10T12:00:00Z","eventType":"AwsCloudTrailInsight"}"#,
            "not an event of the AWS API: its category is Insight",
        ),
        (
            r#"{"eventTime":"2023-07-10T12:00:00Z","eventCategory":"Aggregated"}"#,
            "not an event of the AWS API: its category is Aggregated",
        ),
        (r#"{"eventTime":"2023-07-10T12:00:00Z","eventSource":"aws:s3"}"#, "not an event: an S3 notification"),
        ("null", "not an event: not a JSON object"),
        ("[[]]", "not an event: not a JSON object"),
        ("\"text\"", "not an event: not a JSON object"),
        ("17", "not an event: not a JSON object"),
        (r#"{"a":tru}"#, "malformed JSON: expected a JSON value at byte 8 of the record"),
        (r#"{"a":"\x"}"#, "malformed JSON: unknown escape in a string at byte 6 of the record"),
        (r#"{"a":1 "b":[{}]}"#, "malformed JSON: expected `,` or `}` at byte 7 of the record"),
        ("nope", "malformed JSON: expected a JSON value at byte 1 of the record"),
        (
            r#"{"eventTime":"2023-07-10T12:00:00Z,"a":"b"}"#,
            "malformed JSON: expected `,` or `}` at byte 36 of the record",
        ),
        (r#"{"CloudTrailEvent":"{"}"#, "malformed JSON: CloudTrailEvent: the text ends before its JSON value does"),
        (r#"{"CloudTrailEvent":"[]"}"#, "not an event: not a JSON object"),
    ];
    for (bad, reason) in cases {
        let read = Read::of(format!(r#"{{"Records":[{A},{bad},{B}]}}"#).as_bytes());
        assert_eq!(read.texts(), [A, B], "{bad}");
        assert_eq!(read.reasons(), [format!("record 2 at byte {}: {reason}", A.len() + 13)], "{bad}");
        assert!(read.error.is_none(), "{bad}");
    }
    let bytes = [&b"["[..], A.as_bytes(), b",{\"a\":\"\xff\"},", B.as_bytes(), b"]"].concat();
    let read = Read::of(&bytes);
    assert_eq!(read.texts(), [A, B]);
    assert_eq!(read.problems[0].reason, Reason::NotUtf8 { at: 6 });
}

#[test]
fn a_bad_line_costs_one_line() {
    for bad in ["{\"a\":", "{\"a\" 1}", "oops", "{\n  \"a\": x,\n  \"b\": 1\n}", "1"] {
        let read = Read::of(format!("{A}\n{bad}\n{B}").as_bytes());
        assert_eq!(read.texts(), [A, B], "{bad}");
        assert_eq!(read.problems.len(), 1, "{bad} {:?}", read.reasons());
        assert_eq!(read.problems[0].number, 2);
    }
}

#[test]
fn a_file_of_nothing_but_damage_is_read_in_one_pass() {
    let damaged = "x,".repeat(400_000);
    let start = std::time::Instant::now();
    let read = Read::of(format!("[{damaged}{A}]").as_bytes());
    assert_eq!((read.texts(), read.problems.len()), (vec![A], 400_000));
    // One pass takes well under a second; a pass per item would take minutes.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn a_cut_file_yields_what_is_whole_and_says_that_it_was_cut() {
    let text = format!(r#"{{"Records":[{A},{B}]}}"#);
    for cut in 1..text.len() {
        let read = Read::of(&text.as_bytes()[..cut]);
        let whole = usize::from(cut >= 12 + A.len()) + usize::from(cut >= 13 + A.len() + B.len());
        assert_eq!(read.records.len(), whole, "{cut}");
        let said = read.problems.iter().any(|problem| problem.reason == Reason::Cut) || read.error.is_some();
        assert!(said, "{cut}");
    }
    let packed = gzip(text.as_bytes());
    for cut in 10..packed.len() {
        let read = Read::of(&packed[..cut]);
        assert!(matches!(read.error, Some(LogFileError::GzipEnds)), "{cut} {:?}", read.error);
    }
    let mut damaged = packed.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    assert!(matches!(Read::of(&damaged).error, Some(LogFileError::Gzip(_))));
    let tail = [&packed[..], b"junk"].concat();
    assert!(Read::of(&tail).error.is_some());
}

#[test]
fn several_gzip_members_are_one_text() {
    let text = format!(r#"{{"Records":[{A},{B}]}}"#);
    let (first, second) = text.as_bytes().split_at(50);
    assert_eq!(Read::of(&[gzip(first), gzip(second)].concat()).clean().texts(), [A, B]);
}

#[test]
fn an_oversized_record_is_passed_over() {
    let limits = LogFileLimits { record_bytes: 100_000, ..LogFileLimits::default() };
    for length in [99_000, 101_000, 3_000_000] {
        let long = json!({"eventTime": "2023-07-10T12:00:00Z", "x": "y{[\"".repeat(length / 4)}).to_string();
        for text in [format!("[{A},{long},{B}]"), format!("{A}\n{long}\n{B}")] {
            let read = Read::with(text.as_bytes(), limits);
            let fits = long.len() <= limits.record_bytes;
            assert_eq!(read.records.len(), if fits { 3 } else { 2 });
            assert!(read.problems.iter().all(|p| matches!(p.reason, Reason::TooLong { limit: 100_000 })));
            assert!(read.error.is_none());
        }
    }
}

#[test]
fn a_bomb_is_stopped() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 80 << 20]).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(matches!(Read::of(&packed).error, Some(LogFileError::Ratio { limit: 250 })));
    let limits = LogFileLimits { text_bytes: 1 << 20, ..LogFileLimits::default() };
    assert!(matches!(Read::with(&packed[..], limits).error, Some(LogFileError::TooLarge { .. })));
}

/// A source of any length that hands out records without holding them.
struct Endless {
    record: Vec<u8>,
    at: usize,
    left: u64,
}

impl io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && self.left > 0 {
            let count = (self.record.len() - self.at).min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&self.record[self.at..self.at + count]);
            filled += count;
            self.at += count;
            if self.at == self.record.len() {
                (self.at, self.left) = (0, self.left - 1);
            }
        }
        Ok(filled)
    }
}

#[test]
fn memory_depends_on_the_record_and_not_on_the_file() {
    let source = Endless { record: format!("{B}\n").into_bytes(), at: 0, left: 400_000 };
    let mut file = LogFile::open(source, LogFileLimits::default()).unwrap();
    let (mut records, mut largest) = (0, 0);
    while let Some(item) = file.next_item().unwrap() {
        records += 1;
        largest = largest.max(file.window.buffer().len());
        assert!(matches!(item, Item::Record(_)));
    }
    assert_eq!((records, largest <= 1 << 20), (400_000, true));
}

#[test]
fn a_record_that_says_little_gets_the_rest_from_elsewhere() {
    let fallback = Fallback { account: "999999999999".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
    let store = towpath_model::Destination {
        store: towpath_model::StoreId::random(),
        kind: towpath_model::StoreKind::CloudTrail,
    };
    let event = |text: &str| {
        let read = Read::of(text.as_bytes()).clean();
        read.records.into_iter().next().unwrap().into_event(store, &fallback, jiff::Timestamp::UNIX_EPOCH)
    };
    let full = event(
        r#"{"eventTime":"2023-07-10T12:00:00.5Z","eventID":"5e2676f8-9fce-46ef-8142-3e36a94e6691","awsRegion":"us-east-1",
        "recipientAccountId":"111111111111","eventCategory":"Data","userIdentity":{"accountId":"222222222222"}}"#,
    );
    assert_eq!(
        (full.account.as_str(), full.region.as_str(), full.category),
        ("111111111111", "us-east-1", Category::Data)
    );
    assert_eq!(Some(full.key), EventKey::of_event_id("5e2676f8-9fce-46ef-8142-3e36a94e6691"));
    assert_eq!((full.time.as_millis(), full.destinations.as_slice()), (1_688_990_400_500, &[store][..]));

    let some = event(
        r#"{"eventTime":"2023-07-10T12:00:00Z","recipientAccountId":7,"userIdentity":{"accountId":"222222222222"},"managementEvent":false}"#,
    );
    assert_eq!(
        (some.account.as_str(), some.region.as_str(), some.category),
        ("222222222222", "eu-west-1", Category::Data)
    );
    assert_eq!(some.key, EventKey::of(None, &some.json));

    let odd = event(
        r#"{"eventTime":"2023-07-10T12:00:00Z","awsRegion":"N/A","eventID":["x"],"userIdentity":"me","eventCategory":{},"managementEvent":"false"}"#,
    );
    assert_eq!(
        (odd.account.as_str(), odd.region.as_str(), odd.category),
        ("999999999999", "eu-west-1", Category::Management)
    );
    assert_eq!(
        event(r#"{"eventTime":"2023-07-10T12:00:00Z","eventType":"AwsVpceEvent"}"#).category,
        Category::NetworkActivity
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bytes_make_the_reader_panic_or_hang(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Read::of(&bytes);
    }

    #[test]
    fn no_change_of_a_file_makes_the_reader_panic_or_lose_a_record_silently(
        at in 0usize..400, byte in prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b','), Just(b'\\'), Just(b'\n'), any::<u8>()],
    ) {
        for text in [format!(r#"{{"Records":[{A},{B},{A}]}}"#), format!("{A}\n{B}\n{A}"), format!("[{{\"CloudTrailEvent\":{}}}]", json!(A))] {
            let mut bytes = text.clone().into_bytes();
            let place = at % bytes.len();
            bytes[place] = byte;
            let (before, after) = (Read::of(text.as_bytes()), Read::of(&bytes));
            if after.records.len() < before.records.len() {
                prop_assert!(!after.problems.is_empty() || after.error.is_some(), "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn no_change_of_a_gzip_file_makes_the_reader_panic(at in 0usize..200, byte in any::<u8>()) {
        let mut bytes = gzip(format!(r#"{{"Records":[{A},{B}]}}"#).as_bytes());
        let place = at % bytes.len();
        bytes[place] = byte;
        Read::of(&bytes);
    }

    #[test]
    fn windows_do_not_change_what_is_read(
        picks in proptest::collection::vec(0usize..6, 1..60), pad in 0usize..70_000, lines in any::<bool>(),
    ) {
        let parts = [A, B, "{}", r#"{"a":x}"#, "7", r#"{"eventTime":"2023-07-10T12:00:00Z","b":"ü"}"#];
        let texts: Vec<_> = picks.iter().map(|pick| parts[*pick]).collect();
        let blanks = " ".repeat(pad);
        let text = if lines { format!("{{}}{blanks}\n{}", texts.join("\n")) } else { format!("[{{}}{blanks},{}]", texts.join(",")) };
        let read = Read::of(text.as_bytes());
        let expected: Vec<_> = texts.iter().copied().filter(|text| text.contains("eventTime")).collect();
        prop_assert!(read.error.is_none(), "{:?}", read.error);
        prop_assert_eq!(read.texts(), expected);
        if !lines {
            // Between lines, what follows a damaged value and does not begin like a record counts as part of it.
            prop_assert_eq!(read.problems.len(), 1 + texts.len() - read.records.len());
        }
    }
}
