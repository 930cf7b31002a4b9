//! towpath-admit
