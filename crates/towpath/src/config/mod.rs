//! Configuration: where settings come from and how they are refused.
//!
//! Defaults, then the file, then the environment, then flags; the later wins. Every setting has one dotted name
//! (`query.memory`), which is its place in the file, and one variable (`TOWPATH_QUERY_MEMORY`). Whatever is not a
//! setting or has a value that cannot work is refused before anything is opened, by name and with what would work.

pub mod check;
pub mod duration;
mod environment;
mod gateway;
mod secret;
mod settings;
pub mod size;
mod written;

use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

pub use gateway::{Gateway, GatewayTls, Upstream};
pub use secret::Secret;
pub use settings::*;

/// The configuration file that is read when none is named.
pub const DEFAULT_FILE: &str = "towpath.toml";

/// The variable that names the configuration file.
pub const FILE_VARIABLE: &str = "TOWPATH_CONFIG";

/// Where settings come from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// Variables of the process.
    pub environment: Vec<(String, String)>,
    /// Settings given on the command line, by dotted name.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// What the process was started with: the file `named` or else that of the variable or the working folder, the
    /// environment, settings given as `NAME=VALUE`, and flags that stand for a setting, which win.
    pub fn of_process(
        named: Option<&Path>,
        set: &[String],
        flags: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let variable = std::env::var_os(FILE_VARIABLE).map(PathBuf::from);
        let file = file_to_read(named.or(variable.as_deref()));
        let mut given = Vec::new();
        for pair in set {
            let (name, value) = pair.split_once('=').ok_or_else(|| ConfigError::Set(pair.clone()))?;
            given.push((name.trim().to_owned(), value.to_owned()));
        }
        given.extend(flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Ok(Self { file, environment, flags: given })
    }
}

/// The settings and what was noticed while reading them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings, checked.
    pub settings: Settings,
    /// Variables that begin with `TOWPATH_` and are no setting, each with the most similar one.
    ///
    /// They are no error, because container platforms make such variables of their own accord: a service called
    /// `towpath` puts `TOWPATH_PORT` into the environment of its neighbours.
    pub strangers: Vec<(String, Option<String>)>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}; check the path given with --config or {FILE_VARIABLE}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: std::io::Error,
    },
    /// A setting has no meaning.
    #[error("unknown setting {name} {origin}{}", proposal(nearest))]
    Unknown {
        /// Its dotted name.
        name: String,
        /// Where it was written.
        origin: String,
        /// The known setting that is most like it.
        nearest: Option<String>,
    },
    /// A setting cannot be read.
    #[error("setting {name} {origin} cannot be used: {problem}")]
    Value {
        /// Its dotted name.
        name: String,
        /// Where it was written.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is not TOML, or something else is wrong with a source as a whole.
    #[error("cannot read settings {origin}: {problem}")]
    Source {
        /// The source.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// A flag has the wrong form.
    #[error("--set {0} has no value; write --set NAME=VALUE, such as --set query.memory=2GiB")]
    Set(String),
    /// Values were read, and cannot work.
    #[error("{}", check::listing(.0))]
    Nonsense(Vec<check::Problem>),
}

fn proposal(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Reads the settings from all sources and checks them.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut figment = Figment::from(figment::providers::Serialized::defaults(Settings::default()));
    if let Some(path) = &sources.file {
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Read { path: path.clone(), cause })?;
        figment = figment.merge(File { path: path.clone(), text });
    }
    let names = environment::Names::of(&Settings::default());
    let (variables, strangers) = names.read(&sources.environment);
    figment = figment.merge(Given { name: "environment", pairs: variables });
    let mut flags = Vec::new();
    for (name, text) in &sources.flags {
        let value = names.typed(name, text).ok_or_else(|| ConfigError::Unknown {
            name: name.clone(),
            origin: "on the command line".to_owned(),
            nearest: names.nearest(name),
        })?;
        flags.push((name.clone(), value));
    }
    figment = figment.merge(Given { name: "flags", pairs: flags });

    let settings: Settings = figment.extract().map_err(|error| refusal(error, &names))?;
    let problems = check::problems(&settings);
    if !problems.is_empty() {
        return Err(ConfigError::Nonsense(problems));
    }
    Ok(Loaded { settings, strangers })
}

/// The configuration file to read: the named one, else `towpath.toml` in the working folder if it is there.
pub fn file_to_read(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()),
    }
}

