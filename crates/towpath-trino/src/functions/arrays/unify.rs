//! The type that values of several types can become.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

use crate::functions::scalar::wrong_arguments;
use crate::types::{array_of, element, is_integer, is_number, is_text, is_zoned, map_parts};

/// Finds the type that all of `types` can become.
pub(crate) fn common(name: &str, types: &[DataType]) -> Result<DataType> {
    let mut found = DataType::Null;
    for next in types {
        found = unify(&found, next).ok_or_else(|| wrong_arguments(name, types))?;
    }
    Ok(found)
}

/// Finds the type that both types can become without loss.
pub(crate) fn unify(a: &DataType, b: &DataType) -> Option<DataType> {
    if a == b || *b == DataType::Null {
        return Some(a.clone());
    }
    if *a == DataType::Null {
        return Some(b.clone());
    }
    if is_text(a) && is_text(b) {
        return Some(DataType::Utf8);
    }
    if is_number(a) && is_number(b) {
        if is_integer(a) && is_integer(b) {
            return Some(DataType::Int64);
        }
        return datafusion::logical_expr::type_coercion::binary::binary_numeric_coercion(a, b);
    }
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => unify(a.data_type(), b.data_type()).map(array_of),
        (DataType::Struct(x), DataType::Struct(y)) if x.len() == y.len() => {
            let fields = x
                .iter()
                .zip(y)
                .map(|(x, y)| Some(Field::new(x.name(), unify(x.data_type(), y.data_type())?, true)))
                .collect::<Option<Vec<_>>>()?;
            Some(DataType::Struct(fields.into()))
        }
        (DataType::Map(_, _), DataType::Map(_, _)) => {
            let ((ak, av), (bk, bv)) = (map_parts(a)?, map_parts(b)?);
            Some(crate::types::map_of(unify(ak, bk)?, unify(av, bv)?))
        }
        (DataType::Date32, t) | (t, DataType::Date32) if matches!(t, DataType::Timestamp(_, _)) => Some(t.clone()),
        (DataType::Timestamp(_, _), DataType::Timestamp(_, _)) => Some(if is_zoned(a) { a.clone() } else { b.clone() }),
        _ => None,
    }
}

/// Coerces the second argument to the element type of the first.
pub(super) fn coerce_element(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let [list, value] = types else { return Err(wrong_arguments(name, types)) };
    let Some(item) = element(list) else { return Err(wrong_arguments(name, types)) };
    if unify(item, value).is_none() {
        return Err(wrong_arguments(name, types));
    }
    let wanted = unify(item, value).unwrap_or_else(|| item.clone());
    Ok(vec![if wanted == *item { list.clone() } else { array_of(wanted.clone()) }, wanted])
}
