//! `towpath verify`: is what lies in a bucket, or in a copy of it, what Towpath signed?
//!
//! The exit status is 0 only if everything that was looked at is valid and there was something to look at.

pub mod before_import;
mod found;
mod keys;
mod places;
mod public_keys;
mod query_results;
mod shown;
mod trail;
mod what;

use super::Failure;

/// Flags of `towpath verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Digests and log files of a trail, in its bucket or in a folder that it was copied to
    Trail(trail::VerifyTrailArgs),
    /// Query results that were delivered to a bucket, there or in a folder they were copied to
    QueryResults(query_results::VerifyQueryResults),
    /// Print what verifying a copy without a server needs: public keys, and signatures that a copy loses
    PublicKeys(public_keys::SavePublicKeys),
}

impl Verify {
    /// Verifies, and tells what is wrong.
    pub async fn run(self) -> Result<(), Failure> {
        let work = async {
            match self.what {
                What::Trail(trail) => trail.run().await,
                What::QueryResults(results) => results.run().await,
                What::PublicKeys(keys) => keys.run().await,
            }
        };
        tokio::select! {
            outcome = work => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    }
}

/// Form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON object.
    Json,
}
