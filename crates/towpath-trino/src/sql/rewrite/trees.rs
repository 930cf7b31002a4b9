//! Trees in a form that is safe to walk: balanced chains, joined paths.

use std::mem;

use datafusion::sql::sqlparser::ast::{AccessExpr, BinaryOperator, Expr, Value, ValueWithSpan};

use crate::sql::ast::literal;

/// Makes a long chain of ANDs or ORs a balanced tree, so that its depth is no danger.
pub(super) fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = expr else { return };
    let op = op.clone();
    let mut operands = Vec::new();
    let mut rest = mem::replace(expr, literal(Value::Null));
    loop {
        match rest {
            Expr::BinaryOp { left, op: this, right } if this == op => {
                operands.push(*right);
                rest = *left;
            }
            last => {
                operands.push(last);
                break;
            }
        }
    }
    operands.reverse();
    if operands.len() <= 8 {
        let mut operands = operands.into_iter();
        let first = operands.next().expect("an operator has operands");
        *expr = operands.fold(first, |left, right| binary(left, op.clone(), right));
        return;
    }
    *expr = balanced(operands, &op);
}

pub(super) fn balanced(mut operands: Vec<Expr>, op: &BinaryOperator) -> Expr {
    if operands.len() == 1 {
        return operands.pop().expect("there is one operand");
    }
    let right = operands.split_off(operands.len() / 2);
    binary(balanced(operands, op), op.clone(), balanced(right, op))
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// Moves leading `.name` steps of an access chain into its root, which then is an ordinary dotted name.
pub(super) fn join_path(root: &mut Box<Expr>, chain: &mut Vec<AccessExpr>) {
    let mut parts = match root.as_ref() {
        Expr::Identifier(name) => vec![name.clone()],
        Expr::CompoundIdentifier(parts) => parts.clone(),
        _ => return,
    };
    let steps = chain.iter().take_while(|step| matches!(step, AccessExpr::Dot(Expr::Identifier(_)))).count();
    for step in chain.drain(..steps) {
        if let AccessExpr::Dot(Expr::Identifier(name)) = step {
            parts.push(name);
        }
    }
    **root = if parts.len() == 1 { Expr::Identifier(parts.remove(0)) } else { Expr::CompoundIdentifier(parts) };
    // Names in the chain are fields, not columns: make them text before the walk reaches them.
    for step in chain.iter_mut() {
        if let AccessExpr::Dot(inner) = step
            && let Expr::Identifier(name) = inner
        {
            *inner =
                Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name.value.clone()), span: name.span });
        }
    }
}
