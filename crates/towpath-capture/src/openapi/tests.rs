//! What must hold for calls to an HTTP API.

mod bodies;

use bytes::Bytes;
use http::{Request as HttpRequest, Response as HttpResponse};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{Body, Request, Response, Tls};

const LIBRARY: &str = include_str!("tests/library.yaml");
const MAPPING: &str = r#"
document = "library.yaml"
event_source = "library.example"
hash = ["isbn"]
drop = ["Person.name"]
[[caller]]
scheme = "aws"
[[caller]]
scheme = "header_key"
names = { "sha256:2bc22a47bc8eb15f4371a5c9333e5b1d" = "front desk" }
[[caller]]
scheme = "key"
[[caller]]
scheme = "token"
[[caller]]
scheme = "login"
[[resource]]
type = "Example::Library::Book"
arn = "arn:aws:library:{region}:{account}:book/{bookId}"
[operations.searchBooks]
read_only = true
"#;

fn api() -> Api {
    api_with(LIBRARY, MAPPING)
}

fn api_with(document: &str, mapping: &str) -> Api {
    let document = Document::of(yaml::read(document).unwrap(), None).unwrap();
    Api::of(document, Mapping::parse(mapping).unwrap()).unwrap()
}

fn refusal(document: &str) -> String {
    Document::of(yaml::read(document).unwrap(), None).unwrap_err().to_string()
}

/// A call under construction; it is answered with 200 and no body.
struct Call {
    request: http::request::Builder,
    body: Body,
    ending: Ending,
    tls: Option<Tls>,
}

fn call(method: &str, target: &str) -> Call {
    let request = HttpRequest::builder().method(method).uri(target).header("host", "library.example");
    Call { request, body: Body::of(""), ending: answer(200, "", ""), tls: None }
}

fn answer(status: u16, kind: &str, body: &str) -> Ending {
    let builder = HttpResponse::builder().status(status).header("content-type", kind).header("x-request-id", "r-1");
    let (head, ()) = builder.body(()).unwrap().into_parts();
    Ending::Answered(Response { head, body: Body::of(body.to_owned()) })
}

impl Call {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    fn json(self, body: &Json) -> Self {
        self.body("application/json", body.to_string())
    }

    fn body(mut self, kind: &str, body: impl Into<Bytes>) -> Self {
        self.body = Body::of(body);
        self.header("content-type", kind)
    }

    fn answered(mut self, status: u16, kind: &str, body: &str) -> Self {
        self.ending = answer(status, kind, body);
        self
    }

    fn exchange(self) -> Exchange {
        let (head, ()) = self.request.body(()).unwrap().into_parts();
        Exchange {
            request: Request { head, body: self.body },
            ending: self.ending,
            began: "2026-11-21T05:00:00Z".parse().unwrap(),
            ended: "2026-11-21T05:00:01.5Z".parse().unwrap(),
            peer: "192.0.2.9".parse().unwrap(),
            tls: self.tls,
        }
    }

    fn records(self, api: &Api) -> Vec<CapturedRecord> {
        let region = "eu-central-1".parse().unwrap();
        let home = Home { account: "111122223333".parse().unwrap(), region: &region, vpc_endpoint: None };
        api.records(&self.exchange(), home, UserIdentity::aws_service("signed.example"))
    }

    fn record(self, api: &Api) -> Json {
        let [record] = self.records(api).try_into().unwrap();
        serde_json::from_slice(&record.json).unwrap()
    }
}

