//! Filters that the stored form of a record can answer.
//!
//! Files hold the record without values that columns beside it have, and a query that asks for the record has it put
//! together row by row. A filter that digs one value out of it with a JSON path need not wait for that where nothing is
//! left out below the path: `$.requestParameters...` reads the stored text alone. Such a filter belongs to the scan, which
//! hands it on to the reader of files: the record is decoded only for rows that pass the other filters.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, exec_datafusion_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use towpath_lake::{EVENT_JSON, computed, is_stored_whole, stored_documents};
use towpath_model::StoreKind;

/// Functions whose first argument is a document and whose second is the path into it. Within TRY they have this prefix.
const DIGGING: [&str; 3] = ["json_extract", "json_extract_scalar", "json_size"];
const LENIENT: &str = "$try_";

/// The filter over stored columns, if it uses the record and only by paths below which nothing is left out of it.
pub(crate) fn stored_filter(kind: StoreKind, filter: &Expr) -> Option<Expr> {
    let mut digs = false;
    let mut other = false;
    let rewritten = filter.clone().transform_down(|expr| match &expr {
        Expr::ScalarFunction(call) if digs_in_stored(kind, call) => {
            digs = true;
            let mut arguments = call.args.clone();
            arguments[0] = document(Expr::Column(Column::new_unqualified(EVENT_JSON)));
            let call = Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), arguments));
            Ok(Transformed::new(call, true, TreeNodeRecursion::Jump))
        }
        Expr::Column(column) => {
            other |= computed(kind).iter().any(|computed| computed.name == column.name);
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(&column.name))))
        }
        Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::OuterReferenceColumn(..) => {
            other = true;
            Ok(Transformed::no(expr))
        }
        _ => Ok(Transformed::no(expr)),
    });
    rewritten.ok().map(|rewritten| rewritten.data).filter(|_| digs && !other)
}

/// Names of the columns that filters use.
pub(crate) fn columns_of(filters: &[Expr]) -> BTreeSet<&str> {
    filters.iter().flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect()
}

fn digs_in_stored(kind: StoreKind, call: &ScalarFunction) -> bool {
    let name = call.func.name();
    if !DIGGING.contains(&name.strip_prefix(LENIENT).unwrap_or(name)) {
        return false;
    }
    match call.args.as_slice() {
        [Expr::Column(column), Expr::Literal(path, _)] if column.name == EVENT_JSON => {
            let member = path.try_as_str().flatten().and_then(first_member);
            member.is_some_and(|member| is_stored_whole(kind, member))
        }
        _ => false,
    }
}

/// The member of the document that a path leads through, if the path begins in the plainest of ways: `$.member...`.
fn first_member(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("$.")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (member, rest) = rest.split_at(end);
    let plain = member.starts_with(|c: char| c.is_ascii_alphabetic());
    (plain && (rest.is_empty() || rest.starts_with(['.', '[']))).then_some(member)
}

/// A stored record as a JSON document.
fn document(stored: Expr) -> Expr {
    static DOCUMENT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Document::new())));
    Expr::ScalarFunction(ScalarFunction::new_udf(DOCUMENT.clone(), vec![stored]))
}

/// [`stored_documents`] as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Document {
    signature: Signature,
}

impl Document {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Document {
    fn name(&self) -> &str {
        "$document"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [stored] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("{} takes one argument", self.name()));
        };
        Ok(ColumnarValue::Array(stored_documents(&stored.to_array(args.number_rows)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_a_member_or_nothing_is_known_of_it() {
        for (path, member) in [
            ("$.requestParameters", Some("requestParameters")),
            ("$.requestParameters.a[0]", Some("requestParameters")),
            ("$.items[0]", Some("items")),
            ("$", None),
            ("$.", None),
            ("$[0]", None),
            ("$.*", None),
            ("$.0", None),
            ("$.\"eventID\"", None),
            ("$[\"eventID\"]", None),
            ("$.event-ID", None),
            ("lax $.eventID", None),
            ("$.é", None),
        ] {
            assert_eq!(first_member(path), member, "{path}");
        }
    }
}
