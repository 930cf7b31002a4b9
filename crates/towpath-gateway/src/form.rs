//! Verifying an upload to S3 from the form of a web page, by the fields that stand before its file.
//!
//! Somebody signed a policy: what may be uploaded, where to, until when. Whoever holds the form may upload that, and nothing
//! else, in the signer's name. So not the signature alone is verified: the policy must still hold, and must allow every field
//! of the form and its bucket. How long the file may be (`content-length-range`) is left to the upstream, as are the fields
//! that S3 passes over.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::request::Parts;
use http::{Method, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use towpath_capture::ObjectForm;
use towpath_wire::sigv4::{AuthError, DEFAULT_SKEW, SignedPolicy, SigningKeys};

use crate::identity::{KeyDirectory, Presented};
use crate::verify::{Forged, told};

/// Bytes at the beginning of a form that its fields must stand in, up to the file. S3 takes 20 KB of fields.
pub const OPENING: usize = 64 << 10;
/// The most conditions of a policy.
const MAX_CONDITIONS: usize = 512;

/// Base64 as clients write it, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The part of a form's body that is looked at for its fields.
pub fn opening(body: &[u8]) -> &[u8] {
    &body[..body.len().min(OPENING)]
}

/// True for a form as browsers post it.
pub fn may_be_form(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    let multipart = b"multipart/form-data";
    head.method == Method::POST
        && kind.and_then(|kind| kind.get(..multipart.len())).is_some_and(|kind| kind.eq_ignore_ascii_case(multipart))
}

/// What the first bytes of a form tell.
#[derive(Debug)]
pub enum Opened {
    /// The fields may go on behind them.
    NotYet,
    /// It is no form that names a key.
    Unsigned,
    /// These are its fields.
    Signed(ObjectForm),
}

/// Reads the first bytes of a body, all of it if `ended`.
///
/// # Errors
/// It names a key, and its fields do not come to an end, or the key has two meanings.
pub fn open(head: &Parts, body: &[u8], ended: bool) -> Result<Opened, Forged> {
    let full = body.len() >= OPENING;
    let form = ObjectForm::of_opening(head, opening(body));
    let whole = ended || form.as_ref().is_some_and(ObjectForm::is_whole);
    if !whole && !full {
        return Ok(Opened::NotYet);
    }
    let Some(form) = form else { return Ok(Opened::Unsigned) };
    match Presented::of_form(&form) {
        None if whole => Ok(Opened::Unsigned),
        Some(Presented::Key { .. }) if whole => Ok(Opened::Signed(form)),
        Some(Presented::Other) => Err(Forged("the form names its access key in more than one way".to_owned())),
        _ => Err(Forged("the fields of the form do not end within 64 KiB".to_owned())),
    }
}

/// Verifies a form that names a key. `bucket_domain` is the name under which the upstream has buckets as hosts.
///
/// # Errors
/// Who has the key did not sign this form for this bucket, or it is too late.
pub fn verify(
    form: &ObjectForm,
    (head, bucket_domain): (&Parts, Option<&str>),
    directory: &dyn KeyDirectory,
    keys: &SigningKeys,
    now: Timestamp,
) -> Result<(), Forged> {
    let signed = SignedPolicy::parse(|name| form.field(name)).map_err(|error| told(&error))?;
    let secret = directory.secret(signed.access_key_id(), form.field("x-amz-security-token"));
    let secret = secret.ok_or_else(|| told(&AuthError::UnknownKey))?;
    signed.verify(secret.expose().as_bytes(), now, DEFAULT_SKEW, keys).map_err(|error| told(&error))?;
    let policy = Policy::parse(form.field("policy").unwrap_or_default())?;
    if now > policy.expiration {
        return Err(Forged("the policy of the form has expired".to_owned()));
    }
    policy.allow(form, ObjectForm::bucket(head, bucket_domain).as_deref())
}

/// What was signed.
struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
}

/// What one field must be.
enum Condition {
    Is {
        name: String,
        value: String,
    },
    StartsWith {
        name: String,
        value: String,
    },
    /// The length of the file.
    Length,
}

