//! Who a call says it is from: the access key it names, and the session token that goes with it.
//!
//! Upstreams read the same bytes with code of their own. What two readers could understand differently - a key that is named
//! twice, in a header and in the query, in an unusual spelling - names nobody here, so that nobody is named in another's place.

use http::request::Parts;
use http::{HeaderMap, header};
use towpath_capture::{Exchange, ObjectForm, Request};
use towpath_wire::sigv4::Secret;

use crate::form::{OPENING, may_be_form, opening};
use crate::recording::RecordedUpstream;

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
    /// It carries credentials that name no access key, such as `Authorization: Bearer`, or that have more than one meaning.
    Other,
}

impl Presented {
    /// Who a call says it is from, as far as that was proven where the gateway is to verify it.
    pub(super) fn proven(upstream: &RecordedUpstream, exchange: &Exchange) -> Self {
        let presented = Self::of(&exchange.request.head);
        if presented != Self::Anonymous {
            return presented;
        }
        if Self::is_signed_in_body(&exchange.request) {
            return Self::Other;
        }
        let form = |bytes| Self::of_form(&ObjectForm::of_opening(&exchange.request.head, bytes)?);
        let body = &exchange.request.body.kept;
        if upstream.verifies {
            // Verified is what stands in the opening of a form; what it hides behind that names nobody.
            if let Some(proven) = form(opening(body)) {
                return proven;
            }
            return if form(body).is_some() { Self::Other } else { Self::Anonymous };
        }
        // Of a form that was not kept it is not known whether it is signed.
        let missing = body.len() < OPENING && (body.len() as u64) < exchange.request.body.total;
        let unread = if missing && may_be_form(&exchange.request.head) { Self::Other } else { Self::Anonymous };
        form(body).unwrap_or(unread)
    }

    /// Reads the form of an upload to S3, whose fields say what headers say elsewhere. `None` if it names no key.
    pub fn of_form(form: &ObjectForm) -> Option<Self> {
        let named = |wanted: &str| form.fields().filter(|(name, _)| *name == wanted).count();
        let keys = named("x-amz-credential") + named("awsaccesskeyid");
        if keys == 0 {
            return None;
        }
        if keys > 1 || named("x-amz-security-token") > 1 {
            return Some(Self::Other);
        }
        let key = match form.credential() {
            Some(credential) => key_of_scope(credential),
            None => form.field("awsaccesskeyid"),
        };
        Some(Self::key(key, form.field("x-amz-security-token")))
    }

