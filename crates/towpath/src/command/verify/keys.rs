//! Public keys: from the server, or from a file that was saved when there was one.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use towpath_model::Region;
use towpath_trail::PublicKey;
use towpath_trail::verify::{KeySource, SavedKeys};

use super::super::Failure;
use super::what::{Known, NamedTrail, parse_trail};
use crate::client::{Api, Client, ClientError, Connection, Retry};

/// Asks the server, region by region.
pub struct ServerKeys(pub Client);

impl ServerKeys {
    /// The answer of ListPublicKeys in a region.
    pub async fn answer(&self, region: &Region, from: Timestamp, to: Timestamp) -> Result<Value, ClientError> {
        let connection = Connection { region: region.to_string(), ..self.0.connection().clone() };
        let client = Client::new(connection, Retry::PROMPT)?;
        let seconds = |at: Timestamp| at.as_second();
        let input = json!({ "StartTime": seconds(from), "EndTime": seconds(to) });
        client.call(Api::CloudTrail, "ListPublicKeys", &input).await
    }
}

#[async_trait]
impl KeySource for ServerKeys {
    async fn public_keys(&self, region: &Region, from: Timestamp, to: Timestamp) -> Result<Vec<PublicKey>, String> {
        let answer = self.answer(region, from, to).await.map_err(|error| error.to_string())?;
        let keys = SavedKeys::parse(&answer.to_string()).map_err(|error| error.to_string())?;
        keys.public_keys(region, from, to).await
    }
}

/// What a file holds that `towpath verify public-keys` or `aws cloudtrail list-public-keys` wrote.
pub struct KeyFile {
    /// The keys.
    pub keys: SavedKeys,
    /// Signatures of digests by object key; none in a file of the stock client.
    pub signatures: HashMap<String, String>,
    /// The trail that the file was made for; none in a file of the stock client.
    pub trail: Option<NamedTrail>,
    /// What was known of it then.
    pub known: Known,
}

impl KeyFile {
    /// A file that tells nothing.
    pub fn empty() -> Self {
        let keys = SavedKeys::default();
        Self { keys, signatures: HashMap::new(), trail: None, known: Known::default() }
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|cause| Failure::Read { path: shown.clone(), cause })?;
        Self::parse(&text).map_err(|problem| {
            let hint = "make it with: towpath verify public-keys TRAIL > FILE";
            Failure::plain(format!("{shown} cannot be used: {problem}"), hint)
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let keys = SavedKeys::parse(text).map_err(|error| error.to_string())?;
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let signatures = match json.get("Signatures") {
            None => HashMap::new(),
            Some(found) => {
                serde_json::from_value(found.clone()).map_err(|_| "Signatures is not an object of texts".to_owned())?
            }
        };
        let trail = json.pointer("/Trail/TrailARN").and_then(Value::as_str).map(parse_trail).transpose()?;
        let multi_region = json.pointer("/Trail/IsMultiRegionTrail").and_then(Value::as_bool);
        let chains = match json.get("DigestChains") {
            None => Vec::new(),
            Some(found) => serde_json::from_value(found.clone()).map_err(|error| format!("DigestChains: {error}"))?,
        };
        Ok(Self { keys, signatures, trail, known: Known::new(multi_region, chains) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::Fake;

    const KEYS: &str = r#"{"PublicKeyList":[{"Value":"AAEC","Fingerprint":"ab"}]"#;

    #[test]
    fn a_file_of_keys_may_hold_signatures() {
        let file = KeyFile::parse(&format!(r#"{KEYS},"Signatures":{{"k":"00"}}}}"#)).unwrap();
        assert_eq!(file.signatures["k"], "00");
        assert!(KeyFile::parse(&format!("{KEYS}}}")).unwrap().signatures.is_empty());
        let trail = r#""Trail":{"TrailARN":"arn:aws:cloudtrail:eu-west-1:000000000001:trail/own"},"DigestChains":[]"#;
        let file = KeyFile::parse(&format!("{KEYS},{trail}}}")).unwrap();
        assert_eq!((file.trail.unwrap().name.as_str(), file.known), ("own", Known::default()));
        for bad in ["", "{}", &format!(r#"{KEYS},"Signatures":[]}}"#), &format!(r#"{KEYS},"DigestChains":1}}"#)] {
            assert!(KeyFile::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn keys_of_a_region_are_those_that_the_server_lists_there() {
        let answer = serde_json::from_str(&format!("{KEYS}}}")).unwrap();
        let fake = Fake::answering(vec![(200, answer)]).await;
        let (from, to) = (Timestamp::from_second(10).unwrap(), Timestamp::from_second(20).unwrap());
        let keys = ServerKeys(fake.client()).public_keys(&"eu-west-1".parse().unwrap(), from, to).await.unwrap();
        assert_eq!((keys[0].value.as_slice(), keys[0].fingerprint.as_str()), (&[0, 1, 2][..], "ab"));
        let seen = fake.seen();
        assert_eq!(seen[0].operation, "ListPublicKeys");
        assert_eq!(seen[0].input, json!({ "StartTime": 10, "EndTime": 20 }));
    }
}
