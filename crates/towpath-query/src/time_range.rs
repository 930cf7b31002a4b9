//! The part of a WHERE clause that says, exactly, between which moments events occurred.
//!
//! Most questions name days or hours, and a file holds one day. Of a file within the range no time need be looked at;
//! that is what taking the range out of the filter is for.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, TimestampMillisecondArray};
use arrow::compute::and;
use arrow::compute::kernels::cmp::{gt_eq, lt_eq};
use arrow::datatypes::TimestampMillisecondType;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::expr::{Between, BinaryExpr};
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr as PhysicalBinary, Column, Literal};
use towpath_lake::{DataFile, EVENT_TIME};
use towpath_model::EventTime;

/// Moments between two, both included, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    from: i64,
    to: i64,
}

impl TimeRange {
    /// Every moment.
    pub(crate) const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    /// What a filter says that says nothing else; `None` for any other filter.
    pub(crate) fn of(filter: &Expr) -> Option<Self> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Some(Self::of(left)?.and(Self::of(right)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                compared(left, *op, right).or_else(|| compared(right, op.swap()?, left))
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                Some(compared(expr, Operator::GtEq, low)?.and(compared(expr, Operator::LtEq, high)?))
            }
            _ => None,
        }
    }

    /// What is in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Without what occurred before.
    pub(crate) fn since(self, from: Option<EventTime>) -> Self {
        Self { from: self.from.max(from.map_or(i64::MIN, EventTime::as_millis)), ..self }
    }

    /// False when no event of the file is in the range.
    pub(crate) fn touches(&self, file: &DataFile) -> bool {
        self.from <= file.times.1.as_millis() && file.times.0.as_millis() <= self.to
    }

    /// True when every event of the file is in the range.
    pub(crate) fn covers(&self, file: &DataFile) -> bool {
        self.from <= file.times.0.as_millis() && file.times.1.as_millis() <= self.to
    }

    /// True of rows in the range, whose event time is column number `column`.
    pub(crate) fn filter(&self, column: usize) -> Arc<dyn PhysicalExpr> {
        let bound = |operator, moment| -> Arc<dyn PhysicalExpr> {
            let moment = Literal::new(ScalarValue::TimestampMillisecond(Some(moment), None));
            Arc::new(PhysicalBinary::new(Arc::new(Column::new(EVENT_TIME, column)), operator, Arc::new(moment)))
        };
        let (from, to) = (bound(Operator::GtEq, self.from), bound(Operator::LtEq, self.to));
        match (self.from, self.to) {
            (_, i64::MAX) => from,
            (i64::MIN, _) => to,
            _ => Arc::new(PhysicalBinary::new(from, Operator::And, to)),
        }
    }

    /// Which rows of a batch are in the range.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let times =
            batch.column_by_name(EVENT_TIME).and_then(|times| times.as_primitive_opt::<TimestampMillisecondType>());
        let times = times.ok_or_else(|| exec_datafusion_err!("rows have no event time"))?;
        let after = gt_eq(times, &TimestampMillisecondArray::new_scalar(self.from))?;
        Ok(and(&after, &lt_eq(times, &TimestampMillisecondArray::new_scalar(self.to))?)?)
    }
}

/// `eventtime op moment`, where the moment is a literal of the column's own type.
fn compared(column: &Expr, op: Operator, moment: &Expr) -> Option<TimeRange> {
    let (Expr::Column(column), Expr::Literal(ScalarValue::TimestampMillisecond(Some(moment), None), _)) =
        (column, moment)
    else {
        return None;
    };
    if column.name != EVENT_TIME {
        return None;
    }
    let (from, to) = match op {
        Operator::Eq => (*moment, *moment),
        Operator::GtEq => (*moment, i64::MAX),
        Operator::Gt => (moment.checked_add(1)?, i64::MAX),
        Operator::LtEq => (i64::MIN, *moment),
        Operator::Lt => (i64::MIN, moment.checked_sub(1)?),
        _ => return None,
    };
    Some(TimeRange { from, to })
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn moment(millis: i64) -> Expr {
        lit(ScalarValue::TimestampMillisecond(Some(millis), None))
    }

    #[test]
    fn comparisons_of_the_event_time_are_a_range_and_others_are_not() {
        let time = || col(EVENT_TIME);
        let range = |from, to| Some(TimeRange { from, to });
        assert_eq!(TimeRange::of(&time().gt_eq(moment(5)).and(time().lt(moment(9)))), range(5, 8));
        assert_eq!(TimeRange::of(&moment(5).lt(time())), range(6, i64::MAX));
        assert_eq!(TimeRange::of(&time().between(moment(1), moment(2))), range(1, 2));
        assert_eq!(TimeRange::of(&time().eq(moment(3))), range(3, 3));
        for other in [
            time().not_eq(moment(3)),
            time().gt(lit(ScalarValue::TimestampMicrosecond(Some(3), None))),
            time().gt(lit(ScalarValue::TimestampMillisecond(None, None))),
            time().gt(moment(3)).or(time().lt(moment(1))),
            time().gt(moment(3)).and(col("a").eq(lit(1))),
            time().not_between(moment(1), moment(2)),
            col("other").gt(moment(3)),
        ] {
            assert_eq!(TimeRange::of(&other), None, "{other}");
        }
    }
}
