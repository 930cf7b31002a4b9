//! What answers of STS and IAM that pass through the gateway say about access keys.
//!
//! Who assumes a role, asks for a token or makes a key is told a new access key; who asks GetCallerIdentity is told who it
//! is. Whatever the upstream answers to a call that it accepted is true of its own keys. Secrets and tokens in these
//! answers are not looked at.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use towpath_admit::{RoleSession, UserIdentity};
use towpath_capture::{Body, Ending, Exchange};
use towpath_model::{AccountId, Arn};

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
    Role { name: String, id: String, arn: Arn },
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
    if !response.head.status.is_success() || response.head.headers.contains_key(http::header::CONTENT_ENCODING) {
        return Vec::new();
    }
    let Some(answer) = text(&response.body) else { return Vec::new() };
    let form = Form::of(exchange);
    let presented = Presented::of(&exchange.request.head);
    let lesson = Lesson { answer: &answer, form: &form, presented: &presented, at: exchange.ended };
    match form.get("Action").unwrap_or_default() {
        "GetCallerIdentity" => lesson.caller_identity(role_arn),
        "AssumeRole" => lesson.assumed_role(None),
        "AssumeRoleWithWebIdentity" => lesson.web_identity(),
        "AssumeRoleWithSAML" => lesson.saml(),
        "GetSessionToken" => lesson.session_token(known(&presented)),
        "GetFederationToken" => lesson.federation_token(known(&presented)),
        "CreateUser" | "GetUser" => lesson.user(),
        "CreateRole" | "GetRole" => lesson.role(),
        "CreateAccessKey" => lesson.access_key(),
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
        Some(Credentials { id: plain(leaf(credentials, "AccessKeyId")?)?, until })
    }

    fn caller_identity(&self, role_arn: impl Fn(&str) -> Option<Arn>) -> Vec<Learnt> {
        let Presented::Key { id, .. } = self.presented else { return Vec::new() };
        let found = || {
            let arn: Arn = leaf(self.answer, "Arn")?.parse().ok()?;
            let account = arn.account_id()?;
            let user_id = leaf(self.answer, "UserId")?;
            owner_of(&arn, account, &user_id, id, self.at, role_arn)
        };
        found().map(|owner| Learnt::Key { id: id.clone(), owner, until: None }).into_iter().collect()
    }

    /// The session that a role was assumed for. Who assumed it with another's word is in `federation`.
    fn assumed_role(&self, federation: Option<(&str, BTreeMap<String, String>)>) -> Vec<Learnt> {
        let found = || {
            let credentials = self.credentials()?;
            let session_arn: Arn = leaf(self.answer, "Arn")?.parse().ok()?;
            let (role_id, session_name) = split(leaf(self.answer, "AssumedRoleId")?)?;
            let role_arn: Arn = self.form.get("RoleArn")?.parse().ok()?;
            let role_name = role_arn.resource().rsplit('/').next()?.to_owned();
            let source =
                leaf(self.answer, "SourceIdentity").or_else(|| self.form.get("SourceIdentity").map(str::to_owned));
            let session = RoleSession {
                account: role_arn.account_id()?,
                role_id,
                role_name,
                role_arn,
                session_name,
                session_arn,
                access_key_id: credentials.id.clone(),
                created: self.at,
                mfa: self.form.get("SerialNumber").is_some() && self.form.get("TokenCode").is_some(),
                source_identity: source.filter(|text| !text.is_empty()),
            };
            let mut owner = UserIdentity::assumed_role(&session);
            if let Some((provider, attributes)) = federation {
                owner = owner.federated_by(provider, attributes);
            }
            Some(Learnt::Key { id: credentials.id, owner, until: credentials.until })
        };
        found().into_iter().collect()
    }

    fn web_identity(&self) -> Vec<Learnt> {
        let provider = leaf(self.answer, "Provider").unwrap_or_default();
        let audience = leaf(self.answer, "Audience").unwrap_or_default();
        let mut learnt = self.assumed_role(Some((&provider, BTreeMap::new())));
        if let Some(subject) = leaf(self.answer, "SubjectFromWebIdentityToken") {
            learnt.push(Learnt::Caller(UserIdentity::web_identity_user(&provider, &audience, &subject)));
        }
        learnt
    }

    fn saml(&self) -> Vec<Learnt> {
        let issuer = leaf(self.answer, "Issuer").unwrap_or_default();
        let mut learnt = self.assumed_role(Some((&issuer, BTreeMap::new())));
        if let (Some(qualifier), Some(subject)) = (leaf(self.answer, "NameQualifier"), leaf(self.answer, "Subject")) {
            learnt.push(Learnt::Caller(UserIdentity::saml_user(&qualifier, &subject)));
        }
        learnt
    }

    fn session_token(&self, caller: Option<UserIdentity>) -> Vec<Learnt> {
        let (Some(credentials), Some(caller)) = (self.credentials(), caller) else { return Vec::new() };
        let mfa = self.form.get("SerialNumber").is_some();
        let owner = caller.in_session(&credentials.id, self.at, mfa);
        vec![Learnt::Key { id: credentials.id, owner, until: credentials.until }]
    }

    fn federation_token(&self, caller: Option<UserIdentity>) -> Vec<Learnt> {
        let found = || {
            let credentials = self.credentials()?;
            let arn: Arn = leaf(self.answer, "Arn")?.parse().ok()?;
            let name = arn.resource().strip_prefix("federated-user/")?;
            let owner =
                UserIdentity::federated_user(arn.account_id()?, name, &credentials.id, caller.as_ref(), self.at);
            Some(Learnt::Key { id: credentials.id, owner, until: credentials.until })
        };
        found().into_iter().collect()
    }

    fn user(&self) -> Vec<Learnt> {
        let found = || {
            let user = element(self.answer, "User")?;
            let arn = leaf(user, "Arn")?.parse().ok()?;
            Some(Learnt::User { name: leaf(user, "UserName")?, id: plain(leaf(user, "UserId")?)?, arn })
        };
        found().into_iter().collect()
    }

    fn role(&self) -> Vec<Learnt> {
        let found = || {
            let role = element(self.answer, "Role")?;
            let arn = leaf(role, "Arn")?.parse().ok()?;
            Some(Learnt::Role { name: leaf(role, "RoleName")?, id: plain(leaf(role, "RoleId")?)?, arn })
        };
        found().into_iter().collect()
    }

    fn access_key(&self) -> Vec<Learnt> {
        let found = || {
            let key = element(self.answer, "AccessKey")?;
            Some(Learnt::KeyOfUser { id: plain(leaf(key, "AccessKeyId")?)?, user: leaf(key, "UserName")? })
        };
        found().into_iter().collect()
    }
}

