//! Bodies that are forms or XML.

use super::*;

const SHOP: &str = r##"
openapi: 3.0.3
paths:
  /pets:
    post:
      operationId: addPet
      requestBody:
        content:
          multipart/form-data: {schema: {$ref: "#/components/schemas/Upload"}}
          application/xml: {schema: {$ref: "#/components/schemas/Pet"}}
          application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Pet"}}
      responses: {201: {content: {application/xml: {schema: {$ref: "#/components/schemas/Pet"}}}}}
components:
  schemas:
    Upload:
      allOf:
        - {$ref: "#/components/schemas/Pet"}
        - {type: object, properties: {photo: {type: string, format: binary}, notes: {type: array, items: {type: integer}}}}
    Pet:
      type: object
      properties:
        id: {type: integer, xml: {attribute: true}}
        name: {type: string}
        chip: {type: string, xml: {name: Chip}}
        keeperCode: {type: string, writeOnly: true, xml: {name: kc}}
        tags: {type: array, xml: {wrapped: true, name: Tags}, items: {type: string, xml: {name: tag}}}
        photos: {type: array, items: {type: string, xml: {name: photoUrl}}}
        owner: {$ref: "#/components/schemas/Owner"}
    Owner: {type: object, properties: {first: {type: string, xml: {name: f}}, code: {type: string, format: password}}}
"##;

fn shop() -> Api {
    api_with(SHOP, "document = 'd'\nevent_source = 'shop.example'")
}

fn asked(kind: &str, body: impl Into<Bytes>) -> Json {
    call("POST", "/pets").body(kind, body).record(&shop())["requestParameters"].clone()
}

fn form(parts: &[(&str, &str)]) -> String {
    let part =
        |(head, content): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
    parts.iter().map(part).collect::<String>() + "--b--\r\n"
}

const MULTIPART: &str = "multipart/form-data; boundary=b";

