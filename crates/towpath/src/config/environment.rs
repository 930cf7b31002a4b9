//! The names of settings: dotted ones and variables, and what type a text given for one must become.

use figment::value::{Dict, Value};

use super::Settings;

/// A variable that looks like a setting and is none, and the nearest setting.
pub type Stranger = (String, Option<String>);

/// What all variables begin with.
const PREFIX: &str = "TOWPATH_";

/// Variables that are not settings but mean something to the program.
const OTHERS: [&str; 5] = [
    super::FILE_VARIABLE,
    "TOWPATH_ROOT_ACCESS_KEY_ID",
    "TOWPATH_ROOT_SECRET_ACCESS_KEY",
    "TOWPATH_SECRET_KEY",
    // The folder of sample data that tests read.
    "TOWPATH_SHARED",
];

/// The short name of `logging.filter`.
const LOG_VARIABLE: &str = "TOWPATH_LOG";

/// Sections whose keys the user chooses.
const OPERATIONS: &str = "throttles.operations";
const ENDPOINTS: &str = "import.endpoint";

/// A list of tables, which no variable can hold.
pub const UPSTREAMS: &str = "gateway.upstream";

/// Fields of an entry of `import.endpoint`.
const ENDPOINT_FIELDS: [(&str, Form); 10] = [
    ("endpoint", Form::Text),
    ("region", Form::Text),
    ("buckets", Form::List),
    ("access_key_id", Form::Text),
    ("secret_access_key", Form::Text),
    ("access_key_id_env", Form::Text),
    ("secret_access_key_env", Form::Text),
    ("path_style", Form::Switch),
    ("allow_http", Form::Switch),
    ("owner_acl", Form::Switch),
];

/// What a text given for a setting must become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Switch,
    List,
}

/// The names of all settings.
pub struct Names(Vec<(String, Form)>);

impl Names {
    /// Takes the names from the settings themselves, so that no setting is without a variable.
    pub fn of(settings: &Settings) -> Self {
        let mut names = Vec::new();
        if let Ok(Value::Dict(_, dict)) = Value::serialize(settings) {
            collect("", &dict, &mut names);
        }
        names.retain(|(name, _)| ![OPERATIONS, ENDPOINTS, UPSTREAMS].contains(&name.as_str()));
        Self(names)
    }

    /// Picks the settings out of variables; the second list holds variables that look like one and are not.
    pub fn read(&self, variables: &[(String, String)]) -> (Vec<(String, Value)>, Vec<Stranger>) {
        let (mut settings, mut strangers) = (Vec::new(), Vec::new());
        let mut ours: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        ours.sort();
        for (variable, text) in ours {
            if OTHERS.contains(&variable.as_str()) {
                continue;
            }
            match self.setting_of(variable).and_then(|name| Some((self.typed(&name, text)?, name))) {
                Some((value, name)) => settings.push((name, value)),
                None => strangers.push((variable.clone(), self.nearest_variable(variable))),
            }
        }
        (settings, strangers)
    }

    /// The value that `text` stands for, if there is a setting called `name`. A text that does not fit stays a text,
    /// so that the refusal names the setting.
    pub fn typed(&self, name: &str, text: &str) -> Option<Value> {
        let form = match self.0.iter().find(|(known, _)| known == name) {
            Some((_, form)) => *form,
            None => form_of_free_name(name)?,
        };
        Some(match form {
            Form::Text => Value::from(text),
            Form::Number => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => Value::from(number),
                (_, Ok(number)) => Value::from(number),
                _ => Value::from(text),
            },
            Form::Switch => match text {
                "true" | "1" | "yes" | "on" => Value::from(true),
                "false" | "0" | "no" | "off" => Value::from(false),
                _ => Value::from(text),
            },
            Form::List => {
                Value::from(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>())
            }
        })
    }

    /// The setting, or the section, whose name is most like `name`, if one is like it.
    pub fn nearest(&self, name: &str) -> Option<String> {
        let sections = self.0.iter().filter_map(|(known, _)| Some(known.rsplit_once('.')?.0));
        self.0
            .iter()
            .map(|(known, _)| known.as_str())
            .chain(sections)
            .map(|known| (strsim::damerau_levenshtein(known, name), known))
            .min()
            .filter(|(distance, known)| *distance <= 3.max(known.len() / 4) && *distance < name.len() / 2)
            .map(|(_, known)| known.to_owned())
    }

    fn nearest_variable(&self, variable: &str) -> Option<String> {
        self.0
            .iter()
            .map(|(known, _)| self::variable(known))
            .map(|known| (strsim::damerau_levenshtein(&known, variable), known))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, known)| known)
    }

    fn setting_of(&self, name: &str) -> Option<String> {
        // TOWPATH_QUERY__MEMORY is the same as TOWPATH_QUERY_MEMORY: many programs write it so.
        let name = name.replace("__", "_");
        let name = name.as_str();
        if name == LOG_VARIABLE {
            return Some("logging.filter".to_owned());
        }
        if let Some((known, _)) = self.0.iter().find(|(known, _)| variable(known) == name) {
            return Some(known.clone());
        }
        if let Some(operation) = name.strip_prefix(&format!("{}_", variable(OPERATIONS))) {
            return Some(format!("{OPERATIONS}.{operation}"));
        }
        let entry = name.strip_prefix(&format!("{}_", variable(ENDPOINTS)))?.to_ascii_lowercase();
        // The longest field that fits: "_secret_access_key" and not "_access_key".
        let (field, _) = ENDPOINT_FIELDS
            .iter()
            .filter(|(field, _)| entry.strip_suffix(field).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_')))
            .max_by_key(|(field, _)| field.len())?;
        let endpoint = entry.strip_suffix(field)?.strip_suffix('_')?;
        Some(format!("{ENDPOINTS}.{endpoint}.{field}"))
    }
}

/// The variable of a setting: `query.memory` is `TOWPATH_QUERY_MEMORY`.
pub fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "_").to_ascii_uppercase())
}

fn form_of_free_name(name: &str) -> Option<Form> {
    if name.strip_prefix(OPERATIONS).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.')) {
        return Some(Form::Number);
    }
    let (endpoint, field) = name.strip_prefix(ENDPOINTS)?.strip_prefix('.')?.split_once('.')?;
    let (_, form) = ENDPOINT_FIELDS.iter().find(|(known, _)| *known == field)?;
    (!endpoint.is_empty()).then_some(*form)
}

fn collect(parent: &str, dict: &Dict, names: &mut Vec<(String, Form)>) {
    for (key, value) in dict {
        let name = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        match value {
            Value::Dict(_, inner) if name != OPERATIONS && name != ENDPOINTS => collect(&name, inner, names),
            Value::Num(..) => names.push((name, Form::Number)),
            Value::Bool(..) => names.push((name, Form::Switch)),
            Value::Array(..) => names.push((name, Form::List)),
            _ => names.push((name, Form::Text)),
        }
    }
}
