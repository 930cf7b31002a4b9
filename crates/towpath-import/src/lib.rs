//! Imports: copies of log files that were written elsewhere, brought into an event data store.
