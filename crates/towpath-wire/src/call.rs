//! Calls: inputs that know their operation and their answer.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::generated::operations::Operation;

/// The input of one operation.
///
/// Both sides use it: a server decodes the input and encodes the output, a client the other way round.
pub trait Call: Serialize + DeserializeOwned {
    /// What the operation answers.
    type Output: Serialize + DeserializeOwned;
    /// The operation.
    const OPERATION: Operation;
}
