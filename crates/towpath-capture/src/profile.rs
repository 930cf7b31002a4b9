//! Service profiles: what is particular to the records of a service.
//!
//! A profile is a TOML file, one per service, that a person can read and change; `docs/profiles.md` documents the format.
//! The profiles of `profiles/` are built in. A folder of the user's adds services and takes the place of built-in ones
//! with the same event source. What no profile says, `general.toml` says: it holds for every service, so that the secrets
//! it names stay out of the records of a service that nobody has written a profile for.

mod document;
mod filling;
mod names;
mod paths;
mod read_write;
mod rules;
mod shipped;
mod template;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use towpath_admit::Plane;
use towpath_model::Region;

pub use document::{AdditionalFrom, Form, SensitiveMembers, TimeForm};
pub(crate) use names::Pattern;
pub(crate) use paths::{Action, Walk};
pub(crate) use read_write::reads_by_name;
pub(crate) use rules::{OperationRules, SideRules};
pub(crate) use template::{Facts, ResourceRule};

use document::Document;

/// The most operations whose rules are kept compiled, of one service.
const MAX_COMPILED: usize = 2048;

/// The profiles in force.
#[derive(Debug)]
pub struct Profiles {
    profiles: Vec<Arc<Profile>>,
    general: Arc<Profile>,
}

/// Why profiles cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The folder or a file of it cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A profile is not as the format wants it.
    #[error("cannot understand profile {name}: {reason}")]
    Form {
        /// The file, or the name of a built-in profile.
        name: String,
        /// What is wrong, with the place.
        reason: String,
    },
}

impl Profiles {
    /// The profiles that are built in.
    pub fn shipped() -> Self {
        let mut profiles = Self { profiles: Vec::new(), general: Arc::new(Profile::empty()) };
        for (name, text) in shipped::FILES {
            let profile = Profile::parse(name, text).expect("built-in profiles are parsed by a test");
            profiles.put(profile);
        }
        profiles
    }

    /// The built-in profiles with those of a folder: every `*.toml` file of it, in the order of their names.
    ///
    /// A file takes the place of the profile that has its event source and a service in common with it, or no service as it
    /// has none; one with the event source `*` that of the general rules.
    ///
    /// # Errors
    /// The folder or one of its files cannot be read, or a file is no profile.
    pub fn with_folder(folder: &Path) -> Result<Self, ProfileError> {
        let read = |path: &Path, cause| ProfileError::Read { path: path.to_owned(), cause };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|cause| read(folder, cause))? {
            let path = entry.map_err(|cause| read(folder, cause))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let mut profiles = Self::shipped();
        for path in files {
            let text = std::fs::read_to_string(&path).map_err(|cause| read(&path, cause))?;
            profiles.put(Profile::parse(&path.display().to_string(), &text)?);
        }
        Ok(profiles)
    }

    fn put(&mut self, profile: Profile) {
        if profile.document.event_source == GENERAL {
            self.general = Arc::new(profile);
        } else {
            self.profiles.retain(|other| !profile.document.replaces(&other.document));
            self.profiles.push(Arc::new(profile));
        }
    }

    /// All profiles but the general one.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter().map(Arc::as_ref)
    }

    /// What `X-Amz-Target` of calls begins with, and the signing name of the service, of profiles that name both.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (String, String)> {
        self.iter().flat_map(|profile| {
            let service = profile.document.signing_names.first();
            profile.document.targets.iter().filter_map(move |target| Some((target.clone(), service?.clone())))
        })
    }

    /// What holds for a service without a profile.
    pub fn general(&self) -> &Profile {
        &self.general
    }

    /// The profile of the service with this id in its model (`Marketplace Catalog`).
    pub fn of_service(&self, service_id: &str) -> Option<&Profile> {
        self.iter().find(|profile| profile.document.services.iter().any(|id| id.eq_ignore_ascii_case(service_id)))
    }

    /// The profile of a service that is known by what a call says of it alone: what its `X-Amz-Target` begins with, what
    /// its signature names, or its host, in this order.
    pub fn of_call(&self, target: Option<&str>, signing_name: Option<&str>, host: Option<&str>) -> Option<&Profile> {
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
        let by_target = target.and_then(|target| self.iter().find(|it| has(&it.document.targets, target)));
        let by_name = || signing_name.and_then(|name| self.iter().find(|it| has(&it.document.signing_names, name)));
        let by_host = || host.and_then(|host| self.iter().find(|it| it.answers_at(host)));
        by_target.or_else(by_name).or_else(by_host)
    }

    /// What `errorCode` reads for an error of this name, where it is another.
    pub fn error_code<'a>(&'a self, profile: &'a Profile, code: &'a str) -> &'a str {
        self.renamed_error(profile, code).unwrap_or(code)
    }

    /// The code of an error of an operation whose answer has only a status.
    pub fn status_code<'a>(&'a self, profile: &'a Profile, operation: &str, status: u16) -> Option<&'a str> {
        let own = self.renamed_error(profile, &format!("{operation} {status}"));
        own.or_else(|| self.renamed_error(profile, &status.to_string()))
    }

    fn renamed_error<'a>(&'a self, profile: &'a Profile, code: &str) -> Option<&'a str> {
        let mut documents = [&profile.document, &self.general.document].into_iter();
        documents.find_map(|document| document.error_codes.get(code)).map(String::as_str)
    }

    /// The rules for an operation of a service, or of one without a profile.
    pub(crate) fn rules(&self, profile: &Profile, operation: &str) -> Arc<OperationRules> {
        profile.compiled(operation, &self.general)
    }

    /// The same, without keeping them for the next call.
    pub(crate) fn rules_once(&self, profile: &Profile, operation: &str) -> Arc<OperationRules> {
        Arc::new(OperationRules::compile(operation, [&self.general.document, &profile.document]))
    }
}

