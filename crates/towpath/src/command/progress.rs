//! Progress on standard error, where a terminal shows it; nothing otherwise.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

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
    let told = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A line that cannot be drawn is drawn anew in a moment.
        let _ = out.write_str(&left(state.eta()));
    };
    let style = style("{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}{left}, {msg}");
    bar.set_style(style.progress_chars("━━─").with_key("left", told));
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

/// The remaining time. Nothing is known of it before the first bytes are through, and nothing is left of it at the end.
fn left(eta: Duration) -> String {
    if eta < Duration::from_secs(1) { String::new() } else { format!(" {:#} left", HumanDuration(eta)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_is_told_once_it_is_known() {
        assert_eq!(left(Duration::ZERO), "");
        assert_eq!(left(Duration::from_millis(400)), "");
        assert_eq!(left(Duration::from_secs(5)), " 5s left");
    }
}
