//! Where the public keys of a verification come from.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use towpath_model::Region;

use crate::signing_key::{PublicKey, SigningKeys};

/// Gives the public keys of a region whose validity touches a time, as ListPublicKeys does.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The keys, or why they cannot be had.
    async fn public_keys(&self, region: &Region, from: Timestamp, to: Timestamp) -> Result<Vec<PublicKey>, String>;
}

#[async_trait]
impl KeySource for SigningKeys {
    async fn public_keys(&self, region: &Region, from: Timestamp, to: Timestamp) -> Result<Vec<PublicKey>, String> {
        Self::public_keys(self, region, from, to).await.map_err(|error| error.to_string())
    }
}

/// Keys that were saved: the answer of ListPublicKeys as JSON text. They serve for every region and time.
#[derive(Clone, Debug, Default)]
pub struct SavedKeys(Vec<PublicKey>);

/// The text holds no public keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not JSON.
    #[error("the file of public keys is not JSON")]
    Json(#[source] serde_json::Error),
    /// Not the answer of ListPublicKeys.
    #[error("the file of public keys has no PublicKeyList with Value and Fingerprint of each key")]
    Form,
}

impl SavedKeys {
    /// Reads `{"PublicKeyList":[{"Value":..,"Fingerprint":..,..}]}`, as `aws cloudtrail list-public-keys` prints it.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let json: Value = serde_json::from_str(text).map_err(KeyFileError::Json)?;
        let list = json["PublicKeyList"].as_array().ok_or(KeyFileError::Form)?;
        let key = |item: &Value| {
            let value = STANDARD.decode(item["Value"].as_str()?).ok()?;
            Some(PublicKey {
                value,
                fingerprint: item["Fingerprint"].as_str()?.to_owned(),
                validity_start_time: instant(&item["ValidityStartTime"]).unwrap_or(Timestamp::MIN),
                validity_end_time: instant(&item["ValidityEndTime"]).unwrap_or(Timestamp::MAX),
            })
        };
        list.iter().map(key).collect::<Option<_>>().map(Self).ok_or(KeyFileError::Form)
    }
}

/// A time as the service (seconds) or the command line (text) writes it.
fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => Timestamp::from_second(other.as_f64()? as i64).ok(),
    }
}

#[async_trait]
impl KeySource for SavedKeys {
    async fn public_keys(&self, _: &Region, _: Timestamp, _: Timestamp) -> Result<Vec<PublicKey>, String> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_the_command_line_saves_them() {
        let text = r#"{"PublicKeyList":[{"Value":"AAEC","ValidityStartTime":"2026-01-01T00:00:00+00:00",
            "ValidityEndTime":1800000000.0,"Fingerprint":"ab"}]}"#;
        let keys = SavedKeys::parse(text).unwrap();
        assert_eq!((keys.0[0].value.as_slice(), keys.0[0].fingerprint.as_str()), (&[0, 1, 2][..], "ab"));
        assert_eq!(keys.0[0].validity_end_time.as_second(), 1_800_000_000);
        for text in
            ["", "[]", "{}", r#"{"PublicKeyList":[{}]}"#, r#"{"PublicKeyList":[{"Value":"?","Fingerprint":""}]}"#]
        {
            assert!(SavedKeys::parse(text).is_err(), "{text}");
        }
    }
}
