//! Who a request says it is from: the access key of its signature, and the session token that goes with it.

use http::request::Parts;
use http::{HeaderMap, header};
use towpath_capture::{ObjectForm, Request};
use towpath_wire::sigv4::Secret;

/// The longest access key id that is looked at.
const MAX_KEY: usize = 128;
/// The longest session token that is looked at.
const MAX_TOKEN: usize = 16 << 10;

/// Who a request says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It is not signed.
    Anonymous,
    /// It is signed with this key.
    Key {
        /// The access key id.
        id: String,
        /// The session token of a temporary key.
        token: Option<Secret>,
    },
    /// It carries a token of its own kind, such as `Authorization: Bearer`.
    Bearer,
}

impl Presented {
    /// Reads the form of an upload to S3, whose fields say what headers say elsewhere. `None` if it names no key.
    pub fn of_form(request: &Request) -> Option<Self> {
        let form = ObjectForm::of(request)?;
        let key = form.credential().and_then(key_of_scope).or(form.field("awsaccesskeyid"))?;
        Some(Self::key(Some(key), form.field("x-amz-security-token")))
    }

    /// Reads the head of a request: Signature Version 4 and 4A in the header or the query string, and version 2, which
    /// S3 and old clients use.
    pub fn of(head: &Parts) -> Self {
        let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(text) = authorization {
            return Self::of_authorization(text, &head.headers);
        }
        Self::of_query(head.uri.query().unwrap_or_default()).unwrap_or(Self::Anonymous)
    }

    fn of_authorization(text: &str, headers: &HeaderMap) -> Self {
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        let key = match scheme {
            "AWS4-HMAC-SHA256" | "AWS4-ECDSA-P256-SHA256" => {
                let fields = rest.split(',').map(str::trim);
                fields.filter_map(|field| field.strip_prefix("Credential=")).next().and_then(key_of_scope)
            }
            "AWS" => rest.split_once(':').map(|(key, _)| key.trim()),
            _ => return Self::Bearer,
        };
        let token = headers.get("x-amz-security-token").and_then(|value| value.to_str().ok());
        Self::key(key, token)
    }

    fn of_query(query: &str) -> Option<Self> {
        let (mut key, mut token) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()).take(256) {
            match &*name {
                "X-Amz-Credential" => key = key_of_scope(&value).map(str::to_owned),
                "AWSAccessKeyId" => key = Some(value.into_owned()),
                "X-Amz-Security-Token" | "x-amz-security-token" => token = Some(value.into_owned()),
                _ => {}
            }
        }
        key.is_some().then(|| Self::key(key.as_deref(), token.as_deref()))
    }

    fn key(id: Option<&str>, token: Option<&str>) -> Self {
        let plain = |id: &&str| {
            (1..=MAX_KEY).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        match id.filter(plain) {
            None => Self::Anonymous,
            Some(id) => {
                Self::Key { id: id.to_owned(), token: token.filter(|token| token.len() <= MAX_TOKEN).map(Secret::new) }
            }
        }
    }
}

/// The access key before `/day/region/service/aws4_request`, or before `/day/service/aws4_request` in version 4A.
fn key_of_scope(credential: &str) -> Option<&str> {
    credential.split_once('/').map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(uri: &str, authorization: Option<&str>) -> Presented {
        let mut request = http::Request::get(uri);
        if let Some(text) = authorization {
            request = request.header("authorization", text);
        }
        Presented::of(&request.header("x-amz-security-token", "t0k3n").body(()).unwrap().into_parts().0)
    }

    fn key(id: &str, token: Option<&str>) -> Presented {
        Presented::Key { id: id.to_owned(), token: token.map(Secret::new) }
    }

    #[test]
    fn the_key_is_found_in_every_form_of_signature() {
        let v4 =
            "AWS4-HMAC-SHA256 Credential=AKIA1/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";
        assert_eq!(of("/", Some(v4)), key("AKIA1", Some("t0k3n")));
        let v4a = "AWS4-ECDSA-P256-SHA256 SignedHeaders=host,Credential=AKIA1/20261121/s3/aws4_request,Signature=00";
        assert_eq!(of("/", Some(v4a)), key("AKIA1", Some("t0k3n")));
        assert_eq!(of("/", Some("AWS AKIA1:c2ln")), key("AKIA1", Some("t0k3n")));
        let presigned =
            "/k?X-Amz-Credential=AKIA1%2F20261121%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Security-Token=q%2Bt";
        assert_eq!(of(presigned, None), key("AKIA1", Some("q+t")));
        assert_eq!(of("/k?AWSAccessKeyId=AKIA1&Signature=x", None), key("AKIA1", None));
        assert_eq!(of("/", Some("Bearer abc")), Presented::Bearer);
        assert_eq!(of("/", None), Presented::Anonymous);
        assert_eq!(of("/", Some("AWS4-HMAC-SHA256 Credential=a b/x")), Presented::Anonymous);
    }

    #[test]
    fn a_form_names_its_key_in_a_field() {
        let head =
            http::Request::post("/b").header("content-type", "multipart/form-data; boundary=b").body(()).unwrap();
        let part = |name: &str, value: &str| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let form = |fields: &[(&str, &str)]| {
            let body: String = fields.iter().map(|(name, value)| part(name, value)).collect();
            let body = towpath_capture::Body::of((body + "--b--\r\n").into_bytes());
            Presented::of_form(&Request { head: head.clone().into_parts().0, body })
        };
        let credential = ("X-Amz-Credential", "AKIA1/20261121/us-east-1/s3/aws4_request");
        assert_eq!(form(&[("key", "k"), credential, ("x-amz-security-token", "t")]), Some(key("AKIA1", Some("t"))));
        assert_eq!(form(&[("key", "k"), ("AWSAccessKeyId", "AKIA1")]), Some(key("AKIA1", None)));
        assert_eq!(form(&[("key", "k")]), None);
        assert_eq!(form(&[credential]), None);
    }

    #[test]
    fn a_token_is_not_shown() {
        assert!(!format!("{:?}", key("AKIA1", Some("t0k3n"))).contains("t0k3n"));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "[ -~]{0,80}") {
            of("/", Some(&text));
        }
    }
}
