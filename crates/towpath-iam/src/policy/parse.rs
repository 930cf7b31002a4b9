//! Reading a policy document strictly, and saying where it is wrong.

use std::fmt::Display;

use super::condition::{Condition, Operator};
use super::json::Json;
use super::pattern::{Pattern, Variables, Wildcards, fold, is_condition_key};
use super::{Effect, Listed, Policy, PolicyError, PolicyKind, PrincipalPattern, Statement};

/// Most statements in one document; the limits on length come first for any sensible document.
const MAX_STATEMENTS: usize = 500;

/// Reads documents of one kind.
pub(super) struct Parser {
    pub(super) kind: PolicyKind,
    /// Whether an operator that is not known is kept (and denies) or refused.
    pub(super) unknown_operators: bool,
}

type Result<T> = std::result::Result<T, PolicyError>;

fn error<T>(at: impl Display, problem: impl Into<String>) -> Result<T> {
    Err(PolicyError { at: at.to_string(), problem: problem.into() })
}

impl Parser {
    pub(super) fn policy(&self, text: &str) -> Result<Policy> {
        let json = match Json::parse(text) {
            Ok(json) => json,
            Err(cause) => return error("", format!("document is not valid JSON: {cause}")),
        };
        let members = object(&json, "", &["Version", "Id", "Statement"])?;

        let variables = match members.get("Version") {
            None => Variables::No,
            Some(version) => match text_of(version, "Version")? {
                "2012-10-17" => Variables::Yes,
                "2008-10-17" => Variables::No,
                other => return error("Version", format!("{other:?} is neither 2012-10-17 nor 2008-10-17")),
            },
        };
        if let Some(id) = members.get("Id") {
            text_of(id, "Id")?;
        }
        let Some(list) = members.get("Statement") else { return error("", "document has no Statement") };
        let listed = list.one_or_many();
        if listed.is_empty() {
            return error("Statement", "list is empty");
        }
        if listed.len() > MAX_STATEMENTS {
            return error("Statement", format!("list has {} statements, more than {MAX_STATEMENTS}", listed.len()));
        }

        let mut statements = Vec::with_capacity(listed.len());
        let mut sids: Vec<&str> = Vec::new();
        for (index, statement) in listed.iter().enumerate() {
            let at = if matches!(list, Json::List(_)) { format!("Statement[{index}]") } else { "Statement".to_owned() };
            let (sid, statement) = self.statement(statement, &at, variables)?;
            if let Some(sid) = sid.filter(|sid| !sid.is_empty()) {
                if sids.contains(&sid) {
                    return error(format_args!("{at}.Sid"), format!("{sid:?} is the Sid of another statement"));
                }
                sids.push(sid);
            }
            statements.push(statement);
        }
        Ok(Policy { text: text.to_owned(), statements, unreadable: false })
    }

