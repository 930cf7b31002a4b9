//! What can be wrong with a folder of models.

use std::{path::PathBuf, sync::Arc};

/// Models cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder cannot be listed.
    #[error("cannot list models in {}", .folder.display())]
    List {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: Arc<std::io::Error>,
    },
    /// The folder holds no model.
    #[error("{} holds no service model, neither botocore's service-2.json nor a Smithy AST", .0.display())]
    Empty(PathBuf),
    /// A file cannot be read.
    #[error("cannot read model {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: Arc<std::io::Error>,
    },
    /// A file is not what its name says.
    #[error("{} is no service model", .file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: Arc<serde_json::Error>,
    },
    /// A file is larger than any model.
    #[error("model {} is larger than {limit} bytes", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// A Smithy AST without the service that was in it when the folder was opened.
    #[error("{} does not define service {service} any more", .file.display())]
    Gone {
        /// The file.
        file: PathBuf,
        /// The service's shape.
        service: Arc<str>,
    },
}
