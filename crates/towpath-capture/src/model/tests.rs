//! How models are read.

use std::{fs, path::Path};

use http::Method;

use super::*;
use crate::decode::tests::models;
use crate::decode::tests::models as models_of_botocore;

#[test]
fn botocore_is_opened_cheaply_and_newest_versions_are_taken() {
    let Some(models) = models() else { return };
    let names: Vec<&str> = models.services().map(|service| &*service.name).collect();
    assert!(names.len() > 300 && names.is_sorted(), "{}", names.len());
    let summary = models.services().find(|service| &*service.name == "marketplace-catalog").unwrap();
    assert_eq!(&*summary.signing_name, "aws-marketplace");
    assert_eq!(&*summary.endpoint_prefix, "catalog.marketplace");
    assert_eq!(summary.protocols, [Protocol::RestJson]);
    assert_eq!(&*summary.api_version, "2018-09-17");
}

#[test]
fn shapes_keep_their_order_and_their_traits() {
    let Some(models) = models() else { return };
    let s3 = models.service("s3").unwrap().unwrap();
    let put = s3.operation("PutObject").unwrap();
    assert_eq!(put.method, Method::PUT);
    let input = s3.input(put).unwrap();
    assert_eq!(&*input.payload().unwrap().name, "Body");
    assert!(input.payload().unwrap().streaming);
    assert!(input.member("SSECustomerKey").unwrap().sensitive);
    assert_eq!(input.member("Metadata").unwrap().place, Place::Headers);
    assert_eq!(&*input.member("Metadata").unwrap().wire, "x-amz-meta-");
    assert!(input.member("Bucket").unwrap().required);

    let partner = models.service("partnercentral-account").unwrap().unwrap();
    let input = partner.input(partner.operation("CreatePartner").unwrap()).unwrap();
    let names: Vec<&str> = input.members.iter().map(|member| &*member.name).collect();
    assert_eq!(names.first(), Some(&"Catalog"));
    assert!(input.member("LegalName").unwrap().sensitive);

    let iam = models.service("iam").unwrap().unwrap();
    let create = iam.operation("CreateUser").unwrap();
    assert_eq!(create.result_wrapper.as_deref(), Some("CreateUserResult"));
    let errors: Vec<&str> = create.errors.iter().map(|id| &*iam.shape(*id).name).collect();
    assert!(errors.contains(&"EntityAlreadyExistsException"));
    assert!(iam.operation("createuser").is_none());
}

#[test]
fn a_model_is_parsed_once() {
    let Some(models) = models() else { return };
    let first = models.service("support").unwrap().unwrap();
    let second = models.service("support").unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert!(models.service("no-such-service").is_none());
}

