//! Listing: the objects of a bucket in the order of their keys, with what lies behind a delimiter rolled up.
//!
//! Versions 1 and 2 of S3's listing differ in words alone: both go on behind a key. A prefix that was rolled up counts
//! as one entry, and a listing that goes on behind a key inside of it does not show it again.

use towpath_meta::MetaStore;

use crate::buckets::{Buckets, OpenBucket};
use crate::error::BucketError;
use crate::name::ObjectKey;
use crate::order;
use crate::record::{Listed, Object};

/// Most entries of a page; S3's own limit.
pub(crate) const MAX_LISTED: usize = 1000;

/// What to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Keys that begin with this.
    pub prefix: String,
    /// Keys that have this behind the prefix are rolled up to the first place they have it; not empty.
    pub delimiter: Option<String>,
    /// Behind this key, or behind this rolled-up prefix.
    pub after: Option<String>,
    /// How many entries at most, up to 1,000.
    pub limit: usize,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects, in the byte order of their keys.
    pub objects: Vec<Listed>,
    /// Rolled-up prefixes, in order.
    pub prefixes: Vec<String>,
    /// The last entry of the page, if there are more.
    pub next: Option<String>,
}

impl Page {
    fn len(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }
}

impl ListRequest {
    /// The prefix that `key` is rolled up to.
    fn rolled_up<'a>(&self, key: &'a str) -> Option<&'a str> {
        let delimiter = self.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
        let rest = key.get(self.prefix.len()..)?;
        let at = rest.find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }

    /// The place behind which the listing begins.
    fn start(&self) -> String {
        match self.after.as_deref().filter(|after| *after >= self.prefix.as_str()) {
            None => order::before(&order::encode(&self.prefix)),
            Some(after) if after.starts_with(&self.prefix) => match self.rolled_up(after) {
                Some(rolled) => order::encode(rolled) + order::END,
                None => order::encode(after),
            },
            Some(after) => order::encode(after),
        }
    }
}

impl Buckets {
    /// Lists a page of the objects of a bucket.
    pub async fn list(&self, bucket: &str, request: &ListRequest) -> Result<Page, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        list(&*self.inner.meta, &bucket, request).await
    }
}

async fn list(meta: &dyn MetaStore, bucket: &OpenBucket, request: &ListRequest) -> Result<Page, BucketError> {
    let limit = request.limit.min(MAX_LISTED);
    let mut page = Page::default();
    if limit == 0 {
        return Ok(page);
    }
    let mut cursor = request.start();
    loop {
        // One more than is wanted tells whether there are more.
        let want = limit - page.len() + 1;
        let entries = bucket.objects.list(meta, &cursor, want).await?;
        let complete = entries.len() < want;
        let mut last = String::new();
        for entry in entries {
            if !entry.key.starts_with(&request.prefix) {
                return Ok(page);
            }
            last = entry.key;
            let rolled = request.rolled_up(&last);
            if rolled.is_some() && rolled == page.prefixes.last().map(String::as_str) {
                continue;
            }
            if page.len() == limit {
                page.next = last_of(&page);
                return Ok(page);
            }
            match rolled {
                Some(rolled) => page.prefixes.push(rolled.to_owned()),
                None => {
                    let object = entry.record.decode::<Object>()?.value;
                    let key: ObjectKey = last.parse().map_err(|_| BucketError::NoSuchKey(last.clone()))?;
                    page.objects.push(Listed { key, object });
                }
            }
        }
        if complete {
            return Ok(page);
        }
        cursor = match request.rolled_up(&last) {
            Some(rolled) => order::encode(rolled) + order::END,
            None => order::encode(&last),
        };
    }
}

/// The entry that comes last in the order of keys.
fn last_of(page: &Page) -> Option<String> {
    let object = page.objects.last().map(|listed| listed.key.as_str());
    let prefix = page.prefixes.last().map(String::as_str);
    object.max(prefix).map(str::to_owned)
}
