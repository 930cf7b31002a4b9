//! PostgreSQL as a target: a cluster of the benchmark's own, a jsonb table, prepared inserts of a whole batch.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};

use super::load::{Connection, Target};
use crate::generate::audit::Batch;

/// Where Debian keeps the programs of PostgreSQL 15.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";

/// A running PostgreSQL, listening on a socket in its own folder and nowhere else.
pub struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    user: &'static str,
    // Removed with everything in it when dropped.
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a cluster with the defaults of Debian and starts it. It refuses to run as root, so root becomes `nobody`.
    pub fn start() -> anyhow::Result<Self> {
        let programs = PathBuf::from(DEBIAN);
        if !programs.join("initdb").is_file() {
            bail!("there is no {DEBIAN}/initdb; install the package postgresql-15");
        }
        let folder = tempfile::Builder::new().prefix("towpath-bench-pg").tempdir_in("/tmp")?;
        let root = Command::new("id").arg("-u").output()?.stdout.starts_with(b"0\n");
        let user = if root { "nobody" } else { "" };
        if root {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
            run(Command::new("chown").arg(user).arg(folder.path()))?;
        }
        let postgres = Self { data: folder.path().join("data"), programs, user, folder };
        run(postgres
            .program("initdb")
            .arg("-D")
            .arg(&postgres.data)
            .args(["-A", "trust", "-U", "bench", "-E", "UTF8"]))?;
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={} -c synchronous_commit=on -c fsync=on",
            postgres.folder.path().display()
        );
        let log = postgres.folder.path().join("log");
        run(postgres
            .program("pg_ctl")
            .arg("-D")
            .arg(&postgres.data)
            .arg("-l")
            .arg(log)
            .args(["-w", "-o", &options, "start"]))?;
        Ok(postgres)
    }

    /// What it calls itself.
    pub fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(self.programs.join("postgres")).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Opens a connection.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client(self.folder.path()).await
    }

    /// Makes the table that takes the events: a key like Towpath's event id, and the event as jsonb.
    pub async fn create_table(&self) -> anyhow::Result<()> {
        self.client().await?.batch_execute("CREATE TABLE event (id text PRIMARY KEY, event jsonb NOT NULL)").await?;
        Ok(())
    }

    /// The table as a target.
    pub fn table(&self, batches: Arc<Vec<Batch>>) -> Table {
        Table { socket: self.folder.path().to_owned(), batches }
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        if self.user.is_empty() {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", self.user, "--regid", "nogroup", "--clear-groups"]).arg(path);
        command.env("HOME", self.folder.path()).current_dir(self.folder.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stopped = run(self.program("pg_ctl").arg("-D").arg(&self.data).args(["-m", "immediate", "stop"]));
        if let Err(error) = stopped {
            eprintln!("cannot stop PostgreSQL: {error:#}");
        }
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    // pg_ctl leaves the server with its standard streams, so those must not be pipes that somebody reads to the end.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed with {status}");
    }
    Ok(())
}

async fn client(socket: &Path) -> anyhow::Result<Client> {
    let config = format!("host={} user=bench dbname=postgres", socket.display());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
    // The task ends with the client; how it ended shows in the calls.
    tokio::spawn(connection);
    Ok(client)
}

/// The table that takes the events.
pub struct Table {
    socket: PathBuf,
    batches: Arc<Vec<Batch>>,
}

/// A connection with its prepared statement.
pub struct ToTable {
    client: Client,
    insert: Statement,
    batches: Arc<Vec<Batch>>,
}

impl Target for Table {
    type Connection = ToTable;

    async fn connect(&self) -> anyhow::Result<ToTable> {
        let client = client(&self.socket).await?;
        let rows = self.batches[0].len();
        let values: Vec<_> =
            (0..rows).map(|row| format!("(${}, ${}::text::jsonb)", 2 * row + 1, 2 * row + 2)).collect();
        let insert = client.prepare(&format!("INSERT INTO event (id, event) VALUES {}", values.join(","))).await?;
        Ok(ToTable { client, insert, batches: self.batches.clone() })
    }
}

impl Connection for ToTable {
    async fn send(&mut self, number: u64) -> Result<u64, String> {
        let batch = &self.batches[number as usize % self.batches.len()];
        let first = number * batch.len() as u64;
        let rows: Vec<(String, String)> =
            (first..).map(|number| format!("{number:016x}")).zip(batch.events(first)).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> =
            rows.iter().flat_map(|(id, event)| [id as &(dyn ToSql + Sync), event as _]).collect();
        self.client.execute(&self.insert, &parameters).await.map_err(|error| error.to_string())
    }
}
