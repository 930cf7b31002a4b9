//! Buckets kept in the data directory, served over the S3 protocol.