    fn statement<'a>(&self, json: &'a Json, at: &str, variables: Variables) -> Result<(Option<&'a str>, Statement)> {
        const MEMBERS: &[&str] = &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        let members = object(json, at, MEMBERS)?;
        let sid = match members.get("Sid") {
            None => None,
            Some(sid) => Some(self.sid(sid, at)?),
        };
        let effect = match members.get("Effect") {
            None => return error(at, "statement has no Effect"),
            Some(effect) => match text_of(effect, &format!("{at}.Effect"))? {
                "Allow" => Effect::Allow,
                "Deny" => Effect::Deny,
                other => return error(format_args!("{at}.Effect"), format!("{other:?} is neither Allow nor Deny")),
            },
        };

        let principals = self.principals(&members, at, effect)?;
        let Some((not, actions, actions_at)) = members.either("Action", "NotAction", at)? else {
            return error(at, "statement has neither Action nor NotAction");
        };
        let action_texts = texts(actions, &actions_at)?;
        let actions = listed(not, each(&action_texts, &actions_at, action)?);

        let resource_element = members.either("Resource", "NotResource", at)?;
        let (resources, resource_texts) = match (resource_element, self.kind) {
            (Some((_, _, at)), PolicyKind::Trust) => {
                return error(at, "a trust policy is about its role and names no resource");
            }
            (None, PolicyKind::Trust | PolicyKind::Resource) => (None, Vec::new()),
            (None, _) => return error(at, "statement has neither Resource nor NotResource"),
            (Some((not, resources, at)), _) => {
                let texts = texts(resources, &at)?;
                let patterns = each(&texts, &at, |text| resource(text, variables))?;
                (Some(listed(not, patterns)), texts)
            }
        };
        let conditions = match members.get("Condition") {
            None => Vec::new(),
            Some(condition) => self.conditions(condition, &format!("{at}.Condition"), variables)?,
        };
        Ok((sid, Statement { effect, principals, actions, resources, conditions, action_texts, resource_texts }))
    }

    /// Reads a Sid. Policies of identities allow letters and digits alone; those of resources also spaces and marks.
    fn sid<'a>(&self, json: &'a Json, at: &str) -> Result<&'a str> {
        let at = format!("{at}.Sid");
        let sid = text_of(json, &at)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric();
        let graphic = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let sound = if self.kind == PolicyKind::Resource { sid.bytes().all(graphic) } else { sid.bytes().all(plain) };
        if sound { Ok(sid) } else { error(at, format!("{sid:?} may have letters and digits only")) }
    }

    fn principals(
        &self,
        members: &Members<'_>,
        at: &str,
        effect: Effect,
    ) -> Result<Option<Listed<Vec<PrincipalPattern>>>> {
        let Some((not, json, at)) = members.either("Principal", "NotPrincipal", at)? else {
            if self.kind.has_principal() {
                return error(at, "statement has neither Principal nor NotPrincipal");
            }
            return Ok(None);
        };
        if !self.kind.has_principal() {
            return error(at, "a policy of an identity names no principal");
        }
        if not && self.kind == PolicyKind::Trust {
            return error(at, "a trust policy names its principals with Principal");
        }
        if not && effect == Effect::Allow {
            return error(at, "NotPrincipal is allowed with Effect Deny only");
        }
        if *json == Json::Text("*".to_owned()) {
            return Ok(Some(listed(not, vec![PrincipalPattern::Anyone])));
        }
        let members = object(json, &at, &["AWS", "Service", "Federated"])?;
        let mut patterns = Vec::new();
        for (kind, values) in &members.0 {
            let at = format!("{at}.{kind}");
            let texts = texts(values, &at)?;
            patterns.extend(match *kind {
                "AWS" => each(&texts, &at, PrincipalPattern::aws)?,
                "Service" => each(&texts, &at, PrincipalPattern::service)?,
                _ => each(&texts, &at, provider)?,
            });
        }
        if patterns.is_empty() {
            return error(at, "no principal is named");
        }
        Ok(Some(listed(not, patterns)))
    }

    fn conditions(&self, json: &Json, at: &str, variables: Variables) -> Result<Vec<Condition>> {
        let Json::Object(operators) = json else { return error(at, format!("is {}, not an object", json.kind())) };
        let mut conditions = Vec::new();
        for (name, keys) in operators {
            let at = format!("{at}.{name}");
            let operator = Operator::parse(name);
            if !operator.is_known() && !self.unknown_operators {
                return error(at, "operator is unknown");
            }
            let Json::Object(keys) = keys else { return error(at, format!("is {}, not an object", keys.kind())) };
            let mut seen: Vec<String> = Vec::new();
            for (key, values) in keys {
                let at = format!("{at}.{key}");
                if !is_condition_key(key) {
                    return error(at, "condition key is not of the form service:name");
                }
                let folded = fold(key).into_owned();
                if seen.contains(&folded) {
                    return error(at, "condition key appears twice");
                }
                seen.push(folded);
                let values = condition_values(values, &at)?;
                let condition = Condition::new(operator.clone(), key, &values, variables);
                conditions.push(condition.or_else(|(index, problem)| error(format_args!("{at}[{index}]"), problem))?);
            }
        }
        Ok(conditions)
    }
}

