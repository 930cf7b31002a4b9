//! What the figures were measured on.

use std::process::Command;

/// The machine in one line: processor, cores, memory, kernel.
pub fn described() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: f64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    format!(
        "{} ({cores} cores), {:.0} GiB of memory, Linux {}",
        field(&read("/proc/cpuinfo"), "model name"),
        kib / f64::from(1 << 20),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// The revision of the source, where git knows it.
pub fn revision() -> String {
    let output =
        Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
