//! HTTP in front of the operations: one port, HTTP/1 and HTTP/2, everything bounded.
//!
//! A connection may be slow, huge, silent or hostile; none of that may cost more than one place in `max_connections`,
//! the bytes of `body_memory` that it really sent, and the time of its deadlines. Operations run as tasks of their own:
//! a client that goes away does not stop one halfway, and one that panics is answered with InternalFailure.

pub mod answer;
mod body;
mod handler;
mod server;
mod surface;

pub use handler::{Handler, Request};
pub use server::HttpServer;
pub use surface::{Gate, Surface};

#[cfg(test)]
mod tests;
