//! What a signature says of a call before anybody proves it: service, region, access key.

use http::header::AUTHORIZATION;
use http::request::Parts;
use towpath_model::Region;

/// The claims of a signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The signing name of the service.
    pub service: Option<String>,
    /// The region; none for Signature Version 4A, which is for several.
    pub region: Option<Region>,
}

/// Longest credential that is looked at: an access key has up to 128 characters, the rest of the scope fewer.
const MAX_CREDENTIAL: usize = 512;

impl Scope {
    /// Reads the scope from the header `Authorization`, else from the query of a presigned URL. What is not a scope of
    /// Signature Version 4 says nothing.
    pub fn of(head: &Parts) -> Self {
        let header = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(header) = header {
            return header_credential(header).map(Self::parse).unwrap_or_default();
        }
        let query = head.uri.query().unwrap_or_default();
        match query_credential(query) {
            Some(credential) => Self::parse(&credential),
            None => Self::default(),
        }
    }

    /// Parses `AKID/20261121/us-east-1/s3/aws4_request`, and without a region for Version 4A. Access keys may hold
    /// slashes, so the parts are counted from the end.
    fn parse(credential: &str) -> Self {
        let mut parts = credential.rsplit('/');
        if parts.next() != Some("aws4_request") {
            return Self::default();
        }
        let Some(service) = parts.next().filter(|name| is_name(name)) else { return Self::default() };
        let region = parts.next().filter(|part| !is_date(part)).and_then(|region| region.parse().ok());
        Self { service: Some(service.to_ascii_lowercase()), region }
    }
}

fn header_credential(header: &str) -> Option<&str> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.starts_with("AWS4-") {
        return None;
    }
    let credential = rest.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
    Some(credential).filter(|text| text.len() <= MAX_CREDENTIAL)
}

fn query_credential(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
    if value.len() > 3 * MAX_CREDENTIAL {
        return None;
    }
    // The pair alone is decoded: form decoding of a text without `&` and `=` gives one name.
    form_urlencoded::parse(value.as_bytes()).next().map(|(name, _)| name.into_owned())
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn scope(request: http::request::Builder) -> (Option<String>, Option<String>) {
        let scope = Scope::of(&request.body(()).unwrap().into_parts().0);
        (scope.service, scope.region.map(|region| region.to_string()))
    }

    fn said(service: &str, region: &str) -> (Option<String>, Option<String>) {
        (Some(service.to_owned()), Some(region.to_owned()))
    }

    #[test]
    fn the_scope_of_a_header_and_of_a_presigned_url_are_the_same() {
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(scope(Request::get("/").header("authorization", header)), said("s3", "eu-west-1"));
        let query = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Feu-west-1%2Fs3%2Faws4_request";
        assert_eq!(scope(Request::get(query)), said("s3", "eu-west-1"));
    }

    #[test]
    fn a_signature_for_several_regions_names_none() {
        let header =
            "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20261121/s3/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(scope(Request::get("/").header("authorization", header)), (Some("s3".to_owned()), None));
    }

    #[test]
    fn what_is_no_signature_of_version_4_says_nothing() {
        for header in [
            "AWS AKID:sig",
            "Bearer abc",
            "AWS4-HMAC-SHA256 Credential=a/b",
            "AWS4-HMAC-SHA256",
            "AWS4-X Credential=/aws4_request",
            "",
        ] {
            assert_eq!(scope(Request::get("/").header("authorization", header)), (None, None), "{header}");
        }
        assert_eq!(scope(Request::get("/?X-Amz-Credential=")), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn no_header_breaks_the_reading(text in "[ -~]{0,200}") {
            let header = format!("AWS4-HMAC-SHA256 Credential={text}");
            let _ = scope(Request::get("/").header("authorization", header));
        }
    }
}
