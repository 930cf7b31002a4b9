//! `towpath verify query-results`: result files against the hashes of their sign file, and that against its signature.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;
use sha2::{Digest, Sha256};
use towpath_trail::verify::KeySource;
use towpath_trail::{Buckets, ResultFile, SIGN_FILE, SignFile, error_code};

use super::super::{Failure, connect, progress};
use super::Output;
use super::keys::{KeyFile, ServerKeys};
use super::places::{CopiedBuckets, S3Args, S3Buckets};
use crate::client::{ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Days after the end of a query that keys are looked for, as the stock client does.
const KEY_DAYS: i64 = 20;

/// Flags of `towpath verify query-results`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
  towpath verify query-results s3://results/AWSLogs/.../CloudTrail-Lake/Query/2026/11/21/ID
  towpath verify query-results ./copy --public-keys keys.json
The exit status is 0 only if everything is valid.")]
pub struct VerifyQueryResults {
    /// s3://bucket/folder, or a local folder, with result_sign.json in it
    place: String,
    /// File with public keys, from towpath verify public-keys or aws cloudtrail list-public-keys; no server is asked
    #[arg(long, value_name = "FILE")]
    public_keys: Option<PathBuf>,
    /// Files that are read at a time
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Form of the report
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    s3: S3Args,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// What was found out about one file.
struct Checked {
    name: String,
    /// `None` for a good one.
    problem: Option<String>,
}

impl VerifyQueryResults {
    /// Verifies and prints the report.
    pub async fn run(self) -> Result<(), Failure> {
        let (store, folder) = self.opened().await?;
        let sign = inside(&folder, SIGN_FILE)?;
        let mut checked = Vec::new();
        match read(store.as_ref(), &sign).await? {
            None => {
                checked.push(Checked { name: SIGN_FILE.to_owned(), problem: Some("INVALID: not found".to_owned()) })
            }
            Some(bytes) => match SignFile::parse(&bytes) {
                Err(error) => checked.push(Checked { name: SIGN_FILE.to_owned(), problem: Some(error.to_string()) }),
                Ok(signed) => {
                    let verdict = self.signature(&signed).await?;
                    checked.push(Checked { name: SIGN_FILE.to_owned(), problem: verdict });
                    checked.extend(self.files(store.as_ref(), &folder, &signed).await?);
                }
            },
        }
        self.print(&checked)?;
        if checked.iter().all(|file| file.problem.is_none()) { Ok(()) } else { Err(Failure::Told) }
    }

    async fn opened(&self) -> Result<(Arc<dyn ObjectStore>, String), Failure> {
        let broken = |error: towpath_trail::BucketError| Failure::other(Box::new(error));
        let Some(rest) = self.place.strip_prefix("s3://") else {
            let copied = CopiedBuckets::open(FilePath::new(&self.place))?;
            return Ok((copied.open("").await.map_err(broken)?, String::new()));
        };
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let client = connect(&self.connection, Retry::PROMPT)?;
        let store = S3Buckets::find(&self.s3, client.connection())?.open(bucket).await.map_err(broken)?;
        Ok((store, folder.trim_matches('/').to_owned()))
    }

    /// What is wrong with the signature, if anything is.
    async fn signature(&self, signed: &SignFile) -> Result<Option<String>, Failure> {
        let (Ok(region), Ok(complete)) = (signed.region.parse(), signed.query_complete_time.parse::<Timestamp>())
        else {
            return Ok(Some("INVALID: invalid format".to_owned()));
        };
        let until = complete.checked_add(SignedDuration::from_hours(24 * KEY_DAYS)).unwrap_or(Timestamp::MAX);
        let keys = match &self.public_keys {
            Some(path) => KeyFile::read(path)?.keys.public_keys(&region, complete, until).await,
            None => {
                let server = ServerKeys(connect(&self.connection, Retry::PROMPT)?);
                server.public_keys(&region, complete, until).await
            }
        };
        let keys = keys.map_err(|problem| Failure::bare(format!("cannot get public keys: {problem}")))?;
        Ok(signed.verify(&keys).err().map(|error| error.to_string()))
    }

    async fn files(&self, store: &dyn ObjectStore, folder: &str, signed: &SignFile) -> Result<Vec<Checked>, Failure> {
        let bar = progress::steps("files checked");
        bar.inc_length(signed.files.len() as u64);
        let checks = signed.files.iter().map(|file| {
            let bar = bar.clone();
            async move {
                let problem = check(store, folder, file).await?;
                bar.inc(1);
                Ok::<_, Failure>(Checked { name: file.file_name.clone(), problem })
            }
        });
        let checked = stream::iter(checks).buffered(usize::from(self.parallel)).try_collect().await;
        bar.finish_and_clear();
        checked
    }

    fn print(&self, checked: &[Checked]) -> Result<(), Failure> {
        let valid = checked.iter().all(|file| file.problem.is_none());
        let shown = |file: &Checked| file.problem.clone().unwrap_or_else(|| "valid".to_owned());
        if self.output == Output::Json {
            let files: Vec<_> =
                checked.iter().map(|file| json!({ "file": file.name, "verdict": shown(file) })).collect();
            return Ok(output::print_json(&json!({ "place": self.place, "valid": valid, "files": files }))?);
        }
        let mut rows = Rows::new(&["file", "verdict"]);
        for file in checked {
            rows.push(vec![file.name.clone(), shown(file)]);
        }
        output::print(rows, Format::Table)?;
        Ok(output::print_line(if valid { "valid" } else { "NOT valid" })?)
    }
}

fn inside(folder: &str, name: &str) -> Result<Path, Failure> {
    let key = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    Path::parse(key).map_err(|error| Failure::other(Box::new(error)))
}

async fn read(store: &dyn ObjectStore, path: &Path) -> Result<Option<bytes::Bytes>, Failure> {
    let read = async { store.get(path).await?.bytes().await };
    match read.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

/// What is wrong with a result file, if anything is. It is hashed as it comes: result files may be large.
async fn check(store: &dyn ObjectStore, folder: &str, file: &ResultFile) -> Result<Option<String>, Failure> {
    // A name is one part of a path; nothing outside the folder is read.
    if file.file_name.contains('/') || file.file_name.is_empty() {
        return Ok(Some("INVALID: invalid format".to_owned()));
    }
    let path = inside(folder, &file.file_name)?;
    let found = match store.get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(Some("INVALID: not found".to_owned())),
        Err(error) => return Err(failed(&path, error)),
    };
    let (mut stream, mut hash) = (found.into_stream(), Sha256::new());
    while let Some(bytes) = stream.try_next().await.map_err(|error| failed(&path, error))? {
        hash.update(&bytes);
    }
    let same = hex::encode(hash.finalize()) == file.file_hash_value;
    Ok((!same).then(|| "INVALID: hash value doesn't match".to_owned()))
}

fn failed(path: &Path, error: object_store::Error) -> Failure {
    let code = error_code(&error).map(|code| format!(" ({code})")).unwrap_or_default();
    let hint = "check the address (--s3-endpoint), the place and the access key (--s3-profile)";
    Failure::plain(format!("cannot read {path}{code}: {error}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_file_is_what_its_hash_says_or_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("result_1.csv.gz"), b"content").unwrap();
        let store = CopiedBuckets::open(folder.path()).unwrap().open("").await.unwrap();
        let verdict = |file: ResultFile| {
            let store = store.clone();
            async move { check(store.as_ref(), "", &file).await.unwrap() }
        };
        let good = ResultFile::of("result_1.csv.gz".to_owned(), b"content");
        assert_eq!(verdict(good.clone()).await, None);
        let changed = ResultFile::of(good.file_name.clone(), b"other");
        assert_eq!(verdict(changed).await.as_deref(), Some("INVALID: hash value doesn't match"));
        let absent = ResultFile::of("result_2.csv.gz".to_owned(), b"content");
        assert_eq!(verdict(absent).await.as_deref(), Some("INVALID: not found"));
        for outside in ["../secret", "", "a/b"] {
            let file = ResultFile::of(outside.to_owned(), b"content");
            assert_eq!(verdict(file).await.as_deref(), Some("INVALID: invalid format"));
        }
    }

    #[tokio::test]
    async fn a_folder_without_a_sign_file_is_not_valid() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display().to_string();
        let verify = VerifyQueryResults {
            place,
            public_keys: None,
            parallel: 1,
            output: Output::Json,
            s3: S3Args::default(),
            connection: ConnectionArgs::default(),
        };
        assert!(matches!(verify.run().await, Err(Failure::Told)));
    }
}
