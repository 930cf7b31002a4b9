//! The first account and its root access key.

use towpath_iam::{Directory, DirectoryError, RootKey as Outcome};
use towpath_model::AccountId;
use tracing::{info, warn};

use crate::serve::credentials::{FILE, RootKey, RootKeyError};
use crate::serve::data_dir::DataDir;

/// Why the first account has no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The key cannot be chosen.
    #[error(transparent)]
    Key(#[from] RootKeyError),
    /// The key has a form that the directory does not take.
    #[error("the root access key cannot be used; remove the file {FILE} from the data directory, or set another key")]
    Form,
    /// The key cannot be stored.
    #[error("cannot store the root access key")]
    Store(#[from] DirectoryError),
}

/// Makes sure that the first account exists and its root can sign, and returns the account.
///
/// Only the first start makes a key of its own accord. Later the key of the environment holds, if there is one; a root
/// key that was deactivated or deleted is not brought back.
pub async fn ensure(
    directory: &Directory,
    data: &DataDir,
    wanted: AccountId,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<AccountId, RootError> {
    let given = RootKey::from_environment(&variable)?;
    let first = directory.list_accounts().into_iter().min_by_key(|account| account.created).map(|account| account.id);
    let account = first.unwrap_or(wanted);
    if account != wanted {
        warn!(%account, "the data directory has its first account already; setting account_id changes nothing");
    }
    if first.is_some() && given.is_none() {
        return Ok(account);
    }
    // The file comes first: a crash may leave a file without a key, which the next start takes up, but no key without
    // a file.
    let key = RootKey::choose(data, &variable)?;
    let id = key.access_key_id.parse().map_err(|_| RootError::Form)?;
    let secret = towpath_iam::Secret::new(key.secret_access_key.expose()).map_err(|_| RootError::Form)?;
    match directory.ensure_root(account, Some((id, secret))).await? {
        Outcome::Existing => {}
        Outcome::Created(_) if given.is_some() => {
            info!(%account, access_key = %key.access_key_id, "root has the access key of the environment");
        }
        Outcome::Created(_) => announce(account, &key, data),
    }
    Ok(account)
}

/// Shows the new key to whoever started the server, this once. It does not go through the log, which is kept.
fn announce(account: AccountId, key: &RootKey, data: &DataDir) {
    eprintln!(
        "\nRoot access key of account {account}, shown this once (also in {}, profile towpath):\n\
         \n  AWS_ACCESS_KEY_ID={}\n  AWS_SECRET_ACCESS_KEY={}\n",
        data.join(FILE).display(),
        key.access_key_id,
        key.secret_access_key.expose()
    );
}
