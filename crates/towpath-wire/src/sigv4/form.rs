//! Policies that are signed: a browser uploads to S3 with a form in which somebody else signed what may be uploaded.
//!
//! The signature is over the policy as it stands in the form, in base64; the fields beside it say whose key and which time.
//! What the policy allows, and until when, stands in it: that is for whoever reads it.

use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use super::ALGORITHM;
use super::amz_date::AmzDate;
use super::credential::Scope;
use super::error::AuthError;
use super::key::SigningKeys;

/// A policy with its signature, not yet proven.
#[derive(Clone, Debug)]
pub struct SignedPolicy {
    policy: String,
    access_key_id: String,
    scope: Scope,
    signed_at: AmzDate,
    signature: [u8; 32],
}

impl SignedPolicy {
    /// Reads the signature out of the fields of a form; `field` gives their values by names in small letters.
    ///
    /// # Errors
    /// A field is missing or not well formed, the key is not one for `s3`, or the signature is not of version 4.
    pub fn parse<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Result<Self, AuthError> {
        let wrong = |what: &str| AuthError::Incomplete(format!("the form has no {what}, or one that cannot be read"));
        let needed = |name: &str| field(name).ok_or_else(|| wrong(name));
        if field("x-amz-algorithm") != Some(ALGORITHM) {
            return Err(AuthError::Incomplete("the form must be signed with AWS4-HMAC-SHA256".to_owned()));
        }
        let (access_key_id, scope) =
            Scope::parse(needed("x-amz-credential")?).ok_or_else(|| wrong("x-amz-credential"))?;
        let signed_at = AmzDate::parse(needed("x-amz-date")?).ok_or_else(|| wrong("x-amz-date"))?;
        if scope.day != signed_at.day() {
            return Err(AuthError::Incomplete("x-amz-date is not of the day in x-amz-credential".to_owned()));
        }
        if scope.service != "s3" {
            return Err(AuthError::WrongService { wanted: "s3".to_owned() });
        }
        let mut signature = [0; 32];
        let text = needed("x-amz-signature")?;
        hex::decode_to_slice(text, &mut signature).map_err(|_| wrong("x-amz-signature"))?;
        Ok(Self {
            policy: needed("policy")?.to_owned(),
            access_key_id: access_key_id.to_owned(),
            scope,
            signed_at,
            signature,
        })
    }

    /// The access key that the policy says it is signed with.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Proves that whoever holds the secret of [`Self::access_key_id`] signed the policy, not later than `skew` from now.
    ///
    /// # Errors
    /// It was somebody else, or will be later.
    pub fn verify(
        &self,
        secret: &[u8],
        now: Timestamp,
        skew: SignedDuration,
        keys: &SigningKeys,
    ) -> Result<(), AuthError> {
        let signed_at = self.signed_at.instant();
        if signed_at.is_none_or(|at| now.checked_add(skew).is_ok_and(|latest| at > latest)) {
            return Err(AuthError::Skewed("Signature not yet current: x-amz-date is later than now".to_owned()));
        }
        let key = keys.get(&self.access_key_id, secret, &self.scope);
        match bool::from(key.sign(&self.policy).ct_eq(&self.signature)) {
            true => Ok(()),
            false => Err(AuthError::Mismatch(String::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published example of a signed POST policy (Amazon S3 API reference, "Browser-Based Upload using HTTP POST").
    const POLICY: &str = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
    const SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";
    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn policy(change: Option<(&str, Option<&'static str>)>) -> Result<SignedPolicy, AuthError> {
        SignedPolicy::parse(|name| {
            if let Some((changed, value)) = change.filter(|(changed, _)| *changed == name) {
                assert_eq!(changed, name);
                return value;
            }
            match name {
                "policy" => Some(POLICY),
                "x-amz-algorithm" => Some("AWS4-HMAC-SHA256"),
                "x-amz-credential" => Some("AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
                "x-amz-date" => Some("20151229T000000Z"),
                "x-amz-signature" => Some(SIGNATURE),
                _ => None,
            }
        })
    }

    fn verified(policy: &SignedPolicy, secret: &[u8], now: &str) -> bool {
        policy.verify(secret, now.parse().unwrap(), super::super::DEFAULT_SKEW, &SigningKeys::default()).is_ok()
    }

    #[test]
    fn the_published_example_is_proven_by_its_secret_alone() {
        let signed = policy(None).unwrap();
        assert_eq!(signed.access_key_id(), "AKIAIOSFODNN7EXAMPLE");
        assert!(verified(&signed, SECRET, "2015-12-30T00:00:00Z"));
        assert!(!verified(&signed, b"guess", "2015-12-30T00:00:00Z"));
        assert!(!verified(&signed, SECRET, "2015-12-28T00:00:00Z"), "from the future");
        let other = policy(Some(("policy", Some("e30=")))).unwrap();
        assert!(!verified(&other, SECRET, "2015-12-30T00:00:00Z"));
    }

    #[test]
    fn a_form_without_all_of_its_signature_is_none() {
        for field in ["policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"] {
            assert!(policy(Some((field, None))).is_err(), "{field}");
        }
        for (field, value) in [
            ("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256"),
            ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/sqs/aws4_request"),
            ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE"),
            ("x-amz-date", "20151230T000000Z"),
            ("x-amz-date", "today"),
            ("x-amz-signature", "00"),
        ] {
            assert!(policy(Some((field, Some(value)))).is_err(), "{field} {value}");
        }
    }
}
