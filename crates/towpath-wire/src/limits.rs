//! How much a caller may send. Every bound here is checked before anything is allocated for it.

/// Longest body of an AWS JSON request, in bytes. The largest honest one is PutEventSelectors or PutResourcePolicy
/// with every list full.
pub const MAX_JSON_BODY: usize = 512 * 1024;

/// Longest body of PutAuditEvents, in bytes. Callers count 1 MiB of event text; as JSON strings inside JSON, its quotes
/// take one byte more each.
pub const MAX_AUDIT_EVENTS_BODY: usize = 2 * 1024 * 1024;

/// Most event text in one PutAuditEvents, in bytes, counted after the outer JSON string is undone.
pub const MAX_AUDIT_EVENTS_BYTES: usize = 1024 * 1024;

/// Longest body of PutRecords, in bytes.
pub const MAX_RECORDS_BODY: usize = 4 * 1024 * 1024;

/// Longest body of a query-protocol (STS) request, in bytes.
pub const MAX_FORM_BODY: usize = 64 * 1024;

/// Longest query string, in bytes.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;

/// Most parameters in a query string or form.
pub(crate) const MAX_PARAMETERS: usize = 256;

/// Deepest nesting of arrays and objects in a body.
pub const MAX_JSON_DEPTH: usize = 64;

/// Most violations that one answer lists.
pub(crate) const MAX_VIOLATIONS: usize = 10;

/// Most characters of an offending value that an answer repeats.
pub(crate) const MAX_ECHO: usize = 256;