impl Policy {
    fn parse(base64: &str) -> Result<Self, Forged> {
        #[derive(Deserialize)]
        struct Document {
            expiration: String,
            conditions: Vec<Value>,
        }
        let wrong = |what: &str| Forged(format!("the policy of the form {what}"));
        let text: String = base64.split_ascii_whitespace().collect();
        let json = BASE64.decode(text).map_err(|_| wrong("is not base64"))?;
        let document: Document =
            serde_json::from_slice(&json).map_err(|_| wrong("is no document with a time and conditions"))?;
        let expiration = document.expiration.parse().map_err(|_| wrong("has no time that it ends at"))?;
        if document.conditions.len() > MAX_CONDITIONS {
            return Err(wrong("has too many conditions"));
        }
        let mut conditions = Vec::new();
        for condition in &document.conditions {
            Condition::read(condition, &mut conditions).ok_or_else(|| wrong("has a condition that cannot be read"))?;
        }
        Ok(Self { expiration, conditions })
    }

    /// Every condition holds, and every field has one.
    fn allow(&self, form: &ObjectForm, bucket: Option<&str>) -> Result<(), Forged> {
        let key = form.key();
        let value = |name: &str| match name {
            // S3 compares with what the object will be called.
            "key" => key.as_deref(),
            "bucket" => bucket,
            name => form.field(name),
        };
        for condition in &self.conditions {
            let (name, holds) = match condition {
                Condition::Is { name, value: wanted } => (name, value(name) == Some(wanted)),
                Condition::StartsWith { name, value: start } => {
                    (name, value(name).is_some_and(|text| text.starts_with(start.as_str())))
                }
                Condition::Length => continue,
            };
            if !holds {
                return Err(Forged(format!("the policy of the form does not allow this {}", shown(name))));
            }
        }
        let mut names: Vec<&str> = form.fields().map(|(name, _)| name).filter(|name| !is_free(name)).collect();
        // A form to no bucket, or to any, is none that somebody meant.
        names.push("bucket");
        if let Some(name) = names.iter().find(|name| !self.conditions.iter().any(|it| it.name() == Some(**name))) {
            return Err(Forged(format!("the policy of the form says nothing of {}", shown(name))));
        }
        let mut sorted: Vec<&str> =
            form.fields().map(|(name, _)| name).filter(|name| !name.starts_with("x-ignore-")).collect();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1] && pair[0] != "bucket") {
            Some(pair) => Err(Forged(format!("the form has {} twice", shown(pair[0])))),
            None => Ok(()),
        }
    }
}

impl Condition {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Is { name, .. } | Self::StartsWith { name, .. } => Some(name),
            Self::Length => None,
        }
    }

    /// Reads `{"acl": "private"}`, `["eq", "$acl", "private"]`, `["starts-with", "$key", "in/"]` and
    /// `["content-length-range", 1, 9]`.
    fn read(condition: &Value, into: &mut Vec<Self>) -> Option<()> {
        let lower = |name: &str| name.to_ascii_lowercase();
        match condition {
            Value::Object(fields) => {
                for (name, value) in fields {
                    into.push(Self::Is { name: lower(name), value: value.as_str()?.to_owned() });
                }
            }
            Value::Array(parts) => {
                let [kind, name, value] = &parts[..] else { return None };
                let kind = lower(kind.as_str()?);
                if kind == "content-length-range" {
                    into.push(Self::Length);
                    return Some(());
                }
                let (name, value) = (lower(name.as_str()?.strip_prefix('$')?), value.as_str()?.to_owned());
                into.push(match kind.as_str() {
                    "eq" => Self::Is { name, value },
                    "starts-with" => Self::StartsWith { name, value },
                    _ => return None,
                });
            }
            _ => return None,
        }
        Some(())
    }
}

/// True for fields that need no condition.
fn is_free(name: &str) -> bool {
    matches!(name, "x-amz-signature" | "policy" | "file" | "bucket") || name.starts_with("x-ignore-")
}

