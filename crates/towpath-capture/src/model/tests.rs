//! How models are read.
