//! Bytes that nobody meant well: whatever comes, something is answered, in bounds.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::{model, request, response};
use crate::{
    decode::{self, Call, DecodeError, body},
    model::ServiceModel,
};

/// A service with every kind of shape, itself among them, in every protocol.
fn services() -> &'static [Arc<ServiceModel>] {
    static SERVICES: LazyLock<Vec<Arc<ServiceModel>>> = LazyLock::new(|| {
        let protocols = ["json", "rest-json", "rest-xml", "query", "ec2", "smithy-rpc-v2-cbor"];
        let shapes = r#""S":{"type":"string"},"I":{"type":"integer"},"T":{"type":"timestamp"},"B":{"type":"blob"},
            "Z":{"type":"boolean"},"D":{"type":"double"},"L":{"type":"list","member":{"shape":"All"}},
            "F":{"type":"list","member":{"shape":"S","locationName":"f"},"flattened":true},
            "M":{"type":"map","key":{"shape":"S"},"value":{"shape":"All"}},"J":{"type":"structure","document":true,"members":{}},
            "All":{"type":"structure","members":{"S":{"shape":"S"},"I":{"shape":"I"},"T":{"shape":"T"},"B":{"shape":"B"},
            "Z":{"shape":"Z"},"D":{"shape":"D"},"L":{"shape":"L"},"F":{"shape":"F"},"M":{"shape":"M"},"J":{"shape":"J"},
            "A":{"shape":"All"},"X":{"shape":"Missing"},"H":{"shape":"S","location":"header","locationName":"x-h"},
            "Q":{"shape":"M","location":"querystring","locationName":"q"}}}"#;
        let operation = r#""Do":{"name":"Do","http":{"method":"POST","requestUri":"/"},"input":{"shape":"All"},"output":{"shape":"All","resultWrapper":"R"}}"#;
        let service = |protocol| {
            model(&format!(r#""protocol":"{protocol}","endpointPrefix":"x","targetPrefix":"X""#), operation, shapes)
        };
        protocols.into_iter().map(service).collect()
    });
    &SERVICES
}

/// Decodes bytes as request, whole and cut, and as answer in every protocol that a request can speak.
fn everywhere(bytes: &[u8]) {
    for service in services() {
        let speak: [(&str, &[(&str, &str)]); 4] = [
            ("/", &[("x-amz-target", "X.Do")]),
            ("/service/X/operation/Do", &[]),
            ("/?Action=Do", &[("content-type", "application/x-www-form-urlencoded")]),
            ("/", &[("content-encoding", "gzip, aws-chunked")]),
        ];
        for (uri, headers) in speak {
            let request = request("POST", uri, headers, bytes.to_vec());
            let Ok(call) = Call::of(service, &request, None) else { continue };
            decode::request(&call, &request);
            let mut cut = request;
            cut.body.total += 1;
            decode::request(&call, &cut);
            for status in [200, 400] {
                decode::response(&call, &response(status, headers, bytes.to_vec()));
                decode::response(&call, &response(status, &[], bytes.to_vec()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        everywhere(&bytes);
    }

    #[test]
    fn anything_that_looks_like_json_is_answered(text in r#"(\{"(S|I|T|B|L|M|J|A|D|Z)":|[\[\]{}",:]|null|1e9|-1|"k":|"\\ud800"|1722516000\.5){0,40}"#) {
        everywhere(text.as_bytes());
    }

    #[test]
    fn anything_that_looks_like_xml_is_answered(text in r#"(<(S|I|T|L|A|M|entry|key|f|member|Error|Code|R)( a="&amp;")?/?>|</(A|S|L|M|entry)>|&[a-z]{1,4};|&#x?[0-9]{1,8};|<!\[CDATA\[|\]\]>|text){0,40}"#) {
        everywhere(text.as_bytes());
    }

    #[test]
    fn anything_that_looks_like_a_form_is_answered(text in r#"((S|L|M|A|F|J)(\.(member|entry|[0-9]{1,20}|key|value|A|L|)){0,6}=?(%[0-9A-F]{0,2}|x)?&){0,30}"#) {
        everywhere(text.as_bytes());
    }

    #[test]
    fn any_path_and_query_are_answered(path in "[a-zA-Z0-9%/._~?&=+{}-]{0,60}", host in r"[a-z0-9.:\[\]-]{0,40}") {
        let Ok(uri) = format!("/{path}").replace(['{', '}'], "%7B").parse::<http::Uri>() else { return Ok(()) };
        if let Some(models) = super::models() {
            let s3 = models.service("s3").unwrap().unwrap();
            for method in ["GET", "PUT", "POST", "DELETE", "HEAD"] {
                let request = request(method, &uri.to_string(), &[("host", &host)], "");
                if let Ok(call) = Call::of(&s3, &request, Some("example.com")) {
                    decode::request(&call, &request);
                }
            }
        }
    }

    #[test]
    fn any_model_is_read_or_refused(text in r#"\{"metadata":\{\},"operations":\{("O":\{("(http|input)":\{("shape":"(A|B)",?)?\},?){0,2}\},?)?\},"shapes":\{("A":\{"type":"(structure|list|map|x)"(,"member":\{"shape":"A"\})?\})?\}\}"#) {
        let _ = ServiceModel::parse("any", text.as_bytes());
    }
}

#[test]
fn a_bomb_is_inflated_no_further_than_its_bound() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeroes = vec![b' '; 1 << 20];
    for _ in 0..64 {
        gzip.write_all(&zeroes).unwrap();
    }
    let request = request("POST", "/", &[("content-encoding", "gzip")], gzip.finish().unwrap());
    let plain = body::plain(&request.head.headers, &request.body).map(|plain| plain.bytes.len());
    assert_eq!(plain, Err(DecodeError::Bound("the size of an inflated body")));
}

#[test]
fn deep_bodies_stop_at_their_bound() {
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    for depth in [99, 101, 300, 100_000] {
        everywhere(deep(r#"{"A":"#, "}", depth).as_bytes());
        everywhere(deep("[", "]", depth).as_bytes());
        everywhere(deep(r#"{"J":["#, "]}", depth).as_bytes());
        everywhere(deep("<A>", "</A>", depth).as_bytes());
        everywhere(format!("{}=1", "A.".repeat(depth)).as_bytes());
        // CBOR: lists in lists, maps of A in maps of A, tags of tags.
        everywhere(&[0x81].repeat(depth));
        everywhere(&[0xa1, 0x61, b'A'].repeat(depth));
        everywhere(&[0xc1].repeat(depth));
    }
}

#[test]
fn a_form_of_very_many_parts_stops_at_its_bound() {
    let form: String = (0..3000).map(|at| format!("{at}{}=1&", ".A".repeat(90))).collect();
    let request = request("POST", "/?Action=Do", &[("content-type", "application/x-www-form-urlencoded")], form);
    let call = Call::of(&services()[3], &request, None).unwrap();
    let fault = decode::request(&call, &request).fault;
    assert_eq!(fault, Some(DecodeError::Bound("the number of a form's parts")));
}

#[test]
fn lengths_that_lie_take_no_room() {
    everywhere(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    everywhere(&[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    everywhere(&[0xbf, 0x61, b'S', 0x7f, 0x61, b'a', 0x61, b'b', 0xff, 0xff]);
    everywhere(b"ffffffffffffffff\r\nx");
    everywhere(b"L.member.18446744073709551615=x&L.member.99999999999999999999999=y&L.member.0=z");
}

#[test]
fn entities_are_refused() {
    let lol = r#"<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]><All><S>&lol2;</S></All>"#;
    let request = request("POST", "/", &[], lol);
    let call = Call::of(&services()[2], &request, None).unwrap();
    let decoded = decode::request(&call, &request);
    assert!(decoded.fault.unwrap().to_string().contains("document type"));
}
