//! What requests ask for.

use jiff::Timestamp;
use serde_json::json;

use super::{model, models, request};
use crate::{
    Body, Request, Value,
    decode::{self, Call, DecodeError, Decoded},
    model::ServiceModel,
};

/// A service with one operation, `Do`, that takes `shapes.In`.
fn service(metadata: &str, method: &str, uri: &str, shapes: &str) -> std::sync::Arc<ServiceModel> {
    let operation =
        format!(r#""Do":{{"name":"Do","http":{{"method":"{method}","requestUri":"{uri}"}},"input":{{"shape":"In"}}}}"#);
    let scalars = r#""S":{"type":"string"},"I":{"type":"integer"},"T":{"type":"timestamp"},"B":{"type":"blob"},
        "Z":{"type":"boolean"},"L":{"type":"list","member":{"shape":"S"}},"D":{"type":"double"},
        "M":{"type":"map","key":{"shape":"S"},"value":{"shape":"S"}},"J":{"type":"structure","document":true,"members":{}}"#;
    model(metadata, &operation, &format!("{scalars},{shapes}"))
}

fn json_service(members: &str) -> std::sync::Arc<ServiceModel> {
    let shape = format!(r#""In":{{"type":"structure","members":{{{members}}}}}"#);
    service(r#""protocol":"json","endpointPrefix":"x","targetPrefix":"X""#, "POST", "/", &shape)
}

fn decode(model: &std::sync::Arc<ServiceModel>, request: &Request) -> Decoded {
    decode::request(&Call::of(model, request, None).expect("an operation"), request)
}

fn json_request(body: &str) -> Request {
    request("POST", "/", &[("x-amz-target", "X.Do")], body.to_owned())
}

/// Names of members with their values, short.
fn shown(value: &Value) -> String {
    match value {
        Value::Structure(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}={}", field.name, shown(&field.value))).collect();
            format!("{{{}}}", fields.join(" "))
        }
        Value::List(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Map(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            format!("<{}>", entries.join(" "))
        }
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Time(time) => time.to_string(),
        Value::Blob(bytes) => format!("{bytes:?}"),
        Value::Document(json) => json.to_string(),
        Value::Null => "null".to_owned(),
    }
}

const MEMBERS: &str = r#""Name":{"shape":"S"},"Count":{"shape":"I"},"At":{"shape":"T"},"Bytes":{"shape":"B"},
    "Names":{"shape":"L"},"Tags":{"shape":"M"},"Free":{"shape":"J"},"Ratio":{"shape":"D"},"In":{"shape":"In"}"#;

#[test]
fn members_come_in_the_order_of_the_model_and_unknown_ones_are_left_out() {
    let body = r#"{"In":{"Count":2,"Name":"inner"},"~x":{"Password":"secret"},"Count":1,"Name":"a","Name":"b","Free":{"k":[1,null]}}"#;
    let decoded = decode(&json_service(MEMBERS), &json_request(body));
    assert_eq!(shown(&decoded.value), r#"{Name=b Count=1 Free={"k":[1,null]} In={Name=inner Count=2}}"#);
    assert!(decoded.complete);
}

#[test]
fn nulls_are_members_that_are_not_set() {
    let decoded = decode(&json_service(MEMBERS), &json_request(r#"{"Name":null,"Names":["a",null],"In":{}}"#));
    assert_eq!(shown(&decoded.value), "{Names=[a null] In={}}");
}

#[test]
fn times_come_in_every_form() {
    let members = r#""A":{"shape":"T"},"B":{"shape":"T"},"C":{"shape":"T"},"D":{"shape":"T"},"E":{"shape":"T"},"F":{"shape":"T"}"#;
    let body = r#"{"A":1722516000.123,"B":1722516000,"C":"2024-08-01T12:40:00.123Z","D":"Thu, 01 Aug 2024 12:40:00 GMT","E":1.7225160E9,"F":"soon"}"#;
    let decoded = decode(&json_service(members), &json_request(body));
    let whole: Timestamp = "2024-08-01T12:40:00Z".parse().unwrap();
    let part: Timestamp = "2024-08-01T12:40:00.123Z".parse().unwrap();
    assert_eq!(decoded.value.member("A"), Some(&Value::Time(part)));
    assert_eq!(decoded.value.member("B"), Some(&Value::Time(whole)));
    assert_eq!(decoded.value.member("C"), Some(&Value::Time(part)));
    assert_eq!(decoded.value.member("D"), Some(&Value::Time(whole)));
    assert_eq!(decoded.value.member("E"), Some(&Value::Time(whole)));
    assert_eq!(decoded.value.member("F"), Some(&Value::Text("soon".into())));
}

#[test]
fn numbers_stay_as_they_were_sent() {
    let decoded = decode(&json_service(MEMBERS), &json_request(r#"{"Count":"7","Ratio":"NaN","Name":5}"#));
    assert_eq!(decoded.value.member("Count"), Some(&Value::Text("7".into())));
    assert_eq!(decoded.value.member("Ratio"), Some(&Value::Text("NaN".into())));
    assert_eq!(decoded.value.member("Name"), Some(&Value::Number(5.into())));
}

#[test]
fn what_a_model_marks_as_sensitive_is_marked_in_the_value() {
    let shapes = r#""P":{"type":"string","sensitive":true},"PL":{"type":"list","member":{"shape":"P"}},
        "In":{"type":"structure","members":{"A":{"shape":"S"},"B":{"shape":"P"},"C":{"shape":"PL"},"D":{"shape":"S","sensitive":true}}}"#;
    let model = service(r#""protocol":"json","endpointPrefix":"x","targetPrefix":"X""#, "POST", "/", shapes);
    let decoded = decode(&model, &json_request(r#"{"A":"a","B":"b","C":["c"],"D":"d"}"#));
    let Value::Structure(fields) = decoded.value else { panic!("a structure") };
    assert_eq!(fields.iter().map(|field| field.sensitive).collect::<Vec<_>>(), [false, true, true, true]);
}

#[test]
fn faults_never_quote_the_body() {
    let model = json_service(MEMBERS);
    for body in [
        r#"{"In":"hunter2"}"#,
        r#"{"Names":{"hunter2":1}}"#,
        r#"{"Name":hunter2}"#,
        r#"{"Bytes":12345678"#,
        r#""hunter2""#,
    ] {
        let decoded = decode(&model, &json_request(body));
        let fault = decoded.fault.expect("a fault");
        let said = format!("{fault} {fault:?}");
        assert!(!said.contains("hunter2") && !said.contains("12345678"), "{said}");
        assert!(!decoded.complete);
        assert_eq!(decoded.value, Value::empty());
    }
}

#[test]
fn labels_headers_and_query_strings_are_members_even_if_the_body_was_cut() {
    let shapes = r#""In":{"type":"structure","members":{
        "Name":{"shape":"S","location":"uri","locationName":"name"},
        "Path":{"shape":"S","location":"uri","locationName":"path"},
        "Names":{"shape":"L","location":"querystring","locationName":"n"},
        "Rest":{"shape":"M","location":"querystring"},
        "Since":{"shape":"T","location":"header","locationName":"If-Since"},
        "List":{"shape":"L","location":"header","locationName":"x-list"},
        "Json":{"shape":"S","location":"header","locationName":"x-json","jsonvalue":true},
        "Meta":{"shape":"M","location":"headers","locationName":"x-meta-"},
        "Body":{"shape":"S"}}}"#;
    let model = service(r#""protocol":"rest-json","endpointPrefix":"x""#, "PUT", "/a/{name}/{path+}?mode", shapes);
    let headers = [
        ("if-since", "Thu, 01 Aug 2024 12:40:00 GMT"),
        ("x-list", r#"a, "b,\"c", d"#),
        ("x-json", "eyJhIjoxfQ=="),
        ("x-meta-one", "1"),
        ("x-meta-Two", "2"),
    ];
    let uri = "/a/n%2F%20%C3%BC/p/q%20r?mode&n=1&n=2&other=%26&X-Amz-Signature=abc";
    let mut request = request("PUT", uri, &headers, r#"{"Body":"b"}"#);
    let expected = r#"{Name=n/ ü Path=p/q r Names=[1 2] Rest=<other:&> Since=2024-08-01T12:40:00Z List=[a b,"c d] Json={"a":1} Meta=<one:1 two:2>"#;
    assert_eq!(shown(&decode(&model, &request).value), format!("{expected} Body=b}}"));

    request.body.total += 1;
    let cut = decode(&model, &request);
    assert_eq!(shown(&cut.value), format!("{expected}}}"));
    assert!(!cut.complete);
    assert_eq!(cut.fault, None);
}

#[test]
fn forms_are_understood_with_and_without_the_words_of_the_protocol() {
    let shapes = r#""FL":{"type":"list","member":{"shape":"S","locationName":"Item"},"flattened":true},
        "In":{"type":"structure","members":{"Name":{"shape":"S"},"Names":{"shape":"L"},"Flat":{"shape":"FL"},"Tags":{"shape":"M"},"At":{"shape":"T"},"Yes":{"shape":"Z"}}}"#;
    let model = service(r#""protocol":"query","endpointPrefix":"x""#, "POST", "/", shapes);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let read = |body: &str| shown(&decode(&model, &request("POST", "/", &form, body.to_owned())).value);
    assert_eq!(
        read(
            "Action=Do&Names.member.2=b&Names.member.10=c&Names.member.1=a&Item.1=x&Tags.entry.1.key=k&Tags.entry.1.value=v+w&Yes=true"
        ),
        "{Names=[a b c] Flat=[x] Tags=<k:v w> Yes=true}"
    );
    assert_eq!(read("Action=Do&Names.1=a&Flat.1=x&Tags.1.Name=k&Tags.1.Value=v"), "{Names=[a] Flat=[x] Tags=<k:v>}");
    assert_eq!(read("Action=Do&Names=&Unknown.1.X=y&At=2024-08-01T12:40:00Z"), "{Names=[] At=2024-08-01T12:40:00Z}");
    let get = request("GET", "/?Action=Do&Name=n", &[], "");
    assert_eq!(shown(&decode(&model, &get).value), "{Name=n}");
}

#[test]
fn of_a_form_that_was_cut_the_whole_fields_are_there() {
    let shapes = r#""In":{"type":"structure","members":{"Name":{"shape":"S"},"Other":{"shape":"S"}}}"#;
    let model = service(r#""protocol":"query","endpointPrefix":"x""#, "POST", "/", shapes);
    let mut request =
        request("POST", "/", &[("content-type", "application/x-www-form-urlencoded")], "Action=Do&Name=n&Other=half");
    request.body.total = 1 << 30;
    let decoded = decode(&model, &request);
    assert_eq!(shown(&decoded.value), "{Name=n}");
    assert!(!decoded.complete);
}

#[test]
fn xml_bodies_are_read_with_namespaces_entities_and_flattened_lists() {
    let Some(models) = models() else { return };
    let model = models.service("s3").unwrap().unwrap();
    let body = r#"<?xml version="1.0"?><!-- x --><AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">
        <ID>a&amp;b&#x2F;<![CDATA[<c>]]></ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"#;
    let decoded = decode(&model, &request("PUT", "/b?acl", &[], body));
    assert_eq!(
        shown(&decoded.value),
        "{AccessControlPolicy={Grants=[{Grantee={ID=a&b/<c> Type=CanonicalUser} Permission=READ}]} Bucket=b}"
    );
    let tagging = "<Tagging><TagSet><Tag><Key>k</Key><Value/></Tag></TagSet></Tagging>";
    let decoded = decode(&model, &request("PUT", "/b/a%20b?tagging&versionId=7", &[], tagging));
    assert_eq!(shown(&decoded.value), "{Bucket=b Key=a b VersionId=7 Tagging={TagSet=[{Key=k Value=}]}}");
}

#[test]
fn bodies_in_chunks_and_compressed_are_unwrapped() {
    use std::io::Write;
    let Some(models) = models() else { return };
    let model = models.service("s3").unwrap().unwrap();
    let xml = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    let chunked =
        format!("{:x};chunk-signature=0\r\n{xml}\r\n0;chunk-signature=0\r\nx-amz-trailer:1\r\n\r\n", xml.len());
    let headers = [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")];
    let decoded = decode(&model, &request("PUT", "/b?tagging", &headers, chunked));
    assert_eq!(shown(&decoded.value), "{Bucket=b Tagging={TagSet=[{Key=k Value=v}]}}");

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(br#"{"Name":"zipped"}"#).unwrap();
    let gzip = gzip.finish().unwrap();
    let headers = [("x-amz-target", "X.Do"), ("content-encoding", "gzip")];
    let decoded = decode(&json_service(MEMBERS), &request("POST", "/", &headers, gzip));
    assert_eq!(shown(&decoded.value), "{Name=zipped}");
}

#[test]
fn streams_and_raw_payloads_are_not_kept() {
    let Some(models) = models() else { return };
    let model = models.service("s3").unwrap().unwrap();
    let decoded = decode(&model, &request("PUT", "/b/k", &[("x-amz-meta-a", "1")], "secret"));
    assert_eq!(shown(&decoded.value), "{Bucket=b Key=k Metadata=<a:1>}");
    assert!(decoded.complete);
    let mut long = request("PUT", "/b/k", &[], "secret");
    long.body = Body { kept: "sec".into(), total: 1 << 40, whole: true, ..Body::default() };
    assert!(decode(&model, &long).complete);
}

#[test]
fn an_old_client_of_a_service_that_speaks_json_now_is_understood() {
    let Some(models) = models() else { return };
    let model = models.service("sqs").unwrap().unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = "Action=CreateQueue&Version=2012-11-05&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Tag.1.Key=a&Tag.1.Value=b";
    let decoded = decode(&model, &request("POST", "/", &form, body));
    assert_eq!(decoded.value.member("QueueName"), Some(&Value::Text("q".into())));
}

#[test]
fn the_samples_of_the_four_services_come_out_whole() {
    let Some(models) = models() else { return };
    let model = models.service("repostspace").unwrap().unwrap();
    let decoded = decode(&model, &request("POST", "/spaces/SP1/admins/AD1", &[], ""));
    assert_eq!(shown(&decoded.value), "{spaceId=SP1 adminId=AD1}");
    let model = models.service("support").unwrap().unwrap();
    let body = json!({ "checkId": "c" }).to_string();
    let target = [("x-amz-target", "AWSSupport_20130415.RefreshTrustedAdvisorCheck")];
    assert_eq!(shown(&decode(&model, &request("POST", "/", &target, body)).value), "{checkId=c}");
}

#[test]
fn bounds_are_told_from_faults() {
    let model = json_service(r#""In":{"shape":"In"},"Names":{"shape":"L"},"Free":{"shape":"J"}"#);
    let deep = format!("{}{}", r#"{"In":"#.repeat(120), "}".repeat(120));
    assert_eq!(decode(&model, &json_request(&deep)).fault, Some(DecodeError::Bound("the depth of values")));
    let long = format!(r#"{{"Names":[{}""]}}"#, r#""","#.repeat(300_000));
    assert_eq!(decode(&model, &json_request(&long)).fault, Some(DecodeError::Bound("the number of values")));
    let free = format!(r#"{{"Free":[{}1]}}"#, "1,".repeat(300_000));
    assert_eq!(decode(&model, &json_request(&free)).fault, Some(DecodeError::Bound("the number of values")));
}
