//! What digests say about log files, for readers that take one file after the other.
//!
//! The digests are verified once; each log file is compared with its digest when it is read, so that it is read once.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::SignedDuration;

use super::contents::{NamedChain, Place};
use super::log_files::hash_text;
use super::{Report, Verdict, VerifyError, VerifyTrail, digests, fetch, later};

/// Why a log file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVouched {
    /// No valid digest names it.
    #[error("no valid digest names the log file")]
    Unlisted,
    /// It is not what its digest says.
    #[error("the log file is not what its digest says: {0}")]
    Changed(String),
    /// The digests of its account and region are not valid.
    #[error("the digests of its account and region are not valid: {0}")]
    Digests(String),
}

/// What digests say about log files.
#[derive(Debug, Default)]
pub struct Vouchers {
    hashes: HashMap<String, String>,
    /// Places whose digests are not valid, and the first finding.
    broken: BTreeMap<Place, String>,
}

impl Vouchers {
    /// Verifies the digests of chains, without reading log files.
    ///
    /// # Errors
    /// When digests or keys cannot be read at all.
    pub async fn of(chains: &[VerifyTrail]) -> Result<Self, VerifyError> {
        let mut vouchers = Self::default();
        for asked in chains {
            vouchers.add(asked).await?;
        }
        Ok(vouchers)
    }

    async fn add(&mut self, asked: &VerifyTrail) -> Result<(), VerifyError> {
        let store = asked.buckets.open(&asked.bucket).await?;
        let listed = fetch::list_digests(asked, store.as_ref()).await?;
        if listed.is_empty() {
            return Ok(());
        }
        let mut report = Report::new(asked);
        let until = later(asked.to, SignedDuration::from_hours(2));
        let keys = asked.keys.public_keys(&asked.region, asked.from, until).await.map_err(VerifyError::Keys)?;
        let fetched = fetch::read_digests(asked, store.as_ref(), listed).await?;
        let checked = digests::check(asked, fetched, keys, &mut report).await?;
        report.finish();
        if let Some(finding) = report.findings.iter().find(|finding| finding.verdict != Verdict::NotCheckedOffline) {
            let place = Place {
                prefix: asked.prefix.clone().filter(|prefix| !prefix.is_empty()),
                organization: asked.organization.clone(),
                account: asked.account,
                region: asked.region.clone(),
            };
            self.broken.insert(place, format!("{}: {}", finding.key, finding.message));
        }
        let own = checked.named.into_iter().filter(|file| file.s3_bucket == asked.bucket);
        self.hashes.extend(own.map(|file| (file.s3_object, file.hash_value)));
        Ok(())
    }

    /// Compares a log file with its digest. Objects that are no log files pass.
    ///
    /// # Errors
    /// Why nothing vouches for it.
    pub fn check(&self, key: &str, packed: &Bytes) -> Result<(), NotVouched> {
        if NamedChain::of_digest(key).is_some() {
            return Ok(());
        }
        let Some(expected) = self.hashes.get(key) else {
            let broken = Place::of_log_file(key).and_then(|place| self.broken.get(&place));
            return Err(broken.map_or(NotVouched::Unlisted, |finding| NotVouched::Digests(finding.clone())));
        };
        match hash_text(packed) {
            Ok(hash) if hash == *expected => Ok(()),
            Ok(_) => Err(NotVouched::Changed("its hash is another".to_owned())),
            Err(error) => Err(NotVouched::Changed(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;
    use object_store::{ObjectStoreExt, PutPayload};

    use super::*;
    use crate::gzip;
    use crate::testing::{World, trail};
    use crate::verify::tests::request;

    #[tokio::test]
    async fn a_log_file_is_vouched_for_as_its_digest_names_it() {
        let world = World::new().await;
        let main = trail("main", "bucket", world.now());
        world.trails.put(main.clone());
        let mut process = world.process().await;
        for _ in 0..3 {
            world.append(1, &[main.id], "us-east-1").await;
            process.step().await.unwrap();
            world.advance(std::time::Duration::from_secs(3_600));
        }
        process.step().await.unwrap();
        let files: Vec<String> = world.objects("bucket", "CloudTrail").await.into_keys().collect();
        let store = world.buckets.get("bucket");
        let asked = [request(&world, &main, "us-east-1")];
        let packed = store.get(&Path::parse(&files[0]).unwrap()).await.unwrap().bytes().await.unwrap();
        let vouchers = Vouchers::of(&asked).await.unwrap();
        assert_eq!(vouchers.check(&files[0], &packed), Ok(()));
        let other = Bytes::from(gzip::whole(2, b"{}").unwrap());
        assert!(matches!(vouchers.check(&files[0], &other), Err(NotVouched::Changed(_))));
        assert!(matches!(vouchers.check(&files[0], &Bytes::from_static(b"x")), Err(NotVouched::Changed(_))));
        assert_eq!(vouchers.check(&files[0].replace("_2026", "_2025"), &packed), Err(NotVouched::Unlisted));

        // A digest that cannot be believed vouches for nothing.
        let digest = world.objects("bucket", "CloudTrail-Digest").await.into_keys().next().unwrap();
        store.put(&Path::parse(&digest).unwrap(), PutPayload::from_static(b"no digest")).await.unwrap();
        let vouchers = Vouchers::of(&asked).await.unwrap();
        let Err(NotVouched::Digests(why)) = vouchers.check(&files[0], &packed) else { panic!("it is vouched for") };
        assert!(why.contains(&digest) && why.ends_with("INVALID: invalid format"), "{why}");
    }
}
