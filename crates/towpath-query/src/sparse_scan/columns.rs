//! The columns that a sparse scan searches and reads, as the files have them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::reassign_expr_columns;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema_by_columns};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescPtr;

use crate::coded_texts::{is_coded, rows_with};
use crate::pages::PagedGroup;
use crate::sought::{Sought, paths_read};

/// The columns of a scan, as its files have them.
pub(super) struct Columns {
    // The number of a leaf and what it is, the sought one first.
    leaves: Vec<(usize, ColumnDescPtr)>,
    levels: FieldLevels,
    pub(super) rest: Option<Arc<dyn PhysicalExpr>>,
    pub(super) outputs: Vec<Arc<dyn PhysicalExpr>>,
}

impl Columns {
    /// Looks the columns up in a file; `None` if the file's are not those of the table.
    pub(super) fn of(
        file: &ParquetMetaData,
        sought: &Sought,
        outputs: &[Arc<dyn PhysicalExpr>],
        table: &Schema,
    ) -> Result<Option<Self>> {
        let schema = file.file_metadata().schema_descr();
        let leaves_at = |path: &[String]| -> Vec<usize> {
            (0..schema.num_columns()).filter(|leaf| schema.column(*leaf).path().parts().starts_with(path)).collect()
        };
        let [sought_leaf] = leaves_at(&sought.path)[..] else { return Ok(None) };
        let paths = paths_read(outputs.iter().chain(&sought.rest), table);
        let mut read: Vec<_> = paths.iter().flat_map(|path| leaves_at(path)).collect();
        read.sort_unstable();
        read.dedup();
        let mask = || ProjectionMask::leaves(schema, read.iter().copied());
        let read_schema = parquet_to_arrow_schema_by_columns(schema, mask(), None)?;
        let known = |path: &Vec<String>| read_schema.field_with_name(&path[0]).is_ok();
        let fits = |field: &FieldRef| {
            let whole = table.field_with_name(field.name());
            whole.is_ok_and(|whole| is_part(field.data_type(), whole.data_type()))
        };
        if !paths.iter().all(known) || !read_schema.fields().iter().all(fits) {
            return Ok(None);
        }
        let levels = parquet_to_arrow_field_levels(schema, mask(), None)?;
        let bound = |expr: &Arc<dyn PhysicalExpr>| reassign_expr_columns(expr.clone(), &read_schema);
        let leaves = std::iter::once(sought_leaf).chain(read.iter().copied());
        Ok(Some(Self {
            leaves: leaves.map(|leaf| (leaf, schema.column(leaf))).collect(),
            levels,
            rest: sought.rest.as_ref().map(bound).transpose()?,
            outputs: outputs.iter().map(bound).collect::<Result<_>>()?,
        }))
    }

    /// True if another file has the same columns in the same places.
    pub(super) fn are_of(&self, file: &ParquetMetaData) -> bool {
        let schema = file.file_metadata().schema_descr();
        self.leaves.iter().all(|(leaf, column)| *leaf < schema.num_columns() && schema.column(*leaf) == *column)
    }

    /// The rows of a group that have one of the texts; `None` if its codes do not tell.
    pub(super) fn find(&self, group: &PagedGroup, texts: &[Vec<u8>]) -> Result<Option<Vec<Range<usize>>>> {
        let Some((leaf, column)) = self.leaves.first() else { return Ok(None) };
        if !is_coded(group.metadata().column(*leaf), column) {
            return Ok(None);
        }
        Ok(rows_with(group.pages(*leaf)?, column, texts)?)
    }

    /// Reads rows of a group.
    pub(super) fn read(&self, group: &PagedGroup, rows: Vec<Range<usize>>, most: usize) -> Result<Vec<RecordBatch>> {
        let all = group.metadata().num_rows() as usize;
        let count = rows.iter().map(Range::len).sum::<usize>();
        let selection = RowSelection::from_consecutive_ranges(rows.into_iter(), all);
        let batch_rows = count.clamp(1, most.max(1));
        let reader =
            ParquetRecordBatchReader::try_new_with_row_groups(&self.levels, group, batch_rows, Some(selection))?;
        Ok(reader.collect::<std::result::Result<_, _>>()?)
    }
}

/// True if a type is another one, or one with some of its members.
fn is_part(part: &DataType, whole: &DataType) -> bool {
    match (part, whole) {
        (DataType::Struct(some), DataType::Struct(all)) => some.iter().all(|member| {
            all.find(member.name()).is_some_and(|(_, whole)| is_part(member.data_type(), whole.data_type()))
        }),
        (part, whole) => part == whole,
    }
}
