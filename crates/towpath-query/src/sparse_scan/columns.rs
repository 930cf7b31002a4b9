//! The columns that a sparse scan searches and reads, as the files have them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::reassign_expr_columns;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema_by_columns};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescPtr;

use crate::coded_texts::{is_coded, rows_with, texts_at};
use crate::pages::PagedGroup;
use crate::sought::{Sought, paths_read};

/// The columns of a scan, as its files have them.
pub(super) struct Columns {
    // The number of a leaf and what it is, the sought one first.
    leaves: Vec<(usize, ColumnDescPtr)>,
    schema: SchemaRef,
    levels: FieldLevels,
    // Columns of the schema that are one coded text a row, by their place in it, and the levels of the others.
    texts: Vec<(usize, usize, ColumnDescPtr)>,
    others: FieldLevels,
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
        let mask = |leaves: &[usize]| ProjectionMask::leaves(schema, leaves.iter().copied());
        let read_schema = parquet_to_arrow_schema_by_columns(schema, mask(&read), None)?;
        let known = |path: &Vec<String>| read_schema.field_with_name(&path[0]).is_ok();
        let fits = |field: &FieldRef| {
            let whole = table.field_with_name(field.name());
            whole.is_ok_and(|whole| is_part(field.data_type(), whole.data_type()))
        };
        if !paths.iter().all(known) || !read_schema.fields().iter().all(fits) {
            return Ok(None);
        }
        let levels = parquet_to_arrow_field_levels(schema, mask(&read), None)?;
        let one_text = |leaf: &usize| {
            let column = schema.column(*leaf);
            let [name] = column.path().parts() else { return None };
            let (place, field) = read_schema.column_with_name(name)?;
            let coded = || file.row_groups().iter().all(|group| is_coded(group.column(*leaf), &column));
            (*field.data_type() == DataType::Utf8 && coded()).then_some((place, *leaf, column))
        };
        let texts: Vec<_> = read.iter().filter_map(one_text).collect();
        let others: Vec<_> = read.iter().copied().filter(|leaf| texts.iter().all(|text| text.1 != *leaf)).collect();
        let others = parquet_to_arrow_field_levels(schema, mask(&others), None)?;
        let bound = |expr: &Arc<dyn PhysicalExpr>| reassign_expr_columns(expr.clone(), &read_schema);
        let leaves = std::iter::once(sought_leaf).chain(read.iter().copied());
        Ok(Some(Self {
            leaves: leaves.map(|leaf| (leaf, schema.column(leaf))).collect(),
            levels,
            texts,
            others,
            rest: sought.rest.as_ref().map(bound).transpose()?,
            outputs: outputs.iter().map(bound).collect::<Result<_>>()?,
            schema: Arc::new(read_schema),
        }))
    }

    /// True if another file has the same columns in the same places.
    pub(super) fn are_of(&self, file: &ParquetMetaData) -> bool {
        let schema = file.file_metadata().schema_descr();
        self.leaves.iter().all(|(leaf, column)| *leaf < schema.num_columns() && schema.column(*leaf) == *column)
    }

    /// The rows of a group that have one of the texts; `None` if its codes do not tell.
    pub(super) fn find(&self, group: &PagedGroup, texts: &Arc<[Vec<u8>]>) -> Result<Option<Arc<[Range<usize>]>>> {
        let Some((leaf, column)) = self.leaves.first() else { return Ok(None) };
        if let Some(found) = group.found(*leaf, texts) {
            return Ok(Some(found));
        }
        if !is_coded(group.metadata().column(*leaf), column) {
            return Ok(None);
        }
        let Some(rows) = rows_with(group.pages(*leaf)?, column, texts)? else { return Ok(None) };
        Ok(Some(group.keep_found(*leaf, texts, rows.into())))
    }

    /// Reads rows of a group.
    pub(super) fn read(&self, group: &PagedGroup, rows: &[Range<usize>], most: usize) -> Result<Vec<RecordBatch>> {
        let count = rows.iter().map(Range::len).sum::<usize>();
        if count <= most
            && let Some(texts) = self.read_texts(group, rows)?
        {
            return Ok(vec![self.read_others(group, rows, count, texts)?]);
        }
        let batches = read_levels(&self.levels, group, rows, most)?;
        let named = |batch: RecordBatch| Ok(RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())?);
        batches.into_iter().map(named).collect()
    }

    /// The columns of texts, if their codes tell them: a decoder of all values takes longer to set up than these to find.
    fn read_texts(&self, group: &PagedGroup, rows: &[Range<usize>]) -> Result<Option<Vec<(usize, ArrayRef)>>> {
        if !self.texts.iter().all(|(_, leaf, column)| is_coded(group.metadata().column(*leaf), column)) {
            return Ok(None);
        }
        let mut read = Vec::with_capacity(self.texts.len());
        for (place, leaf, column) in &self.texts {
            let Some(texts) = texts_at(group.pages(*leaf)?, column, rows)? else { return Ok(None) };
            read.push((*place, Arc::new(texts) as ArrayRef));
        }
        Ok(Some(read))
    }

    /// The rows with these columns of texts and the others.
    fn read_others(
        &self,
        group: &PagedGroup,
        rows: &[Range<usize>],
        count: usize,
        mut texts: Vec<(usize, ArrayRef)>,
    ) -> Result<RecordBatch> {
        let mut others = match self.texts.len() == self.schema.fields().len() {
            true => Vec::new(),
            false => read_levels(&self.others, group, rows, count)?,
        };
        let others = others.pop().filter(|_| others.is_empty());
        let mut left = others.iter().flat_map(|others| others.columns()).cloned();
        texts.sort_unstable_by_key(|(place, _)| *place);
        let mut texts = texts.into_iter().peekable();
        let columns = (0..self.schema.fields().len()).map(|place| match texts.next_if(|text| text.0 == place) {
            Some((_, texts)) => Ok(texts),
            None => left.next().ok_or_else(|| exec_datafusion_err!("a row group has other rows than its columns say")),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn read_levels(
    levels: &FieldLevels,
    group: &PagedGroup,
    rows: &[Range<usize>],
    most: usize,
) -> Result<Vec<RecordBatch>> {
    let all = group.metadata().num_rows() as usize;
    let count = rows.iter().map(Range::len).sum::<usize>();
    let selection = RowSelection::from_consecutive_ranges(rows.iter().cloned(), all);
    let batch_rows = count.clamp(1, most.max(1));
    let reader = ParquetRecordBatchReader::try_new_with_row_groups(levels, group, batch_rows, Some(selection))?;
    Ok(reader.collect::<std::result::Result<_, _>>()?)
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
