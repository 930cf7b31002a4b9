//! The gateway between real clients and real upstreams on loopback: what arrives, what comes back, what is recorded.

mod harness;
mod hostile;
mod passing;
mod recorded;
mod streaming;
mod times;
mod tls;
mod verified;
