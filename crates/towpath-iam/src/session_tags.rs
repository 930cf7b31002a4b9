//! Tags of a role session: what a caller says about a session when it assumes a role.
//!
//! Policies see them as `aws:PrincipalTag/<key>`. A tag that is *transitive* goes on into the sessions that this session
//! makes of other roles, and cannot be changed there. Rules are those of the STS API: 50 tags, keys of 1 to 128
//! characters that differ in more than case, values of up to 256.

use serde::{Deserialize, Serialize};

/// Most tags of a session, inherited ones included.
const MAX_TAGS: usize = 50;
/// Longest key, in characters.
const MAX_KEY: usize = 128;
/// Longest value, in characters.
const MAX_VALUE: usize = 256;

/// One tag of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTag {
    /// Its key, as the caller wrote it.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
    /// True when it goes on into sessions made by this one.
    pub transitive: bool,
}

/// The tags of a session, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionTags(Vec<SessionTag>);

/// Why tags cannot be those of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionTagError {
    /// There are too many.
    #[error("a session has at most {MAX_TAGS} tags, not {0}")]
    Number(usize),
    /// The key is empty or too long.
    #[error("tag key {0:?} does not have 1 to {MAX_KEY} characters")]
    Key(String),
    /// The value is too long.
    #[error("the value of tag {0:?} has more than {MAX_VALUE} characters")]
    Value(String),
    /// A character may not be in a tag.
    #[error("tag {0:?} has a character other than letters, digits, blanks and _ . : / = + - @")]
    Character(String),
    /// The prefix is taken.
    #[error("tag key {0:?} begins with aws:, which is reserved")]
    Reserved(String),
    /// A key is there twice.
    #[error("tag key {0:?} is given more than once; keys that differ in case alone are the same")]
    Repeated(String),
    /// A transitive key names no tag.
    #[error("transitive tag key {0:?} is not the key of a tag in the request")]
    NotATag(String),
    /// The key is that of a tag the session inherits.
    #[error("tag {0:?} was handed on by the session that assumes the role and cannot be changed")]
    Inherited(String),
}

impl SessionTags {
    /// Checks the tags of a request, and which of them are transitive.
    pub fn new(tags: Vec<(String, String)>, transitive: &[String]) -> Result<Self, SessionTagError> {
        let mut checked = Self::default();
        for (key, value) in tags {
            check(&key, &value)?;
            if checked.position(&key).is_some() {
                return Err(SessionTagError::Repeated(key));
            }
            checked.0.push(SessionTag { key, value, transitive: false });
        }
        for key in transitive {
            let at = checked.position(key).ok_or_else(|| SessionTagError::NotATag(key.clone()))?;
            checked.0[at].transitive = true;
        }
        checked.within_number()
    }

    /// Adds the transitive tags of the session that makes this one.
    pub(crate) fn inherit(mut self, maker: &Self) -> Result<Self, SessionTagError> {
        for tag in maker.transitive() {
            if self.position(&tag.key).is_some() {
                return Err(SessionTagError::Inherited(tag.key.clone()));
            }
            self.0.push(tag.clone());
        }
        self.within_number()
    }

    /// The tags, those of the request first.
    pub fn iter(&self) -> impl Iterator<Item = &SessionTag> {
        self.0.iter()
    }

    /// The tags that sessions made by this one inherit.
    pub fn transitive(&self) -> impl Iterator<Item = &SessionTag> {
        self.0.iter().filter(|tag| tag.transitive)
    }

    /// True for a session without tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|tag| tag.key.len() + tag.value.len()).sum()
    }

    fn position(&self, key: &str) -> Option<usize> {
        let folded = key.to_lowercase();
        self.0.iter().position(|tag| tag.key.to_lowercase() == folded)
    }

    fn within_number(self) -> Result<Self, SessionTagError> {
        if self.0.len() <= MAX_TAGS { Ok(self) } else { Err(SessionTagError::Number(self.0.len())) }
    }
}

fn check(key: &str, value: &str) -> Result<(), SessionTagError> {
    if !(1..=MAX_KEY).contains(&key.chars().count()) {
        return Err(SessionTagError::Key(key.chars().take(MAX_KEY).collect()));
    }
    if value.chars().count() > MAX_VALUE {
        return Err(SessionTagError::Value(key.to_owned()));
    }
    if !key.chars().chain(value.chars()).all(allowed) {
        return Err(SessionTagError::Character(key.to_owned()));
    }
    if key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
        return Err(SessionTagError::Reserved(key.to_owned()));
    }
    Ok(())
}

fn allowed(character: char) -> bool {
    let blank = character.is_whitespace() && !character.is_control();
    character.is_alphanumeric() || blank || "_.:/=+-@".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &[(&str, &str)], transitive: &[&str]) -> Result<SessionTags, SessionTagError> {
        let list = list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        SessionTags::new(list, &transitive.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_rules_of_sts_hold_for_keys_and_values() {
        assert!(tags(&[("team", ""), ("Kosten-Stelle ö", "a b:/=+-@_.")], &["TEAM"]).is_ok());
        let long = "k".repeat(MAX_KEY + 1);
        let long_value = "v".repeat(MAX_VALUE + 1);
        let broken = [
            (vec![("", "v")], SessionTagError::Key(String::new())),
            (vec![(long.as_str(), "v")], SessionTagError::Key("k".repeat(MAX_KEY))),
            (vec![("k", long_value.as_str())], SessionTagError::Value("k".into())),
            (vec![("k*", "v")], SessionTagError::Character("k*".into())),
            (vec![("k", "a\nb")], SessionTagError::Character("k".into())),
            (vec![("AWS:k", "v")], SessionTagError::Reserved("AWS:k".into())),
            (vec![("k", "1"), ("K", "2")], SessionTagError::Repeated("K".into())),
        ];
        for (list, error) in broken {
            assert_eq!(tags(&list, &[]), Err(error));
        }
        assert_eq!(tags(&[("a", "1")], &["b"]), Err(SessionTagError::NotATag("b".into())));
        let many: Vec<_> = (0..=MAX_TAGS).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(SessionTags::new(many.clone(), &[]), Err(SessionTagError::Number(MAX_TAGS + 1)));
        assert!(SessionTags::new(many[1..].to_vec(), &[]).is_ok());
    }

    #[test]
    fn transitive_tags_are_inherited_and_cannot_be_changed() {
        let maker = tags(&[("team", "blue"), ("cost", "7")], &["team"]).unwrap();
        let made = tags(&[("cost", "8")], &[]).unwrap().inherit(&maker).unwrap();
        let seen: Vec<_> = made.iter().map(|tag| (tag.key.as_str(), tag.value.as_str(), tag.transitive)).collect();
        assert_eq!(seen, [("cost", "8", false), ("team", "blue", true)]);
        let changed = tags(&[("Team", "red")], &[]).unwrap().inherit(&maker);
        assert_eq!(changed, Err(SessionTagError::Inherited("team".into())));
    }
}
