//! Digests: one signed list of the log files that a trail delivered in a period (integrity.md, sections 3 to 5).
//!
//! A digest names the previous one and repeats its signature, so that a verifier who trusts one of them can walk back to
//! the first. Empty periods have digests too: silence is a statement.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The only signature algorithm.
pub const SIGNATURE_ALGORITHM: &str = "SHA256withRSA";
/// The only hash algorithm.
pub const HASH_ALGORITHM: &str = "SHA-256";

/// A digest as its JSON text has it; members are written in this order. Times are `yyyy-MM-ddTHH:mm:ssZ`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Digest {
    pub aws_account_id: String,
    pub digest_start_time: String,
    /// Part of the signed string, character for character.
    pub digest_end_time: String,
    /// Where the digest lies; must be where it is found.
    pub digest_s3_bucket: String,
    pub digest_s3_object: String,
    pub digest_public_key_fingerprint: String,
    pub digest_signature_algorithm: String,
    pub newest_event_time: Option<String>,
    pub oldest_event_time: Option<String>,
    /// The previous digest; null in the first of a session of logging.
    pub previous_digest_s3_bucket: Option<String>,
    pub previous_digest_s3_object: Option<String>,
    /// Hexadecimal SHA-256 of the previous digest's text.
    pub previous_digest_hash_value: Option<String>,
    pub previous_digest_hash_algorithm: Option<String>,
    /// Hexadecimal signature of the previous digest.
    pub previous_digest_signature: Option<String>,
    pub log_files: Vec<DigestFile>,
}

/// A log file in a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DigestFile {
    pub s3_bucket: String,
    pub s3_object: String,
    /// Hexadecimal SHA-256 of the file's text.
    pub hash_value: String,
    pub hash_algorithm: String,
    pub newest_event_time: String,
    pub oldest_event_time: String,
}

/// A digest that cannot be changed any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDigest {
    /// The JSON text, before compression.
    pub text: Vec<u8>,
    /// Hexadecimal SHA-256 of the text.
    pub hash: String,
    /// Hexadecimal signature.
    pub signature: String,
}

/// What is signed: end time, place, hash of the text and signature of the previous digest, in four lines.
pub fn string_to_sign(end_time: &str, bucket: &str, object: &str, hash: &str, previous: Option<&str>) -> String {
    format!("{end_time}\n{bucket}/{object}\n{hash}\n{}", previous.unwrap_or("null"))
}

/// Hexadecimal SHA-256.
pub(crate) fn hash_of(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

impl Digest {
    /// Writes and signs the digest; `sign` makes a hexadecimal signature of a text.
    pub(crate) fn sign(&self, sign: impl FnOnce(&[u8]) -> String) -> SignedDigest {
        let text = serde_json::to_vec(self).expect("texts and lists of texts are always written");
        let hash = hash_of(&text);
        let signed = string_to_sign(
            &self.digest_end_time,
            &self.digest_s3_bucket,
            &self.digest_s3_object,
            &hash,
            self.previous_digest_signature.as_deref(),
        );
        let signature = sign(signed.as_bytes());
        SignedDigest { text, hash, signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_and_the_signed_string_are_golden() {
        let digest = Digest {
            aws_account_id: "123456789012".into(),
            digest_start_time: "2026-11-21T08:00:00Z".into(),
            digest_end_time: "2026-11-21T09:00:00Z".into(),
            digest_s3_bucket: "bucket".into(),
            digest_s3_object: "AWSLogs/d.json.gz".into(),
            digest_public_key_fingerprint: "00ff".into(),
            digest_signature_algorithm: SIGNATURE_ALGORITHM.into(),
            newest_event_time: Some("2026-11-21T08:59:00Z".into()),
            oldest_event_time: Some("2026-11-21T08:01:00Z".into()),
            previous_digest_s3_bucket: None,
            previous_digest_s3_object: None,
            previous_digest_hash_value: None,
            previous_digest_hash_algorithm: None,
            previous_digest_signature: None,
            log_files: vec![DigestFile {
                s3_bucket: "bucket".into(),
                s3_object: "AWSLogs/l.json.gz".into(),
                hash_value: "ab".into(),
                hash_algorithm: HASH_ALGORITHM.into(),
                newest_event_time: "2026-11-21T08:59:00Z".into(),
                oldest_event_time: "2026-11-21T08:01:00Z".into(),
            }],
        };
        let mut signed = Vec::new();
        let result = digest.sign(|text| {
            signed = text.to_vec();
            "cafe".to_owned()
        });
        let golden = concat!(
            r#"{"awsAccountId":"123456789012","digestStartTime":"2026-11-21T08:00:00Z","#,
            r#""digestEndTime":"2026-11-21T09:00:00Z","digestS3Bucket":"bucket","digestS3Object":"AWSLogs/d.json.gz","#,
            r#""digestPublicKeyFingerprint":"00ff","digestSignatureAlgorithm":"SHA256withRSA","#,
            r#""newestEventTime":"2026-11-21T08:59:00Z","oldestEventTime":"2026-11-21T08:01:00Z","#,
            r#""previousDigestS3Bucket":null,"previousDigestS3Object":null,"previousDigestHashValue":null,"#,
            r#""previousDigestHashAlgorithm":null,"previousDigestSignature":null,"logFiles":[{"s3Bucket":"bucket","#,
            r#""s3Object":"AWSLogs/l.json.gz","hashValue":"ab","hashAlgorithm":"SHA-256","#,
            r#""newestEventTime":"2026-11-21T08:59:00Z","oldestEventTime":"2026-11-21T08:01:00Z"}]}"#,
        );
        assert_eq!(std::str::from_utf8(&result.text).unwrap(), golden);
        assert_eq!(result.signature, "cafe");
        let expected = format!("2026-11-21T09:00:00Z\nbucket/AWSLogs/d.json.gz\n{}\nnull", hash_of(golden.as_bytes()));
        assert_eq!(String::from_utf8(signed).unwrap(), expected);
        assert!(string_to_sign("t", "b", "k", "h", Some("aa")).ends_with("\nh\naa"));
    }
}
