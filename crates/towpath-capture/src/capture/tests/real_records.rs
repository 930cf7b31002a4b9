//! Real records: their keys are those that the models and profiles make, in the order that the writer has.

use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value as Json;
use towpath_admit::record_name;

use super::wire::{Wire, capture, shared};
use crate::Value;
use crate::capture::Capture;
use crate::json;
use crate::model::{Kind, OperationModel, ServiceModel, ShapeId};
use crate::profile::{Form, Profile};

/// The sources that are records of CloudTrail, as delivered or with values replaced.
const SOURCES: [&str; 6] =
    ["sans504-s3-ransomware", "stratus-red-team", "cloud-custodian", "cloudtrail2sightings", "plaso", "trailscraper"];
/// Fields that a gateway knows nothing of.
const ELSEWHERE: [&str; 3] = ["vpcEndpointId", "vpcEndpointAccountId", "sessionCredentialFromConsole"];

fn source(name: &str) -> Option<Vec<u8>> {
    let file = std::fs::File::open(shared(&format!("cloudtrail/{name}.json.gz"))?).unwrap();
    let mut text = Vec::new();
    GzDecoder::new(file).read_to_end(&mut text).unwrap();
    Some(text)
}

/// The records of a source.
fn records(name: &str) -> Option<Vec<Json>> {
    let file: Json = serde_json::from_slice(&source(name)?).unwrap();
    match file {
        Json::Object(mut members) => match members.remove("Records") {
            Some(Json::Array(records)) => Some(records),
            _ => panic!("{name} has no records"),
        },
        _ => panic!("{name} is no log file"),
    }
}

/// The service and operation of a model whose records have this event source and name, and the profile.
fn operation<'a>(
    capture: &'a Capture,
    event_source: &str,
    event_name: &str,
) -> Option<(std::sync::Arc<ServiceModel>, String, &'a Profile)> {
    for profile in capture.profiles().iter().filter(|profile| profile.event_source() == event_source) {
        for summary in capture.models().services() {
            let own = capture.profiles().of_service(&summary.service_id);
            if !own.is_some_and(|own| std::ptr::eq(own, profile)) {
                continue;
            }
            let model = capture.models().service(&summary.name).unwrap().unwrap();
            let named = |operation: &&OperationModel| {
                capture.profiles().rules(profile, &operation.name).event_name == event_name
            };
            // `ListObjects` is the name of both versions: the newer one has all that the older one has.
            let found = model.operations().iter().rfind(named).map(|operation| operation.name.to_string());
            if let Some(name) = found {
                return Some((model, name, profile));
            }
        }
    }
    None
}

/// Counts keys: how many there are, and those that no member explains.
#[derive(Default)]
struct Keys {
    total: usize,
    strange: BTreeMap<String, usize>,
}

impl Keys {
    fn check(&mut self, known: bool, name: impl FnOnce() -> String) {
        self.total += 1;
        if !known {
            *self.strange.entry(name()).or_default() += 1;
        }
    }

    fn share(&self) -> f64 {
        1.0 - self.strange.values().sum::<usize>() as f64 / self.total as f64
    }
}

/// Compares the keys of a structure with the members that its shape has, and goes on inside.
fn compare(model: &ServiceModel, shape: ShapeId, value: &Json, extra: &HashSet<String>, place: &str, keys: &mut Keys) {
    match (&model.shape(shape).kind, value) {
        (Kind::Structure(structure), Json::Object(members)) => {
            for (key, value) in members {
                let member = structure.members.iter().find(|member| record_name(&member.name) == *key);
                keys.check(member.is_some() || extra.contains(key), || format!("{place}.{key}"));
                if let Some(member) = member {
                    compare(model, member.shape, value, &HashSet::new(), &format!("{place}.{key}"), keys);
                }
            }
        }
        (Kind::List { element }, Json::Array(items)) => {
            for item in items {
                compare(model, element.shape, item, &HashSet::new(), place, keys);
            }
        }
        _ => {}
    }
}

