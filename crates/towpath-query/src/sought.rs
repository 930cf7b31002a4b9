//! What a filter looks for, as far as codes of a column can find it: a column, or a member of a struct, that must be one of
//! some texts.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction_opt};

/// Who acted and from where: what few rows of a file have, and what has a dictionary.
const COLUMNS: &[&str] = &[
    "useridentity.accesskeyid",
    "useridentity.arn",
    "useridentity.principalid",
    "useridentity.username",
    "sourceipaddress",
    "lookupusername",
    "eventdata.useridentity.principalid",
    "eventdata.sourceipaddress",
];
/// Longest list of texts.
const MAX_TEXTS: usize = 64;

/// One part of a filter that names texts, and the rest of the filter.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    /// The column and the members below it.
    pub(crate) path: Vec<String>,
    /// A row that passes has one of these there.
    pub(crate) texts: Arc<[Vec<u8>]>,
    /// What else must hold.
    pub(crate) rest: Option<Arc<dyn PhysicalExpr>>,
}

impl Sought {
    /// What the filter over rows of `schema` looks for; `None` if that is not for codes to find.
    pub(crate) fn of(filter: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Self> {
        let mut parts: Vec<_> = split_conjunction(filter).into_iter().cloned().collect();
        let found = parts.iter().enumerate().find_map(|(at, part)| Some((at, texts_of(part, schema)?)));
        let (at, (path, texts)) = found?;
        parts.remove(at);
        Some(Self { path, texts: texts.into(), rest: conjunction_opt(parts) })
    }
}

/// `path = 'text'`, `path IN ('text', ..)`, and several of these for one path with OR between them, as short lists are
/// written.
fn texts_of(part: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<(Vec<String>, Vec<Vec<u8>>)> {
    let (path, texts) = match (part.downcast_ref::<BinaryExpr>(), part.downcast_ref::<InListExpr>()) {
        (Some(either), _) if *either.op() == Operator::Or => {
            let (path, mut texts) = texts_of(either.left(), schema)?;
            let (other, more) = texts_of(either.right(), schema)?;
            texts.extend(more);
            (path == other).then_some((path, texts))?
        }
        (Some(equal), _) if *equal.op() == Operator::Eq => {
            let (left, right) = (equal.left(), equal.right());
            let named = |path, text| Some((path_of(path, schema)?, vec![text_of(text)?]));
            named(left, right).or_else(|| named(right, left))?
        }
        (_, Some(list)) if !list.negated() => {
            (path_of(list.expr(), schema)?, list.list().iter().map(text_of).collect::<Option<Vec<_>>>()?)
        }
        _ => return None,
    };
    let sought = COLUMNS.contains(&path.join(".").as_str()) && texts.len() <= MAX_TEXTS;
    sought.then_some((path, texts))
}

fn text_of(literal: &Arc<dyn PhysicalExpr>) -> Option<Vec<u8>> {
    let value = literal.downcast_ref::<Literal>()?.value();
    value.try_as_str()?.map(|text| text.as_bytes().to_vec())
}

/// A column, or a member of a struct in one: the column's name and the members'.
pub(crate) fn path_of(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Vec<String>> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return Some(vec![column.name().to_owned()]);
    }
    let call = expr.downcast_ref::<ScalarFunctionExpr>().filter(|call| call.fun().name() == "get_field")?;
    let (base, members) = call.args().split_first()?;
    let mut path = path_of(base, schema)?;
    for member in members {
        let DataType::Struct(fields) = type_at(&path, schema)? else { return None };
        let name = String::from_utf8(text_of(member)?).ok()?;
        path.push(fields.find(&name)?.1.name().clone());
    }
    Some(path)
}

fn type_at<'a>(path: &[String], schema: &'a Schema) -> Option<&'a DataType> {
    let (column, members) = path.split_first()?;
    let mut at = schema.field_with_name(column).ok()?.data_type();
    for member in members {
        let DataType::Struct(fields) = at else { return None };
        at = fields.find(member)?.1.data_type();
    }
    Some(at)
}

/// What expressions read: paths of columns and members, each of them with all that is below it.
pub(crate) fn paths_read<'a>(
    exprs: impl IntoIterator<Item = &'a Arc<dyn PhysicalExpr>>,
    schema: &Schema,
) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut left: Vec<&Arc<dyn PhysicalExpr>> = exprs.into_iter().collect();
    while let Some(expr) = left.pop() {
        match path_of(expr, schema) {
            Some(path) if !paths.contains(&path) => paths.push(path),
            Some(_) => {}
            None => left.extend(expr.children()),
        }
    }
    paths
}
