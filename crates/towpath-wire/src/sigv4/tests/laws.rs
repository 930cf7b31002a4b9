//! What we sign we accept, what changed on the way we refuse, and nothing panics.

use super::*;

/// Flips one byte of `text` at `place` to another letter that stays valid where it stands.
fn altered(text: &str, place: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.is_empty() {
        return "q".to_owned();
    }
    let at = place % bytes.len();
    bytes[at] = match bytes[at] {
        b'a'..=b'y' | b'A'..=b'Y' | b'0'..=b'8' => bytes[at] + 1,
        b'z' | b'Z' | b'9' => bytes[at] - 1,
        _ => b'q',
    };
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_we_sign_we_accept_however_odd_it_is(
        path in "/[ -~é]{0,20}", names in proptest::collection::vec(".{1,6}", 0..5), value in ".{0,10}",
        meta in "[ -~\t]{0,20}", body in proptest::collection::vec(any::<u8>(), 0..50),
        secret in ".{1,40}", token in proptest::option::of("[!-~]{1,40}"),
    ) {
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let path: Vec<String> = path.split('/').map(encode).collect();
        let query: Vec<String> = names.iter().map(|name| format!("{}={}", encode(name), encode(&value))).collect();
        let uri = format!("http://example.com{}?{}", path.join("/"), query.join("&"));
        let request = Request::builder().method("PUT").uri(uri).header("x-amz-meta", meta).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let now: Timestamp = "2026-11-20T09:30:00.7Z".parse().unwrap();
        sign(&mut parts, &body, &credentials(&secret, token.clone()), "eu-central-1", "towpath", now).unwrap();

        let signed = SignedRequest::parse(&parts.method, &parts.uri, &parts.headers).unwrap();
        prop_assert_eq!(signed.session_token(), token.as_deref());
        let expect = Expect { service: "towpath", now, skew: DEFAULT_SKEW };
        signed.verify(secret.as_bytes(), &BodyHash::of(&body), &expect, &SigningKeys::default()).unwrap();
    }

    #[test]
    fn any_byte_that_changes_on_the_way_is_noticed(which in 0usize..6, place in any::<usize>(), case in any::<usize>()) {
        let all = Golden::all();
        let original = all[case % all.len()].clone();
        let mut golden = original.clone();
        let (path, query) = golden.uri.split_once('?').map_or((&*golden.uri, None), |(p, q)| (p, Some(q)));
        match which {
            0 => golden.method = altered(&golden.method, place),
            1 => {
                let path = altered(&path[1..].replace('%', "/"), place);
                golden.uri = format!("/{path}{}", query.map(|q| format!("?{q}")).unwrap_or_default());
            }
            2 => match query {
                Some(query) => golden.uri = format!("{path}?{}", altered(query, place)),
                None => golden.uri.push_str("?a=1"),
            },
            3 => {
                let at = place % golden.headers.len();
                golden.headers[at].1 = altered(&golden.headers[at].1, place / 7);
            }
            4 if !golden.body.is_empty() && golden.body.is_ascii() => golden.body = altered(&golden.body, place),
            4 => golden.body.push(' '),
            _ => golden.secret = altered(&golden.secret, place),
        }
        // A respelling that means the same is no change: `//` and `/`, or blanks at the end of a header.
        let same = |a: &Golden, b: &Golden| match (a.parse(), b.parse()) {
            (Ok(a), Ok(b)) => a.canonical == b.canonical && a.signature == b.signature && a.scope == b.scope
                && a.access_key_id == b.access_key_id && a.signed_at == b.signed_at,
            _ => false,
        } && a.body == b.body && a.secret == b.secret;
        if !same(&original, &golden) {
            // The access key is not part of the signature: with another one the caller's secret is another.
            let renamed = golden.parse().is_ok_and(|signed| signed.access_key_id() != original.access_key_id);
            prop_assert!(golden.verify().is_err() || renamed, "{:?}", golden);
        }
    }

    #[test]
    fn no_request_makes_the_reader_panic(
        uri in "/[!-~]{0,60}", authorization in "[ -~]{0,200}", date in "[ -~]{0,20}", tail in "[ -~]{0,40}",
    ) {
        let Ok(uri) = uri.parse::<Uri>() else { return Ok(()) };
        for authorization in [authorization, format!("AWS4-HMAC-SHA256 {tail}")] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
            headers.insert("x-amz-date", HeaderValue::from_str(&date).unwrap());
            let _ = SignedRequest::parse(&Method::POST, &uri, &headers);
        }
        let presigned = format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&{}", uri.query().unwrap_or_default());
        if let Ok(uri) = presigned.parse() {
            let _ = SignedRequest::parse(&Method::GET, &uri, &HeaderMap::new());
        }
    }
}