#[test]
fn keys_of_real_records_are_those_that_models_and_profiles_make() {
    let Some(capture) = capture() else { return };
    let (mut members, mut wire) = (Keys::default(), Keys::default());
    let (mut calls, mut unnamed) = (0, BTreeMap::<String, usize>::new());
    for name in SOURCES {
        let Some(records) = records(name) else { return };
        let mut known = std::collections::HashMap::new();
        for record in &records {
            let text = |key: &str| record[key].as_str().unwrap_or_default();
            let (event_source, event_name) = (text("eventSource"), text("eventName"));
            let shipped = capture.profiles().iter().any(|profile| profile.event_source() == event_source);
            if !shipped || text("eventType") != "AwsApiCall" {
                continue;
            }
            calls += 1;
            let found = known
                .entry((event_source.to_owned(), event_name.to_owned()))
                .or_insert_with(|| operation(capture, event_source, event_name));
            let Some((model, name, profile)) = found else {
                *unnamed.entry(format!("{event_source} {event_name}")).or_default() += 1;
                continue;
            };
            let operation = model.operation(name).unwrap();
            let rules = capture.profiles().rules(profile, name);
            match profile.form() {
                Form::Members => {
                    let extra = |side: &crate::profile::SideRules| -> HashSet<String> {
                        side.add.iter().map(|(name, _)| name.clone()).chain(side.order.iter().cloned()).collect()
                    };
                    let place = format!("{event_name}?");
                    if let Some(input) = operation.input {
                        compare(
                            model,
                            input,
                            &record["requestParameters"],
                            &extra(&rules.request),
                            &place,
                            &mut members,
                        );
                    }
                    if let Some(output) = operation.output {
                        let place = format!("{event_name}!");
                        let mut output = output;
                        if rules.response.unwrap
                            && let [member] = model.members(output)
                        {
                            output = member.shape;
                        }
                        compare(
                            model,
                            output,
                            &record["responseElements"],
                            &extra(&rules.response),
                            &place,
                            &mut members,
                        );
                    }
                }
                Form::S3 => {
                    let payload = model.input(operation).and_then(|input| input.payload());
                    let root = payload.map(|member| member.wire.to_string());
                    for key in record["requestParameters"].as_object().into_iter().flat_map(|object| object.keys()) {
                        let listed = profile.printed_wire_names().iter().any(|pattern| pattern.matches(key));
                        let own = ["bucketName", "Host", "key", "bucketPolicy"].contains(&key.as_str());
                        let body = root.as_deref() == Some(key);
                        wire.check(listed || own || body, || format!("{event_name}?{key}"));
                    }
                    for key in record["responseElements"].as_object().into_iter().flat_map(|object| object.keys()) {
                        let listed = rules.response.headers.iter().any(|header| header.name == *key);
                        wire.check(listed, || format!("{event_name}!{key}"));
                    }
                }
                Form::Ec2 => {
                    let shape = operation.input.map(|input| model.members(input)).unwrap_or_default();
                    for key in record["requestParameters"].as_object().into_iter().flat_map(|object| object.keys()) {
                        let set = |member: &crate::model::Member| {
                            profile.set(name, &member.name).is_some_and(|(set, _)| set == key)
                        };
                        let member = shape.iter().any(|member| record_name(&member.name) == *key || set(member));
                        let dump = !profile.is_classic(name) && *key == format!("{name}Request");
                        wire.check(member || dump, || format!("{event_name}?{key}"));
                    }
                }
            }
        }
    }
    println!("{calls} calls; members {} of {} keys strange {:?}", members.share(), members.total, members.strange);
    println!("wire {} of {} keys strange {:?}; unnamed {unnamed:?}", wire.share(), wire.total, wire.strange);
    assert!(calls > 20_000 && members.total > 7_000 && wire.total > 50_000);
    assert!(unnamed.values().sum::<usize>() * 1000 < calls, "{unnamed:?}");
    assert!(members.share() > 0.995, "{} {:?}", members.share(), members.strange);
    assert!(wire.share() > 0.999, "{} {:?}", wire.share(), wire.strange);
}

