use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Field, Schema, TimeUnit};
use datafusion::common::ToDFSchema;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::{cast, col, in_list, lit};
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use super::*;

fn of(expr: Expr) -> Condition {
    Condition::of_filters([&expr])
}

fn one_of(path: &str, values: &[&str]) -> Condition {
    Condition::OneOf { path: path.into(), values: values.iter().map(|v| v.to_string()).collect() }
}

fn millis(value: i64) -> Expr {
    lit(ScalarValue::TimestampMillisecond(Some(value), None))
}

#[test]
fn equality_and_lists_are_sets_of_texts() {
    assert_eq!(of(col("eventname").eq(lit("PutObject"))), one_of("eventname", &["PutObject"]));
    assert_eq!(of(lit("PutObject").eq(col("eventname"))), one_of("eventname", &["PutObject"]));
    let list = in_list(col("eventname"), vec![lit("A"), lit("B")], false);
    assert_eq!(of(list), one_of("eventname", &["A", "B"]));
    let or = col("eventname").eq(lit("A")).or(col("eventname").eq(lit("B")));
    assert_eq!(of(or), one_of("eventname", &["A", "B"]));
    let member = get_field(get_field(col("useridentity"), "sessioncontext"), "sourceidentity");
    assert_eq!(of(member.eq(lit("x"))), one_of("useridentity.sessioncontext.sourceidentity", &["x"]));
    let viewed = cast(col("eventname"), DataType::Utf8View).eq(lit("A"));
    assert_eq!(of(viewed), one_of("eventname", &["A"]));
}

#[test]
fn what_is_not_understood_lets_everything_through() {
    for expr in [
        col("eventname").not_eq(lit("A")),
        in_list(col("eventname"), vec![lit("A")], true),
        col("a").eq(col("b")),
        col("eventname").eq(lit("A")).or(col("a").eq(col("b"))),
        cast(col("eventtime"), DataType::Utf8).gt(lit("2020")),
        !col("eventname").eq(lit("A")),
        col("eventname").like(lit("%x")),
    ] {
        // A cast of a timestamp to text keeps its path but no file knows texts there.
        let condition = of(expr.clone());
        if !matches!(condition, Condition::Between { .. }) {
            assert_eq!(condition, Condition::Unknown, "{expr}");
        }
    }
}

#[test]
fn times_are_ranges_that_include_their_ends() {
    let time = |from, to| Condition::Time { path: "eventtime".into(), from, to };
    assert_eq!(of(col("eventtime").gt(millis(5))), time(Some(5), None));
    assert_eq!(of(millis(5).gt(col("eventtime"))), time(None, Some(5)));
    let micros = lit(ScalarValue::TimestampMicrosecond(Some(5_500), Some("UTC".into())));
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(of(cast(col("eventtime"), zoned).lt(micros)), time(None, Some(6)));
    let day = cast(col("eventtime"), DataType::Date32).eq(lit(ScalarValue::Date32(Some(1))));
    assert_eq!(of(day), time(Some(DAY_MILLIS), Some(2 * DAY_MILLIS - 1)));
    let both = col("eventtime").between(millis(1), millis(2));
    assert_eq!(of(both), Condition::All(vec![time(Some(1), None), time(None, Some(2))]));
    let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("Asia/Tokyo".into()));
    let other = lit(ScalarValue::TimestampMicrosecond(Some(5_500), Some("Asia/Tokyo".into())));
    assert_eq!(of(cast(col("eventtime"), zone).lt(other)), Condition::Unknown);
}

#[test]
fn a_contradiction_passes_nothing() {
    assert_eq!(of(lit(false)), Condition::Never);
    assert_eq!(of(col("a").eq(lit("x")).and(lit(false))), Condition::Never);
    assert_eq!(of(col("a").eq(lit(ScalarValue::Utf8(None)))), Condition::Never);
}

#[test]
fn a_prefix_is_a_range() {
    let Condition::Between { low, high, .. } = of(col("eventname").like(lit("Get%"))) else { panic!() };
    assert_eq!(low.as_deref(), Some("Get"));
    assert!(high.unwrap().as_str() > "Getzzz");
}

/// Rows of which everything is known.
struct Rows(Vec<(Option<String>, Option<String>, i64)>);

impl Rows {
    fn texts(&self, path: &str) -> Vec<&str> {
        let texts = self.0.iter().map(|(a, b, _)| if path == "a" { a } else { b });
        texts.flatten().map(String::as_str).collect()
    }
}

impl Facts for Rows {
    fn may_hold(&self, path: &str, value: &str) -> bool {
        self.texts(path).contains(&value)
    }

    fn may_hold_between(&self, path: &str, low: Option<&str>, high: Option<&str>) -> bool {
        let inside = |text: &&str| low.is_none_or(|low| low <= *text) && high.is_none_or(|high| *text <= high);
        self.texts(path).iter().any(inside)
    }

    fn may_hold_time(&self, _: &str, from: Option<i64>, to: Option<i64>) -> bool {
        self.0.iter().any(|(_, _, t)| from.is_none_or(|from| from <= *t) && to.is_none_or(|to| *t <= to))
    }
}

/// True when some row passes the filter, as DataFusion evaluates it.
fn some_row_passes(rows: &Rows, filter: &Expr) -> bool {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Utf8, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("t", time, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter(rows.0.iter().map(|(a, _, _)| a.as_deref()))),
        Arc::new(StringArray::from_iter(rows.0.iter().map(|(_, b, _)| b.as_deref()))),
        Arc::new(TimestampMillisecondArray::from_iter_values(rows.0.iter().map(|(_, _, t)| *t))),
    ];
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let context = SessionContext::new();
    let filter = context.create_physical_expr(filter.clone(), &schema.to_dfschema().unwrap()).unwrap();
    let passes = filter.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap();
    passes.as_boolean().true_count() > 0
}

fn any_filter() -> impl Strategy<Value = Expr> {
    let column = || prop_oneof![Just(col("a")), Just(col("b"))];
    let operator = || {
        use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
        prop::sample::select(vec![Eq, NotEq, Lt, LtEq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom])
    };
    let text = || prop_oneof![8 => "[xyz]{0,2}".prop_map(lit), 1 => Just(lit(ScalarValue::Utf8(None)))];
    let binary = |left, op, right| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    let leaf = prop_oneof![
        (column(), operator(), text()).prop_map(move |(column, op, text)| binary(column, op, text)),
        (column(), operator(), text()).prop_map(move |(column, op, text)| binary(text, op, column)),
        (operator(), 0i64..6).prop_map(move |(op, t)| binary(col("t"), op, millis(t))),
        (column(), prop::collection::vec(text(), 1..4), any::<bool>()).prop_map(|(c, list, not)| in_list(c, list, not)),
        (column(), "[xyz]{0,2}[%_]?[xyz]?").prop_map(|(column, pattern)| column.like(lit(pattern))),
        (0i64..6, 0i64..6).prop_map(|(from, to)| col("t").between(millis(from), millis(to))),
        column().prop_map(|column| column.is_null()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.or(right)),
            inner.prop_map(|expr| !expr),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn rows_that_pass_are_never_ruled_out(
        rows in prop::collection::vec((prop::option::of("[xyz]{0,2}"), prop::option::of("[xyz]{0,2}"), 0i64..6), 1..4),
        filter in any_filter(),
    ) {
        let rows = Rows(rows);
        if some_row_passes(&rows, &filter) {
            prop_assert!(Condition::of_filters([&filter]).may_match(&rows), "{filter}");
        }
    }
}