/// A name as an error may repeat it.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_graphic()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use towpath_wire::sigv4::Secret;

    use super::*;

    const KIND: &str = "multipart/form-data; boundary=b";

    fn form(fields: &[(&str, &str)]) -> (Parts, ObjectForm) {
        let mut body = String::new();
        for (name, value) in fields {
            body += &format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        body += "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhi\r\n--b--\r\n";
        let head = http::Request::post("/photos").header("content-type", KIND).body(()).unwrap().into_parts().0;
        let form = ObjectForm::of_opening(&head, body.as_bytes()).unwrap();
        (head, form)
    }

    fn policy(conditions: Value) -> Policy {
        let json = json!({ "expiration": "2026-11-21T06:00:00Z", "conditions": conditions }).to_string();
        Policy::parse(&BASE64.encode(json)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn allows(conditions: Value, fields: &[(&str, &str)]) -> bool {
        let (head, form) = form(fields);
        policy(conditions).allow(&form, ObjectForm::bucket(&head, None).as_deref()).is_ok()
    }

    struct Own;

    impl KeyDirectory for Own {
        fn owner(&self, _: &str, _: Option<&str>) -> Option<towpath_admit::UserIdentity> {
            None
        }

        fn secret(&self, id: &str, token: Option<&str>) -> Option<Secret> {
            let own = id == "AKIAIOSFODNN7EXAMPLE" && token.is_none();
            own.then(|| Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
        }
    }

    /// The published example of a signed form (Amazon S3 API reference, "Browser-Based Upload using HTTP POST").
    const EXAMPLE: [(&str, &str); 11] = [
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        ("success_action_redirect", "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"),
        ("Content-Type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Date", "20151229T000000Z"),
        ("x-amz-meta-tag", ""),
        ("X-Amz-Signature", "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"),
    ];
    const POLICY: &str = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";

    fn verified(fields: &[(&str, &str)], host: &str, now: &str) -> Result<(), Forged> {
        let (mut head, form) = form(&[fields, &[("Policy", POLICY)]].concat());
        head.headers.insert("host", host.parse().unwrap());
        head.uri = "/".parse().unwrap();
        verify(&form, (&head, None), &Own, &SigningKeys::default(), now.parse().unwrap())
    }

    #[test]
    fn the_published_example_is_verified_and_no_other_form_with_its_signature() {
        let (host, now) = ("sigv4examplebucket.s3.amazonaws.com", "2015-12-30T11:59:59Z");
        assert_eq!(verified(&EXAMPLE, host, now), Ok(()));
        let refused = |fields: &[(&str, &str)], host, now| verified(fields, host, now).unwrap_err().0;
        assert!(refused(&EXAMPLE, host, "2015-12-30T12:00:01Z").contains("expired"));
        assert!(refused(&EXAMPLE, "other.s3.amazonaws.com", now).contains("bucket"));
        assert!(refused(&EXAMPLE, "127.0.0.1:4749", now).contains("bucket"));
        for (name, value) in [
            ("key", "user/user2/x"),
            ("acl", "private"),
            ("X-Amz-Credential", "AKIAOTHER/20151229/us-east-1/s3/aws4_request"),
            ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/aws4_request"),
            ("X-Amz-Date", "20151229T000001Z"),
            ("X-Amz-Algorithm", "AWS"),
            ("X-Amz-Signature", "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699f"),
            ("x-amz-security-token", "token"),
            ("x-amz-meta-other", "1"),
        ] {
            let mut changed: Vec<_> = EXAMPLE.into_iter().filter(|(known, _)| *known != name).collect();
            changed.push((name, value));
            let told = refused(&changed, host, now);
            assert!(!told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn a_policy_allows_the_fields_that_it_names_and_no_others() {
        let photos = || json!([{ "bucket": "photos" }, ["starts-with", "$key", "in/"], ["EQ", "$ACL", "private"], ["content-length-range", 0, 9]]);
        let fields = [("key", "in/${filename}"), ("acl", "private"), ("policy", "p"), ("x-ignore-me", "1")];
        assert!(allows(photos(), &fields));
        for (name, value) in [("key", "out/x"), ("acl", "public-read"), ("x-amz-meta-a", "1")] {
            let mut changed: Vec<_> = fields.into_iter().filter(|(known, _)| *known != name).collect();
            changed.push((name, value));
            assert!(!allows(photos(), &changed), "{name}");
        }
        assert!(!allows(photos(), &fields[..1]), "what the policy wants is missing");
        assert!(!allows(photos(), &[fields[0], fields[1], ("acl", "private")]), "twice");
        assert!(!allows(json!([{ "bucket": "other" }, ["starts-with", "$key", ""]]), &fields[..1]));
        assert!(!allows(json!([["starts-with", "$key", ""]]), &fields[..1]), "any bucket");
        assert!(allows(json!([["starts-with", "$bucket", "ph"], ["starts-with", "$key", "in/a.txt"]]), &fields[..1]));
    }

    #[test]
    fn the_bucket_is_that_of_the_host_where_buckets_are_hosts() {
        let (mut head, form) = form(&[("key", "in/x")]);
        let photos = policy(json!([{ "bucket": "photos" }, { "key": "in/x" }]));
        head.headers.insert("host", "secret.store.example.org".parse().unwrap());
        let allowed = |domain| photos.allow(&form, ObjectForm::bucket(&head, domain).as_deref()).is_ok();
        assert!(allowed(None) && !allowed(Some("store.example.org")));
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "",
            "%",
            "e30=",
            &BASE64.encode(r#"{"expiration":"soon","conditions":[]}"#),
            &BASE64.encode(r#"{"expiration":"2026-11-21T06:00:00Z","conditions":[["like","$key","a"]]}"#),
            &BASE64.encode(r#"{"expiration":"2026-11-21T06:00:00Z","conditions":[["eq","key","a"]]}"#),
            &BASE64.encode(r#"{"expiration":"2026-11-21T06:00:00Z","conditions":[7]}"#),
            &BASE64.encode(format!(r#"{{"expiration":"2026-11-21T06:00:00Z","conditions":[{}7]}}"#, "[".repeat(9000))),
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
        assert!(
            Policy::parse(&BASE64.encode(r#"{"expiration":"2026-11-21T06:00:00Z","conditions":[]}"#).replace('=', ""))
                .is_ok()
        );
    }

    #[test]
    fn fields_must_end_before_there_are_too_many_of_them() {
        let head = form(&[("key", "k")]).0;
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let key = part("key", "k");
        let named = key.clone() + &part("x-amz-credential", "AKIA1/20261121/us-east-1/s3/aws4_request");
        assert!(matches!(open(&head, named.as_bytes(), false), Ok(Opened::NotYet)));
        assert!(matches!(open(&head, (named.clone() + "--b--\r\n").as_bytes(), true), Ok(Opened::Signed(_))));
        let file = named.clone() + "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx";
        assert!(matches!(open(&head, file.as_bytes(), false), Ok(Opened::Signed(_))));
        assert!(open(&head, (named + &part("x", &"y".repeat(OPENING))).as_bytes(), false).is_err());
        assert!(open(&head, (key + &part("x", &"y".repeat(OPENING))).as_bytes(), false).is_err());
        // An upload to another API, which has a file of its own name in the first place.
        assert!(matches!(open(&head, part("photo", &"y".repeat(OPENING)).as_bytes(), false), Ok(Opened::Unsigned)));
        let twice = part("key", "k") + &part("x-amz-credential", "a") + &part("AWSAccessKeyId", "b");
        assert!(open(&head, (twice + "--b--\r\n").as_bytes(), true).is_err());
    }

    proptest! {
        #[test]
        fn no_policy_makes_it_panic(text in "[ -~]{0,80}", json in "[\\[\\]{}\",:$a-z]{0,60}") {
            let _ = Policy::parse(&text);
            let _ = Policy::parse(&BASE64.encode(json));
        }
    }
}
