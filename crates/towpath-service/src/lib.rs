//! towpath-service
