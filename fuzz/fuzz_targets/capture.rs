//! Calls: the first byte picks the protocol, or the media type of an HTTP API, and the rest is the body of a request and of its
//! answer. Whatever it is, it is decoded or its fault is told; what a stream of events says does not hang on how it was cut.
#![no_main]

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use towpath_admit::UserIdentity;
use towpath_capture::openapi::{Api, Home};
use towpath_capture::{Body, Call, Ending, EventStream, Exchange, Request, Response, ServiceModel, decode};

const PROTOCOLS: [&str; 6] = ["json", "rest-json", "rest-xml", "query", "ec2", "smithy-rpc-v2-cbor"];

/// One service per protocol, with every kind of shape.
static SERVICES: LazyLock<Vec<Arc<ServiceModel>>> = LazyLock::new(|| {
    let service = |protocol: &&str| {
        let model = MODEL.replace("PROTOCOL", protocol);
        Arc::new(ServiceModel::parse("fuzzed", model.as_bytes()).expect("a model"))
    };
    PROTOCOLS.iter().map(service).collect()
});

const MODEL: &str = r#"{"metadata":{"protocol":"PROTOCOL","endpointPrefix":"x","targetPrefix":"X"},
  "operations":{"Do":{"name":"Do","http":{"method":"POST","requestUri":"/"},
    "input":{"shape":"All"},"output":{"shape":"All","resultWrapper":"R"}},
    "Flow":{"name":"Flow","http":{"method":"POST","requestUri":"/flow"},"input":{"shape":"Flow"},"output":{"shape":"Flow"}}},
  "shapes":{"S":{"type":"string"},"I":{"type":"integer"},"T":{"type":"timestamp"},"B":{"type":"blob"},
    "Z":{"type":"boolean"},"D":{"type":"double"},"L":{"type":"list","member":{"shape":"All"}},
    "F":{"type":"list","member":{"shape":"S","locationName":"f"},"flattened":true},
    "M":{"type":"map","key":{"shape":"S"},"value":{"shape":"All"}},
    "J":{"type":"structure","document":true,"members":{}},
    "All":{"type":"structure","members":{"S":{"shape":"S"},"I":{"shape":"I"},"T":{"shape":"T"},"B":{"shape":"B"},
      "Z":{"shape":"Z"},"D":{"shape":"D"},"L":{"shape":"L"},"F":{"shape":"F"},"M":{"shape":"M"},"J":{"shape":"J"},
      "A":{"shape":"All"}}},
    "Flow":{"type":"structure","members":{"S":{"shape":"S"},"E":{"shape":"E"}}},
    "E":{"type":"structure","eventstream":true,"members":{"A":{"shape":"All"}}}}}"#;

const MEDIA: [&str; 4] = [
    "application/json",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
];

/// An HTTP API that takes and gives every kind of schema in every form.
static API: LazyLock<Api> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("towpath-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("api.toml"), "document = 'api.json'\nevent_source = 's'\n").expect("a mapping");
    std::fs::write(folder.join("api.json"), DOCUMENT).expect("a document");
    let api = Api::open(&folder.join("api.toml")).expect("an API");
    std::fs::remove_dir_all(&folder).expect("the folder");
    api
});

const DOCUMENT: &str = r##"{"openapi":"3.0.0","paths":{"/":{"post":{"operationId":"Do","requestBody":{"content":{"*/*":
    {"schema":{"$ref":"#/components/schemas/All"}}}},"responses":{"200":{"content":{"*/*":
    {"schema":{"$ref":"#/components/schemas/All"}}}}}}}},"components":{"schemas":{"All":{"type":"object","properties":{
    "S":{"type":"string","xml":{"attribute":true}},"I":{"type":"integer"},"D":{"type":"number","xml":{"name":"d"}},
    "Z":{"type":"boolean"},"P":{"type":"string","writeOnly":true},"F":{"type":"string","format":"binary"},
    "L":{"type":"array","xml":{"wrapped":true},"items":{"$ref":"#/components/schemas/All"}},
    "M":{"type":"array","items":{"type":"integer","xml":{"name":"m"}}},
    "A":{"allOf":[{"$ref":"#/components/schemas/All"}]}}}}}}"##;

fn of_api(kind: &str, body: &[u8]) {
    let request = http::Request::post("/").header("content-type", kind).body(()).expect("a request");
    let response = http::Response::builder().header("content-type", kind).body(()).expect("a response");
    let exchange = Exchange {
        request: Request { head: request.into_parts().0, body: Body::of(body.to_vec()) },
        ending: Ending::Answered(Response { head: response.into_parts().0, body: Body::of(body.to_vec()) }),
        began: Timestamp::UNIX_EPOCH,
        ended: Timestamp::UNIX_EPOCH,
        peer: std::net::IpAddr::from([127, 0, 0, 1]),
        tls: None,
    };
    let region = "us-east-1".parse().expect("a region");
    let home = Home { account: "111122223333".parse().expect("an account"), region: &region, vpc_endpoint: None };
    assert_eq!(API.records(&exchange, home, UserIdentity::unknown()).len(), 1);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let at = usize::from(first & 0x3f) % (PROTOCOLS.len() + MEDIA.len());
    if let Some(kind) = at.checked_sub(PROTOCOLS.len()) {
        return of_api(MEDIA[kind], body);
    }
    let streams = first & 0x40 != 0;
    if streams {
        let mut stream = EventStream::default();
        body.chunks(7).for_each(|piece| stream.pass(piece));
        assert_eq!(stream.said(), EventStream::read(body));
    }
    let (name, path) = if streams { ("Flow", "/flow") } else { ("Do", "/") };
    let builder = http::Request::builder().method("POST");
    let builder = match PROTOCOLS[at] {
        "json" => builder.uri("/").header("x-amz-target", format!("X.{name}")),
        "query" | "ec2" => {
            let kind = "application/x-www-form-urlencoded";
            builder.uri(format!("/?Action={name}")).header("content-type", kind)
        }
        "smithy-rpc-v2-cbor" => builder.uri(format!("/service/X/operation/{name}")),
        _ => builder.uri(path),
    };
    let coding = if first & 0x80 == 0 { "identity" } else { "gzip, aws-chunked" };
    let (head, ()) = builder.header("content-encoding", coding).body(()).expect("a request").into_parts();
    let request = Request { head, body: Body::of(body.to_vec()) };
    let call = Call::of(&SERVICES[at], &request, None).expect("the operation");
    let decoded = decode::request(&call, &request);
    assert_eq!(decoded.complete, decoded.fault.is_none());
    for status in [200, 400] {
        let builder = http::Response::builder().status(status).header("content-encoding", coding);
        let (head, ()) = builder.body(()).expect("a response").into_parts();
        decode::response(&call, &Response { head, body: Body::of(body.to_vec()) });
    }
});
