//! The sign file of delivered query results: the hashes of the result files, signed with the key of a region
//! (lake-sql.md, "S3 delivery").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use towpath_model::{Region, eventtime_text};

use crate::digest::SIGNATURE_ALGORITHM;
use crate::signing_key::{Checker, PublicKey, SigningKeyError, SigningKeys};

/// The name of the sign file beside the result files.
pub const SIGN_FILE: &str = "result_sign.json";

const VERSION: &str = "1.0";
const HASH_ALGORITHM: &str = "SHA-256";

/// The content of `result_sign.json`, members in the published order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignFile {
    /// `1.0`.
    pub version: String,
    /// The region whose key signed.
    pub region: String,
    /// The result files in the order of their numbers; at least one.
    pub files: Vec<ResultFile>,
    /// `SHA-256`.
    pub hash_algorithm: String,
    /// `SHA256withRSA`.
    pub signature_algorithm: String,
    /// When the query ended: UTC, whole seconds.
    pub query_complete_time: String,
    /// Hexadecimal signature over the hashes.
    pub hash_signature: String,
    /// Which key signed.
    pub public_key_fingerprint: String,
}

/// One result file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultFile {
    /// Lower-case hexadecimal SHA-256 of the file as it lies there, compressed.
    pub file_hash_value: String,
    /// Its name beside the sign file.
    pub file_name: String,
}

/// What is wrong with a sign file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignFileError {
    /// Not JSON, or members are missing.
    #[error("INVALID: invalid format")]
    Format,
    /// It names no files.
    #[error("INVALID: the sign file names no files")]
    NoFiles,
    /// Its key is not among the public keys.
    #[error("INVALID: public key not found in region {region} for fingerprint {fingerprint}")]
    UnknownKey {
        /// The region of the sign file.
        region: String,
        /// The key that it names.
        fingerprint: String,
    },
    /// Its signature is not one of the hashes.
    #[error("INVALID: signature verification failed")]
    Signature,
}

impl ResultFile {
    /// The entry of a file with this content.
    pub fn of(file_name: String, bytes: &[u8]) -> Self {
        Self { file_hash_value: hex::encode(Sha256::digest(bytes)), file_name }
    }

    /// True when this is the file's content.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.file_hash_value == hex::encode(Sha256::digest(bytes))
    }
}

impl SignFile {
    /// Signs the hashes of result files with the key that is in force in `region` at `complete`.
    pub async fn sign(
        keys: &SigningKeys,
        region: &Region,
        files: Vec<ResultFile>,
        complete: Timestamp,
    ) -> Result<Self, SigningKeyError> {
        let key = keys.at(region, complete).await?;
        Ok(Self {
            version: VERSION.to_owned(),
            region: region.to_string(),
            hash_signature: key.sign(signed_text(&files).as_bytes()),
            files,
            hash_algorithm: HASH_ALGORITHM.to_owned(),
            signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
            query_complete_time: eventtime_text(complete),
            public_key_fingerprint: key.fingerprint.clone(),
        })
    }

    /// Reads a sign file that names at least one file.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignFileError> {
        let file: Self = serde_json::from_slice(bytes).map_err(|_| SignFileError::Format)?;
        if file.files.is_empty() { Err(SignFileError::NoFiles) } else { Ok(file) }
    }

    /// Checks the signature over the hashes; whether the files have these hashes is another question.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<(), SignFileError> {
        let unknown = || SignFileError::UnknownKey {
            region: self.region.clone(),
            fingerprint: self.public_key_fingerprint.clone(),
        };
        let key = keys.iter().find(|key| key.fingerprint == self.public_key_fingerprint).ok_or_else(unknown)?;
        let checker = Checker::read(&key.value).ok_or_else(unknown)?;
        let good = checker.verifies(signed_text(&self.files).as_bytes(), &self.hash_signature);
        if good { Ok(()) } else { Err(SignFileError::Signature) }
    }
}

/// What is signed: the hashes in the order of the list, with one blank between them.
fn signed_text(files: &[ResultFile]) -> String {
    let hashes: Vec<_> = files.iter().map(|file| file.file_hash_value.as_str()).collect();
    hashes.join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;
    use towpath_meta::MemoryMetaStore;

    use super::*;
    use crate::settings::TrailSettings;
    use crate::testing::{PlainSealer, START, test_key};

    fn files() -> Vec<ResultFile> {
        vec![ResultFile::of("result_1.csv.gz".to_owned(), b"one"), ResultFile::of("result_2.csv.gz".to_owned(), b"two")]
    }

    #[tokio::test]
    async fn what_was_signed_verifies_and_nothing_else_does() {
        let keys = SigningKeys::new(Arc::new(MemoryMetaStore::new()), Arc::new(PlainSealer), &TrailSettings::default());
        let region: Region = "eu-west-1".parse().unwrap();
        let start: Timestamp = START.parse().unwrap();
        keys.keep(&region, test_key(0), start, start + SignedDuration::from_hours(720)).await.unwrap();
        let signed = SignFile::sign(&keys, &region, files(), start).await.unwrap();
        let public = keys.public_keys(&region, start, start).await.unwrap();
        let text = serde_json::to_string(&signed).unwrap();
        let names = ["version", "region", "files", "hashAlgorithm", "signatureAlgorithm", "queryCompleteTime"];
        let places: Vec<_> = names.iter().map(|name| text.find(&format!("\"{name}\"")).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        let read = SignFile::parse(text.as_bytes()).unwrap();
        read.verify(&public).unwrap();
        assert!(read.files[0].matches(b"one") && !read.files[0].matches(b"two"));

        let mut swapped = read.clone();
        swapped.files.swap(0, 1);
        assert_eq!(swapped.verify(&public), Err(SignFileError::Signature));
        let mut short = read.clone();
        short.files.pop();
        assert_eq!(short.verify(&public), Err(SignFileError::Signature));
        assert!(matches!(read.verify(&[]), Err(SignFileError::UnknownKey { .. })));
        assert_eq!(SignFile::parse(b"{}"), Err(SignFileError::Format));
        let empty = SignFile { files: Vec::new(), ..read };
        let text = serde_json::to_vec(&empty).unwrap();
        assert_eq!(SignFile::parse(&text), Err(SignFileError::NoFiles));
    }
}
