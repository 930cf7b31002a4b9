//! How calls are decoded.