    /// Reads the head of a request: Signature Version 4 and 4A in the header or the query string, and version 2, which
    /// S3 and old clients use.
    pub fn of(head: &Parts) -> Self {
        let in_query = Self::of_query(head.uri.query().unwrap_or_default());
        let mut headers = head.headers.get_all(header::AUTHORIZATION).iter();
        match (headers.next(), headers.next(), in_query) {
            (None, _, in_query) => in_query.unwrap_or(Self::Anonymous),
            (Some(only), None, None) => match only.to_str() {
                Ok(text) => Self::of_authorization(text, &head.headers),
                Err(_) => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// True for a call of the query protocol that is signed with version 2 in the parameters of its body.
    pub fn is_signed_in_body(request: &Request) -> bool {
        let kind = request.head.headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"))
            && form_urlencoded::parse(&request.body.kept).any(|(name, _)| name == "AWSAccessKeyId")
    }

    fn of_authorization(text: &str, headers: &HeaderMap) -> Self {
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        let key = match scheme {
            // Not only as a field of its own: some readers look for the word anywhere.
            "AWS4-HMAC-SHA256" | "AWS4-ECDSA-P256-SHA256" if rest.matches("Credential=").count() == 1 => {
                let fields = rest.split(',').map(str::trim);
                fields.filter_map(|field| field.strip_prefix("Credential=")).next().and_then(key_of_scope)
            }
            "AWS" => rest.rsplit_once(':').map(|(key, _)| key.trim()),
            _ => None,
        };
        let mut tokens = headers.get_all("x-amz-security-token").iter();
        match (tokens.next().map(|value| value.to_str()), tokens.next()) {
            (None, _) => Self::key(key, None),
            (Some(Ok(token)), None) => Self::key(key, Some(token)),
            _ => Self::Other,
        }
    }

    /// `None` if nothing in the query names a key.
    fn of_query(query: &str) -> Option<Self> {
        let is = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
        let (mut keys, mut tokens) = (Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if is(&name, "X-Amz-Credential") || is(&name, "AWSAccessKeyId") {
                keys.push((name.into_owned(), value.into_owned()));
            } else if is(&name, "X-Amz-Security-Token") {
                tokens.push(value.into_owned());
            }
        }
        match (keys.as_slice(), tokens.as_slice()) {
            ([], _) => None,
            ([(name, credential)], [] | [_]) => {
                let key = match name.as_str() {
                    "X-Amz-Credential" => key_of_scope(credential),
                    "AWSAccessKeyId" => Some(credential.as_str()),
                    _ => None,
                };
                Some(Self::key(key, tokens.first().map(String::as_str)))
            }
            _ => Some(Self::Other),
        }
    }

    /// The key, if its id is one that stands for itself wherever it is written.
    fn key(id: Option<&str>, token: Option<&str>) -> Self {
        let plain = |id: &&str| {
            (1..=MAX_KEY).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
        };
        match id.filter(plain) {
            None => Self::Other,
            Some(id) => {
                Self::Key { id: id.to_owned(), token: token.filter(|token| token.len() <= MAX_TOKEN).map(Secret::new) }
            }
        }
    }
}

/// The access key before `/day/region/service/aws4_request`, or before `/day/service/aws4_request` in version 4A. Counted
/// from the end: where callers choose the ids of their keys, one may begin with the id of somebody else's and a slash.
fn key_of_scope(credential: &str) -> Option<&str> {
    let mut rest = credential.strip_suffix("/aws4_request")?;
    // The service, perhaps a region, and the day.
    for _ in 0..3 {
        let (before, part) = rest.rsplit_once('/')?;
        if part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(before);
        }
        rest = before;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCOPE: &str = "20261121/us-east-1/s3/aws4_request";

    fn read(uri: &str, headers: &[(&str, &str)]) -> Presented {
        let request = headers.iter().fold(http::Request::get(uri), |request, (name, value)| {
            request.header(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        Presented::of(&request.body(()).unwrap().into_parts().0)
    }

    fn of(uri: &str, authorization: Option<&str>) -> Presented {
        let token = ("x-amz-security-token", "t0k3n");
        match authorization {
            Some(text) => read(uri, &[token, ("authorization", text)]),
            None => read(uri, &[token]),
        }
    }

    fn key(id: &str, token: Option<&str>) -> Presented {
        Presented::Key { id: id.to_owned(), token: token.map(Secret::new) }
    }

    #[test]
    fn the_key_is_found_in_every_form_of_signature() {
        let v4 = format!("AWS4-HMAC-SHA256 Credential=AKIA1/{SCOPE}, SignedHeaders=host, Signature=00");
        assert_eq!(of("/", Some(&v4)), key("AKIA1", Some("t0k3n")));
        let v4a = "AWS4-ECDSA-P256-SHA256 SignedHeaders=host,Credential=AKIA1/20261121/s3/aws4_request,Signature=00";
        assert_eq!(of("/", Some(v4a)), key("AKIA1", Some("t0k3n")));
        assert_eq!(of("/", Some("AWS AKIA1:c2ln")), key("AKIA1", Some("t0k3n")));
        let presigned =
            "/k?X-Amz-Credential=AKIA1%2F20261121%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Security-Token=q%2Bt";
        assert_eq!(of(presigned, None), key("AKIA1", Some("q+t")));
        assert_eq!(of("/k?AWSAccessKeyId=AKIA1&Signature=x", None), key("AKIA1", None));
        assert_eq!(of("/", Some("Bearer abc")), Presented::Other);
        assert_eq!(of("/", None), Presented::Anonymous);
    }

    #[test]
    fn a_key_that_is_named_twice_or_strangely_names_nobody_and_not_nobodys_call() {
        let signed =
            |credential: &str| format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0");
        let (victim, own) = (format!("AKIAVICTIM/{SCOPE}"), format!("AKIAOWN/{SCOPE}"));
        let query = format!("X-Amz-Credential={}", victim.replace('/', "%2F"));
        let one = signed(&own);
        for (uri, headers) in [
            ("/".to_owned(), vec![signed(&victim), one.clone()]),
            ("/".to_owned(), vec![signed(&format!("{victim}, Credential={own}"))]),
            (
                "/".to_owned(),
                vec![format!("AWS4-HMAC-SHA256 Credential={victim}, SignedHeaders=Credential={own}, Signature=0")],
            ),
            ("/".to_owned(), vec![signed(&format!("AKIAVICTIM/x/{SCOPE}"))]),
            ("/".to_owned(), vec![signed("AKIAVICTIM")]),
            ("/".to_owned(), vec![signed("AKIAVICTIM/20261121/us-east-1/s3/other")]),
            ("/".to_owned(), vec![signed(&format!("a b/{SCOPE}"))]),
            ("/".to_owned(), vec!["AWS4-HMAC-SHA256 Credential=k\u{e9}".to_owned()]),
            ("/".to_owned(), vec!["AWS AKIA:VICTIM:c2ln".to_owned()]),
            (format!("/?{query}"), vec![one]),
            (format!("/?{query}&{query}"), vec![]),
            (format!("/?{query}&AWSAccessKeyId=AKIAOWN"), vec![]),
            (format!("/?{query}&x-amz-credential=AKIAOWN"), vec![]),
            (format!("/?{}", query.to_lowercase()), vec![]),
            (format!("/?{}{query}&{query}", "a=&".repeat(300)), vec![]),
        ] {
            let headers: Vec<_> = headers.iter().map(|text| ("authorization", text.as_str())).collect();
            assert_eq!(read(&uri, &headers), Presented::Other, "{uri} {headers:?}");
        }
        let twice = [("authorization", "AWS AKIA1:x"), ("x-amz-security-token", "a"), ("x-amz-security-token", "b")];
        assert_eq!(read("/", &twice), Presented::Other);
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
            Presented::of_form(&ObjectForm::of(&Request { head: head.clone().into_parts().0, body })?)
        };
        let credential = ("X-Amz-Credential", "AKIA1/20261121/us-east-1/s3/aws4_request");
        assert_eq!(form(&[("key", "k"), credential, ("x-amz-security-token", "t")]), Some(key("AKIA1", Some("t"))));
        assert_eq!(form(&[("key", "k"), ("AWSAccessKeyId", "AKIA1")]), Some(key("AKIA1", None)));
        assert_eq!(form(&[("key", "k")]), None);
        assert_eq!(form(&[credential]), None);
        assert_eq!(form(&[("key", "k"), credential, ("AWSAccessKeyId", "AKIA2")]), Some(Presented::Other));
    }

    #[test]
    fn a_token_is_not_shown() {
        assert!(!format!("{:?}", key("AKIA1", Some("t0k3n"))).contains("t0k3n"));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "[ -~]{0,80}") {
            of("/", Some(&text));
            let _ = key_of_scope(&text);
        }
    }
}
