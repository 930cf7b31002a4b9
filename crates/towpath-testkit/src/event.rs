//! Events to order.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};
use towpath_model::{AccountId, Category, Destination, Event, EventKey, EventTime, Region, StoreId, StoreKind};
use uuid::Uuid;

/// Builds an event as CloudTrail would record it. What is not said has a plausible value.
///
/// Each event has an id of its own unless it is given one. Ids count up within a process, so a test that builds the same
/// events in the same order gets the same ids when it runs alone.
#[derive(Clone, Debug)]
pub struct TestEvent {
    category: Category,
    name: String,
    id: String,
    time: EventTime,
    admitted: Timestamp,
    account: AccountId,
    region: Region,
    source: String,
    user: String,
    source_ip: String,
    access_key: String,
    read_only: bool,
    error: Option<(String, String)>,
    request: Value,
    response: Value,
    destinations: Vec<Destination>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl TestEvent {
    /// A management event of IAM with this `eventName`, by the user `alice`.
    pub fn management(name: &str) -> Self {
        Self::new(Category::Management, name, "iam.amazonaws.com")
    }

    /// A data event of S3 with this `eventName`.
    pub fn data(name: &str) -> Self {
        Self::new(Category::Data, name, "s3.amazonaws.com")
    }

    /// An audit event of an application outside AWS, as PutAuditEvents stores it.
    pub fn activity(name: &str) -> Self {
        Self::new(Category::ActivityAuditLog, name, "app.example.com")
    }

    fn new(category: Category, name: &str, source: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let read_only = ["Get", "List", "Describe", "Head"].iter().any(|verb| name.starts_with(verb));
        Self {
            category,
            name: name.to_owned(),
            id: Uuid::from_u128(0x7e57_0000_0000_4000_8000_0000_0000_0000 | u128::from(number)).to_string(),
            time: EventTime::parse("2026-01-15T12:00:00Z").expect("the literal is a time"),
            admitted: "2026-01-15T12:00:02.125Z".parse().expect("the literal is an instant"),
            account: "123456789012".parse().expect("the literal is an account"),
            region: "us-east-1".parse().expect("the literal is a region"),
            source: source.to_owned(),
            user: "alice".to_owned(),
            source_ip: "203.0.113.7".to_owned(),
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            read_only,
            error: None,
            request: Value::Null,
            response: Value::Null,
            destinations: Vec::new(),
        }
    }

    /// Sets `eventID`.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = id.to_owned();
        self
    }

    /// Sets `eventTime`, given as records spell it, and the admission two seconds later.
    #[must_use]
    pub fn at(mut self, time: &str) -> Self {
        self.time = EventTime::parse(time).expect("the test gives a time");
        self.admitted = self.time.timestamp() + std::time::Duration::from_secs(2);
        self
    }

    /// Sets when the event was admitted.
    #[must_use]
    pub fn admitted(mut self, admitted: Timestamp) -> Self {
        self.admitted = admitted;
        self
    }

