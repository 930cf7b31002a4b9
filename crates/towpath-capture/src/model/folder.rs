//! A folder of models: opened cheaply, each model parsed when it is first asked for.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use flate2::read::GzDecoder;
use serde::{
    Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{
    ModelError, ServiceHint, ServiceModel, ServiceSummary, botocore,
    choices::{Choices, Fitting},
    hint::Fit,
    smithy,
};
use crate::{
    Request,
    decode::{Call, Spoken, Unrouted},
};

/// No model is larger, inflated. The largest known (Amazon EC2) has about 10 MB.
const MODEL_BYTES: u64 = 64 << 20;
/// A folder deeper than that is not one of models.
const DEPTH: usize = 6;
/// A folder with more entries than that is not one of models.
const ENTRIES: usize = 100_000;

/// The services that are known.
#[derive(Debug, Default)]
pub struct Models {
    services: Vec<Service>,
    choices: Choices,
}

#[derive(Debug)]
struct Service {
    summary: ServiceSummary,
    source: Source,
    model: OnceLock<Result<Arc<ServiceModel>, ModelError>>,
}

#[derive(Debug)]
enum Source {
    Botocore(PathBuf),
    Smithy { file: PathBuf, shape: Arc<str> },
    Given,
}

impl Models {
    /// No service at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Opens a folder of models: botocore's `data` (of each service the newest version), or Smithy ASTs (`*.json`) in
    /// folders of any layout. Files that are no models are passed over, as botocore's folder has many.
    ///
    /// Reads the beginnings of all files; takes a fraction of a second for botocore's 400 services.
    ///
    /// # Errors
    /// A folder that cannot be listed or that holds no model at all.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        let folder = folder.as_ref();
        let mut models = Self::default();
        let mut entries = ENTRIES;
        models.scan(folder, DEPTH, &mut entries)?;
        if models.services.is_empty() {
            return Err(ModelError::Empty(folder.to_owned()));
        }
        models.services.sort_by(|a, b| a.summary.name.cmp(&b.summary.name));
        Ok(models)
    }

    /// Adds the services of `others` that are not here yet, by name.
    pub fn and(mut self, others: Self) -> Self {
        let known: HashSet<_> = self.services.iter().map(|service| Arc::clone(&service.summary.name)).collect();
        self.services.extend(others.services.into_iter().filter(|service| !known.contains(&service.summary.name)));
        self.choices = Choices::default();
        self
    }

    /// Adds a model that came from elsewhere, in place of one with its name.
    pub fn with(mut self, model: ServiceModel) -> Self {
        let summary = model.summary().clone();
        self.services.retain(|service| service.summary.name != summary.name);
        let model = OnceLock::from(Ok(Arc::new(model)));
        self.services.push(Service { summary, source: Source::Given, model });
        self.choices = Choices::default();
        self
    }

    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &ServiceSummary> {
        self.services.iter().map(|service| &service.summary)
    }

    /// The model of a service by the name it is filed under. `None` if there is no such service.
    pub fn service(&self, name: &str) -> Option<Result<Arc<ServiceModel>, ModelError>> {
        self.services.iter().find(|service| &*service.summary.name == name).map(Service::model)
    }

    /// The services that a hint fits, best first. Reads no model.
    pub fn candidates(&self, hint: &ServiceHint<'_>) -> Vec<&ServiceSummary> {
        self.fitting(hint).iter().map(|(_, at)| &self.services[*at].summary).collect()
    }

    /// Names the operation of a request: of all services that the hint fits, the one with an operation for it.
    ///
    /// Parses the models that come into question when they do so for the first time (tens of milliseconds each), so it
    /// belongs on a worker's thread.
    ///
    /// # Errors
    /// [`Unrouted`] says how far it got.
    pub fn call(&self, hint: &ServiceHint<'_>, request: &Request) -> Result<Call, Unrouted> {
        let spoken = Spoken::of(&request.head);
        let mut best: Option<(Fit, Call)> = None;
        let mut failed: Option<Unrouted> = None;
        for (fit, at) in self.fitting(hint).iter() {
            let service = &self.services[*at];
            // Between services for which the same speaks, the closest operation decides.
            if best.as_ref().is_some_and(|(best, _)| best.evidence() > fit.evidence()) {
                break;
            }
            if !spoken.may_be(&service.summary) {
                continue;
            }
            let call = match service.model() {
                Ok(model) => Call::of(&model, request, hint.bucket_domain),
                Err(cause) => Err(Unrouted::Model(cause)),
            };
            match call {
                Ok(call) if best.as_ref().is_none_or(|(_, best)| call.is_closer_than(best)) => {
                    best = Some((*fit, call))
                }
                Ok(_) => (),
                Err(cause) => failed = failed.or(Some(cause)),
            }
        }
        best.map(|(_, call)| call).ok_or_else(|| failed.unwrap_or(Unrouted::Service))
    }

    fn fitting(&self, hint: &ServiceHint<'_>) -> Fitting {
        self.choices.of(hint, || {
            let services = self.services.iter().enumerate();
            let mut fitting: Vec<_> =
                services.filter_map(|(at, service)| Some((hint.fits(&service.summary)?, at))).collect();
            fitting.sort_by_key(|(fit, _)| std::cmp::Reverse(*fit));
            fitting
        })
    }

    fn scan(&mut self, folder: &Path, depth: usize, entries: &mut usize) -> Result<(), ModelError> {
        let failed = |cause| ModelError::List { folder: folder.to_owned(), cause: Arc::new(cause) };
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            *entries = match entries.checked_sub(1) {
                Some(left) => left,
                None => return Ok(()),
            };
            let path = entry.map_err(failed)?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
        // botocore's layout: versions of one service side by side, the newest last. Their names are dates.
        folders.sort();
        if let Some(file) = folders.iter().rev().find_map(|folder| botocore_model(folder)) {
            if let Some(name) = folder.file_name().and_then(|name| name.to_str()) {
                self.add_botocore(name, file);
            }
            return Ok(());
        }
        files.sort();
        for file in files {
            self.add_smithy(file);
        }
        if depth == 0 {
            return Ok(());
        }
        for folder in folders {
            self.scan(&folder, depth - 1, entries)?;
        }
        Ok(())
    }

    fn add_botocore(&mut self, name: &str, file: PathBuf) {
        if let Ok(Head::Botocore(metadata)) = head(&file) {
            let mut summary = metadata.summary(name);
            let extras = extras_of(&file).and_then(|extras| read(&extras).ok());
            if let Some(id) = extras.and_then(|extras| botocore::service_id_of(&extras)) {
                summary.service_id = id.into();
            }
            self.services.push(Service { summary, source: Source::Botocore(file), model: OnceLock::new() });
        }
    }

    fn add_smithy(&mut self, file: PathBuf) {
        let name = file.to_string_lossy();
        if !(name.ends_with(".json") || name.ends_with(".json.gz")) || !matches!(head(&file), Ok(Head::Smithy)) {
            return;
        }
        let services = read(&file).ok().and_then(|json| smithy::services(&json).ok()).unwrap_or_default();
        for (shape, summary) in services {
            let source = Source::Smithy { file: file.clone(), shape };
            let service = Service { summary, source, model: OnceLock::new() };
            // Of several versions of a service the newest.
            match self.services.iter_mut().find(|known| known.summary.name == service.summary.name) {
                Some(known) if known.summary.api_version < service.summary.api_version => *known = service,
                Some(_) => (),
                None => self.services.push(service),
            }
        }
    }
}

