//! The towpath program: an audit log server that speaks CloudTrail, and the command line that talks to it.

mod config;
mod profile;
mod serve;

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    serve: serve::Serve,
}

#[tokio::main]
async fn main() {
    if let Err(error) = Cli::parse().serve.run().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