    /// Sets the account, of the caller and of the recipient.
    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        self.account = account.parse().expect("the test gives an account");
        self
    }

    /// Sets `awsRegion`.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = region.parse().expect("the test gives a region");
        self
    }

    /// Sets `eventSource`.
    #[must_use]
    pub fn source(mut self, source: &str) -> Self {
        self.source = source.to_owned();
        self
    }

    /// Sets the name of the IAM user who made the call.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = user.to_owned();
        self
    }

    /// Sets `sourceIPAddress`.
    #[must_use]
    pub fn source_ip(mut self, address: &str) -> Self {
        self.source_ip = address.to_owned();
        self
    }

    /// Sets `userIdentity.accessKeyId`.
    #[must_use]
    pub fn access_key(mut self, key: &str) -> Self {
        self.access_key = key.to_owned();
        self
    }

    /// Sets `readOnly`; by default it follows from the verb in the name.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Makes the call one that failed.
    #[must_use]
    pub fn error(mut self, code: &str, message: &str) -> Self {
        self.error = Some((code.to_owned(), message.to_owned()));
        self
    }

    /// Sets `requestParameters`.
    #[must_use]
    pub fn request(mut self, parameters: Value) -> Self {
        self.request = parameters;
        self
    }

    /// Sets `responseElements`.
    #[must_use]
    pub fn response(mut self, elements: Value) -> Self {
        self.response = elements;
        self
    }

    /// Routes the event to a store of the kind that holds its category. Say it again for more stores.
    #[must_use]
    pub fn to(self, store: StoreId) -> Self {
        let kind = StoreKind::of(self.category);
        self.to_kind(store, kind)
    }

    /// Routes the event to a store of a given kind.
    #[must_use]
    pub fn to_kind(mut self, store: StoreId, kind: StoreKind) -> Self {
        self.destinations.push(Destination { store, kind });
        self
    }

    /// Routes the event to the event history of its account.
    #[must_use]
    pub fn to_history(self) -> Self {
        let store = StoreId::history_of(self.account);
        self.to_kind(store, StoreKind::History)
    }

    /// The text of the record: compact, keys in the order in which CloudTrail writes them.
    pub fn json(&self) -> String {
        match self.category {
            Category::ActivityAuditLog => self.activity_json(),
            _ => self.call_json(),
        }
    }

    /// The event.
    pub fn build(&self) -> Event {
        let json = self.json();
        Event {
            key: EventKey::of(Some(&self.id), json.as_bytes()),
            time: self.time,
            admitted: self.admitted,
            category: self.category,
            account: self.account,
            region: self.region.clone(),
            destinations: self.destinations.iter().copied().collect(),
            trails: Default::default(),
            json: json.into(),
        }
    }

    fn call_json(&self) -> String {
        let (account, user) = (self.account, &self.user);
        let identity = object(&[
            ("type", json!("IAMUser")),
            ("principalId", json!(format!("AIDA{:0>17}", user.to_uppercase()))),
            ("arn", json!(format!("arn:aws:iam::{account}:user/{user}"))),
            ("accountId", json!(account)),
            ("accessKeyId", json!(self.access_key)),
            ("userName", json!(user)),
        ]);
        let mut members = vec![
            ("eventVersion", "\"1.11\"".to_owned()),
            ("userIdentity", identity),
            ("eventTime", text(&self.time.to_string())),
            ("eventSource", text(&self.source)),
            ("eventName", text(&self.name)),
            ("awsRegion", text(self.region.as_str())),
            ("sourceIPAddress", text(&self.source_ip)),
            ("userAgent", "\"aws-cli/2.27.0 md/awscrt#0.26.1 ua/2.1 os/linux#6.1\"".to_owned()),
        ];
        if let Some((code, message)) = &self.error {
            members.extend([("errorCode", text(code)), ("errorMessage", text(message))]);
        }
        members.extend([
            ("requestParameters", self.request.to_string()),
            ("responseElements", self.response.to_string()),
            ("requestID", text(&Uuid::new_v5(&Uuid::NAMESPACE_OID, self.id.as_bytes()).to_string())),
            ("eventID", text(&self.id)),
            ("readOnly", self.read_only.to_string()),
            ("eventType", "\"AwsApiCall\"".to_owned()),
            ("managementEvent", (self.category == Category::Management).to_string()),
            ("recipientAccountId", text(account.as_str())),
            ("eventCategory", text(self.category.as_str())),
        ]);
        joined(&members)
    }

    fn activity_json(&self) -> String {
        let (account, region) = (self.account, &self.region);
        let channel = format!("arn:aws:cloudtrail:{region}:{account}:channel/7e570000-0000-4000-8000-00000000c0de");
        let metadata = object(&[
            ("ingestionTime", json!(towpath_model::eventtime_text(self.admitted))),
            ("channelARN", json!(channel)),
        ]);
        let identity =
            joined(&[("type", text("User")), ("principalId", text(&self.user)), ("details", "{}".to_owned())]);
        let mut data = vec![
            ("version", "\"1.0\"".to_owned()),
            ("userIdentity", identity),
            ("userAgent", "\"example-app/1.0\"".to_owned()),
            ("eventSource", text(&self.source)),
            ("eventName", text(&self.name)),
            ("eventTime", text(&self.time.to_string())),
            ("UID", text(&self.id)),
            ("requestParameters", self.request.to_string()),
            ("responseElements", self.response.to_string()),
        ];
        if let Some((code, message)) = &self.error {
            data.extend([("errorCode", text(code)), ("errorMessage", text(message))]);
        }
        data.extend([("sourceIPAddress", text(&self.source_ip)), ("recipientAccountId", text(account.as_str()))]);
        joined(&[
            ("eventVersion", "\"1.0\"".to_owned()),
            ("eventCategory", "\"ActivityAuditLog\"".to_owned()),
            ("eventType", "\"ActivityLog\"".to_owned()),
            ("eventID", text(&self.id)),
            ("eventTime", text(&self.time.to_string())),
            ("awsRegion", text(region.as_str())),
            ("recipientAccountId", text(account.as_str())),
            ("metadata", metadata),
            ("eventData", joined(&data)),
        ])
    }
}

fn text(value: &str) -> String {
    Value::from(value).to_string()
}

fn object(members: &[(&str, Value)]) -> String {
    let members: Vec<_> = members.iter().map(|(key, value)| (*key, value.to_string())).collect();
    joined(&members)
}

fn joined(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{}:{value}", text(key))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_says_what_the_event_says() {
        let store = StoreId::random();
        let event = TestEvent::management("CreateUser")
            .at("2026-02-03T04:05:06Z")
            .account("000000000001")
            .region("eu-central-1")
            .error("AccessDenied", "not \"allowed\"")
            .request(json!({"userName": "bob"}))
            .to(store)
            .to_history()
            .build();

        let record: Value = serde_json::from_slice(&event.json).unwrap();
        assert_eq!(record["eventTime"], "2026-02-03T04:05:06Z");
        assert_eq!(record["recipientAccountId"], "000000000001");
        assert_eq!(record["awsRegion"], "eu-central-1");
        assert_eq!(record["errorMessage"], "not \"allowed\"");
        assert_eq!(record["requestParameters"]["userName"], "bob");
        assert_eq!(record["managementEvent"], true);
        assert_eq!(Some(event.key), EventKey::of_event_id(record["eventID"].as_str().unwrap()));
        assert_eq!(event.destinations.len(), 2);
        assert_eq!(event.destinations[0], Destination { store, kind: StoreKind::CloudTrail });
    }

    #[test]
    fn an_activity_event_wraps_what_was_sent() {
        let event = TestEvent::activity("Login").user("carol").build();
        let record: Value = serde_json::from_slice(&event.json).unwrap();
        assert_eq!(record["eventData"]["userIdentity"]["principalId"], "carol");
        assert_eq!(record["eventCategory"], event.category.as_str());
    }

    #[test]
    fn two_events_have_two_ids() {
        assert_ne!(TestEvent::data("GetObject").build().key, TestEvent::data("GetObject").build().key);
    }
}
