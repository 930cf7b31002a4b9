//! What tests of several crates share: events to order, the folder of real data, directories that clean up.
//!
//! It knows the model and nothing above it, so every crate can use it. The simulated disk of the log is
//! `towpath_log::sim`, beside the trait that it implements.

mod data;
mod dir;
mod event;

pub use data::{DeliveredFile, SharedData};
pub use dir::TestDir;
pub use event::TestEvent;
