//! Where measurements are kept until the report is written: one JSON file per benchmark.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

/// The folder for everything a benchmark makes: `TOWPATH_BENCH_DATA`, else one among the temporary files.
pub fn folder() -> PathBuf {
    std::env::var_os("TOWPATH_BENCH_DATA").map_or_else(|| std::env::temp_dir().join("towpath-bench"), PathBuf::from)
}

/// Keeps the measurements of a benchmark, with the day and the machine.
pub fn save(name: &str, measured: &impl Serialize) -> anyhow::Result<()> {
    let folder = folder().join("results");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut value = serde_json::to_value(measured)?;
    value["measured"] = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string().into();
    value["profile"] = profile().into();
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_vec_pretty(&value)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", serde_json::to_string(&value)?);
    Ok(())
}

/// The profile that the measured server was built with: cargo names the folder of its programs after it.
fn profile() -> String {
    let program = crate::server::binary().and_then(|path| Ok(path.canonicalize()?));
    let folder = program.ok().and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    match folder.as_deref() {
        Some("debug") => "dev".to_owned(),
        Some(name) => name.to_owned(),
        None => "unknown".to_owned(),
    }
}

/// The measurements of a benchmark, if it has run.
pub fn load(name: &str) -> anyhow::Result<Option<Value>> {
    let path = folder().join("results").join(format!("{name}.json"));
    match std::fs::read(&path) {
        Ok(bytes) => {
            Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("cannot read {}", path.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Bytes and number of the files in a folder whose names end in `suffix`, at any depth.
pub fn size_of(folder: &Path, suffix: &str) -> anyhow::Result<(u64, u64)> {
    let (mut bytes, mut count, mut folders) = (0, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(suffix) {
                // A file that compaction has just removed is no longer part of the size.
                bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                count += 1;
            }
        }
    }
    Ok((bytes, count))
}
