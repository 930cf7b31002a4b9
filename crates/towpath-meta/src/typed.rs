//! Records as JSON: what callers use when a record is a serde value.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Expect, Key, MAX_PAGE, MetaError, MetaStore, Record, Version, Write};

/// A record whose value was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed<T> {
    /// Its name.
    pub key: Key,
    /// The commit that wrote it.
    pub version: Version,
    /// Its content.
    pub value: T,
}

impl<T> Typed<T> {
    /// Expects that the record is still the one that was read.
    pub fn unchanged(&self) -> Expect {
        Expect::Version(self.key.clone(), self.version)
    }
}

impl Record {
    /// Decodes the value as JSON.
    pub fn decode<T: DeserializeOwned>(self) -> Result<Typed<T>, MetaError> {
        match serde_json::from_slice(&self.value) {
            Ok(value) => Ok(Typed { key: self.key, version: self.version, value }),
            Err(cause) => Err(MetaError::Decode { key: self.key, cause }),
        }
    }
}

impl Write {
    /// Writes `value` as JSON.
    pub fn json<T: Serialize + ?Sized>(key: Key, value: &T) -> Result<Self, MetaError> {
        match serde_json::to_vec(value) {
            Ok(text) => Ok(Self::Put(key, text.into())),
            Err(cause) => Err(MetaError::Encode { key, cause }),
        }
    }
}

/// Reading with types, for every [`MetaStore`].
#[async_trait]
pub trait MetaStoreExt: MetaStore {
    /// Returns the record at `key`, decoded.
    async fn get_json<T: DeserializeOwned + Send>(&self, key: &Key) -> Result<Option<Typed<T>>, MetaError> {
        self.get(key).await?.map(Record::decode).transpose()
    }

    /// Returns one page of records under `prefix`, decoded; see [`MetaStore::list`].
    async fn list_json<T: DeserializeOwned + Send>(
        &self,
        prefix: &Key,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Typed<T>>, MetaError> {
        self.list(prefix, after, limit).await?.into_iter().map(Record::decode).collect()
    }

    /// Returns every record under `prefix`, read page by page. Pages may see different commits. For prefixes whose
    /// content is known to fit in memory.
    async fn list_all(&self, prefix: &Key) -> Result<Vec<Record>, MetaError> {
        let mut records = Vec::new();
        loop {
            let after = records.last().map(|record: &Record| record.key.clone());
            let page = self.list(prefix, after.as_ref(), MAX_PAGE).await?;
            let last = page.len() < MAX_PAGE;
            records.extend(page);
            if last {
                return Ok(records);
            }
        }
    }

    /// Returns every record under `prefix`, decoded; see [`MetaStoreExt::list_all`].
    async fn list_all_json<T: DeserializeOwned + Send>(&self, prefix: &Key) -> Result<Vec<Typed<T>>, MetaError> {
        self.list_all(prefix).await?.into_iter().map(Record::decode).collect()
    }
}

impl<S: MetaStore + ?Sized> MetaStoreExt for S {}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::MemoryMetaStore;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Color {
        red: u8,
    }

    #[tokio::test]
    async fn a_typed_record_is_read_as_it_was_written() {
        let store = MemoryMetaStore::new();
        let key = Key::new("color/rust").unwrap();
        let write = Write::json(key.clone(), &Color { red: 183 }).unwrap();
        store.commit(&[], &[write]).await.unwrap();

        let read = store.get_json::<Color>(&key).await.unwrap().unwrap();
        assert_eq!(read.value, Color { red: 183 });
        assert_eq!(read.unchanged(), Expect::Version(key, read.version));
        let listed = store.list_all_json::<Color>(&Key::new("color").unwrap()).await.unwrap();
        assert_eq!(listed, [read]);
    }

    #[tokio::test]
    async fn a_record_of_another_shape_is_an_error_that_names_it() {
        let store = MemoryMetaStore::new();
        let key = Key::new("color/none").unwrap();
        store.commit(&[], &[Write::Put(key.clone(), "{}".into())]).await.unwrap();

        let error = store.get_json::<Color>(&key).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot decode record color/none");
    }
}