/// The identity behind the ARN and user id that GetCallerIdentity answers.
pub(super) fn owner_of(
    arn: &Arn,
    account: AccountId,
    user_id: &str,
    key: &str,
    at: Timestamp,
    role_arn: impl Fn(&str) -> Option<Arn>,
) -> Option<UserIdentity> {
    let resource = arn.resource();
    if resource == "root" {
        return Some(UserIdentity::root(account, key));
    }
    if let Some(path) = resource.strip_prefix("user/") {
        let name = path.rsplit('/').next()?;
        return Some(UserIdentity::iam_user(user_id, arn, account, key, name));
    }
    if let Some(name) = resource.strip_prefix("federated-user/") {
        return Some(UserIdentity::federated_user(account, name, key, None, at));
    }
    let (role_name, session_name) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    let (role_id, _) = user_id.split_once(':').unwrap_or((user_id, ""));
    // The path of a role does not stand in the ARN of its sessions.
    let role_arn = role_arn(role_id).unwrap_or_else(|| Arn::iam(account, &format!("role/{role_name}")));
    Some(UserIdentity::assumed_role(&RoleSession {
        role_id: role_id.to_owned(),
        role_arn,
        role_name: role_name.to_owned(),
        account,
        session_name: session_name.to_owned(),
        session_arn: arn.clone(),
        access_key_id: key.to_owned(),
        created: at,
        mfa: false,
        source_identity: None,
    }))
}

/// The parameters of a call in the query protocol.
struct Form(HashMap<String, String>);

impl Form {
    /// Secrets among the parameters are not kept.
    fn of(exchange: &Exchange) -> Self {
        const WANTED: [&str; 6] = ["Action", "RoleArn", "SourceIdentity", "SerialNumber", "TokenCode", "UserName"];
        let query = exchange.request.head.uri.query().unwrap_or_default().as_bytes();
        let body: &[u8] = if exchange.request.body.is_kept() { &exchange.request.body.kept } else { b"" };
        let pairs = form_urlencoded::parse(query).chain(form_urlencoded::parse(body)).take(512);
        let wanted = pairs.filter(|(name, _)| WANTED.contains(&&**name));
        // Of a code it matters alone that there was one.
        let clean = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
            let value = if name == "TokenCode" { String::new() } else { value.into_owned() };
            (name.into_owned(), value)
        };
        Self(wanted.map(clean).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn text(body: &Body) -> Option<Cow<'_, str>> {
    (body.is_kept() && body.kept.len() <= MAX_ANSWER).then(|| String::from_utf8_lossy(&body.kept))
}

/// An identifier: letters, digits and little else.
fn plain(id: String) -> Option<String> {
    let fits = (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b));
    fits.then_some(id)
}

fn split(id: String) -> Option<(String, String)> {
    id.split_once(':').map(|(role, session)| (role.to_owned(), session.to_owned()))
}
