//! Where the models of services are, if nobody says so: in the botocore that Python knows.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// How long Python may take to say where its botocore is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints the folder of an installed botocore, without importing it.
const QUESTION: &str = "import importlib.util; spec = importlib.util.find_spec('botocore'); \
                        print(spec.submodule_search_locations[0] if spec else '')";

/// The `data` folder of a botocore that `python3` can import.
pub async fn installed() -> Option<PathBuf> {
    let asked = Command::new("python3")
        .args(["-c", QUESTION])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = timeout(PATIENCE, asked).await.ok()?.ok()?;
    let folder = String::from_utf8(answer.stdout).ok()?;
    Some(Path::new(folder.trim()).join("data")).filter(|folder| folder.is_absolute() && folder.is_dir())
}
