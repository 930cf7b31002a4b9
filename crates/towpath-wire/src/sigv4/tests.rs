//! Signatures against requests that botocore signed.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// One request that botocore signed.
#[derive(Clone, Debug, Deserialize)]
struct Golden {
    name: String,
    time: Timestamp,
    access_key_id: String,
    secret: String,
    session_token: Option<String>,
    region: String,
    service: String,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
    presigned: bool,
    canonical_request: String,
}

impl Golden {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../../testdata/sigv4.json")).unwrap()
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|golden| golden.name == name).unwrap()
    }

    fn header_map(&self) -> HeaderMap {
        let pairs = self.headers.iter();
        pairs.map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap())).collect_pairs()
    }

    fn parse(&self) -> Result<SignedRequest, AuthError> {
        SignedRequest::parse(&self.method.parse().unwrap(), &self.uri.parse().unwrap(), &self.header_map())
    }

    fn verify_at(&self, now: Timestamp) -> Result<Verified, AuthError> {
        let expect = Expect { service: &self.service, now, skew: DEFAULT_SKEW };
        let body = BodyHash::of(self.body.as_bytes());
        self.parse()?.verify(self.secret.as_bytes(), &body, &expect, &SigningKeys::default())
    }

    fn verify(&self) -> Result<Verified, AuthError> {
        self.verify_at(self.time)
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(n, _)| n == name).unwrap().1
    }

    fn code(&self) -> &'static str {
        self.verify().expect_err("the request is accepted").code()
    }
}

trait CollectPairs {
    fn collect_pairs(self) -> HeaderMap;
}

/// `HeaderMap` collects by replacing; requests may carry a name twice.
impl<I: Iterator<Item = (HeaderName, HeaderValue)>> CollectPairs for I {
    fn collect_pairs(self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in self {
            map.append(name, value);
        }
        map
    }
}

fn credentials(secret: &str, token: Option<String>) -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: token.map(Secret::new),
    }
}

mod cache;
mod chunks;
mod golden;
mod laws;
mod passing;