/// The settings that are not at their defaults, secrets hidden: `("query.memory", "1GiB")`.
pub fn changed(settings: &Settings) -> Vec<(String, String)> {
    let mut changed = Vec::new();
    if let (Ok(now), Ok(default)) = (Value::serialize(settings), Value::serialize(Settings::default())) {
        gather(String::new(), &now, &default, &mut changed);
    }
    for (index, upstream) in settings.gateway.upstream.iter().enumerate() {
        if let (Ok(now), Ok(default)) = (Value::serialize(upstream), Value::serialize(Upstream::default())) {
            gather(format!("{}[{index}]", environment::UPSTREAMS), &now, &default, &mut changed);
        }
    }
    changed
}

/// Adds the values below `name` that differ. Depth is bounded by that of [`Settings`].
fn gather(name: String, now: &Value, default: &Value, into: &mut Vec<(String, String)>) {
    match (now, default) {
        // One by one, see above.
        _ if name == environment::UPSTREAMS => {}
        (Value::Dict(_, now), Value::Dict(_, default)) => {
            for (field, value) in now {
                let below = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                match default.get(field) {
                    Some(default) => gather(below, value, default, into),
                    None => into.push((below, shown(value))),
                }
            }
        }
        _ if shown(now) != shown(default) => into.push((name, shown(now))),
        _ => {}
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Empty(..) => "-".to_owned(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

/// Says what figment found, in the words of this program.
fn refusal(error: figment::Error, names: &environment::Names) -> ConfigError {
    let error = error.into_iter().next().expect("an error of figment holds at least one problem");
    let path = error.path.join(".");
    let origin = match &error.metadata {
        Some(metadata) => match &metadata.source {
            Some(figment::Source::File(path)) => format!("in {}", path.display()),
            _ if metadata.name == "environment" => format!("(variable {})", environment::variable(&path)),
            _ => format!("from the {}", metadata.name),
        },
        None => String::new(),
    };
    match error.kind {
        Kind::UnknownField(field, _) => {
            let parent = error.path.iter().take_while(|part| **part != field).cloned().collect::<Vec<_>>().join(".");
            let name = if parent.is_empty() { field } else { format!("{parent}.{field}") };
            ConfigError::Unknown { nearest: names.nearest(&name), name, origin }
        }
        kind if path.is_empty() => ConfigError::Source { origin, problem: kind.to_string() },
        kind => ConfigError::Value { name: path, origin, problem: in_our_words(kind.to_string()) },
    }
}

/// What the standard library says of an address does not tell the next step.
fn in_our_words(problem: String) -> String {
    match problem.as_str() {
        "invalid socket address syntax" => "it must be an address and a port, such as 127.0.0.1:4747".to_owned(),
        _ => problem,
    }
}

/// What is to be said of variables that look like settings.
pub fn remark((variable, nearest): &environment::Stranger) -> String {
    match nearest {
        Some(nearest) => format!("unknown variable {variable}; did you mean {nearest}?"),
        None => format!("variable {variable} is no setting and is passed over"),
    }
}

/// The configuration file as a source of settings.
struct File {
    path: PathBuf,
    text: String,
}

impl Provider for File {
    fn metadata(&self) -> Metadata {
        Metadata::from("file", self.path.as_path())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut data = Toml::string(&self.text).data()?;
        for dict in data.values_mut() {
            name_endpoints(dict).map_err(figment::Error::from)?;
        }
        Ok(data)
    }
}

/// Turns the list `[[import.endpoint]]` into tables by name, so that variables can join in.
fn name_endpoints(settings: &mut Dict) -> Result<(), String> {
    let Some(Value::Dict(_, import)) = settings.get_mut("import") else { return Ok(()) };
    let Some(Value::Array(tag, list)) = import.get("endpoint") else { return Ok(()) };
    let refuse = |problem: &str| Err(format!("import.endpoint: {problem}"));
    let mut named = Dict::new();
    for entry in list {
        let Value::Dict(tag, fields) = entry else { return refuse("an entry must be a table") };
        let mut fields = fields.clone();
        let Some(Value::String(_, name)) = fields.remove("name") else { return refuse("an entry has no name") };
        if named.insert(name.clone(), Value::Dict(*tag, fields)).is_some() {
            return refuse(&format!("two entries have the name {name}"));
        }
    }
    let named = Value::Dict(*tag, named);
    import.insert("endpoint".to_owned(), named);
    Ok(())
}

/// Settings given one by one, by dotted name.
struct Given {
    name: &'static str,
    pairs: Vec<(String, Value)>,
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut all = Dict::new();
        for (name, value) in &self.pairs {
            insert(&mut all, name, value.clone());
        }
        Ok(Map::from([(Profile::Default, all)]))
    }
}

fn insert(dict: &mut Dict, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            dict.insert(name.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = dict.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

impl fmt::Display for Settings {
    /// The settings as a configuration file, secrets hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = toml::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests;
