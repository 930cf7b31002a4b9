//! Calls as they go over the wire, and the records they become.

mod forms;
mod own_forms;
mod real_records;
mod samples;
mod secrets;
mod wire;
