//! Tests of the crate as a whole, over invented tables shaped like those of an audit log.

mod fixtures;
mod hostile;
mod mutations;
mod names;
mod properties;
mod pushdown;
mod slt;
