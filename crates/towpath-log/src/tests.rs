//! Tests of the log as a whole, mostly on the simulated disk.

mod ahead;
mod appends;
mod crashes;
mod damage;
mod faults;
mod readers;
mod support;
