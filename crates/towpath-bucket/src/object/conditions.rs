//! What a request requires: of the object that is there, and of the content that it sends.

use jiff::Timestamp;

use crate::checksum::Checksum;
use crate::error::BucketError;
use crate::files::Content;
use crate::record::Object;

/// What `If-Match` and `If-None-Match` name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `*`: any object.
    Any,
    /// The object with this ETag, without quotes.
    Etag(String),
}

impl Tag {
    fn is(&self, object: &Object) -> bool {
        match self {
            Self::Any => true,
            Self::Etag(etag) => *etag == object.etag,
        }
    }
}

/// What a request requires of the object that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The object must be this one.
    pub if_match: Option<Tag>,
    /// The object must not be this one.
    pub if_none_match: Option<Tag>,
    /// It must have been stored after this second. Reads alone mind it.
    pub if_modified_since: Option<Timestamp>,
    /// It must not have been stored after this second. Reads alone mind it.
    pub if_unmodified_since: Option<Timestamp>,
}

/// What conditions say of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadVerdict {
    Read,
    NotModified,
    Failed(&'static str),
}

impl Conditions {
    /// Decides a read, with the precedence that HTTP gives the four.
    pub(crate) fn of_read(&self, object: &Object) -> ReadVerdict {
        let later = |than: Timestamp| object.modified.as_second() > than.as_second();
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tag), _) if !tag.is(object) => return ReadVerdict::Failed("If-Match"),
            (None, Some(since)) if later(since) => return ReadVerdict::Failed("If-Unmodified-Since"),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tag), _) if tag.is(object) => ReadVerdict::NotModified,
            (None, Some(since)) if !later(since) => ReadVerdict::NotModified,
            _ => ReadVerdict::Read,
        }
    }

    /// Decides a write or delete over what is there.
    pub(crate) fn of_write(&self, key: &str, there: Option<&Object>) -> Result<(), BucketError> {
        if let Some(tag) = &self.if_match {
            let object = there.ok_or_else(|| BucketError::NoSuchKey(key.to_owned()))?;
            if !tag.is(object) {
                return Err(BucketError::Precondition("If-Match"));
            }
        }
        if let (Some(tag), Some(object)) = (&self.if_none_match, there)
            && tag.is(object)
        {
            return Err(BucketError::Precondition("If-None-Match"));
        }
        Ok(())
    }
}

/// What the sender says the content is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its length.
    pub size: Option<u64>,
    /// Its MD5.
    pub md5: Option<[u8; 16]>,
    /// Its checksum; of the algorithm that the writer was begun with.
    pub checksum: Option<Checksum>,
}

impl Expected {
    pub(crate) fn check(&self, content: &Content) -> Result<(), BucketError> {
        if let Some(announced) = self.size.filter(|size| *size != content.size) {
            return Err(BucketError::Incomplete { announced, actual: content.size });
        }
        if self.md5.is_some_and(|md5| md5 != content.digested.md5) {
            return Err(BucketError::BadDigest("Content-MD5"));
        }
        match &self.checksum {
            Some(expected) if content.digested.checksum.as_ref() != Some(expected) => {
                Err(BucketError::BadDigest(expected.algorithm.as_str()))
            }
            _ => Ok(()),
        }
    }
}
