//! towpath-testkit
