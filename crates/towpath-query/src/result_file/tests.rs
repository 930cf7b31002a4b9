use proptest::prelude::*;

use super::*;

fn write(path: &Path, rows: &[Row]) -> ResultIndex {
    let mut writer = ResultWriter::create(path, rows.first().map_or(1, Vec::len)).unwrap();
    for row in rows {
        for cell in row {
            writer.push_cell(cell.as_deref());
        }
        writer.end_row().unwrap();
    }
    let index = writer.finish_rows().unwrap().clone();
    writer.finish(b"so").unwrap();
    index
}

fn numbered(rows: usize) -> Vec<Row> {
    (0..rows).map(|n| vec![Some(n.to_string()), None, Some("x".repeat(n % 7))]).collect()
}

#[test]
fn rows_are_read_by_number_across_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let rows = numbered(2500);
    assert_eq!(write(&path, &rows).rows(), 2500);
    assert_eq!(ending(&path).unwrap(), b"so");

    let reader = ResultReader::open(&path, 2500).unwrap();
    assert_eq!(reader.rows(), 2500);
    for (first, count) in [(0, 1), (0, 1000), (990, 20), (1000, 1000), (2499, 10), (2500, 10), (9999, 1)] {
        let expected: Vec<_> = rows.iter().skip(first).take(count).cloned().collect();
        assert_eq!(reader.read(first as u64, count, usize::MAX).unwrap(), expected, "{first} {count}");
    }
}

#[test]
fn a_page_ends_when_it_is_full_of_text_but_has_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let rows: Vec<Row> = (0..10).map(|_| vec![Some("y".repeat(100))]).collect();
    write(&path, &rows);
    let reader = ResultReader::open(&path, 10).unwrap();
    assert_eq!(reader.read(0, 10, 250).unwrap().len(), 3);
    assert_eq!(reader.read(0, 10, 1).unwrap().len(), 1);
}

#[test]
fn whole_chunks_can_be_read_while_the_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ResultWriter::create(&folder.path().join("rows"), 1).unwrap();
    for n in 0..1500 {
        writer.push_cell(Some(&n.to_string()));
        writer.end_row().unwrap();
    }
    let reader = ResultReader::live(writer.file(), writer.index().clone());
    assert_eq!(reader.rows(), 1000);
    assert_eq!(reader.read(999, 10, usize::MAX).unwrap(), [vec![Some("999".to_owned())]]);
}

#[test]
fn a_row_that_was_not_ended_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let mut writer = ResultWriter::create(&path, 2).unwrap();
    for cell in ["a", "b", "c"] {
        writer.push_cell(Some(cell));
        if cell == "b" {
            writer.end_row().unwrap();
        }
    }
    writer.finish(b"").unwrap();
    let rows = ResultReader::open(&path, 1).unwrap().read(0, 10, usize::MAX).unwrap();
    assert_eq!(rows, [vec![Some("a".to_owned()), Some("b".to_owned())]]);
}

#[test]
fn a_file_that_was_cut_or_changed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    write(&path, &numbered(1200));
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 7, 20, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(ResultReader::open(&path, 1200).is_err(), "cut at {cut}");
    }
    let step = (whole.len() / 50).max(1);
    for at in (8..whole.len()).step_by(step) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        std::fs::write(&path, &changed).unwrap();
        let read = ResultReader::open(&path, 1200).and_then(|reader| reader.read(0, 2000, usize::MAX));
        assert!(read.is_err() || read.unwrap() == numbered(1200), "changed at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_rows_come_back(rows in prop::collection::vec(prop::collection::vec(prop::option::of(".{0,20}"), 3), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        write(&path, &rows);
        prop_assert_eq!(ResultReader::open(&path, rows.len() as u64).unwrap().read(0, 100, usize::MAX).unwrap(), rows);
    }
}