#[test]
fn a_call_becomes_a_record_with_the_fields_of_cloudtrail() {
    let mut call = call("POST", "/v2/books").json(&json!({"title": "Emma", "pages": 3})).header("user-agent", "curl/8");
    call.tls = Some(Tls { version: Some("TLSv1.3".into()), cipher_suite: None, key_exchange: Some("x25519".into()) });
    let record = call.answered(201, "application/json; charset=utf-8", r#"{"title":"Emma","id":7}"#).record(&api());
    let id = record["eventID"].clone();
    assert_eq!(
        record,
        json!({
            "eventVersion": "1.11", "userIdentity": {"type": "Unknown"}, "eventTime": "2026-11-21T05:00:01Z",
            "eventSource": "library.example", "eventName": "addBook", "awsRegion": "eu-central-1",
            "sourceIPAddress": "192.0.2.9", "userAgent": "curl/8",
            "requestParameters": {"title": "Emma", "pages": 3}, "responseElements": {"title": "Emma", "id": 7},
            "additionalEventData": {"httpMethod": "POST", "httpPath": "/books", "httpStatusCode": 201},
            "requestID": "r-1", "eventID": id, "readOnly": false, "eventType": "AwsApiCall", "managementEvent": true,
            "recipientAccountId": "111122223333", "eventCategory": "Management",
            "tlsDetails": {
                "tlsVersion": "TLSv1.3", "clientProvidedHostHeader": "library.example", "keyExchange": "x25519",
            },
        })
    );
}

#[test]
fn parameters_have_their_names_and_types_and_credentials_are_none() {
    let target = "/v2/books?limit=5&tags=a&tags=b&ids=1|2&filter[year]=1815&filter[lent]=true&key=s3cr3t&other=x";
    let call = call("GET", target).header("x-reader", "12").header("cookie", "shelf=top; session=s3cr3t");
    let record = call.header("authorization", "Token s3cr3t").record(&api());
    assert_eq!(
        record["requestParameters"],
        json!({
            "limit": 5, "tags": ["a", "b"], "ids": [1, 2], "filter": {"year": 1815, "lent": true}, "X-Reader": 12,
            "shelf": "top",
        })
    );
    assert_eq!((record["readOnly"].clone(), record["responseElements"].clone()), (json!(true), json!(null)));
    assert!(!record.to_string().contains("s3cr3t"));
}

#[test]
fn the_most_concrete_path_is_meant() {
    let named = |method, target| call(method, target).record(&api())["eventName"].clone();
    assert_eq!(named("GET", "/v2/books/newest"), "newestBook");
    assert_eq!(named("DELETE", "/v2/books/newest"), "removeBook");
    assert_eq!(named("GET", "/v2/books/7/cover.png"), "getCover");
    assert_eq!(named("GET", "/v2/books/7/index"), "getPart");
    assert_eq!(named("PUT", "/v2/books/7/"), "PUT /books/{bookId}");
    assert_eq!(named("GET", "/v2/boo%6bs"), "listBooks");
    assert_eq!(named("GET", "/v1/books"), "UnknownOperation");
}

#[test]
fn a_call_of_no_operation_is_recorded_without_its_query() {
    let record = call("PURGE", "/nowhere?token=s3cr3t").answered(404, "text/plain", "no").record(&api());
    assert_eq!(record["requestParameters"], json!({"httpMethod": "PURGE", "httpPath": "/nowhere"}));
    assert_eq!((record["errorCode"].clone(), record["errorMessage"].clone()), (json!("NotFound"), json!(null)));
    assert_eq!(record["additionalEventData"], json!({"httpMethod": "PURGE", "httpStatusCode": 404}));
}

#[test]
fn secret_members_are_hidden_wherever_schemas_names_or_the_mapping_say_so() {
    let body = json!({
        "title": "Emma", "pin_code": "1", "note": "2", "isbn": "3", "Client-Secret": "4",
        "next": {"next": {"pin_code": {"deep": 5}}}, "parts": [{"pin_code": "6"}, {"title": "t"}],
        "donor": {"born": "7", "Person": {"name": "8", "x": 1}}, "bookId": "kept",
    });
    let record = call("POST", "/v2/books").json(&body).record(&api());
    let hidden = hidden::HIDDEN;
    assert_eq!(
        record["requestParameters"],
        json!({
            "title": "Emma", "pin_code": hidden, "note": hidden, "isbn": hidden::fingerprint(b"3"),
            "Client-Secret": hidden, "next": {"next": {"pin_code": hidden}},
            "parts": [{"pin_code": hidden}, {"title": "t"}], "donor": {"born": hidden, "Person": {"x": 1}},
            "bookId": "kept",
        })
    );
}

#[test]
fn what_was_hidden_is_not_recorded_where_the_answer_repeats_it() {
    let body = json!({"title": "t", "note": "secret-note", "pin_code": {"x": "secret-pin"}});
    let posted = || call("POST", "/v2/books").json(&body).header("x-library-key", "secret-key");
    let answer = r#"{"echo":["secret-note"],"said":"got secret-pin of secret-key","title":"t"}"#;
    let record = posted().answered(201, "application/json", answer).record(&api());
    assert!(!record.to_string().contains("secret-"), "{record}");
    assert_eq!(record["responseElements"]["echo"], json!([hidden::HIDDEN]));
    let error = r#"{"message":"no such key: secret-key, note secret-note"}"#;
    let record = posted().answered(403, "application/json", error).record(&api());
    assert!(!record.to_string().contains("secret-"), "{record}");
}

#[test]
fn a_list_shows_what_is_named_like_a_secret() {
    let api = api_with(LIBRARY, "document = 'd'\nevent_source = 's'\nshow = ['pin_code']\nhide = ['next.title']");
    let body = json!({"title": "t", "pin_code": "1", "next": {"title": "t"}});
    let record = call("POST", "/v2/books").json(&body).record(&api);
    assert_eq!(record["requestParameters"], json!({"title": "t", "pin_code": "1", "next": {"title": hidden::HIDDEN}}));
}

#[test]
fn members_with_the_name_of_a_parameter_stand_in_the_body() {
    let record = call("PUT", "/v2/books/7").json(&json!({"bookId": 8, "body": 1, "title": "t"})).record(&api());
    assert_eq!(record["requestParameters"], json!({"bookId": 7, "title": "t", "body": {"bookId": 8, "body": 1}}));
    assert_eq!(record["resources"][0]["ARN"], "arn:aws:library:eu-central-1:111122223333:book/7");
}

#[test]
fn a_data_event_that_names_no_resource_is_selected_by_its_type() {
    let data = api_with(LIBRARY, &format!("category = 'data'\n{MAPPING}"));
    let search = |api: &Api| call("POST", "/v2/books").json(&json!({"title": "t"})).record(api)["resources"].clone();
    assert_eq!(search(&data), json!([{"accountId": "111122223333", "type": "Example::Library::Book"}]));
    assert_eq!(search(&api()), Json::Null);
    let named = call("PUT", "/v2/books/7").json(&json!({"title": "t"})).record(&data);
    assert_eq!(named["resources"][0]["ARN"], "arn:aws:library:eu-central-1:111122223333:book/7");
}

#[test]
fn forms_are_read_and_other_bodies_left_out() {
    let search = |kind: &str, body: &'static str| call("POST", "/v2/search").body(kind, body).record(&api());
    let form = search("application/x-www-form-urlencoded", "year=1815&q=a+b&q=c&password=s3cr3t");
    assert_eq!(form["requestParameters"], json!({"year": 1815, "q": ["a b", "c"], "password": hidden::HIDDEN}));
    assert_eq!(form["readOnly"], true);
    assert_eq!(search("text/plain", "a")["requestParameters"], json!(null));
    assert_eq!(search("application/json", "[1,")["requestParameters"], json!(null));
    assert_eq!(search("application/json", "[1]")["requestParameters"], json!({"body": [1]}));
}

#[test]
fn a_body_that_is_too_large_is_said_to_be() {
    let mut large = call("POST", "/v2/books").body("application/json", "{");
    large.body.total = 9_000_000;
    let omitted = json!({"body": {"reason": "body too large", "omitted": true, "originalSize": 9_000_000}});
    assert_eq!(large.record(&api())["requestParameters"], omitted);

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![b' '; 20 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 100_000);
    let bomb = call("POST", "/v2/books").body("application/json", packed).header("content-encoding", "gzip");
    assert_eq!(bomb.record(&api())["requestParameters"]["body"]["omitted"], true);
}

#[test]
fn callers_are_named_by_the_first_scheme_that_a_call_carries() {
    let identity = |call: Call| call.record(&api())["userIdentity"].clone();
    let books = || call("GET", "/v2/books");
    let known = identity(books().header("x-library-key", "front-desk-key"));
    let principal = format!("api-key:{}", hidden::fingerprint(b"front-desk-key"));
    assert_eq!(known, json!({"type": "Unknown", "principalId": principal, "userName": "front desk"}));
    let other = identity(call("GET", "/v2/books?key=abc"));
    assert_eq!(other, json!({"type": "Unknown", "principalId": format!("api-key:{}", hidden::fingerprint(b"abc"))}));
    let claims = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
    let jwt = format!("Bearer e30.{}.sig", claims(r#"{"sub":"ann","iss":"https://id.example","aud":["lib","x"]}"#));
    let ann = json!({
        "type": "WebIdentityUser", "principalId": "https://id.example:lib:ann", "userName": "ann",
        "identityProvider": "https://id.example",
    });
    assert_eq!(identity(books().header("authorization", &jwt)), ann);
    let opaque = identity(books().header("authorization", "bearer opaque"));
    assert_eq!(opaque["principalId"], format!("token:{}", hidden::fingerprint(b"opaque")));
    let basic = identity(books().header("authorization", "Basic YW5uOnMzY3IzdA=="));
    assert_eq!(basic, json!({"type": "Unknown", "principalId": "user:ann", "userName": "ann"}));
    let signed = identity(books().header("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/x"));
    assert_eq!(signed, json!({"type": "AWSService", "invokedBy": "signed.example"}));
}

#[test]
fn what_a_caller_claims_counts_only_if_the_upstream_took_the_call() {
    let refused = |value: &str| {
        let call = call("GET", "/v2/books").header("authorization", value).answered(401, "", "");
        call.record(&api())["userIdentity"].clone()
    };
    assert_eq!(refused("Basic YW5uOnMzY3IzdA=="), json!({"type": "Unknown"}));
    assert_eq!(refused("Bearer e30.eyJzdWIiOiJhbm4ifQ.sig"), json!({"type": "Unknown"}));
}

#[test]
fn errors_are_read_as_apis_write_them() {
    let error = |status, kind: &str, body: &str| {
        let record = call("POST", "/v2/books").json(&json!({})).answered(status, kind, body).record(&api());
        assert_eq!(record["responseElements"], json!(null));
        (record["errorCode"].as_str().unwrap().to_owned(), record["errorMessage"].as_str().map(str::to_owned))
    };
    let both = |code: &str, message: &str| (code.to_owned(), Some(message.to_owned()));
    let problem = r#"{"type":"https://e.example/probs/out-of-credit","title":"No credit","detail":"Balance is 30"}"#;
    assert_eq!(error(403, "application/problem+json", problem), both("out-of-credit", "Balance is 30"));
    assert_eq!(error(400, "application/json", r#"{"code":"TITLE","message":"m"}"#), both("TITLE", "m"));
    assert_eq!(error(400, "application/json", r#"{"error":{"code":17,"message":"m"}}"#), both("17", "m"));
    let oauth = r#"{"error":"invalid_grant","error_description":"expired"}"#;
    assert_eq!(error(400, "application/json", oauth), both("invalid_grant", "expired"));
    assert_eq!(error(422, "application/json", r#"{"code":422,"message":"m"}"#), both("UnprocessableEntity", "m"));
    assert_eq!(error(503, "text/html", "<p>"), ("ServiceUnavailable".to_owned(), None));
}

#[test]
fn activity_events_are_entries_that_the_channel_takes() {
    let channel = "arn:aws:cloudtrail:eu-central-1:444455556666:channel/0f4b7a16-5e0b-4bb4-a2a7-9f6f0a3d1c11";
    let mapping = format!("{MAPPING}\n").replacen(
        "event_source",
        &format!("record = \"activity\"\nchannel = \"{channel}\"\nevent_source"),
        1,
    );
    let api = api_with(LIBRARY, &mapping);
    let long = "x".repeat(200_000);
    let call = call("POST", "/v2/books").json(&json!({"title": long})).header("x-library-key", "k");
    let [record] = call.header("user-agent", &"a".repeat(2000)).answered(500, "", "").records(&api).try_into().unwrap();
    assert_eq!((record.channel.as_deref(), record.account.as_str()), (Some(channel), "444455556666"));
    let text = std::str::from_utf8(&record.json).unwrap();
    let entry = towpath_admit::AuditEntry { id: "1", event_data: text, checksum: None };
    let arn = channel.parse().unwrap();
    let channel = towpath_admit::ChannelRef { arn: &arn, owner: record.account, region: &record.region };
    entry.check(&channel).unwrap();
    let event: Json = serde_json::from_str(text).unwrap();
    assert_eq!(event["userIdentity"]["type"], "ApiKey");
    assert_eq!(event["requestParameters"]["omitted"], true);
    assert_eq!(event["additionalEventData"]["readOnly"], false);
    assert_eq!(event["UID"], record.event_id.to_string());
}

#[test]
fn documents_that_cannot_be_used_are_refused_with_the_place() {
    assert!(refusal("swagger: '2.0'").contains("Swagger 2"));
    assert!(refusal("openapi: 2.0.0").contains("2.0.0"));
    let with = |rest: &str| refusal(&format!("openapi: 3.0.3\n{rest}"));
    assert!(with("components: {schemas: {A: {$ref: 'other.yaml#/A'}}}").contains("leads out of the document"));
    assert!(with("components: {schemas: {A: {$ref: '#/components/schemas/B'}}}").contains("leads to nothing"));
    let circle = "components: {schemas: {A: {$ref: '#/components/schemas/B'}, B: {$ref: '#/components/schemas/A'}}}";
    assert!(with(circle).contains("circle"));
    assert!(with("paths: {'/a/{b': {get: {}}}").contains("/a/{b"));
    let twice = "paths: {/a: {get: {operationId: x}}, /b: {get: {operationId: x}}}";
    assert!(with(twice).contains("stands twice"));
    // Neither examples nor members of that name hold references.
    let fine = "openapi: 3.0.3\ncomponents: {schemas: {A: {properties: {$ref: {type: string}}, example: {$ref: x}}}}";
    Document::of(yaml::read(fine).unwrap(), None).unwrap();
}

#[test]
fn mappings_that_make_no_sense_are_refused_with_the_member() {
    let refused = |text: &str| Mapping::parse(&format!("document = 'd'\n{text}")).unwrap_err().to_string();
    assert!(refused("event_source = ''").contains("event_source"));
    assert!(refused("event_source = 's'\nrecord = 'activity'").contains("channel"));
    assert!(refused("event_source = 's'\ncategory = 'data'").contains("resource"));
    assert!(refused("event_source = 's'\n[[resource]]\ntype = 'A::B'\narn = 'x'").contains("three words"));
    assert!(refused("event_source = 's'\nbase_path = 'v1'").contains("base_path"));
    assert!(refused("event_source = 's'\nhidden = []").contains("hidden"));
    let document = || Document::of(yaml::read(LIBRARY).unwrap(), None).unwrap();
    let absent = |text: &str| Api::of(document(), Mapping::parse(text).unwrap()).unwrap_err();
    let start = "document = 'd'\nevent_source = 's'\n";
    assert_eq!(absent(&format!("{start}[[caller]]\nscheme = 'x'")), ("security scheme", "x".to_owned()));
    assert_eq!(absent(&format!("{start}[operations.x]")), ("operation", "x".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_call_and_no_document_is_a_reason_to_panic(
        path in "(/[a-z0-9%.{}/]{0,20}){0,4}",
        query in "[a-z\\[\\]=&%|,+]{0,30}",
        body in ".{0,60}",
        header in "[ -~]{0,40}",
    ) {
        let target = format!("/v2/books{path}?{query}");
        if target.parse::<http::Uri>().is_ok() {
            for method in ["GET", "POST", "PUT"] {
                let call = call(method, &target).body("application/json", body.clone());
                call.header("authorization", &header).header("x-reader", &header).records(&api());
            }
        }
        let _ = yaml::read(&body).map(|json| Document::of(json, None));
    }

    #[test]
    fn what_a_template_takes_is_what_the_path_was_made_of(id in "[a-z0-9-]{1,10}", format in "[a-z]{1,4}") {
        let template = template::Template::parse("/a/{id}/x.{format}").unwrap();
        let path = format!("/a/{id}/x.{format}");
        let values = template.matches(&template::request_segments(&path).unwrap()).unwrap();
        prop_assert_eq!(values, vec![("id", id.as_str()), ("format", format.as_str())]);
    }
}

#[test]
fn the_time_of_a_record_is_that_of_the_end() {
    let [record] = call("GET", "/v2/books").records(&api()).try_into().unwrap();
    assert_eq!(record.time, "2026-11-21T05:00:01.5Z".parse::<Timestamp>().unwrap());
}
