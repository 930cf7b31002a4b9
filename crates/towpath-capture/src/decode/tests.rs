//! How calls are decoded.

mod answers;
mod encoder;
mod every_operation;
mod hostile;
mod requests;
mod routing;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::{Call, Unrouted};
use crate::{
    Body, Request, Response,
    model::{Models, ServiceModel},
};

/// The botocore folder of the black-box tests' Python environment, or what `TOWPATH_BOTOCORE_DATA` names.
///
/// `None` where neither is there: `tools/python-env` makes the environment. What needs it is passed over then.
pub(crate) fn botocore_data() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("TOWPATH_BOTOCORE_DATA") {
        return Some(PathBuf::from(folder));
    }
    let found = python_env().and_then(|folder| {
        let versions = std::fs::read_dir(folder.join("lib")).ok()?;
        let data = |entry: std::fs::DirEntry| entry.path().join("site-packages/botocore/data");
        versions.flatten().map(data).find(|data| data.is_dir())
    });
    if found.is_none() {
        eprintln!("passed over: botocore is not installed (run tools/python-env or set TOWPATH_BOTOCORE_DATA)");
    }
    found
}

/// Where `tools/python-env` puts its environment.
fn python_env() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("TOWPATH_PYTHON_ENV") {
        return Some(PathBuf::from(folder));
    }
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/requirements.txt");
    let digest = Sha256::digest(std::fs::read(requirements).ok()?);
    let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join(format!("towpath/python-{short}")))
}

/// All models of botocore, opened once.
pub(crate) fn models() -> Option<&'static Models> {
    static MODELS: LazyLock<Option<Models>> =
        LazyLock::new(|| Some(Models::open(botocore_data()?).expect("botocore's folder has models")));
    MODELS.as_ref()
}

/// A model of a few lines of JSON in botocore's form.
fn model(metadata: &str, operations: &str, shapes: &str) -> Arc<ServiceModel> {
    let json = format!(r#"{{"metadata":{{{metadata}}},"operations":{{{operations}}},"shapes":{{{shapes}}}}}"#);
    Arc::new(ServiceModel::parse("example", json.as_bytes()).expect("a model"))
}

pub(crate) fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Request {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).expect("a request").into_parts();
    Request { head, body: Body::of(body) }
}

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        map.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let mut response = http::Response::builder().status(status);
    *response.headers_mut().expect("a builder") = map;
    let (head, ()) = response.body(()).expect("a response").into_parts();
    Response { head, body: Body::of(body) }
}

fn named(outcome: Result<Call, Unrouted>) -> String {
    match outcome {
        Ok(call) => format!("{}:{}", call.model().summary().name, call.operation().name),
        Err(cause) => format!("- {cause}"),
    }
}
