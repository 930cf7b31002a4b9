//! Calls: the first byte picks the protocol, the rest is the body of a request and of its answer. Whatever it is, it is
//! decoded or its fault is told.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use towpath_capture::{Body, Call, Request, Response, ServiceModel, decode};

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
    "input":{"shape":"All"},"output":{"shape":"All","resultWrapper":"R"}}},
  "shapes":{"S":{"type":"string"},"I":{"type":"integer"},"T":{"type":"timestamp"},"B":{"type":"blob"},
    "Z":{"type":"boolean"},"D":{"type":"double"},"L":{"type":"list","member":{"shape":"All"}},
    "F":{"type":"list","member":{"shape":"S","locationName":"f"},"flattened":true},
    "M":{"type":"map","key":{"shape":"S"},"value":{"shape":"All"}},
    "J":{"type":"structure","document":true,"members":{}},
    "All":{"type":"structure","members":{"S":{"shape":"S"},"I":{"shape":"I"},"T":{"shape":"T"},"B":{"shape":"B"},
      "Z":{"shape":"Z"},"D":{"shape":"D"},"L":{"shape":"L"},"F":{"shape":"F"},"M":{"shape":"M"},"J":{"shape":"J"},
      "A":{"shape":"All"}}}}}"#;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let at = usize::from(first & 0x7f) % PROTOCOLS.len();
    let builder = http::Request::builder().method("POST");
    let builder = match PROTOCOLS[at] {
        "json" => builder.uri("/").header("x-amz-target", "X.Do"),
        "query" | "ec2" => builder.uri("/?Action=Do").header("content-type", "application/x-www-form-urlencoded"),
        "smithy-rpc-v2-cbor" => builder.uri("/service/X/operation/Do"),
        _ => builder.uri("/"),
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
