//! Progress on standard error, where a terminal shows it; nothing otherwise.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A spinner with a text that changes.
pub fn spinner(text: &'static str) -> ProgressBar {
    let bar = hidden_without_terminal(ProgressBar::new_spinner());
    bar.set_style(style("{spinner} {msg} {elapsed}"));
    bar.set_message(text);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A bar over bytes, with rate and remaining time; `{msg}` tells the rest.
pub fn bytes(total: u64) -> ProgressBar {
    let bar = hidden_without_terminal(ProgressBar::new(total));
    bar.set_style(
        style("{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left, {msg}").progress_chars("━━─"),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Bytes of an unknown total.
pub fn flow() -> ProgressBar {
    let bar = hidden_without_terminal(ProgressBar::new_spinner());
    bar.set_style(style("{spinner} {bytes} {binary_bytes_per_sec} {elapsed}, {msg}"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Steps of which more become known on the way; `{msg}` tells where they are.
pub fn steps(noun: &str) -> ProgressBar {
    let bar = hidden_without_terminal(ProgressBar::new(0));
    bar.set_style(style(&format!("{{wide_bar}} {{pos}}/{{len}} {noun}, {{msg}} {{elapsed}}")).progress_chars("━━─"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn hidden_without_terminal(bar: ProgressBar) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are written in this file")
}
