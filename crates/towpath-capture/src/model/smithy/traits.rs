//! Traits: what a Smithy model says of a shape or member besides its structure.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::model::{TimeFormat, ordered::ordered};

/// Traits of a shape or member, by absolute name without documentation.
#[derive(Default)]
pub(super) struct Traits(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Traits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut traits: Vec<(String, Json)> = ordered(deserializer)?;
        traits.retain(|(name, _)| !matches!(name.as_str(), "smithy.api#documentation" | "smithy.api#examples"));
        Ok(Self(traits))
    }
}

impl Traits {
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        let is = |absolute: &String| absolute.split_once('#').is_some_and(|(_, local)| local == name);
        self.0.iter().find(|(absolute, _)| is(absolute)).map(|(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(super) fn number(&self, name: &str) -> Option<u16> {
        self.get(name)?.as_u64().and_then(|number| u16::try_from(number).ok())
    }

    pub(super) fn time_format(&self) -> Option<TimeFormat> {
        match self.text("timestampFormat")? {
            "date-time" => Some(TimeFormat::Iso8601),
            "http-date" => Some(TimeFormat::Rfc822),
            "epoch-seconds" => Some(TimeFormat::Unix),
            _ => None,
        }
    }
}
