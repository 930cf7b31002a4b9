//! Every operation of every service that botocore knows: a request made up for it decodes to itself, and so does an
//! answer.

use std::{
    collections::BTreeMap,
    io::Read,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value as Json;

use super::{
    botocore_data,
    encoder::{Client, Dice, Model},
    models,
};
use crate::{
    Request, Response, Value,
    decode::{self, Call, Decoded, Outcome},
    model::{Models, Protocol, ServiceHint, ServiceSummary},
};

/// The share of operations of which a request has to decode to the right operation and to equal parameters.
const SHARE: f64 = 0.999;

/// Counts of one run.
#[derive(Default)]
struct Tally {
    operations: usize,
    requests: usize,
    /// Operations with a request that came out as something else, and as what.
    wrong: Vec<String>,
    /// Requests whose service was not found among all by what they say of themselves.
    lost: Vec<String>,
    /// Those that are not found when the host says nothing, as behind a local address.
    hostless: usize,
    members: usize,
}

#[test]
fn a_request_and_an_answer_of_any_operation_of_botocore_decode_to_themselves() {
    let (Some(folder), Some(models)) = (botocore_data(), models()) else { return };
    let services: Vec<&ServiceSummary> = models.services().collect();
    assert!(services.len() > 300, "{} services", services.len());
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(summary) = services.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tally = try_service(models, &folder, summary);
                    let mut total = total.lock().unwrap();
                    total.operations += tally.operations;
                    total.requests += tally.requests;
                    total.members += tally.members;
                    total.wrong.extend(tally.wrong);
                    total.lost.extend(tally.lost);
                    total.hostless += tally.hostless;
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let share = 1.0 - total.wrong.len() as f64 / total.operations as f64;
    let found = 1.0 - total.lost.len() as f64 / total.requests as f64;
    let hostless = 1.0 - total.hostless as f64 / total.requests as f64;
    println!(
        "{} services, {} operations, {} requests, {} values: {:.3} % decode to themselves, {:.3} % find their service, \
         {:.3} % without a host",
        services.len(),
        total.operations,
        total.requests,
        total.members,
        share * 100.0,
        found * 100.0,
        hostless * 100.0,
    );
    for wrong in total.wrong.iter().take(60) {
        println!("wrong: {wrong}");
    }
    for lost in total.lost.iter().take(60) {
        println!("lost: {lost}");
    }
    assert!(total.operations > 15_000, "{} operations", total.operations);
    assert!(share >= SHARE, "{:.3} % of operations decode to themselves", share * 100.0);
    assert!(hostless >= 0.98, "{:.3} % of requests find their service without a host", hostless * 100.0);
    assert!(found >= SHARE, "{:.3} % of requests find their service", found * 100.0);
}

fn try_service(models: &Models, folder: &Path, summary: &ServiceSummary) -> Tally {
    let json = raw(&folder.join(&*summary.name));
    let raw = Model::of(&json);
    let model = models.service(&summary.name).unwrap().unwrap();
    let mut tally = Tally::default();
    assert_eq!(model.operations().len(), raw.operations.len(), "{}", summary.name);
    for (name, operation) in raw.operations {
        tally.operations += 1;
        let mut wrong = None;
        for protocol in &summary.protocols {
            for virtual_host in [false, true] {
                if virtual_host && &*summary.name != "s3" {
                    continue;
                }
                tally.requests += 1;
                let dice = Dice::of(&format!("{}/{name}/{protocol:?}", summary.name));
                let mut client = Client { model: &raw, protocol: *protocol, dice };
                let mut parameters = client.parameters(operation);
                if matches!(protocol, Protocol::Query | Protocol::Ec2) {
                    prune(&mut parameters);
                }
                if virtual_host {
                    forget(&mut parameters, "Bucket");
                }
                let request = client.write(name, operation, &parameters, virtual_host);
                if virtual_host && operation["http"]["requestUri"].as_str().unwrap().starts_with("/{Bucket}") {
                    remember(&mut parameters, "Bucket", "some.bucket-1");
                }
                tally.members += size(&parameters);
                let hint = ServiceHint::of(&request.head).signed_for(&summary.signing_name);
                if let Err(what) = find(models, &hint, &request, summary, name) {
                    tally.lost.push(what);
                }
                let hostless = ServiceHint { host: None, ..hint };
                tally.hostless += usize::from(find(models, &hostless, &request, summary, name).is_err());
                let outcome = Call::of(&model, &request, None).map_err(|cause| cause.to_string());
                let outcome = outcome.and_then(|call| {
                    check(&call, name, *protocol, &request, &parameters)?;
                    let output = client.output(operation);
                    tally.members += size(&output);
                    check_answer(&call, &client.answer(name, operation, &output), &output)
                });
                if let Err(what) = outcome {
                    wrong = Some(format!("{}:{name} in {protocol:?}: {what}", summary.name));
                }
            }
        }
        tally.wrong.extend(wrong);
    }
    tally
}

/// Looks for the service of a request among all.
fn find(
    models: &Models,
    hint: &ServiceHint<'_>,
    request: &Request,
    summary: &ServiceSummary,
    name: &str,
) -> Result<(), String> {
    let call = models.call(hint, request).map_err(|cause| format!("{}:{name}: {cause}", summary.name))?;
    let found = call.model().summary();
    // Neptune and DocumentDB are RDS on the wire: host, signature and operations are the same.
    let same_wire = found.endpoint_prefix == summary.endpoint_prefix && *call.operation().name == *name;
    match found.name == summary.name || same_wire {
        true => Ok(()),
        false => Err(format!("{}:{name} is taken for {}:{}", summary.name, found.name, call.operation().name)),
    }
}

fn check(call: &Call, name: &str, protocol: Protocol, request: &Request, expected: &Value) -> Result<(), String> {
    if *call.operation().name != *name {
        return Err(format!("is taken for {}", call.operation().name));
    }
    if call.protocol() != protocol {
        return Err(format!("is read as {:?}", call.protocol()));
    }
    let decoded = decode::request(call, request);
    if let Some(fault) = decoded.fault {
        return Err(fault.to_string());
    }
    if !decoded.complete {
        return Err("is not complete".to_owned());
    }
    compare(expected, &decoded.value, "").map_or(Ok(()), Err)
}

fn check_answer(call: &Call, response: &Response, expected: &Value) -> Result<(), String> {
    match decode::response(call, response).outcome {
        Outcome::Error { code, .. } => Err(format!("its answer is taken for the error {code}")),
        Outcome::Output(Decoded { fault: Some(fault), .. }) => Err(format!("its answer: {fault}")),
        Outcome::Output(Decoded { complete: false, .. }) => Err("its answer is not complete".to_owned()),
        Outcome::Output(decoded) => compare(expected, &decoded.value, "answer").map_or(Ok(()), Err),
    }
}

/// Where two values differ. The order of members is the model's and is looked at elsewhere.
fn compare(expected: &Value, actual: &Value, at: &str) -> Option<String> {
    match (expected, actual) {
        (Value::Structure(expected), Value::Structure(actual)) => {
            let names = |fields: &[crate::Field]| fields.iter().map(|f| (f.name.clone(), f.value.clone())).collect();
            let (expected, actual): (BTreeMap<_, _>, BTreeMap<_, _>) = (names(expected), names(actual));
            if let Some(name) = expected.keys().find(|name| !actual.contains_key(*name)) {
                return Some(format!("{at}.{name} is missing: {:?}", expected[name]));
            }
            if let Some(name) = actual.keys().find(|name| !expected.contains_key(*name)) {
                return Some(format!("{at}.{name} is new: {:?}", actual[name]));
            }
            expected.iter().find_map(|(name, value)| compare(value, &actual[name], &format!("{at}.{name}")))
        }
        (Value::List(expected), Value::List(actual)) if expected.len() == actual.len() => {
            expected.iter().zip(actual).find_map(|(a, b)| compare(a, b, &format!("{at}[]")))
        }
        (Value::Map(expected), Value::Map(actual)) => {
            let sorted = |entries: &[(String, Value)]| entries.iter().cloned().collect::<BTreeMap<_, _>>();
            let (expected, actual) = (sorted(expected), sorted(actual));
            if !expected.keys().eq(actual.keys()) {
                return Some(format!("{at} has keys {:?}, not {:?}", actual.keys(), expected.keys()));
            }
            expected.iter().find_map(|(key, value)| compare(value, &actual[key], &format!("{at}[{key}]")))
        }
        (expected, actual) => (expected != actual).then(|| format!("{at} is {actual:?}, not {expected:?}")),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Structure(fields) => 1 + fields.iter().map(|field| size(&field.value)).sum::<usize>(),
        Value::List(values) => 1 + values.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Takes out what a form cannot say: structures and lists with nothing in them. True if nothing is left.
fn prune(value: &mut Value) -> bool {
    match value {
        Value::Structure(fields) => {
            fields.retain_mut(|field| !prune(&mut field.value));
            fields.is_empty()
        }
        Value::List(values) => {
            values.retain_mut(|value| !prune(value));
            values.is_empty()
        }
        Value::Map(entries) => {
            entries.retain_mut(|(_, value)| !prune(value));
            entries.is_empty()
        }
        _ => false,
    }
}

fn forget(value: &mut Value, name: &str) {
    if let Value::Structure(fields) = value {
        fields.retain(|field| *field.name != *name);
    }
}

fn remember(value: &mut Value, name: &str, text: &str) {
    if let Value::Structure(fields) = value {
        fields.push(crate::Field { name: name.into(), value: Value::Text(text.to_owned()), sensitive: false });
    }
}

/// The newest model of a service, as JSON.
fn raw(folder: &Path) -> Json {
    let mut versions: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    let newest = |name: &str| versions.iter().rev().map(|folder| folder.join(name)).find(|file| file.is_file());
    let mut json = Vec::new();
    match newest("service-2.json.gz") {
        Some(file) => {
            flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut json).unwrap();
        }
        None => json = std::fs::read(newest("service-2.json").unwrap()).unwrap(),
    }
    serde_json::from_slice(&json).unwrap()
}
