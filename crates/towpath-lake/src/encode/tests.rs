use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::bloom_filter::Sbbf;

use super::*;
use crate::batch::batch_of;
use crate::testing::{real_records, row_of};

fn file_of(kind: StoreKind, records: &[String]) -> (Vec<RecordBatch>, DataFile, Bytes) {
    let rows: Vec<_> = records.iter().enumerate().map(|(at, json)| row_of(at as u64, json.clone())).collect();
    let batches: Vec<_> = rows.chunks(1000).map(|rows| batch_of(kind, rows).unwrap()).collect();
    let places: Vec<_> = by_day(&batches, None).into_iter().flat_map(|(_, places)| places).collect();
    let store = StoreId::from_uuid(Uuid::nil());
    let (file, bytes) = encode((store, kind, 0), &batches, &places, Timestamp::UNIX_EPOCH).unwrap();
    (batches, file, bytes)
}

#[test]
fn a_file_has_the_declared_schema_ids_included_and_the_rows_in_order_of_time() {
    for kind in StoreKind::ALL {
        let (batches, file, bytes) = file_of(kind, &real_records()[..1500]);
        let metadata = ArrowReaderMetadata::load(&bytes, Default::default()).unwrap();
        assert_eq!(metadata.schema().fields(), schema::file_schema(kind).fields(), "{kind:?}");

        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().with_batch_size(700).build().unwrap();
        let read: Vec<_> = reader.map(Result::unwrap).collect();
        let (mut seen, mut last) = (0, i64::MIN);
        for batch in &read {
            for (row, time) in times(batch).iter().enumerate() {
                assert!(last <= *time);
                last = *time;
                let position = positions(batch)[row] as usize;
                let original = batches[position / 1000].slice(position % 1000, 1);
                assert_eq!(batch.slice(row, 1), original);
                seen += 1;
            }
        }
        assert_eq!((seen, file.rows), (1500, 1500));
        assert_eq!(file.times.1.as_millis(), last);
    }
}

#[test]
fn the_manifest_entry_rules_out_only_files_without_the_value() {
    let (batches, file, _) = file_of(StoreKind::CloudTrail, &real_records()[..3000]);
    for path in crate::stats::stats_columns(StoreKind::CloudTrail) {
        for batch in &batches {
            let array = crate::stats::column_at(batch, path).unwrap();
            for value in array.as_string::<i32>().iter() {
                match value {
                    Some(value) => assert!(file.may_match(path, &[value]), "{path} {value}"),
                    None => assert!(file.may_be_null(path), "{path}"),
                }
            }
        }
    }
    assert!(!file.may_match("useridentity.type", &["NoSuchType", "Iam"]));
    assert!(file.may_match("useridentity.type", &["NoSuchType", "IAMUser"]));
    assert!(file.may_match("no.such.column", &["x"]));
}

#[test]
fn filters_have_every_value_of_a_file_and_few_others() {
    for kind in [StoreKind::CloudTrail, StoreKind::History] {
        let (batches, file, bytes) = file_of(kind, &real_records()[..3000]);
        let expected = FILTERS.iter().filter(|(name, _)| file.columns.contains_key(*name) || name.ends_with("id"));
        let mut seen = 0;
        for (name, _) in expected.filter(|(name, _)| !name.starts_with("eventdata")) {
            let [FilterPlace(offset, length)] = file.filters[*name][..] else { panic!("{name}") };
            let filter = bytes.slice(offset as usize..offset as usize + length as usize);
            let filter = Sbbf::from_bytes(&filter).unwrap();
            for batch in &batches {
                let array = crate::stats::column_at(batch, name).unwrap();
                let values = array.as_list_opt::<i32>().map_or(array.clone(), |lists| lists.values().clone());
                for value in values.as_string::<i32>().iter().flatten() {
                    assert!(filter.check(value), "{name} {value}");
                    seen += 1;
                }
            }
            let others = (0..1000).filter(|n| filter.check(format!("no such value {n}").as_str())).count();
            assert!(others < 40, "{name}: {others}");
        }
        assert!(seen > 10_000, "{seen}");
    }
}
