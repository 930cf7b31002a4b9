//! From what STS and IAM say of somebody to an identity. An answer that does not fit together says nothing.

use towpath_admit::{RoleSession, UserIdentity};
use towpath_model::{AccountId, Arn};

use super::xml::{element, leaf};

/// Who asked `GetCallerIdentity` with a key, from the answer; `role_arn` tells the ARN of a role whose id is known.
///
/// `None` for an answer that is none, whose account is another than its ARN's, or whose ARN is not one of a root, a user, a
/// federated user or a session of a role. (moto answers `arn:aws:sts::...:user/moto` to keys that it does not know.)
pub(super) fn of_caller_identity(
    answer: &str,
    key: &str,
    role_arn: impl Fn(&str) -> Option<Arn>,
) -> Option<UserIdentity> {
    let result = element(answer, "GetCallerIdentityResult")?;
    let arn: Arn = leaf(result, "Arn")?.parse().ok()?;
    let account = arn.account_id()?;
    if leaf(result, "Account")?.parse() != Ok(account) {
        return None;
    }
    let user_id = leaf(result, "UserId")?;
    match (arn.service(), arn.resource()) {
        ("iam", "root") => Some(UserIdentity::root(account, key)),
        ("iam", _) => of_user(&arn, &user_id, key),
        ("sts", resource) => match resource.strip_prefix("federated-user/") {
            Some(name) => {
                let fits = is_name(name) && user_id == format!("{account}:{name}");
                fits.then(|| UserIdentity::federated_user_seen(account, name, key))
            }
            None => of_session(&arn, account, &user_id, key, role_arn),
        },
        _ => None,
    }
}

/// The user with this ARN and id, who has a key.
pub(super) fn of_user(arn: &Arn, user_id: &str, key: &str) -> Option<UserIdentity> {
    let account = arn.account_id()?;
    let name = user_name(arn)?;
    is_id(user_id).then(|| UserIdentity::iam_user(user_id, arn, account, key, name))
}

/// The name of the user that an ARN is of.
pub(super) fn user_name(arn: &Arn) -> Option<&str> {
    let path = arn.resource().strip_prefix("user/").filter(|_| arn.service() == "iam")?;
    path.rsplit('/').next().filter(|name| is_name(name))
}

fn of_session(
    arn: &Arn,
    account: AccountId,
    user_id: &str,
    key: &str,
    role_arn: impl Fn(&str) -> Option<Arn>,
) -> Option<UserIdentity> {
    let (role_name, session_name) = arn.resource().strip_prefix("assumed-role/")?.split_once('/')?;
    let (role_id, session) = user_id.split_once(':')?;
    if !(is_name(role_name) && is_name(session_name) && is_id(role_id) && session == session_name) {
        return None;
    }
    // The path of a role does not stand in the ARN of its sessions.
    let role_arn = role_arn(role_id).unwrap_or_else(|| Arn::iam(account, &format!("role/{role_name}")));
    Some(UserIdentity::assumed_role_seen(&RoleSession {
        role_id: role_id.to_owned(),
        role_arn,
        role_name: role_name.to_owned(),
        account,
        session_name: session_name.to_owned(),
        session_arn: arn.clone(),
        access_key_id: key.to_owned(),
        created: jiff::Timestamp::UNIX_EPOCH,
        mfa: false,
        source_identity: None,
    }))
}

/// True for a name of a user, role or session.
pub(super) fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
}

/// True for a unique id or an access key id: letters, digits and little else.
pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(arn: &str, account: &str, user_id: &str) -> Option<Value> {
        let answer = format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{user_id}</UserId>\
             <Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        );
        of_caller_identity(&answer, "AKIA1", |_| None).map(|identity| json!(identity))
    }

    const ACCOUNT: &str = "123456789012";

    #[test]
    fn each_kind_of_caller_is_known_by_its_arn() {
        let root = told("arn:aws:iam::123456789012:root", ACCOUNT, ACCOUNT).unwrap();
        assert_eq!((&root["type"], &root["principalId"]), (&json!("Root"), &json!(ACCOUNT)));
        let user = told("arn:aws:iam::123456789012:user/team/alice", ACCOUNT, "AIDA1").unwrap();
        assert_eq!((&user["type"], &user["userName"]), (&json!("IAMUser"), &json!("alice")));
        let role = told("arn:aws:sts::123456789012:assumed-role/Admin/me", ACCOUNT, "AROA1:me").unwrap();
        // When the session began, and whether with a second factor, STS does not say.
        let issuer = json!({
            "type": "Role", "principalId": "AROA1", "arn": "arn:aws:iam::123456789012:role/Admin", "accountId": ACCOUNT,
            "userName": "Admin",
        });
        assert_eq!(role["sessionContext"], json!({ "sessionIssuer": issuer }));
        let bob = told("arn:aws:sts::123456789012:federated-user/bob", ACCOUNT, "123456789012:bob").unwrap();
        assert_eq!((&bob["type"], &bob["sessionContext"]), (&json!("FederatedUser"), &Value::Null));
    }

    #[test]
    fn an_answer_that_does_not_fit_together_says_nothing() {
        for (arn, account, user_id) in [
            ("arn:aws:iam::123456789012:root", "210987654321", ACCOUNT),
            ("arn:aws:iam::123456789012:root", "", ACCOUNT),
            ("arn:aws:iam:::user/alice", ACCOUNT, "AIDA1"),
            ("arn:aws:sts::123456789012:user/moto", ACCOUNT, "AKIAIOSFODNN7EXAMPLE"),
            ("arn:aws:sts::123456789012:root", ACCOUNT, ACCOUNT),
            ("arn:aws:iam::123456789012:assumed-role/Admin/me", ACCOUNT, "AROA1:me"),
            ("arn:aws:sts::123456789012:assumed-role/Admin/me", ACCOUNT, "AROA1:you"),
            ("arn:aws:sts::123456789012:assumed-role/Admin/me", ACCOUNT, "AROA1"),
            ("arn:aws:sts::123456789012:assumed-role/Admin", ACCOUNT, "AROA1:Admin"),
            ("arn:aws:sts::123456789012:federated-user/bob", ACCOUNT, "123456789012:eve"),
            ("arn:aws:iam::123456789012:user/", ACCOUNT, "AIDA1"),
            ("arn:aws:iam::123456789012:user/a\u{7}b", ACCOUNT, "AIDA1"),
            ("arn:aws:iam::123456789012:user/alice", ACCOUNT, ""),
            ("arn:aws:iam::123456789012:group/alice", ACCOUNT, "AGPA1"),
            ("arn:aws:s3:::123456789012", ACCOUNT, "AIDA1"),
            ("nonsense", ACCOUNT, "AIDA1"),
            ("", "", ""),
        ] {
            assert_eq!(told(arn, account, user_id), None, "{arn} {account} {user_id}");
        }
    }
}
