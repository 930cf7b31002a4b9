//! `towpath completions` and `towpath man`: what shells and `man` know of the commands.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Failure;
use crate::cli::Cli;

/// Flags of `towpath completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "  towpath completions bash > ~/.local/share/bash-completion/completions/towpath")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(self) -> Result<(), Failure> {
        // In memory first, because the generator takes a reader that has gone for a reason to panic.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "towpath", &mut script);
        write(&script)
    }
}

/// Flags of `towpath man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "  towpath man | man -l -
  towpath man /usr/local/share/man/man1")]
pub struct Man {
    /// Folder to write one page per command into
    dir: Option<PathBuf>,
}

impl Man {
    /// Prints the page of the program, or writes those of all commands.
    pub fn run(self) -> Result<(), Failure> {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            return write(&page);
        };
        write_pages(&dir)
            .map_err(|error| Failure::bare(format!("cannot write manual pages into {}: {error}", dir.display())))?;
        eprintln!("the manual pages are in {}", dir.display());
        Ok(())
    }
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write_pages(folder.path()).unwrap();
        for name in ["towpath", "towpath-serve", "towpath-query", "towpath-iam", "towpath-iam-key-create"] {
            let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
            assert!(page.contains(".SH"), "{name}");
        }
    }

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "towpath", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("event-data-store") && script.contains("lookup"), "{shell}");
        }
    }
}
