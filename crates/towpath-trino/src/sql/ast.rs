//! Small builders and readers of sqlparser's tree.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, OrderByExpr, OrderByOptions, Spanned, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

/// Builds the call `name(arguments)`, placed at `span`.
pub(crate) fn call(name: &str, arguments: Vec<Expr>, span: Span) -> Expr {
    Expr::Function(function(name, arguments, span))
}

/// Builds the call `name(arguments)` for further decoration.
pub(crate) fn function(name: &str, arguments: Vec<Expr>, span: Span) -> Function {
    Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident { value: name.into(), quote_style: Some('"'), span })]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// Builds a string literal.
pub(crate) fn text(value: &str) -> Expr {
    literal(Value::SingleQuotedString(value.to_owned()))
}

/// Builds a number literal.
pub(crate) fn number(value: i64) -> Expr {
    literal(Value::Number(value.to_string(), false))
}

/// Builds a literal without a place of its own.
pub(crate) fn literal(value: Value) -> Expr {
    Expr::Value(ValueWithSpan { value, span: Span::empty() })
}

/// Builds an element of an ORDER BY list.
pub(crate) fn order(expr: Expr, asc: bool) -> OrderByExpr {
    OrderByExpr { expr, options: OrderByOptions { asc: Some(asc), nulls_first: Some(false) }, with_fill: None }
}

/// Returns the name of a function if it has one part.
pub(crate) fn function_name(function: &Function) -> Option<&Ident> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(name),
        _ => None,
    }
}

/// Returns the arguments of a call, or none if one of them is not a plain expression.
pub(crate) fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::None => Some(vec![]),
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
        FunctionArguments::Subquery(_) => None,
    }
}

/// Returns where an expression starts.
pub(crate) fn place(expr: &Expr) -> Location {
    expr.span().start
}
