//! Credentials: the access key of a caller, and the scope it signed for.

use std::fmt;

use zeroize::Zeroizing;

/// Text that must not be seen: secret keys and session tokens. `Debug` shows nothing, memory is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a caller signs with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// The session token, for the keys of a role session.
    pub session_token: Option<Secret>,
}

/// What a signature is good for: one day, region and service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The day, `YYYYMMDD`.
    pub(crate) day: String,
    /// The region, 1 to 64 of lower-case letters, digits and `-`.
    pub(crate) region: String,
    /// The service's signing name, of the same characters.
    pub(crate) service: String,
}

impl Scope {
    /// Reads `day/region/service/aws4_request` after an access key, from the right: `key/day/region/...`.
    pub(crate) fn parse(credential: &str) -> Option<(&str, Self)> {
        let mut parts = credential.rsplitn(5, '/');
        let (terminator, service, region, day) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let access_key_id = parts.next()?;
        let word = |text: &str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let is_day = day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit());
        let is_key = (1..=128).contains(&access_key_id.len())
            && access_key_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        (terminator == "aws4_request" && is_day && is_key && word(region) && word(service)).then(|| {
            let own = str::to_owned;
            (access_key_id, Self { day: own(day), region: own(region), service: own(service) })
        })
    }

    /// The region the request is for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The service the request is for.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }
}
