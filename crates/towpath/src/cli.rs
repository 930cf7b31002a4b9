//! The command line: what there is to say, and how failure is told.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::{self, Failure};
use crate::gateway::GatewayAlone;
use crate::serve::Serve;

/// Exit status of a program whose reader has gone, as shells show it for a C program.
const BROKEN_PIPE: u8 = 141;

/// Exit status after Ctrl-C, as shells show it.
const INTERRUPTED: u8 = 130;

/// An open, self-hosted audit log that speaks AWS CloudTrail's interfaces
#[derive(Debug, Parser)]
#[command(name = "towpath", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "\
Commands other than serve talk to a running server. They find it, and the key to
sign with, as AWS's own tools do: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_REGION; or --endpoint, --profile, --region.
With none of these they try http://127.0.0.1:4747 and the root key in
./towpath-data/credentials.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Serve),
    /// Run the capture gateway: calls that pass through it to other services become events
    Gateway(GatewayAlone),
    /// Ask a question in SQL
    Query(command::query::Query),
    /// Look events up in the event history of the last 90 days
    Lookup(command::lookup::Lookup),
    /// Follow events as they arrive
    Tail(command::tail::Tail),
    /// Event data stores
    Stores(command::stores::Stores),
    /// Channels that take audit events
    Channels(command::channels::Channels),
    /// Import CloudTrail log files from a folder or a bucket
    Import(command::import::Import),
    /// Send audit events into a channel
    Send(command::send::Send),
    /// Accounts, users, roles, policies and access keys
    Iam(command::iam::Iam),
    /// Organizations and the accounts in them
    Organization(command::organization::Organization),
    /// Messages about delivered log files that were given up
    Trails(command::trails::Trails),
    /// Check what trails and queries delivered against its signatures
    Verify(command::verify::Verify),
    /// Print completions for a shell
    Completions(command::manual::Completions),
    /// Print the manual page, or write one per command into a folder
    Man(command::manual::Man),
    /// Print the version, and with --server that of the server
    Version(command::version::Version),
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(serve) => serve.run().await.map_err(|error| Failure::other(Box::new(error))),
            Command::Gateway(gateway) => gateway.run().await,
            Command::Query(query) => query.run().await,
            Command::Lookup(lookup) => lookup.run().await,
            Command::Tail(tail) => tail.run().await,
            Command::Stores(stores) => stores.run().await,
            Command::Channels(channels) => channels.run().await,
            Command::Import(import) => import.run().await,
            Command::Send(send) => send.run().await,
            Command::Iam(iam) => iam.run().await,
            Command::Organization(organization) => organization.run().await,
            Command::Trails(trails) => trails.run().await,
            Command::Verify(verify) => verify.run().await,
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
            Command::Version(version) => version.run().await,
        }
    }
}

/// Tells the outcome: nothing for success, else what failed, why, and the next step.
pub fn exit(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::from(BROKEN_PIPE),
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(failure) => {
            eprintln!("error: {}", told(&failure));
            if let Some(hint) = failure.hint() {
                eprintln!("next:  {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line each; a cause that only repeats its parent is left out.
pub fn told(error: &dyn Error) -> String {
    let mut text = crate::output::visible_lines(&error.to_string());
    let mut last = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // What the layers of the HTTP client say between them helps nobody.
        let cause = if cause.is::<reqwest::Error>() { innermost(cause) } else { cause };
        let said = cause.to_string();
        if !last.contains(&said) {
            text.push_str(&format!("\n  because: {}", crate::output::visible_lines(&said)));
        }
        last = said;
        source = cause.source();
    }
    text
}

/// The last of the causes.
pub fn innermost<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_commands_are_declared_without_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lines_that_make_sense_are_understood() {
        for line in [
            "towpath serve --data-dir d --listen 127.0.0.1:0 --s3-listen 127.0.0.1:0 --config f --set query.memory=1GiB",
            "towpath serve --gateway",
            "towpath gateway --listen 127.0.0.1:0 --config f --models m --dev-ca ca --set gateway.region=eu-west-1",
            "towpath gateway --dev-ca --check --endpoint http://x",
            "towpath query --output csv SELECT",
            "towpath query --store a --file q.sql --endpoint http://x --region eu-west-1 --profile p",
            "towpath lookup --event-name ConsoleLogin --since 2h --output json",
            "towpath lookup --start 2026-11-01 --end 2026-11-02T10:00:00Z --all",
            "towpath tail --name Console* --user alice",
            "towpath stores list",
            "towpath stores --endpoint http://x list",
            "towpath stores list --endpoint http://x",
            "towpath stores create audit --kind activity --retention 90",
            "towpath channels create app --store audit",
            "towpath import ./logs --event-data-store audit --parallel 8",
            "towpath import s3://bucket/prefix --event-data-store audit",
            "towpath send --channel app events.ndjson",
            "towpath iam user create alice",
            "towpath iam policy put --user alice --name reader --document policy.json",
            "towpath stores",
            "towpath iam key create --account 000000000001",
            "towpath iam key create --user alice --account-id 000000000001",
            "towpath organization create --management 000000000001",
            "towpath organization add-account 000000000002 --output json",
            "towpath trails dead-letters",
            "towpath verify trail arn:aws:cloudtrail:eu-west-1:000000000001:trail/audit --start 30d --output json",
            "towpath verify trail --folder copy --public-keys keys.json",
            "towpath verify query-results s3://bucket/prefix/AWSLogs/000000000001/CloudTrail-Lake/Query/2026/11/21/id",
            "towpath verify query-results results --public-keys keys.json",
            "towpath completions bash",
            "towpath man",
            "towpath version --server",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn lines_that_contradict_themselves_are_refused() {
        for line in [
            "towpath",
            "towpath query",
            "towpath query SELECT --file q.sql",
            "towpath query SELECT --output yaml",
            "towpath lookup --event-name a --username b",
            "towpath lookup --since 2h --start 2026-11-01",
            "towpath lookup --since soon",
            "towpath stores create",
            "towpath import ./logs",
            "towpath send events.ndjson",
            "towpath iam policy put --name reader --document policy.json",
            "towpath iam policy put --user a --role b --name reader --document policy.json",
            "towpath completions cmd",
            "towpath iam account create 12",
            "towpath organization add-account twelve",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_failure_is_told_with_its_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open {0}")]
        struct Outer(&'static str, #[source] std::io::Error);
        let error = Outer("file", std::io::Error::other("disk\u{1b}[2J is gone"));
        assert_eq!(told(&error), "cannot open file\n  because: disk\\u{1b}[2J is gone");
    }
}
