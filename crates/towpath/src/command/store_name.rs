//! Names of event data stores: SQL and most operations know ids only, people remember names.

use serde_json::json;

use super::{Failure, text};
use crate::client::{Api, Client};

/// An event data store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
}

impl Store {
    /// The id, the last part of the ARN.
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }
}

/// All stores of the region.
pub async fn all(client: &Client) -> Result<Vec<Store>, Failure> {
    let items = client.list(Api::CloudTrail, "ListEventDataStores", &json!({}), "EventDataStores").await?;
    let store = |item| Store { arn: text(item, "EventDataStoreArn").to_owned(), name: text(item, "Name").to_owned() };
    Ok(items.iter().map(store).collect())
}

/// The ARN or id to use for what was written: ARNs and ids as they are, a name looked up.
pub async fn reference(client: &Client, written: &str) -> Result<String, Failure> {
    if written.starts_with("arn:") || is_id(written) {
        return Ok(written.to_owned());
    }
    find(client, &all(client).await?, written).map(|store| store.arn.clone())
}

/// The store of that name, id or ARN among those that the client found.
pub fn find<'a>(client: &Client, stores: &'a [Store], written: &str) -> Result<&'a Store, Failure> {
    let matches = |store: &&Store| store.name == written || store.arn == written || store.id() == written;
    if let Some(store) = stores.iter().find(matches) {
        return Ok(store);
    }
    let names: Vec<_> = stores.iter().map(|store| store.name.as_str()).collect();
    let hint = match names.as_slice() {
        [] => "there is none at all in this region; one is made with: towpath stores create NAME".to_owned(),
        names => format!("there are: {}; one more is made with: towpath stores create NAME", names.join(", ")),
    };
    let region = &client.connection().region;
    Err(Failure::plain(format!("there is no event data store {written} in {region}"), hint))
}

/// True for the form of an id: 8-4-4-4-12 hexadecimal digits.
pub fn is_id(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}
