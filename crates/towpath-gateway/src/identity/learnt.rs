//! What answers of STS and IAM that pass through the gateway say about access keys.
//!
//! Who assumes a role, asks for a token or makes a key is told a new access key; who asks GetCallerIdentity is told who it
//! is. Whatever the upstream answers to a call that it accepted is true of its own keys. Secrets and tokens in these
//! answers are not looked at.
//!
//! A caller chooses what it asks, and may hope that something is taken for an answer of STS that is none: the content of an
//! object, say, that it gets by a call which it signs for `sts`, or its own words, which a service repeats. So a lesson is a
//! form, posted to `/`, with each parameter once, and an answer that is nothing but the element that the action has: no text is
//! both.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use http::Method;
use jiff::Timestamp;
use towpath_admit::{RoleSession, UserIdentity};
use towpath_capture::{Body, Ending, Exchange};
use towpath_model::Arn;

use super::owner::{is_id, is_name, of_caller_identity, user_name};
use super::presented::Presented;
use super::xml::{element, leaf};

/// The longest answer that is looked at, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Something learnt from one answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Learnt {
    /// A key has this owner, until a time if it is temporary.
    Key { id: String, owner: UserIdentity, until: Option<Timestamp> },
    /// A user has this id and ARN.
    User { name: String, id: String, arn: Arn },
    /// A user has this key, and what more there is to know of the user stands elsewhere.
    KeyOfUser { id: String, user: String },
    /// A role has this id and ARN.
    Role { id: String, arn: Arn },
    /// A user has gone, or has another name.
    NoUser { name: String },
    /// A key has gone.
    NoKey { id: String },
    /// The call itself, which was not signed, was made by this user of an identity provider.
    Caller(UserIdentity),
}

/// Reads the answer of a call to `sts` or `iam`. `known` tells who the caller is, for keys that the caller makes for itself;
/// `role_arn` the ARN of a role whose id is known.
pub(super) fn learn(
    exchange: &Exchange,
    known: impl Fn(&Presented) -> Option<UserIdentity>,
    role_arn: impl Fn(&str) -> Option<Arn>,
) -> Vec<Learnt> {
    let Ending::Answered(response) = &exchange.ending else { return Vec::new() };
    let head = &exchange.request.head;
    if head.method != Method::POST || head.uri.path() != "/" {
        return Vec::new();
    }
    let encoded = |headers: &http::HeaderMap| headers.contains_key(http::header::CONTENT_ENCODING);
    if !response.head.status.is_success() || encoded(&response.head.headers) || encoded(&head.headers) {
        return Vec::new();
    }
    let (Some(answer), Some(form)) = (text(&response.body), Form::of(exchange)) else { return Vec::new() };
    let action = form.get("Action").unwrap_or_default();
    let Some(answer) = answer_of(action, &answer) else { return Vec::new() };
    let presented = Presented::of(head);
    let lesson = Lesson { answer, form: &form, presented: &presented, at: exchange.ended };
    match action {
        "GetCallerIdentity" => lesson.caller_identity(role_arn),
        "AssumeRole" => lesson.assumed_role(None, role_arn),
        "AssumeRoleWithWebIdentity" => lesson.web_identity(role_arn),
        "AssumeRoleWithSAML" => lesson.saml(role_arn),
        "GetSessionToken" => lesson.session_token(known(&presented)),
        "GetFederationToken" => lesson.federation_token(known(&presented)),
        "CreateUser" | "GetUser" => lesson.user(),
        "CreateRole" | "GetRole" => lesson.role(),
        "CreateAccessKey" => lesson.access_key(),
        "DeleteUser" | "UpdateUser" => {
            form.get("UserName").map(|name| Learnt::NoUser { name: name.to_owned() }).into_iter().collect()
        }
        "DeleteAccessKey" => {
            form.get("AccessKeyId").map(|id| Learnt::NoKey { id: id.to_owned() }).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Who made a call that is not signed but carries the word of an identity provider, if it was accepted.
pub(super) fn federated_caller(exchange: &Exchange) -> Option<UserIdentity> {
    let learnt = learn(exchange, |_| None, |_| None);
    learnt.into_iter().find_map(|learnt| match learnt {
        Learnt::Caller(caller) => Some(caller),
        _ => None,
    })
}

/// The answer, if it is one to this action: an element `<ActionResponse>`, with nothing before it but the declaration of XML and
/// nothing behind it. A `&` in it begins an entity, so that it is no form.
fn answer_of<'a>(action: &str, text: &'a str) -> Option<&'a str> {
    let text = text.trim();
    let text = match text.strip_prefix("<?xml") {
        Some(declaration) => declaration.split_once("?>")?.1.trim_start(),
        None => text,
    };
    let name = text.strip_prefix('<')?.strip_prefix(action)?.strip_prefix("Response")?;
    let end = text.strip_suffix('>')?.trim_end().strip_suffix("Response")?.strip_suffix(action)?;
    let whole = !action.is_empty() && name.starts_with(['>', ' ', '\t', '\r', '\n']) && end.ends_with("</");
    let entity = |rest: &str| ["amp;", "lt;", "gt;", "quot;", "apos;", "#"].iter().any(|name| rest.starts_with(name));
    (whole && text.split('&').skip(1).all(entity)).then_some(text)
}

struct Lesson<'a> {
    answer: &'a str,
    form: &'a Form,
    presented: &'a Presented,
    at: Timestamp,
}

