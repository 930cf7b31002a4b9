//! Members that records have and calls have not, made of what the call says: tables whose texts are templates.

use serde_json::Value as Json;

use super::template::{Facts, Template};
use crate::Value;

/// How a member is made.
#[derive(Clone, Debug)]
pub(crate) enum Filling {
    Text(Template),
    Table(Vec<(String, Filling)>),
    Fixed(Json),
}

impl Filling {
    /// Reads a value of a profile; the error says what is wrong with it. Tables are as deep as TOML lets them be.
    pub(super) fn parse(value: &Json) -> Result<Self, String> {
        match value {
            Json::String(text) => Template::of_text(text).map(Self::Text),
            Json::Object(members) => {
                let member = |(name, value): (&String, &Json)| Ok((name.clone(), Self::parse(value)?));
                members.iter().map(member).collect::<Result<_, String>>().map(Self::Table)
            }
            other => Ok(Self::Fixed(other.clone())),
        }
    }

    /// The member of a call; `None` if the call lacks something that it is made of.
    pub(crate) fn value(&self, facts: &Facts<'_>) -> Option<Value> {
        Some(match self {
            Self::Text(template) => Value::Text(template.text(facts)?),
            Self::Fixed(json) => Value::Document(json.clone()),
            Self::Table(members) => {
                let member = |(name, filling): &(String, Self)| Some((name.clone(), filling.value(facts)?));
                Value::Map(members.iter().map(member).collect::<Option<_>>()?)
            }
        })
    }
}
