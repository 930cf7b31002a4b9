//! Files in the format of AWS's shared credentials: sections that name a profile, with `key = value` lines.

use std::collections::BTreeMap;

/// The profiles of one file by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Profiles(BTreeMap<String, BTreeMap<String, String>>);

impl Profiles {
    /// Reads a file's text. What is not understood is passed over, as AWS's own readers do.
    pub fn parse(text: &str) -> Self {
        let mut profiles: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut current: Option<String> = None;
        for line in text.lines() {
            // A line that begins with white space continues a nested setting, which nothing here uses.
            if line.starts_with([' ', '\t']) || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let name = name.trim();
                // The configuration file writes [profile NAME], the credentials file [NAME].
                let name = name.strip_prefix("profile ").map(str::trim).unwrap_or(name);
                profiles.entry(name.to_owned()).or_default();
                current = Some(name.to_owned());
                continue;
            }
            let (Some(profile), Some((key, value))) = (&current, line.split_once('=')) else { continue };
            let fields = profiles.entry(profile.clone()).or_default();
            fields.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
        Self(profiles)
    }

    /// The names of the profiles.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// A value of a profile; an empty one counts as absent.
    pub fn get(&self, profile: &str, key: &str) -> Option<&str> {
        self.0.get(profile)?.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn profiles_of_credentials_and_of_configuration_are_read() {
        let text = "# comment\n[towpath]\naws_access_key_id = AKIA1\naws_secret_access_key=s=cret\n\n\
                    [profile other]\nregion = eu-west-1\ns3 =\n  max = 3\nrole_arn =\n";
        let profiles = Profiles::parse(text);
        assert_eq!(profiles.names(), ["other", "towpath"]);
        assert_eq!(profiles.get("towpath", "aws_access_key_id"), Some("AKIA1"));
        assert_eq!(profiles.get("towpath", "aws_secret_access_key"), Some("s=cret"));
        assert_eq!(profiles.get("other", "region"), Some("eu-west-1"));
        assert_eq!(profiles.get("other", "role_arn"), None);
        assert_eq!(profiles.get("other", "max"), None);
        assert_eq!(profiles.get("default", "aws_access_key_id"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}") {
            Profiles::parse(&text);
        }
    }
}
