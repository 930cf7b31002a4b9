//! towpath-iam
