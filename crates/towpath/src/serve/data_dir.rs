//! The data directory: one process holds it, and its format is known.
//!
//! A directory is ours when it has a `FORMAT` file that this program understands. That file is the commit point of the
//! first initialisation: it is written beside its name, synced and renamed, so that a crash leaves either an empty
//! directory, which the next start initialises, or a complete one. `LOCK` is held with `flock` as long as the process
//! lives; its text, the process id, is for people.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The format this program writes and reads.
const FORMAT: &str = "towpath data directory, format 2\n";

/// What every version of the format file begins with.
const FORMAT_PREFIX: &str = "towpath data directory, format ";

const FORMAT_FILE: &str = "FORMAT";
const FORMAT_DRAFT: &str = "FORMAT.new";
const LOCK_FILE: &str = "LOCK";

/// A data directory held by this process, for as long as the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    fresh: bool,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The operating system refused a step.
    #[error("cannot {step} {}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// There is a file where the directory should be.
    #[error("{} is not a directory; choose another --data-dir", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Another process holds the directory.
    #[error("data directory {} is in use by {holder}; stop that process or choose another --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as far as is known.
        holder: String,
    },
    /// The directory holds something else.
    #[error(
        "directory {} holds files but no {FORMAT_FILE} file, so it is not a data directory of towpath or has lost that \
         file; choose an empty or absent --data-dir, or restore {FORMAT_FILE} from a backup", path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// A version of towpath that this one does not know wrote the directory.
    #[error(
        "data directory {} has format {found}, this version of towpath reads and writes format 2 alone; start the \
         version that wrote it, or choose an empty --data-dir", path.display()
    )]
    UnknownFormat {
        /// The directory.
        path: PathBuf,
        /// The format it has.
        found: String,
    },
    /// The format file cannot be understood.
    #[error(
        "the file {} is damaged; restore it from a backup (its one line is \"{}\" if this version wrote the directory)",
        path.display(), FORMAT.trim_end()
    )]
    Damaged {
        /// The format file.
        path: PathBuf,
    },
}

impl DataDir {
    /// Takes the directory at `path`, making it (mode 0700) if it is not there. Fails at once if another process
    /// holds it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        if path.exists() && !path.is_dir() {
            return Err(DataDirError::NotADirectory { path: path.to_owned() });
        }
        create(path).map_err(failed("create data directory", path))?;
        let path = fs::canonicalize(path).map_err(failed("find data directory", path))?;
        let lock = lock(&path)?;
        let fresh = match read_format(&path)? {
            Some(_) => false,
            None => {
                initialise(&path)?;
                true
            }
        };
        Ok(Self { path, fresh, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in the directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// True if this start made the directory.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// True if accounts other than the owner's may look into the directory.
    pub fn is_open_to_others(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }

    /// Writes a file that only the owner may read: all of it is there and durable, or nothing.
    pub fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
        write_private(&self.path, name, &format!("{name}.new"), bytes)
    }

    /// Reads a file of the directory, if it is there.
    pub fn read(&self, name: &str) -> Result<Option<String>, DataDirError> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(DataDirError::Io { step: "read", path, cause }),
        }
    }
}

/// Makes the directory and those above it that are missing, all durable: a power cut must not take what is in them.
fn create(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = parent {
        create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |cause| DataDirError::Io { step, path, cause }
}

fn lock(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(DataDirError::InUse { path: directory.to_owned(), holder: holder(&mut file) });
        }
        Err(TryLockError::Error(cause)) => return Err(DataDirError::Io { step: "lock", path, cause }),
    }
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note(&mut file).map_err(failed("write", &path))?;
    Ok(file)
}

/// Reads who holds the lock; the holder may be just about to write it.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

