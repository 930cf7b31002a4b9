//! From bytes to checked events: the one place where the content of an event is judged.
//!
//! Three kinds of input end here. Entries of PutAuditEvents calls become records of integration events or are refused
//! one by one ([`AuditEntry`], [`EventIds`]). Log files of an import are taken apart into records without copying them
//! ([`LogFile`]). Towpath's own API calls become CloudTrail records ([`ApiCall`]). Nothing here does IO of its own, but for the file
//! that keeps a [`GapKey`].

mod api_call;
mod entry;
mod gap_key;
mod gap_record;
mod identity;
mod imported;
mod json;
mod log_file;
mod refusal;

pub use api_call::{
    ApiCall, ApiSource, CallRecord, EventType, HIDDEN, Outcome, Parameters, Plane, RecordCopy, RecordResource,
    Resource, RoleSession, ServiceEvent, TlsDetails, UserIdentity, VpcEndpoint, record_name, standard_form,
};
pub use entry::{
    Activity, AuditEntry, ChannelRef, CheckedEntry, MAX_CALL_BYTES, MAX_ENTRIES, MAX_EVENT_BYTES, MAX_EVENT_DEPTH,
    ParsedEntry, check_call, names_an_aws_service,
};
pub use gap_key::{GapKey, GapKeyError};
pub use gap_record::GapRecord;
pub use identity::{Candidates, ContentDigest, EventIds, WindowError};
pub use imported::{Fallback, ImportedRecord, Reason, RecordProblem};
pub use log_file::{Encoding, Foreign, Item, LogFile, LogFileError, LogFileLimits, LogFileTotals};
pub use refusal::{CallRefusal, JsonFlaw, Refusal};
