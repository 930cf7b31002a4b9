//! The towpath program: an audit log server that speaks AWS CloudTrail's interfaces, and the command line that talks to
//! it.
//!
//! `towpath serve` is the server (`serve/`, settings in `config/`). Every other command is a client of a running server
//! (`command/`), through a small signing client (`client/`), and prints through `output/`.

mod cli;
mod client;
mod command;
mod config;
mod gateway;
mod output;
mod profile;
mod serve;

use std::process::ExitCode;

use clap::Parser;

/// Buffers are made on one thread and dropped on another all the time; this allocator gives the memory back. By a feature of
/// its own it serves the C libraries (zstd, SQLite) as well.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("towpath").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(cli.run());
    // Work that was left running, such as a thread that waits for a line of standard input, does not hold the exit.
    runtime.shutdown_background();
    cli::exit(outcome)
}
