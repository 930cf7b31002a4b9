//! What commands print, character by character.

use super::*;

fn rows() -> Rows {
    let mut rows = Rows::new(&["eventName", "n", "n"]);
    rows.push(vec!["ConsoleLogin".to_owned(), "17".to_owned(), "a".to_owned()]);
    rows.push(vec!["Say \"hi\", all".to_owned(), "3".to_owned()]);
    rows.push(vec!["evil\u{1b}[2J\u{7f}\u{9b}1m\u{202e}".to_owned(), "0".to_owned(), "x\ny".to_owned()]);
    rows
}

fn written(format: Format, width: Width, terminal: bool, parts: Vec<Rows>) -> String {
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&mut bytes, format, width, terminal);
    for part in parts {
        writer.add(part).unwrap();
    }
    writer.finish().unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_table_lines_up_and_shows_control_characters() {
    assert_eq!(
        written(Format::Table, Width::Unlimited, false, vec![rows()]),
        "\
eventName                            n   n
───────────────────────────────────────────────
ConsoleLogin                         17  a
Say \"hi\", all                        3
evil\\u{1b}[2J\\u{7f}\\u{9b}1m\\u{202e}  0   x\\ny
"
    );
}

#[test]
fn a_table_wraps_long_cells_to_the_width_of_the_terminal_and_leaves_short_ones_whole() {
    let mut rows = Rows::new(&["time", "event", "resources"]);
    let arn = "arn:aws:cloudtrail:eu-central-1:000000000000:eventdatastore/05506ff2-a58f-4001-ba79-f7d1742eb37b";
    rows.push(["2026-11-20 10:00:00", "GetEventDataStore", arn].map(str::to_owned).to_vec());
    let table = written(Format::Table, Width::Columns(70), true, vec![rows]);
    assert!(table.lines().all(|line| line.chars().count() <= 70), "{table}");
    assert!(table.contains("\n2026-11-20 10:00:00  GetEventDataStore  arn:aws:cloudtrail:"), "{table}");
    assert!(table.lines().count() > 4, "{table}");
}

#[test]
fn rows_without_room_for_their_columns_are_lists_of_cells() {
    let table = written(Format::Table, Width::Columns(30), true, vec![rows()]);
    assert_eq!(
        table,
        "\
─ 1 ──────────────────────────
eventName  ConsoleLogin
n          17
n          a
─ 2 ──────────────────────────
eventName  Say \"hi\", all
n          3
n
─ 3 ──────────────────────────
eventName  evil\\u{1b}[2J\\u{7f}
           \\u{9b}1m\\u{202e}
n          0
n          x\\ny
"
    );
    let one = || {
        let mut rows = Rows::new(&["eventjson"]);
        rows.push(vec!["x".repeat(70)]);
        rows
    };
    assert!(written(Format::Table, Width::Columns(30), true, vec![one()]).starts_with("eventjson\n────"));
}

#[test]
fn csv_quotes_where_needed_and_keeps_bytes_for_programs() {
    assert_eq!(
        written(Format::Csv, Width::Unlimited, false, vec![rows()]),
        "eventName,n,n\nConsoleLogin,17,a\n\"Say \"\"hi\"\", all\",3,\nevil\u{1b}[2J\u{7f}\u{9b}1m\u{202e},0,\"x\ny\"\n"
    );
    assert!(!written(Format::Csv, Width::Unlimited, true, vec![rows()]).contains('\u{1b}'));
}

#[test]
fn json_is_an_array_of_objects_that_loses_no_column() {
    let text = written(Format::Json, Width::Unlimited, false, vec![rows(), rows()]);
    assert!(text.starts_with("[\n{\"eventName\":\"ConsoleLogin\",\"n\":\"17\",\"n_2\":\"a\"},\n"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value.as_array().unwrap().len(), 6);
    assert_eq!(value[2]["n_2"], "x\ny");
}

#[test]
fn nothing_is_an_empty_array_a_header_line_or_no_table() {
    let none = || vec![Rows::new(&["a", "b"])];
    assert_eq!(written(Format::Json, Width::Unlimited, false, none()), "[]\n");
    assert_eq!(written(Format::Csv, Width::Unlimited, false, none()), "a,b\n");
    assert_eq!(written(Format::Table, Width::Unlimited, false, none()), "a  b\n──────\n");
    assert_eq!(written(Format::Table, Width::Unlimited, false, vec![]), "");
    assert_eq!(written(Format::Json, Width::Unlimited, false, vec![]), "[]\n");
}
