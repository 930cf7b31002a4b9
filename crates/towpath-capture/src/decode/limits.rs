//! Bounds of decoding. A record holds at most 256 KB, so whatever exceeds these would not be in it either.

/// A body is inflated to this many bytes at most.
pub(super) const BODY_BYTES: usize = 8 << 20;
/// Structures, lists and maps inside of each other. DynamoDB, the deepest of AWS's services, allows 32 levels of
/// attribute values, each of which is two levels on the wire.
pub(super) const DEPTH: usize = 100;
/// Values in one request or answer.
pub(super) const VALUES: usize = 250_000;
/// Fields of a form, and parameters of a query string.
pub(super) const FIELDS: usize = 50_000;
/// Parts of the names of a form's fields. A part takes about a kilobyte while the form is read.
pub(super) const PARTS: usize = 100_000;
/// Characters of an error's code or message that are kept. Records cut them at 1 KB.
pub(super) const ERROR_TEXT: usize = 8 << 10;
/// Characters of an operation's name that a caller made up.
pub(super) const NAME: usize = 128;