#[test]
fn odd_models_are_read_as_far_as_they_make_sense() {
    let json = r#"{"metadata":{"protocol":"telepathy"},"operations":{"Do":{"http":{"method":"B A D"},"input":{"shape":"Gone"}}},
        "shapes":{"Loop":{"type":"list","member":{"shape":"Loop"}},"Odd":{"type":"quantum"},
        "S":{"type":"structure","members":{"A":{"shape":"S"},"B":{"shape":"Gone"},"C":{}},"payload":"None","required":["Z"]}}}"#;
    let model = ServiceModel::parse("odd", json.as_bytes()).unwrap();
    let operation = model.operation("Do").unwrap();
    assert!(model.input(operation).is_none());
    assert!(matches!(model.shape(operation.input.unwrap()).kind, Kind::Unknown));
    assert!(matches!(model.shape(ShapeId(u32::MAX)).kind, Kind::Unknown));
    assert!(model.summary().protocols.is_empty());
    for text in ["", "[]", "{}", r#"{"metadata":{},"shapes":[]}"#, r#"{"metadata":{},"shapes":{"S":{"members":1}}}"#] {
        assert!(ServiceModel::parse("none", text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn templates_are_read_whatever_they_are() {
    let template = UriTemplate::parse("/a/{b}/{c+}/d/?e&f=g");
    assert_eq!(template.segments.len(), 4);
    assert!(template.trailing_slash);
    assert_eq!(template.literals.len(), 2);
    assert_eq!(template.labels_in("/a/1/2/3/d"), Some(vec!["1", "2/3"]));
    assert_eq!(template.labels_in("/a/1/d"), None);
    assert_eq!(template.labels_in("/a//2/d"), None);
    for odd in ["", "?", "{", "{}", "{+}", "/{a}{b}/c", "//", "/x{y}"] {
        let template = UriTemplate::parse(odd);
        let _ = template.labels_in("/x/y");
        let _ = template.labels_in("");
    }
}

const SMITHY: &str = r##"{
  "smithy": "2.0",
  "shapes": {
    "com.example.parks#Parks": {
      "type": "service", "version": "2024-01-01",
      "operations": [{"target": "com.example.parks#CloseParks"}],
      "resources": [{"target": "com.example.parks#Park"}],
      "traits": {
        "aws.api#service": {"sdkId": "Park Keeper", "endpointPrefix": "parks"},
        "aws.auth#sigv4": {"name": "parks-signing"},
        "aws.protocols#restJson1": {},
        "smithy.api#documentation": "x"
      }
    },
    "com.example.parks#Park": {
      "type": "resource", "read": {"target": "com.example.parks#GetPark"},
      "resources": [{"target": "com.example.parks#Park"}]
    },
    "com.example.parks#GetPark": {
      "type": "operation", "input": {"target": "com.example.parks#GetParkInput"}, "output": {"target": "smithy.api#Unit"},
      "errors": [{"target": "com.example.parks#NoPark"}],
      "traits": {"smithy.api#http": {"method": "GET", "uri": "/parks/{id}?x-id=GetPark", "code": 200}, "smithy.api#readonly": {}}
    },
    "com.example.parks#CloseParks": {
      "type": "operation", "input": {"target": "com.example.parks#CloseParksInput"},
      "traits": {"smithy.api#http": {"method": "POST", "uri": "/close"}}
    },
    "com.example.parks#Common": {
      "type": "structure", "members": {"reason": {"target": "com.example.parks#Secret", "traits": {"smithy.api#jsonName": "why"}}},
      "traits": {"smithy.api#mixin": {}}
    },
    "com.example.parks#CloseParksInput": {
      "type": "structure", "mixins": [{"target": "com.example.parks#Common"}],
      "members": {"ids": {"target": "com.example.parks#Ids"}, "at": {"target": "smithy.api#Timestamp"}}
    },
    "com.example.parks#GetParkInput": {
      "type": "structure",
      "members": {
        "id": {"target": "smithy.api#String", "traits": {"smithy.api#httpLabel": {}, "smithy.api#required": {}}},
        "lang": {"target": "com.example.parks#String", "traits": {"smithy.api#httpHeader": "X-Lang"}}
      }
    },
    "com.example.parks#Ids": {"type": "list", "member": {"target": "smithy.api#String"}},
    "com.example.parks#String": {"type": "enum", "members": {"DE": {"target": "smithy.api#Unit"}}},
    "com.example.parks#Secret": {"type": "string", "traits": {"smithy.api#sensitive": {}}},
    "com.example.parks#NoPark": {"type": "structure", "members": {}, "traits": {"smithy.api#error": "client", "smithy.api#httpError": 404}}
  }
}"##;

#[test]
fn a_smithy_ast_is_a_model() {
    let folder = scratch("smithy");
    fs::create_dir_all(folder.join("parks/service")).unwrap();
    fs::write(folder.join("parks/service/parks.json"), SMITHY).unwrap();
    fs::write(folder.join("other.json"), r#"{"version": "1.0", "rules": [1, 2]}"#).unwrap();
    fs::write(folder.join("broken.json"), "{").unwrap();
    let models = Models::open(&folder).unwrap();
    fs::remove_dir_all(&folder).ok();
    let summary = models.services().next().unwrap();
    assert_eq!((&*summary.name, &*summary.signing_name), ("park-keeper", "parks-signing"));
    assert_eq!(summary.protocols, [Protocol::RestJson]);
}

#[test]
fn calls_to_a_service_of_a_smithy_ast_are_decoded() {
    let model = Arc::new(smithy::parse("com.example.parks#Parks", SMITHY.as_bytes()).unwrap().unwrap());
    assert_eq!(model.operations().len(), 2);
    let get = model.operation("GetPark").unwrap();
    assert!(get.read_only && get.output.is_none());
    assert_eq!(model.structure(get.errors[0]).unwrap().error.as_ref().unwrap().status, Some(404));

    let decode = |method: &str, uri: &str, headers: &[(&str, &str)], body: &str| {
        let request = crate::decode::tests::request(method, uri, headers, body.to_owned());
        let call = crate::decode::Call::of(&model, &request, None).unwrap();
        crate::decode::request(&call, &request).value
    };
    let value = decode("GET", "/parks/p%201", &[("x-lang", "DE")], "");
    assert_eq!(value.member("id").and_then(crate::Value::text), Some("p 1"));
    assert_eq!(value.member("lang").and_then(crate::Value::text), Some("DE"));
    let value = decode("POST", "/close", &[], r#"{"at":1722516000,"ids":["a"],"why":"flood"}"#);
    let crate::Value::Structure(fields) = &value else { panic!("a structure") };
    let names: Vec<(&str, bool)> = fields.iter().map(|field| (&*field.name, field.sensitive)).collect();
    assert_eq!(names, [("reason", true), ("ids", false), ("at", false)]);
}

#[test]
fn a_folder_without_models_is_an_error() {
    let folder = scratch("empty");
    fs::create_dir_all(&folder).unwrap();
    assert!(matches!(Models::open(&folder), Err(ModelError::Empty(_))));
    fs::remove_dir_all(&folder).ok();
    assert!(matches!(Models::open(&folder), Err(ModelError::List { .. })));
}

#[test]
fn folders_add_up_and_the_first_one_wins() {
    let json = |version: &str| {
        format!(
            r#"{{"metadata":{{"apiVersion":"{version}","endpointPrefix":"a","protocol":"json"}},"operations":{{}},"shapes":{{}}}}"#
        )
    };
    let (one, two) = (scratch("one"), scratch("two"));
    for (folder, services) in
        [(&one, vec![("a", "2020-01-01"), ("a", "2019-01-01")]), (&two, vec![("a", "2024-01-01"), ("b", "1")])]
    {
        for (service, version) in services {
            write(&folder.join(service).join(version).join("service-2.json"), &json(version));
        }
    }
    let models = Models::open(&one).unwrap().and(Models::open(&two).unwrap());
    for folder in [one, two] {
        fs::remove_dir_all(folder).ok();
    }
    let found: Vec<(&str, &str)> = models.services().map(|s| (&*s.name, &*s.api_version)).collect();
    assert_eq!(found, [("a", "2020-01-01"), ("b", "1")]);
    assert!(matches!(models.service("a"), Some(Err(ModelError::Read { .. }))));
}

fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn scratch(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("towpath-models-{name}-{}", std::process::id()))
}

#[test]
fn what_botocore_adds_to_a_model_is_read_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let version = folder.path().join("parks/2026-11-21");
    fs::create_dir_all(&version).unwrap();
    let model = r#"{"metadata":{"protocol":"json","serviceId":"Parks","targetPrefix":"Parks"},
        "operations":{"Open":{"name":"Open","input":{"shape":"In"}}},
        "shapes":{"In":{"type":"structure","members":{"Name":{"shape":"S"},"At":{"shape":"T"}}},"S":{"type":"string"},"T":{"type":"string"}}}"#;
    fs::write(version.join("service-2.json"), model).unwrap();
    let extras = r#"{"version":1.0,"merge":{"metadata":{"serviceId":"Park Keeper"},"shapes":{"T":{"type":"timestamp"},
        "In":{"members":{"Source":{"shape":"New"}},"required":["Name"]},"New":{"type":"integer"}}}}"#;
    fs::write(version.join("service-2.sdk-extras.json"), extras).unwrap();
    let models = Models::open(folder.path()).unwrap();
    assert_eq!(&*models.services().next().unwrap().service_id, "Park Keeper");
    let model = models.service("parks").unwrap().unwrap();
    assert_eq!(&*model.summary().service_id, "Park Keeper");
    let input = model.input(model.operation("Open").unwrap()).unwrap();
    let names: Vec<_> = input.members.iter().map(|member| &*member.name).collect();
    assert_eq!(names, ["Name", "At", "Source"]);
    assert!(input.member("Name").unwrap().required);
    assert!(matches!(model.shape(input.member("At").unwrap().shape).kind, Kind::Time));
    assert!(matches!(model.shape(input.member("Source").unwrap().shape).kind, Kind::Integer));
    // Broken extras are not passed over in silence.
    fs::write(version.join("service-2.sdk-extras.json"), "{").unwrap();
    assert!(Models::open(folder.path()).unwrap().service("parks").unwrap().is_err());
    // Those of the installed botocore.
    let Some(models) = models_of_botocore() else { return };
    let rds = models.service("rds").unwrap().unwrap();
    let input = rds.input(rds.operation("CopyDBSnapshot").unwrap()).unwrap();
    assert!(input.member("SourceRegion").is_some());
}
