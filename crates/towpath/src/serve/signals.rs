//! SIGTERM and SIGINT: the first asks the server to stop, the second makes it. SIGHUP: read the certificate anew.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// SIGHUP, which has the server read its certificate anew. From here on it does not end the process.
pub fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Listens for the signals that stop a server.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over; from here on they do not kill the process.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal. From then on a second one ends the process at once, with the status that shells
    /// give to a process killed by that signal.
    pub async fn stop(mut self) {
        let (name, _) = self.next().await;
        info!(signal = name, "stopping");
        tokio::spawn(async move {
            let (name, number) = self.next().await;
            warn!(signal = name, "stopped at once");
            std::process::exit(128 + number);
        });
    }

    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}
