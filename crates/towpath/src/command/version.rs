//! `towpath version`: which version this is, and with `--server` what runs at the other end.

use serde_json::json;

use super::stores::print_members;
use super::{Failure, connect};
use crate::client::{Api, ConnectionArgs, Retry};
use crate::output::{self, Format};

/// Flags of `towpath version`.
#[derive(Debug, clap::Args)]
pub struct Version {
    /// Ask the server for its version, account and position too
    #[arg(long)]
    server: bool,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Version {
    /// Prints the version.
    pub async fn run(self) -> Result<(), Failure> {
        if !self.server {
            return Ok(output::print_line(concat!("towpath ", env!("CARGO_PKG_VERSION")))?);
        }
        let client = connect(&self.connection, Retry::PROMPT)?;
        let answer = client.call(Api::Towpath, "DescribeServer", &json!({})).await?;
        print_members(&answer, self.output)
    }
}
