//! Why the server cannot start: which part refused.

use towpath_admit::WindowError;
use towpath_bucket::BucketError;
use towpath_iam::{DirectoryError, SecretKeyError};
use towpath_import::ImportError;
use towpath_lake::LakeError;
use towpath_meta::MetaError;
use towpath_service::catalog::CatalogError;

use super::endpoints::MissingVariable;
use super::import_sources::ImportKeysError;
use super::notifiers::NotifierError;
use super::root::RootError;

/// A part that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The metadata database.
    #[error(transparent)]
    Meta(#[from] towpath_meta::OpenError),
    /// A record in it.
    #[error("cannot read the metadata")]
    Record(#[from] MetaError),
    /// The key that seals secrets.
    #[error(transparent)]
    SecretKey(#[from] SecretKeyError),
    /// Identities.
    #[error("cannot open the directory of identities")]
    Directory(#[from] DirectoryError),
    /// The root access key.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Stores and channels.
    #[error("cannot read event data stores and channels")]
    Catalog(#[from] CatalogError),
    /// Buckets of the data directory.
    #[error("cannot open the buckets")]
    Buckets(#[from] BucketError),
    /// Trails.
    #[error("cannot open the delivery of trails")]
    Trails(#[from] towpath_trail::OpenError),
    /// The folder of the log.
    #[error("cannot open the folder of the log")]
    LogFolder(#[source] std::io::Error),
    /// The log.
    #[error("cannot open the log")]
    Log(#[from] towpath_log::OpenError),
    /// The lake.
    #[error("cannot open the lake")]
    Lake(#[from] towpath_lake::OpenError),
    /// The files of the lake.
    #[error("cannot use the files of the lake")]
    LakeFiles(#[from] LakeError),
    /// Queries.
    #[error("cannot set up queries")]
    Query(#[from] towpath_query::OpenError),
    /// Imports.
    #[error("cannot go on with imports")]
    Import(#[from] ImportError),
    /// An endpoint of imports.
    #[error(transparent)]
    Endpoint(#[from] MissingVariable),
    /// The public keys of imports.
    #[error(transparent)]
    ImportKeys(#[from] ImportKeysError),
    /// Who is told of deliveries.
    #[error(transparent)]
    Notifier(#[from] NotifierError),
    /// The retry window.
    #[error("setting retry_window cannot be used")]
    RetryWindow(#[from] WindowError),
    /// A thread was lost.
    #[error("a thread ended before its work was done")]
    Thread(#[from] tokio::task::JoinError),
}
