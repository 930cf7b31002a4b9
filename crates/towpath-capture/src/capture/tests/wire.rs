//! Builds exchanges as a proxy would see them, and finds the models and the sample data.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::Value as Json;
use towpath_admit::{UserIdentity, VpcEndpoint};
use towpath_model::AccountId;

use crate::capture::{Capture, Target};
use crate::model::Models;
use crate::profile::Profiles;
use crate::{Body, Ending, Exchange, Request, Response, Tls};

pub(super) const ACCOUNT: &str = "123456789012";

/// A call and its answer.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) method: &'static str,
    pub(super) uri: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
    pub(super) answer_headers: Vec<(String, String)>,
    pub(super) answer: Vec<u8>,
    pub(super) signing_name: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) time: Timestamp,
    pub(super) peer: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) bucket_domain: Option<String>,
    pub(super) vpc_endpoint: Option<VpcEndpoint>,
}

impl Wire {
    pub(super) fn new(method: &'static str, uri: &str, signing_name: &str) -> Self {
        Self {
            method,
            uri: uri.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            status: 200,
            answer_headers: vec![("x-amzn-requestid".to_owned(), "11111111-2222-3333-4444-555555555555".to_owned())],
            answer: Vec::new(),
            signing_name: Some(signing_name.to_owned()),
            tls: None,
            time: "2026-11-20T22:57:51.5Z".parse().unwrap(),
            peer: "192.0.2.1".to_owned(),
            region: "us-east-1".to_owned(),
            account: ACCOUNT.to_owned(),
            bucket_domain: None,
            vpc_endpoint: None,
        }
    }

    /// A call in AWS JSON.
    pub(super) fn json(target: &str, signing_name: &str, body: &Json) -> Self {
        Self::new("POST", "/", signing_name)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(body.to_string())
    }

    /// A call as a form.
    pub(super) fn form(signing_name: &str, version: &str, fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Version", version).extend_pairs(fields);
        Self::new("POST", "/", signing_name)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(form.finish())
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn answer(mut self, status: u16, body: impl Into<Vec<u8>>) -> Self {
        self.status = status;
        self.answer = body.into();
        self
    }

    pub(super) fn answer_header(mut self, name: &str, value: &str) -> Self {
        self.answer_headers.retain(|(other, _)| other != name);
        self.answer_headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn exchange(&self) -> Exchange {
        let mut request = http::Request::builder().method(self.method).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in &self.answer_headers {
            response = response.header(name, value);
        }
        Exchange {
            request: Request { head: request.body(()).unwrap().into_parts().0, body: Body::of(self.body.clone()) },
            ending: Ending::Answered(Response {
                head: response.body(()).unwrap().into_parts().0,
                body: Body::of(self.answer.clone()),
            }),
            began: self.time,
            ended: self.time,
            peer: self.peer.parse().unwrap(),
            tls: self.tls.clone(),
        }
    }

    pub(super) fn target(&self) -> Target {
        Target {
            service: None,
            signing_name: self.signing_name.clone(),
            region: self.region.parse().unwrap(),
            account: self.account.parse().unwrap(),
            event_source: None,
            bucket_domain: self.bucket_domain.clone(),
            vpc_endpoint: self.vpc_endpoint.clone(),
            copy_for_caller: false,
        }
    }

    /// The texts of all its records.
    pub(super) fn records(&self, capture: &Capture) -> Vec<String> {
        let records = capture.records(&self.exchange(), &self.target(), &caller());
        records.into_iter().map(|record| String::from_utf8(record.json.to_vec()).unwrap()).collect()
    }

    /// Its record, where it has one.
    pub(super) fn record(&self, capture: &Capture) -> Json {
        let records = self.records(capture);
        assert_eq!(records.len(), 1, "{records:?}");
        serde_json::from_str(&records[0]).unwrap()
    }
}

pub(super) fn caller() -> UserIdentity {
    let account: AccountId = ACCOUNT.parse().unwrap();
    let arn = towpath_model::Arn::iam(account, "user/ann");
    UserIdentity::iam_user("AIDAEXAMPLE", &arn, account, "AKIAEXAMPLE", "ann")
}

/// Capture with the models of the installed botocore; `None`, said aloud, where there is none. Named by
/// `TOWPATH_MODELS`, else asked of Python.
pub(super) fn capture() -> Option<&'static Capture> {
    static CAPTURE: OnceLock<Option<Capture>> = OnceLock::new();
    let capture = CAPTURE.get_or_init(|| {
        let asked = || {
            let script = "import botocore; print(botocore.__path__[0] + '/data')";
            let output = Command::new("python3").args(["-c", script]).output().ok()?;
            let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
            (!path.is_empty()).then(|| PathBuf::from(path))
        };
        let folder = std::env::var_os("TOWPATH_MODELS").map(PathBuf::from).or_else(asked);
        let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
            assert!(std::env::var_os("CI").is_none(), "botocore is not installed: its models are needed");
            eprintln!("skipped: botocore is not installed");
            return None;
        };
        Some(Capture::new(Models::open(folder).unwrap(), Profiles::shipped()))
    });
    capture.as_ref()
}

/// A file or folder of the sample data; `None`, said aloud, where it is absent.
pub(super) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TOWPATH_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let path = root.join("data").join(path);
    if !path.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}