/// Temporary credentials, without what is secret of them.
struct Credentials {
    id: String,
    until: Option<Timestamp>,
}

impl Lesson<'_> {
    fn credentials(&self) -> Option<Credentials> {
        let credentials = element(self.answer, "Credentials")?;
        let until = leaf(credentials, "Expiration").and_then(|text| text.parse().ok());
        Some(Credentials { id: leaf(credentials, "AccessKeyId").filter(|id| is_id(id))?, until })
    }

    fn caller_identity(&self, role_arn: impl Fn(&str) -> Option<Arn>) -> Vec<Learnt> {
        let Presented::Key { id, .. } = self.presented else { return Vec::new() };
        let owner = of_caller_identity(self.answer, id, role_arn);
        owner.map(|owner| Learnt::Key { id: id.clone(), owner, until: None }).into_iter().collect()
    }

    /// The session that a role was assumed for. Who assumed it with another's word is in `federation`.
    fn assumed_role(
        &self,
        federation: Option<(&str, BTreeMap<String, String>)>,
        role_arn: impl Fn(&str) -> Option<Arn>,
    ) -> Vec<Learnt> {
        let found = || {
            let credentials = self.credentials()?;
            let user = element(self.answer, "AssumedRoleUser")?;
            let session_arn: Arn = leaf(user, "Arn")?.parse().ok()?;
            let account = session_arn.account_id()?;
            let (role_id, session_name) = split(leaf(user, "AssumedRoleId")?)?;
            let resource = session_arn.resource().strip_prefix("assumed-role/")?;
            let (role_name, session) = resource.split_once('/')?;
            if session_arn.service() != "sts" || session != session_name || !is_name(role_name) || !is_id(&role_id) {
                return None;
            }
            // What was asked for counts only as far as the answer bears it out: it adds the role's path.
            let asked: Arn = self.form.get("RoleArn")?.parse().ok()?;
            let fits = asked.account_id() == Some(account)
                && asked.service() == "iam"
                && asked.resource().starts_with("role/")
                && asked.resource().rsplit('/').next() == Some(role_name);
            if !fits {
                return None;
            }
            let session = RoleSession {
                account,
                role_name: role_name.to_owned(),
                role_arn: role_arn(&role_id).unwrap_or(asked),
                role_id,
                session_name,
                access_key_id: credentials.id.clone(),
                created: self.at,
                mfa: self.used_second_factor(),
                source_identity: leaf(self.answer, "SourceIdentity").filter(|text| !text.is_empty()),
                session_arn,
            };
            let mut owner = UserIdentity::assumed_role(&session);
            if let Some((provider, attributes)) = federation {
                owner = owner.federated_by(provider, attributes);
            }
            Some(Learnt::Key { id: credentials.id, owner, until: credentials.until })
        };
        found().into_iter().collect()
    }

    fn used_second_factor(&self) -> bool {
        self.form.get("SerialNumber").is_some() && self.form.get("TokenCode").is_some()
    }

    fn web_identity(&self, role_arn: impl Fn(&str) -> Option<Arn>) -> Vec<Learnt> {
        let provider = leaf(self.answer, "Provider").unwrap_or_default();
        let audience = leaf(self.answer, "Audience").unwrap_or_default();
        let mut learnt = self.assumed_role(Some((&provider, BTreeMap::new())), role_arn);
        if let Some(subject) = leaf(self.answer, "SubjectFromWebIdentityToken") {
            learnt.push(Learnt::Caller(UserIdentity::web_identity_user(&provider, &audience, &subject)));
        }
        learnt
    }

    fn saml(&self, role_arn: impl Fn(&str) -> Option<Arn>) -> Vec<Learnt> {
        let issuer = leaf(self.answer, "Issuer").unwrap_or_default();
        let mut learnt = self.assumed_role(Some((&issuer, BTreeMap::new())), role_arn);
        if let (Some(qualifier), Some(subject)) = (leaf(self.answer, "NameQualifier"), leaf(self.answer, "Subject")) {
            learnt.push(Learnt::Caller(UserIdentity::saml_user(&qualifier, &subject)));
        }
        learnt
    }

    fn session_token(&self, caller: Option<UserIdentity>) -> Vec<Learnt> {
        let (Some(credentials), Some(caller)) = (self.credentials(), caller) else { return Vec::new() };
        let owner = caller.in_session(&credentials.id, self.at, self.used_second_factor());
        vec![Learnt::Key { id: credentials.id, owner, until: credentials.until }]
    }

    fn federation_token(&self, caller: Option<UserIdentity>) -> Vec<Learnt> {
        let found = || {
            let credentials = self.credentials()?;
            let arn: Arn = leaf(element(self.answer, "FederatedUser")?, "Arn")?.parse().ok()?;
            let name = arn.resource().strip_prefix("federated-user/").filter(|name| is_name(name))?;
            let owner =
                UserIdentity::federated_user(arn.account_id()?, name, &credentials.id, caller.as_ref(), self.at);
            Some(Learnt::Key { id: credentials.id, owner, until: credentials.until })
        };
        found().into_iter().collect()
    }

    fn user(&self) -> Vec<Learnt> {
        let found = || {
            let user = element(self.answer, "User")?;
            let arn: Arn = leaf(user, "Arn")?.parse().ok()?;
            let name = leaf(user, "UserName").filter(|name| user_name(&arn) == Some(name))?;
            Some(Learnt::User { name, id: leaf(user, "UserId").filter(|id| is_id(id))?, arn })
        };
        found().into_iter().collect()
    }

    fn role(&self) -> Vec<Learnt> {
        let found = || {
            let role = element(self.answer, "Role")?;
            let arn: Arn = leaf(role, "Arn")?.parse().ok()?;
            let fits = arn.service() == "iam" && arn.resource().starts_with("role/");
            fits.then_some(Learnt::Role { id: leaf(role, "RoleId").filter(|id| is_id(id))?, arn })
        };
        found().into_iter().collect()
    }

    fn access_key(&self) -> Vec<Learnt> {
        let found = || {
            let key = element(self.answer, "AccessKey")?;
            let id = leaf(key, "AccessKeyId").filter(|id| is_id(id))?;
            Some(Learnt::KeyOfUser { id, user: leaf(key, "UserName")? })
        };
        found().into_iter().collect()
    }
}

