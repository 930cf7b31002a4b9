//! Trails: log files, digests, delivery and verification.
