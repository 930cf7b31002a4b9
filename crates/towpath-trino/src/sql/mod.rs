//! The language: from text to a tree that DataFusion's planner understands.

pub(crate) mod ast;
mod dialect;
pub(crate) mod from;
mod lex;
pub(crate) mod names;
pub(crate) mod rewrite;
pub(crate) mod statement;

pub use self::lex::MAX_LENGTH;
pub use self::statement::{Statement, TableName, parse};