impl Service {
    fn model(&self) -> Result<Arc<ServiceModel>, ModelError> {
        self.model.get_or_init(|| self.parse().map(Arc::new)).clone()
    }

    fn parse(&self) -> Result<ServiceModel, ModelError> {
        match &self.source {
            Source::Botocore(file) => {
                let failed = |cause| ModelError::Parse { file: file.clone(), cause: Arc::new(cause) };
                let extras = extras_of(file).map(|extras| read(&extras)).transpose()?;
                botocore::parse_with(&self.summary.name, &read(file)?, extras.as_deref()).map_err(failed)
            }
            Source::Smithy { file, shape } => {
                let failed = |cause| ModelError::Parse { file: file.clone(), cause: Arc::new(cause) };
                let gone = || ModelError::Gone { file: file.clone(), service: Arc::clone(shape) };
                smithy::parse(shape, &read(file)?).map_err(failed)?.ok_or_else(gone)
            }
            Source::Given => Err(ModelError::Empty(PathBuf::new())),
        }
    }
}

fn botocore_model(folder: &Path) -> Option<PathBuf> {
    ["service-2.json.gz", "service-2.json"].into_iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// What botocore adds to the model in a file, if it adds something.
fn extras_of(file: &Path) -> Option<PathBuf> {
    let names = ["service-2.sdk-extras.json.gz", "service-2.sdk-extras.json"];
    names.into_iter().map(|name| file.with_file_name(name)).find(|file| file.is_file())
}

/// What a file's beginning says it is.
enum Head {
    Botocore(Box<botocore::Metadata>),
    Smithy,
}

fn open(file: &Path) -> Result<Box<dyn Read>, ModelError> {
    let failed = |cause| ModelError::Read { file: file.to_owned(), cause: Arc::new(cause) };
    let opened = BufReader::new(File::open(file).map_err(failed)?);
    match file.extension().is_some_and(|extension| extension == "gz") {
        true => Ok(Box::new(GzDecoder::new(opened).take(MODEL_BYTES + 1))),
        false => Ok(Box::new(opened.take(MODEL_BYTES + 1))),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ModelError> {
    let mut json = Vec::new();
    open(file)?
        .read_to_end(&mut json)
        .map_err(|cause| ModelError::Read { file: file.to_owned(), cause: Arc::new(cause) })?;
    if json.len() as u64 > MODEL_BYTES {
        return Err(ModelError::TooLarge { file: file.to_owned(), limit: MODEL_BYTES });
    }
    Ok(json)
}

/// Reads a file until it has said what it is.
fn head(file: &Path) -> Result<Head, ModelError> {
    struct Keys<'a>(&'a mut Option<Head>);

    impl<'de> Visitor<'de> for Keys<'_> {
        type Value = ();

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("a service model")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<String>()? {
                *self.0 = match key.as_str() {
                    "metadata" => Some(Head::Botocore(map.next_value()?)),
                    "smithy" => Some(Head::Smithy),
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                };
                // The rest is not read: an error is the way out of a deserializer.
                return Err(A::Error::custom("known"));
            }
            Ok(())
        }
    }

    let mut found = None;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(4096, open(file)?));
    let outcome = json.deserialize_map(Keys(&mut found));
    let cause = match (found, outcome) {
        (Some(head), _) => return Ok(head),
        (None, Err(cause)) => cause,
        (None, Ok(())) => serde_json::Error::custom("neither metadata nor smithy"),
    };
    Err(ModelError::Parse { file: file.to_owned(), cause: Arc::new(cause) })
}