impl Default for Profiles {
    fn default() -> Self {
        Self::shipped()
    }
}

/// The event source that marks the general profile.
const GENERAL: &str = "*";

/// What is particular to the records of one service.
#[derive(Debug)]
pub struct Profile {
    document: Document,
    // Compiled when an operation is first called. Held for a lookup or an insertion.
    operations: RwLock<HashMap<Box<str>, Arc<OperationRules>>>,
}

impl Profile {
    fn empty() -> Self {
        Self { document: Document::default(), operations: RwLock::default() }
    }

    /// Reads a profile; `name` is for messages.
    ///
    /// # Errors
    /// The text is no TOML, has a key that the format does not know, or a path, pattern or template that makes no sense.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let form = |reason: String| ProfileError::Form { name: name.to_owned(), reason };
        let document: Document = toml::from_str(text).map_err(|cause| form(cause.to_string()))?;
        document.check().map_err(form)?;
        Ok(Self { document, operations: RwLock::default() })
    }

    /// The `eventSource` of the service's records; `*` for the general profile.
    pub fn event_source(&self) -> &str {
        &self.document.event_source
    }

    /// The hosts that the service answers at, `{region}` standing for a region's name.
    pub fn hosts(&self) -> &[String] {
        &self.document.hosts
    }

    /// The names that calls to the service are signed for.
    pub fn signing_names(&self) -> &[String] {
        &self.document.signing_names
    }

    /// `awsRegion` of a call that was made to `called`.
    pub fn region(&self, called: &Region) -> Region {
        self.document.region.of(called)
    }

    /// The version of the API that records print, for the few services that print one.
    pub fn api_version(&self) -> Option<&str> {
        self.document.api_version.as_deref()
    }

    /// What fills `additionalEventData`: names with where the values come from.
    pub fn additional(&self) -> impl Iterator<Item = (&str, &AdditionalFrom)> {
        self.document.additional.iter().map(|entry| (entry.name.as_str(), &entry.from))
    }

    /// How requestParameters and responseElements are formed.
    pub fn form(&self) -> Form {
        self.document.form
    }

    /// True if error codes begin with `Client.` or `Server.`, for whose fault it was.
    pub fn prefixes_error_codes(&self) -> bool {
        self.document.error_code_prefix
    }

    /// True if `userAgent` stands in brackets.
    pub fn brackets_user_agent(&self) -> bool {
        self.document.user_agent_in_brackets
    }

    /// True if the profile knows an operation that no model has.
    pub fn knows_unmodelled(&self, operation: &str) -> bool {
        self.document.operations.iter().any(|rule| rule.unmodelled && rule.applies_to(operation))
    }

    /// The headers and query parameters that [`Form::S3`] prints, by their names on the wire.
    pub(crate) fn printed_wire_names(&self) -> &[Pattern] {
        &self.document.wire_names
    }

    /// True if [`Form::Ec2`] prints an operation's lists as sets; newer ones print their XML.
    pub(crate) fn is_classic(&self, operation: &str) -> bool {
        self.document.classic.iter().any(|pattern| pattern.matches(operation))
    }

    /// What [`Form::Ec2`] calls a list of an operation's request, and the elements of one that holds no structures.
    pub(crate) fn set(&self, operation: &str, member: &str) -> Option<(&str, Option<&str>)> {
        let own = self.document.sets.get(&format!("{operation}.{member}"));
        let name = own.or_else(|| self.document.sets.get(member))?;
        Some(match name.split_once('.') {
            Some((set, item)) => (set, Some(item)),
            None => (name, None),
        })
    }

    fn answers_at(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.document.hosts.iter().any(|pattern| match pattern.split_once("{region}") {
            None => pattern.eq_ignore_ascii_case(name),
            Some((before, after)) => name
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|region| !region.contains('.') && region.parse::<Region>().is_ok()),
        })
    }

    fn compiled(&self, operation: &str, general: &Profile) -> Arc<OperationRules> {
        let known = self.operations.read().ok().and_then(|operations| operations.get(operation).cloned());
        if let Some(rules) = known {
            return rules;
        }
        let rules = Arc::new(OperationRules::compile(operation, [&general.document, &self.document]));
        if let Ok(mut operations) = self.operations.write()
            && operations.len() < MAX_COMPILED
        {
            operations.insert(operation.into(), Arc::clone(&rules));
        }
        rules
    }
}

impl OperationRules {
    /// Management or data event.
    pub(crate) fn plane(&self) -> Plane {
        self.category.into()
    }
}
