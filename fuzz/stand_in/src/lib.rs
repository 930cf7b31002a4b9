//! What the text stage of `towpath-trino` takes from DataFusion: the parser, the types, the error type.

/// Types of columns.
pub mod arrow {
    /// The types themselves.
    pub mod datatypes {
        pub use arrow_buffer::IntervalMonthDayNano;
        pub use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit};
    }
}

/// Errors.
pub mod error {
    /// The two kinds of errors that the text stage builds.
    #[derive(Debug)]
    pub enum DataFusionError {
        /// A mistake in the statement.
        External(Box<dyn std::error::Error + Send + Sync>),
        /// An error of a running query.
        Execution(String),
    }
}

/// The parser.
pub mod sql {
    pub use sqlparser;
}
