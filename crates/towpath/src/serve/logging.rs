//! The server's own log: structured lines on standard error.

use std::io::IsTerminal;
use std::panic;

use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, Logging};

/// Begins to log. A panic becomes a line like any other, so that it is found where people look.
pub fn start(settings: &Logging) {
    // The filter was checked with the settings.
    let mut filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // It logs every refused request as an error, and whole requests with their session tokens where all is logged.
    if let Some(quiet) = "s3s=off".parse().ok().filter(|_| !settings.filter.contains("s3s")) {
        filter = filter.add_directive(quiet);
    }
    // Where nobody takes lines any more they are lost; telling so on standard error would end the server.
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true).log_internal_errors(false);
    let started = match settings.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
    if started.is_err() {
        return;
    }
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let message = info
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("-").to_owned();
        error!(%place, %message, %thread, "panic");
    }));
}
