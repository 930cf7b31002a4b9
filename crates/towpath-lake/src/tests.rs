//! The lake as a whole: rows exactly once, whatever fails.

mod concurrency;
mod faults;
mod following;
mod keeping;
mod real;