#[test]
fn fields_of_a_multipart_form_have_their_types_and_files_are_told_by_name_and_size() {
    let body = form(&[
        ("name=\"name\"", "Rex"),
        ("name=\"id\"", "7"),
        ("name=\"notes\"", "1"),
        ("name=\"keeperCode\"", "s3cr3t"),
        ("name=\"owner\"\r\nContent-Type: application/json", r#"{"first":"Ann","code":"s3cr3t"}"#),
        ("name=\"photo\"; filename=\"rex.png\"\r\nContent-Type: image/png", "s3cr3t bytes"),
        ("name=\"other\"; filename=\"a.txt\"", "s3cr3t"),
        ("name=\"raw\"\r\nContent-Type: application/octet-stream", "s3cr3t"),
        ("name=\"password\"", "s3cr3t"),
    ]);
    let asked = asked(MULTIPART, body);
    assert_eq!(
        asked,
        json!({
            "name": "Rex", "id": 7, "notes": [1], "keeperCode": hidden::HIDDEN,
            "owner": {"first": "Ann", "code": hidden::HIDDEN},
            "photo": {"fileName": "rex.png", "contentType": "image/png", "size": 12},
            "other": {"fileName": "a.txt", "size": 6}, "raw": {"contentType": "application/octet-stream", "size": 6},
            "password": hidden::HIDDEN,
        })
    );
}

#[test]
fn of_a_form_that_was_not_kept_whole_the_parts_before_the_cut_are_recorded() {
    let body =
        form(&[("name=\"name\"", "Rex"), ("name=\"photo\"; filename=\"rex.png\"", "abcdef"), ("name=\"id\"", "7")]);
    let cut = body.find("cdef").unwrap();
    let mut call = call("POST", "/pets").body(MULTIPART, body.as_bytes()[..cut].to_vec());
    call.body.total = 9_000_000;
    let omitted = json!({"reason": "body too large", "omitted": true, "originalSize": 9_000_000});
    let expected = json!({"name": "Rex", "photo": {"fileName": "rex.png"}, "body": omitted});
    assert_eq!(call.record(&shop())["requestParameters"], expected);
    assert_eq!(asked("multipart/form-data", "x"), json!(null));
    assert_eq!(asked(MULTIPART, "no form"), json!(null));
}

#[test]
fn names_of_forms_nest_and_repeat() {
    let kind = "application/x-www-form-urlencoded";
    let body = "id=7&name=12&tags=a&owner[first]=Ann&owner[code]=s3cr3t&photos[]=x&photos[]=y&free[a][b]=1&card[pin]=s3cr3t&bad[=2";
    assert_eq!(
        asked(kind, body),
        json!({
            "id": 7, "name": "12", "tags": ["a"], "owner": {"first": "Ann", "code": hidden::HIDDEN},
            "photos": ["x", "y"], "free": {"a": {"b": "1"}}, "card": {"pin": hidden::HIDDEN}, "bad[": "2",
        })
    );
}

#[test]
fn xml_has_the_names_and_types_of_its_schema() {
    let body = r#"<?xml version="1.0"?><Pet id="7"><name>12</name><Chip>007</Chip><kc>s3cr3t</kc><Tags><tag>a</tag><tag>1</tag></Tags>
        <photoUrl>x</photoUrl><photoUrl>y</photoUrl><owner><f>true</f><code>s3cr3t</code></owner><extra>1</extra></Pet>"#;
    let pet = json!({
        "id": 7, "name": "12", "chip": "007", "keeperCode": hidden::HIDDEN, "tags": ["a", "1"], "photos": ["x", "y"],
        "owner": {"first": "true", "code": hidden::HIDDEN}, "extra": 1,
    });
    assert_eq!(asked("application/xml; charset=utf-8", body), pet);
    let record = call("POST", "/pets").body("text/xml", body).answered(201, "application/xml", body).record(&shop());
    assert_eq!(record["responseElements"], pet);
    // One element and an empty list are lists too.
    let one = asked("application/xml", "<Pet><Tags/><photoUrl>x</photoUrl></Pet>");
    assert_eq!(one, json!({"tags": [], "photos": ["x"]}));
    for broken in ["<Pet>", "no xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"] {
        assert_eq!(asked("application/xml", broken), json!(null), "{broken}");
    }
    let failed = call("POST", "/pets").body("application/xml", body);
    let record = failed.answered(
        400,
        "application/xml",
        "<error><code>BadPet</code><message>s3cr3t is no code</message></error>",
    );
    let record = record.record(&shop());
    assert_eq!(record["errorCode"], "BadPet");
    assert_eq!(record["errorMessage"], format!("{} is no code", hidden::HIDDEN));
}

#[test]
fn a_document_of_several_files_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("api.toml", "document = 'api.yaml'\nevent_source = 'shop.example'");
    write("api.yaml", "openapi: 3.0.3\npaths: {/pets: {$ref: pets.yaml}}");
    write(
        "pets.yaml",
        "post: {operationId: addPet, requestBody: {content: {application/json: {schema: {$ref: 'schemas.json#/Pet'}}}}}",
    );
    write("schemas.json", r#"{"Pet": {"properties": {"code": {"type": "string", "writeOnly": true}}}}"#);
    let api = Api::open(&folder.path().join("api.toml")).unwrap();
    let record = call("POST", "/pets").json(&json!({"name": "Rex", "code": "s3cr3t"})).record(&api);
    assert_eq!(record["eventName"], "addPet");
    assert_eq!(record["requestParameters"], json!({"name": "Rex", "code": hidden::HIDDEN}));
    write("pets.yaml", "post: {requestBody: {$ref: '../elsewhere.yaml'}}");
    let refused = Api::open(&folder.path().join("api.toml")).unwrap_err().to_string();
    assert!(refused.contains("pets.yaml") && refused.contains("../elsewhere.yaml"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_body_is_a_reason_to_panic(
        parts in prop::collection::vec("(--b|--b--|\r\n|\r\n\r\n|Content-Disposition: form-data|; name=\"|photo|\"|; filename=\"x|<Pet>|</Pet>|<Tags>|<id>|&#1;|a\\[|\\]|=|&|7)", 0..30),
        kind in "(multipart/form-data; boundary=b|application/xml|application/x-www-form-urlencoded)",
    ) {
        asked(&kind, parts.concat());
    }
}
