//! Digests of contents: the MD5 that becomes the ETag, and the checksums that clients ask for and send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use serde::{Deserialize, Serialize};

/// An algorithm of S3's additional checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-32 of IEEE 802.3.
    #[serde(rename = "CRC32")]
    Crc32,
    /// CRC-32C (Castagnoli).
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// CRC-64/NVME.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// SHA-1.
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As S3 writes it, such as `CRC32C`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// Reads what S3 writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    /// The header that carries it.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The length of the value, in bytes.
    const fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// True if the checksum of a whole can be one over all its bytes when it was stored in parts.
    pub const fn can_be_full(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }

    fn hasher(self) -> ChecksumHasher {
        let mut hasher = ChecksumHasher::default();
        match self {
            Self::Crc32 => hasher.crc32 = Some(Crc32::new()),
            Self::Crc32c => hasher.crc32c = Some(Crc32c::new()),
            Self::Crc64Nvme => hasher.crc64nvme = Some(Crc64Nvme::new()),
            Self::Sha1 => hasher.sha1 = Some(Sha1::new()),
            Self::Sha256 => hasher.sha256 = Some(Sha256::new()),
        }
        hasher
    }
}

/// What a checksum is over, when an object was stored in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Over all bytes of the object.
    #[default]
    #[serde(rename = "FULL_OBJECT")]
    Full,
    /// Over the checksums of its parts.
    #[serde(rename = "COMPOSITE")]
    Composite,
}

impl Scope {
    /// As S3 writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// Reads what S3 writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "FULL_OBJECT" => Some(Self::Full),
            "COMPOSITE" => Some(Self::Composite),
            _ => None,
        }
    }
}

/// A checksum of some content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it was made.
    pub algorithm: Algorithm,
    /// Base64 of its bytes; with `-N` behind it where it is over N parts.
    pub value: String,
    /// What it is over.
    #[serde(default)]
    pub scope: Scope,
}

impl Checksum {
    /// A checksum over all bytes, if `value` is base64 of the right length.
    pub fn full(algorithm: Algorithm, value: &str) -> Option<Self> {
        let bytes = STANDARD.decode(value).ok()?;
        (bytes.len() == algorithm.length()).then(|| Self { algorithm, value: value.to_owned(), scope: Scope::Full })
    }

    /// The checksum over the checksums of parts.
    pub fn composite<'a>(algorithm: Algorithm, parts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (mut hasher, mut count) = (algorithm.hasher(), 0_usize);
        for part in parts {
            hasher.update(&STANDARD.decode(part).ok()?);
            count += 1;
        }
        let value = format!("{}-{count}", finish(hasher)?);
        Some(Self { algorithm, value, scope: Scope::Composite })
    }
}

/// Digests content as it is written.
pub(crate) struct Digests {
    md5: Md5,
    checksum: Option<(Algorithm, ChecksumHasher)>,
}

/// The digests of all that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digested {
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Option<Checksum>,
}

impl Digests {
    pub(crate) fn new(algorithm: Option<Algorithm>) -> Self {
        Self { md5: Md5::new(), checksum: algorithm.map(|algorithm| (algorithm, algorithm.hasher())) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Digested {
        let checksum = self
            .checksum
            .and_then(|(algorithm, hasher)| Some(Checksum { algorithm, value: finish(hasher)?, scope: Scope::Full }));
        Digested { md5: self.md5.finalize().into(), checksum }
    }
}

/// The value of the one algorithm that the hasher has.
fn finish(hasher: ChecksumHasher) -> Option<String> {
    let sums = hasher.finalize();
    sums.checksum_crc32
        .or(sums.checksum_crc32c)
        .or(sums.checksum_crc64nvme)
        .or(sums.checksum_sha1)
        .or(sums.checksum_sha256)
}

/// The ETag of an object stored in parts: the MD5 of their MD5s, and their number.
pub(crate) fn etag_of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (mut md5, mut count) = (Md5::new(), 0_usize);
    for part in parts {
        md5.update(hex::decode(part).ok()?);
        count += 1;
    }
    Some(format!("{}-{count}", hex::encode(md5.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut digests = Digests::new(Some(algorithm));
        digests.update(bytes);
        digests.finish().checksum.unwrap().value
    }

    #[test]
    fn checksums_are_the_published_check_values() {
        let check = |algorithm| hex::encode(STANDARD.decode(value(algorithm, b"123456789")).unwrap());
        assert_eq!(check(Algorithm::Crc32), "cbf43926");
        assert_eq!(check(Algorithm::Crc32c), "e3069283");
        assert_eq!(check(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(check(Algorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(&check(Algorithm::Sha256)[..16], "15e2b0d3c33891eb");
    }

    #[test]
    fn a_value_of_the_wrong_length_is_no_checksum() {
        assert!(Checksum::full(Algorithm::Crc32, &value(Algorithm::Crc32, b"x")).is_some());
        assert!(Checksum::full(Algorithm::Sha256, &value(Algorithm::Crc32, b"x")).is_none());
        assert!(Checksum::full(Algorithm::Crc32, "not base64").is_none());
    }

    #[test]
    fn parts_have_a_digest_of_digests_and_their_number() {
        let parts = ["5d41402abc4b2a76b9719d911017c592", "7d793037a0760186574b0282f2f435e7"];
        let etag = etag_of_parts(parts).unwrap();
        let mut joined = hex::decode(parts.concat()).unwrap();
        assert_eq!(etag, format!("{}-2", hex::encode(Md5::digest(&joined))));
        joined.clear();

        let sums = [value(Algorithm::Crc32, b"a"), value(Algorithm::Crc32, b"b")];
        let whole = Checksum::composite(Algorithm::Crc32, sums.iter().map(String::as_str)).unwrap();
        assert!(whole.value.ends_with("-2"));
        assert_eq!(whole.scope, Scope::Composite);
    }
}
