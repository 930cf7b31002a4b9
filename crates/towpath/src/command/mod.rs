//! The commands that talk to a running server.

pub mod channels;
mod event;
pub mod iam;
pub mod import;
pub mod lookup;
pub mod manual;
pub mod organization;
mod progress;
pub mod query;
pub mod send;
mod store_name;
pub mod stores;
pub mod tail;
mod time;
pub mod trails;
pub mod verify;
pub mod version;

use std::error::Error;
use std::io;

use serde_json::Value;

use crate::client::{Client, ClientError, ConnectionArgs, Retry, resolve};

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Output that cannot be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// A file that cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// Something the command found out itself.
    #[error("{problem}")]
    Plain {
        /// What is wrong.
        problem: String,
        /// The next step.
        hint: Option<String>,
    },
    /// Something else.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
    /// The command has told what went wrong already.
    #[error("the command did not succeed")]
    Told,
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// A problem with the next step.
    pub fn plain(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Plain { problem: problem.into(), hint: Some(hint.into()) }
    }

    /// A problem that speaks for itself.
    pub fn bare(problem: impl Into<String>) -> Self {
        Self::Plain { problem: problem.into(), hint: None }
    }

    /// An error of another part of the program.
    pub fn other(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::Other(error)
    }

    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.hint(),
            Self::Plain { hint, .. } => hint.clone(),
            _ => None,
        }
    }

    /// True if whoever read the output has gone, which is no one's fault.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Finds the server and says what was assumed.
pub fn connect(args: &ConnectionArgs, retry: Retry) -> Result<Client, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).ok();
    let connection = resolve(args, variable, read).map_err(ClientError::from)?;
    if !connection.assumed.is_empty() {
        eprintln!("using {}", connection.assumed.join(" and "));
    }
    Ok(Client::new(connection, retry)?)
}

/// A text member of an answer, or nothing.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A member of an answer as people read it.
fn shown(value: &Value, member: &str) -> String {
    match value.get(member) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Reads the number of an account; for clap.
fn account_id(text: &str) -> Result<String, String> {
    text.parse::<towpath_model::AccountId>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A whole number with separators: `1,234,567`.
fn counted(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `2 files`.
fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", counted(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(counted), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([plural(1, "file"), plural(0, "file")], ["1 file", "0 files"]);
    }
}