/// The parameters of a call in the query protocol.
struct Form(HashMap<String, String>);

impl Form {
    /// `None` if a parameter is there twice, or in the query, or may be: it is not known which of them the upstream read. Secrets
    /// among the parameters are not kept.
    fn of(exchange: &Exchange) -> Option<Self> {
        const WANTED: [&str; 6] = ["Action", "RoleArn", "SerialNumber", "TokenCode", "UserName", "AccessKeyId"];
        let head = &exchange.request.head;
        let kind = head.headers.get(http::header::CONTENT_TYPE)?.as_bytes();
        let query = head.uri.query().unwrap_or_default().as_bytes();
        if !kind.starts_with(b"application/x-www-form-urlencoded")
            || form_urlencoded::parse(query).any(|(name, _)| WANTED.contains(&&*name))
        {
            return None;
        }
        let body = Some(&exchange.request.body).filter(|body| body.is_kept())?;
        let mut form = HashMap::new();
        for (name, value) in form_urlencoded::parse(&body.kept) {
            if !WANTED.contains(&&*name) {
                continue;
            }
            // Of a code it matters alone that there was one.
            let value = if name == "TokenCode" { String::new() } else { value.into_owned() };
            if form.insert(name.into_owned(), value).is_some() {
                return None;
            }
        }
        Some(Self(form))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn text(body: &Body) -> Option<Cow<'_, str>> {
    (body.is_kept() && body.kept.len() <= MAX_ANSWER).then(|| String::from_utf8_lossy(&body.kept))
}

fn split(id: String) -> Option<(String, String)> {
    id.split_once(':').map(|(role, session)| (role.to_owned(), session.to_owned()))
}
