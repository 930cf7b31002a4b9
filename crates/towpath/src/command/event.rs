//! What a person wants to see of an event in one line.

use serde_json::Value;

use super::text;

/// The columns of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `eventTime` as it is written.
    pub time: String,
    /// `eventName`.
    pub name: String,
    /// `eventSource`.
    pub source: String,
    /// Who did it.
    pub user: String,
    /// `sourceIPAddress`.
    pub address: String,
    /// `errorCode`.
    pub error: String,
    /// `awsRegion`.
    pub region: String,
}

impl Summary {
    /// Reads a record of CloudTrail, or an activity event, whose content is in `eventData`.
    pub fn of(record: &Value) -> Self {
        let content = match record.get("eventData") {
            Some(data @ Value::Object(_)) => data,
            _ => record,
        };
        let time = text(record, "eventTime");
        let region =
            if text(record, "awsRegion").is_empty() { text(content, "awsRegion") } else { text(record, "awsRegion") };
        Self {
            time: if time.is_empty() { text(content, "eventTime") } else { time }.to_owned(),
            name: text(content, "eventName").to_owned(),
            source: text(content, "eventSource").to_owned(),
            user: user(content.get("userIdentity").unwrap_or(&Value::Null)),
            address: text(content, "sourceIPAddress").to_owned(),
            error: text(content, "errorCode").to_owned(),
            region: region.to_owned(),
        }
    }
}

/// Who a `userIdentity` stands for: the user's name, the session's name of a role, or the next best.
fn user(identity: &Value) -> String {
    let principal = text(identity, "principalId");
    let arn = text(identity, "arn");
    let name = match text(identity, "type") {
        "Root" => "root",
        "AssumedRole" => principal.split_once(':').map_or("", |(_, session)| session),
        "AWSService" => text(identity, "invokedBy"),
        _ => text(identity, "userName"),
    };
    let last = arn.rsplit('/').next().unwrap_or_default();
    [name, last, principal, text(identity, "invokedBy"), text(identity, "accountId")]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or("-")
        .to_owned()
}

/// True if `text` is `pattern`, in which `*` stands for anything; case counts.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<_> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_user_is_named_for_every_kind_of_identity() {
        for (identity, expected) in [
            (json!({"type": "IAMUser", "userName": "alice", "arn": "arn:aws:iam::1:user/alice"}), "alice"),
            (
                json!({"type": "AssumedRole", "principalId": "AROA:session", "arn": "arn:aws:sts::1:assumed-role/r/session"}),
                "session",
            ),
            (json!({"type": "Root", "principalId": "1", "arn": "arn:aws:iam::1:root"}), "root"),
            (json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}), "ec2.amazonaws.com"),
            (json!({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/bob"}), "bob"),
            (json!({"type": "Unknown", "accountId": "000000000001"}), "000000000001"),
            (Value::Null, "-"),
        ] {
            assert_eq!(user(&identity), expected, "{identity}");
        }
    }

    #[test]
    fn an_activity_event_is_read_from_its_content() {
        let summary = Summary::of(&json!({
            "eventTime": "2026-11-20T00:00:00Z", "awsRegion": "eu-west-1",
            "eventData": {"eventName": "PlaceOrder", "eventSource": "shop", "userIdentity": {"type": "User", "principalId": "u1"}}
        }));
        assert_eq!((summary.name.as_str(), summary.user.as_str()), ("PlaceOrder", "u1"));
        assert_eq!((summary.time.as_str(), summary.region.as_str()), ("2026-11-20T00:00:00Z", "eu-west-1"));
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text) in
            [("a", "a"), ("*", ""), ("Get*", "GetTrail"), ("*Trail", "GetTrail"), ("G*T*l", "GetTrail"), ("a*a", "aa")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("", "a"), ("Get*", "get"), ("a*a", "a"), ("*x*", "abc")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_its_prefixes_with_a_star(text in "[a-c]{0,8}", cut in 0usize..8) {
            prop_assert!(matches(&text, &text));
            let pattern = format!("{}*", &text[..cut.min(text.len())]);
            prop_assert!(matches(&pattern, &text));
        }
    }
}