/// Checks the format file. None: the directory is empty, or was left by a start that crashed before the commit point.
fn read_format(directory: &Path) -> Result<Option<()>, DataDirError> {
    let path = directory.join(FORMAT_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for entry in fs::read_dir(directory).map_err(failed("list", directory))? {
                let name = entry.map_err(failed("list", directory))?.file_name();
                // A volume of its own has lost+found.
                if name != LOCK_FILE && name != FORMAT_DRAFT && name != "lost+found" {
                    return Err(DataDirError::Foreign { path: directory.to_owned() });
                }
            }
            return Ok(None);
        }
        Err(cause) => return Err(DataDirError::Io { step: "read", path, cause }),
    };
    if bytes == FORMAT.as_bytes() {
        return Ok(Some(()));
    }
    let version = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.strip_prefix(FORMAT_PREFIX)?.strip_suffix('\n'))
        .filter(|version| version.len() <= 16 && version.chars().all(|c| c.is_ascii_alphanumeric()));
    Err(match version {
        Some(version) => DataDirError::UnknownFormat { path: directory.to_owned(), found: version.to_owned() },
        None => DataDirError::Damaged { path },
    })
}

fn initialise(directory: &Path) -> Result<(), DataDirError> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed("protect", directory))?;
    write_private(directory, FORMAT_FILE, FORMAT_DRAFT, FORMAT.as_bytes())
}

fn write_private(directory: &Path, name: &str, draft: &str, bytes: &[u8]) -> Result<(), DataDirError> {
    let draft = directory.join(draft);
    // A draft of a crashed start may be there; it is worth nothing.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &draft)(error)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed("create", &draft))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &draft))?;
    let path = directory.join(name);
    fs::rename(&draft, &path).map_err(failed("put in place", &path))?;
    // The name is durable only when the directory is.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_directory_is_private_and_has_a_format() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("a/b")).unwrap();
        assert!(data.is_fresh());
        assert!(!data.is_open_to_others());
        assert_eq!(mode(data.path()), 0o700);
        assert_eq!(fs::read_to_string(data.join("FORMAT")).unwrap(), FORMAT);
        assert_eq!(mode(&data.join("LOCK")), 0o600);
        drop(data);
        assert!(!DataDir::open(&folder.path().join("a/b")).unwrap().is_fresh());
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::open(folder.path()).unwrap();
        let refusal = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("is in use by process {}", std::process::id())), "{refusal}");
        drop(held);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for other in ["1", "3"] {
            fs::write(folder.path().join("FORMAT"), format!("towpath data directory, format {other}\n")).unwrap();
            let refusal = DataDir::open(folder.path()).unwrap_err();
            assert!(matches!(&refusal, DataDirError::UnknownFormat { found, .. } if found == other), "{refusal}");
            assert!(refusal.to_string().contains("reads and writes format 2 alone"), "{refusal}");
        }
    }

    #[test]
    fn a_damaged_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("FORMAT");
        for bytes in [
            &b""[..],
            b"towpath",
            b"towpath data directory, format 2",
            b"\xff\xfe",
            b"towpath data directory, format \n\n",
        ] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(DataDir::open(folder.path()), Err(DataDirError::Damaged { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "").unwrap();
        assert!(matches!(DataDir::open(folder.path()), Err(DataDirError::Foreign { .. })));
        assert!(matches!(DataDir::open(&folder.path().join("thesis.txt")), Err(DataDirError::NotADirectory { .. })));
    }

    #[test]
    fn a_first_start_that_crashed_is_started_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("LOCK"), "1\n").unwrap();
        fs::write(folder.path().join("FORMAT.new"), "towp").unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert!(data.is_fresh());
        assert!(!data.join("FORMAT.new").exists());
    }

    #[test]
    fn a_private_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert_eq!(data.read("note").unwrap(), None);
        fs::write(data.join("note.new"), "half of a cra").unwrap();
        data.write_private("note", b"one").unwrap();
        data.write_private("note", b"two").unwrap();
        assert_eq!(data.read("note").unwrap().as_deref(), Some("two"));
        assert_eq!(mode(&data.join("note")), 0o600);
    }
}