/// The members of an object, with the names it may have.
struct Members<'a>(Vec<(&'a str, &'a Json)>);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a Json> {
        self.0.iter().find(|(member, _)| *member == name).map(|(_, value)| *value)
    }

    /// Finds one of two members that exclude each other: whether it is the negated one, its value, its place.
    fn either(&self, plain: &str, negated: &str, at: &str) -> Result<Option<(bool, &'a Json, String)>> {
        match (self.get(plain), self.get(negated)) {
            (Some(_), Some(_)) => error(at, format!("statement has both {plain} and {negated}")),
            (Some(value), None) => Ok(Some((false, value, format!("{at}.{plain}")))),
            (None, Some(value)) => Ok(Some((true, value, format!("{at}.{negated}")))),
            (None, None) => Ok(None),
        }
    }
}

fn object<'a>(json: &'a Json, at: &str, names: &[&str]) -> Result<Members<'a>> {
    let Json::Object(members) = json else { return error(at, format!("is {}, not an object", json.kind())) };
    for (name, _) in members {
        if !names.contains(&name.as_str()) {
            return error(at, format!("element {name:?} is unknown"));
        }
    }
    Ok(Members(members.iter().map(|(name, value)| (name.as_str(), value)).collect()))
}

fn listed<T>(not: bool, items: T) -> Listed<T> {
    if not { Listed::AllBut(items) } else { Listed::These(items) }
}

fn text_of<'a>(json: &'a Json, at: &str) -> Result<&'a str> {
    match json {
        Json::Text(text) => Ok(text),
        other => error(at, format!("is {}, not a string", other.kind())),
    }
}

/// Reads a string or a list of strings, at least one.
fn texts(json: &Json, at: &str) -> Result<Vec<String>> {
    let list = json.one_or_many();
    if list.is_empty() {
        return error(at, "list is empty");
    }
    list.iter().map(|item| text_of(item, at).map(ToOwned::to_owned)).collect()
}

/// Reads the values of a condition: strings, numbers and booleans, one or a list.
fn condition_values(json: &Json, at: &str) -> Result<Vec<String>> {
    let list = json.one_or_many();
    if list.is_empty() {
        return error(at, "list is empty");
    }
    let value = |item: &Json| match item {
        Json::Text(text) | Json::Number(text) => Ok(text.clone()),
        Json::Bool(value) => Ok(value.to_string()),
        other => error(at, format!("is {}, not a string", other.kind())),
    };
    list.iter().map(value).collect()
}

fn each<T>(texts: &[String], at: &str, parse: impl Fn(&str) -> std::result::Result<T, String>) -> Result<Vec<T>> {
    let parsed = texts.iter().enumerate().map(|(index, text)| {
        let place = if texts.len() == 1 { at.to_owned() } else { format!("{at}[{index}]") };
        parse(text).or_else(|problem| error(place, problem))
    });
    parsed.collect()
}

/// Reads an action: `*`, or `service:Name` with wildcards in the name.
fn action(text: &str) -> std::result::Result<Pattern, String> {
    let problem = || format!("{text:?} is not of the form service:Action");
    if text != "*" {
        let (service, name) = text.split_once(':').ok_or_else(problem)?;
        let service_is_sound = service == "*"
            || (!service.is_empty() && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        let name_is_sound =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*?-_".contains(&byte));
        if !service_is_sound || !name_is_sound || text.len() > 256 {
            return Err(problem());
        }
    }
    Pattern::compile(text, Wildcards::Yes, Variables::No)
}

/// Reads a resource: `*`, or an ARN with wildcards. A `*` reaches past colons, so that `arn:aws:cloudtrail:*` is whole;
/// an ARN of fewer than six parts must end with one. Variables may stand in the sixth part only.
fn resource(text: &str, variables: Variables) -> std::result::Result<Pattern, String> {
    let problem = || format!("{text:?} is neither an ARN nor \"*\"");
    if text != "*" {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        if parts[0] != "arn" || parts.len() < 3 || (parts.len() < 6 && !text.ends_with('*')) {
            return Err(problem());
        }
        if variables == Variables::Yes && parts.iter().take(5).any(|part| part.contains("${")) {
            return Err(format!("{text:?} has a variable before its fifth colon"));
        }
    }
    Pattern::compile(text, Wildcards::Yes, variables)
}

fn provider(text: &str) -> std::result::Result<PrincipalPattern, String> {
    if text.is_empty() || text.contains('*') || text.len() > 2048 {
        return Err(format!("{text:?} is not an identity provider"));
    }
    Ok(PrincipalPattern::Provider(text.to_owned()))
}