#[test]
fn fields_stand_in_the_order_of_delivered_records() {
    let Some(capture) = capture() else { return };
    let Some(text) = source("sans504-s3-ransomware") else { return };
    // One record that has everything a captured call can have, and one that failed.
    let put = Wire::new("PUT", "/bucket/key", "s3")
        .header("host", "s3.us-east-1.amazonaws.com")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20261120/us-east-1/s3/aws4_request, Signature=0")
        .header("user-agent", "aws-cli");
    let mut failed = put.clone().answer(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>");
    failed.tls = Some(crate::Tls::default());
    let keys = |value: &Value| -> Vec<String> {
        match value {
            Value::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            _ => Vec::new(),
        }
    };
    let written = keys(&json::read_object(failed.records(capture)[0].as_bytes()).unwrap());
    assert!(written.len() >= 20, "{written:?}");
    let place = |key: &str| written.iter().position(|known| known == key);

    let Value::Map(file) = json::read_object(&text).unwrap() else { panic!() };
    let Some((_, Value::List(records))) = file.into_iter().next() else { panic!() };
    let (mut compared, mut swapped) = (0, 0);
    for record in &records {
        let mut keys = keys(record);
        // Some services of that time put the category before the recipient.
        let category = keys.iter().position(|key| key == "eventCategory");
        if let Some(at) = category.filter(|at| keys.get(at + 1).is_some_and(|next| next == "recipientAccountId")) {
            let category = keys.remove(at);
            let shared = keys.get(at + 1).is_some_and(|next| next == "sharedEventID");
            keys.insert(at + 1 + usize::from(shared), category);
            swapped += 1;
        }
        let mut last = None;
        for key in keys {
            let at = place(&key);
            let absent = ["sharedEventID", "apiVersion", "serviceEventDetails"].contains(&key.as_str());
            assert!(at.is_some() || absent || ELSEWHERE.contains(&key.as_str()), "{key}");
            if at.is_some() {
                assert!(at > last, "{key} stands elsewhere");
                last = at;
                compared += 1;
            }
        }
    }
    assert!(swapped * 100 < records.len(), "{swapped}");
    assert!(compared > 400_000, "{compared}");
}

#[test]
fn real_records_say_of_each_operation_whether_it_reads_as_profiles_do() {
    let Some(capture) = capture() else { return };
    let (mut compared, mut other) = (0, BTreeMap::<String, usize>::new());
    for name in SOURCES {
        let Some(records) = records(name) else { return };
        let mut known = std::collections::HashMap::new();
        for record in &records {
            let text = |key: &str| record[key].as_str().unwrap_or_default();
            let (event_source, event_name) = (text("eventSource"), text("eventName"));
            let (Some(read_only), Some(management)) =
                (record["readOnly"].as_bool(), record["managementEvent"].as_bool())
            else {
                continue;
            };
            if !capture.profiles().iter().any(|profile| profile.event_source() == event_source) {
                continue;
            }
            let found = known.entry((event_source.to_owned(), event_name.to_owned())).or_insert_with(|| {
                let (model, name, profile) = operation(capture, event_source, event_name)?;
                let rules = capture.profiles().rules(profile, &name);
                let operation = model.operation(&name)?;
                let rest = model.summary().protocols.iter().any(|protocol| protocol.is_rest());
                let safe = operation.method == http::Method::GET || operation.method == http::Method::HEAD;
                let by_name = operation.read_only || (rest && safe) || crate::profile::reads_by_name(&name);
                Some((rules.read_only.unwrap_or(by_name), rules.plane() == towpath_admit::Plane::Management))
            });
            if let Some(found) = found {
                compared += 1;
                if *found != (read_only, management) {
                    *other.entry(format!("{event_source} {event_name} {read_only} {management}")).or_default() += 1;
                }
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
    assert!(other.is_empty(), "{other:?}");
}
