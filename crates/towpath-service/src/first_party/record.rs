//! A record as first-party software sends it, held against the form of delivered records.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use towpath_model::{AccountId, Category, Event, EventFacts, EventKey, EventTime, Region};
use towpath_wire::Object;

use super::put::Refused;
use crate::json_object::{self, ObjectError};

/// Most records of one call.
pub(crate) const MAX_RECORDS: usize = 1000;

/// How far a sender's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);
/// How late a record may come: as far as event history reaches back.
const LATE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Longest name of an event, source or address, in bytes.
const MAX_NAME: usize = 1024;

/// The members of a record that decide about it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfferedForm<'a> {
    #[serde(borrow)]
    event_version: Cow<'a, str>,
    #[serde(borrow)]
    user_identity: Object<Identity<'a>>,
    #[serde(borrow)]
    event_time: Cow<'a, str>,
    #[serde(borrow)]
    event_source: Cow<'a, str>,
    #[serde(borrow)]
    event_name: Cow<'a, str>,
    #[serde(borrow)]
    aws_region: Cow<'a, str>,
    #[serde(rename = "sourceIPAddress", borrow)]
    source_ip: Cow<'a, str>,
    #[serde(default)]
    error_code: Option<String>,
    #[serde(borrow, default)]
    request_parameters: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response_elements: Option<&'a RawValue>,
    #[serde(rename = "eventID", borrow)]
    event_id: Cow<'a, str>,
    #[serde(default)]
    read_only: Option<bool>,
    #[serde(borrow, default)]
    resources: Vec<Object<Resource<'a>>>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(default)]
    management_event: Option<bool>,
    #[serde(borrow)]
    recipient_account_id: Cow<'a, str>,
    #[serde(default)]
    vpc_endpoint_id: Option<String>,
    #[serde(borrow)]
    event_category: Cow<'a, str>,
    #[serde(default)]
    session_credential_from_console: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(borrow, default)]
    arn: Option<Cow<'a, str>>,
    #[serde(default)]
    invoked_by: Option<String>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(rename = "ARN", borrow, default)]
    arn: Option<Cow<'a, str>>,
}

/// A record that has the form of delivered records.
pub(crate) struct Checked<'a> {
    form: OfferedForm<'a>,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) key: EventKey,
    category: Category,
    time: EventTime,
}

impl<'a> OfferedForm<'a> {
    /// Reads a record of at most `limit` bytes and checks its form.
    pub(crate) fn check(json: &'a [u8], limit: usize, now: Timestamp) -> Result<Checked<'a>, Refused> {
        if json.len() > limit {
            return Err(Refused::too_large(limit));
        }
        let form: Self = json_object::read(json).map_err(|error| match error {
            ObjectError::Member(_) => invalid(error.to_string()),
            ObjectError::Syntax { .. } => invalid(format!("not JSON: {error}")),
        })?;
        let category = form.category()?;
        form.check_members()?;
        let account = form.recipient_account_id.parse().map_err(|_| invalid("recipientAccountId is no account"))?;
        let region = form.aws_region.parse().map_err(|_| invalid("awsRegion is no region"))?;
        let key = EventKey::of_event_id(&form.event_id).ok_or_else(|| invalid("eventID is no UUID"))?;
        let time = EventTime::parse(&form.event_time)
            .map_err(|_| invalid("eventTime has not the form yyyy-MM-ddTHH:mm:ssZ"))?;
        let at = time.timestamp();
        if now.duration_until(at) > AHEAD {
            return Err(Refused::new("TimeOutOfRange", "eventTime is more than 15 minutes ahead"));
        }
        if at.duration_until(now) > LATE {
            return Err(Refused::new("TimeOutOfRange", "eventTime is more than 90 days ago"));
        }
        Ok(Checked { form, account, region, key, category, time })
    }

    fn category(&self) -> Result<Category, Refused> {
        let category = match &*self.event_category {
            "Management" => Category::Management,
            "Data" => Category::Data,
            "NetworkActivity" => Category::NetworkActivity,
            _ => return Err(invalid("eventCategory is not Management, Data or NetworkActivity")),
        };
        let fits = match &*self.event_type {
            "AwsApiCall" | "AwsServiceEvent" => category != Category::NetworkActivity,
            "AwsConsoleAction" | "AwsConsoleSignIn" => category == Category::Management,
            "AwsVpceEvent" => category == Category::NetworkActivity,
            _ => return Err(invalid("eventType is none that CloudTrail has for events of accounts")),
        };
        if !fits {
            return Err(invalid("eventType and eventCategory do not go together"));
        }
        match self.management_event {
            Some(management) if management != (category == Category::Management) => {
                Err(invalid("managementEvent and eventCategory do not go together"))
            }
            _ => Ok(category),
        }
    }

    fn check_members(&self) -> Result<(), Refused> {
        let version = self.event_version.split_once('.');
        if version.is_none_or(|(major, minor)| major != "1" || minor.parse::<u8>().is_err()) {
            return Err(invalid("eventVersion is not 1.x"));
        }
        let names = [
            ("eventSource", &self.event_source),
            ("eventName", &self.event_name),
            ("sourceIPAddress", &self.source_ip),
        ];
        for (name, text) in names {
            if text.is_empty() || text.len() > MAX_NAME {
                return Err(invalid(format!("{name} must have 1 to {MAX_NAME} bytes")));
            }
        }
        // Only what a service did by itself has nobody who called.
        let nobody = self.user_identity.0.kind.is_none();
        if nobody && (self.event_type != "AwsServiceEvent" || self.user_identity.0.invoked_by.is_none()) {
            return Err(invalid("userIdentity has no type"));
        }
        for (name, value) in
            [("requestParameters", self.request_parameters), ("responseElements", self.response_elements)]
        {
            if value.is_some_and(|value| !value.get().starts_with('{') && value.get() != "null") {
                return Err(invalid(format!("{name} is neither an object nor null")));
            }
        }
        Ok(())
    }
}

impl Checked<'_> {
    /// Calls `with` with what selectors look at.
    pub(crate) fn facts<T>(&self, with: impl FnOnce(&EventFacts<'_>) -> T) -> T {
        let form = &self.form;
        let resources: SmallVec<[_; 4]> =
            form.resources.iter().map(|Object(resource)| (resource.kind.as_deref(), resource.arn.as_deref())).collect();
        with(&EventFacts {
            category: self.category.as_str(),
            read_only: form.read_only,
            event_source: Some(&form.event_source),
            event_name: Some(&form.event_name),
            event_type: Some(&form.event_type),
            user_arn: form.user_identity.0.arn.as_deref(),
            error_code: form.error_code.as_deref(),
            vpc_endpoint_id: form.vpc_endpoint_id.as_deref(),
            session_credential_from_console: form.session_credential_from_console.as_deref(),
            resources: &resources,
        })
    }

    /// The event, with no destinations yet.
    pub(crate) fn event(&self, json: Bytes, admitted: Timestamp) -> Event {
        Event {
            key: self.key,
            time: self.time,
            admitted,
            category: self.category,
            account: self.account,
            region: self.region.clone(),
            destinations: SmallVec::new(),
            trails: SmallVec::new(),
            json,
        }
    }
}

fn invalid(why: impl Into<String>) -> Refused {
    Refused::new("InvalidRecord", why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-01-20T00:00:00Z".parse().unwrap()
    }

    pub(super) fn record() -> Value {
        json!({
            "eventVersion": "1.11",
            "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::000000000000:user/a" },
            "eventTime": "2026-01-19T23:59:59Z",
            "eventSource": "support.amazonaws.com",
            "eventName": "CreateCase",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "192.0.2.1",
            "requestParameters": { "a": 1 },
            "responseElements": null,
            "eventID": "5e2676f8-9fce-46ef-8142-3e36a94e6691",
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": "000000000000",
            "eventCategory": "Management"
        })
    }

    fn check(record: &Value) -> Result<Category, String> {
        let json = serde_json::to_vec(record).unwrap();
        OfferedForm::check(&json, 256 << 10, now()).map(|checked| checked.category).map_err(|refused| refused.message)
    }

    #[test]
    fn a_record_in_the_form_of_delivered_ones_is_taken() {
        assert_eq!(check(&record()), Ok(Category::Management));
        let mut event = record();
        event["eventType"] = "AwsServiceEvent".into();
        event["userIdentity"] = json!({ "accountId": "000000000000", "invokedBy": "towpath" });
        assert_eq!(check(&event), Ok(Category::Management));
        let mut vpce = record();
        vpce["eventType"] = "AwsVpceEvent".into();
        vpce["eventCategory"] = "NetworkActivity".into();
        vpce.as_object_mut().unwrap().remove("managementEvent");
        assert_eq!(check(&vpce), Ok(Category::NetworkActivity));
    }

    #[test]
    fn what_has_another_form_is_refused_with_the_member_that_is_wrong() {
        let wrong = [
            ("eventVersion", json!("2.0"), "eventVersion"),
            ("userIdentity", json!({}), "userIdentity"),
            ("userIdentity", json!("me"), "invalid type"),
            ("eventTime", json!("yesterday"), "eventTime"),
            ("eventTime", json!("2026-01-20T00:16:00Z"), "ahead"),
            ("eventTime", json!("2025-01-20T00:00:00Z"), "90 days"),
            ("eventSource", json!(""), "eventSource"),
            ("eventName", json!("x".repeat(1025)), "eventName"),
            ("awsRegion", json!("nowhere at all"), "awsRegion"),
            ("requestParameters", json!([1]), "requestParameters"),
            ("responseElements", json!("x"), "responseElements"),
            ("eventID", json!("1"), "eventID"),
            ("eventType", json!("AwsCloudTrailInsight"), "eventType"),
            ("eventType", json!("AwsVpceEvent"), "go together"),
            ("eventCategory", json!("Insight"), "eventCategory"),
            ("managementEvent", json!(false), "go together"),
            ("recipientAccountId", json!("12"), "recipientAccountId"),
            ("readOnly", json!("true"), "invalid type"),
        ];
        for (member, value, told) in wrong {
            let mut record = record();
            record[member] = value;
            let refused = check(&record).unwrap_err();
            assert!(refused.contains(told), "{member}: {refused}");
        }
        let required = ["eventVersion", "userIdentity", "eventTime", "eventID", "eventType", "eventCategory"];
        for member in required {
            let mut record = record();
            record.as_object_mut().unwrap().remove(member);
            assert!(check(&record).unwrap_err().contains(member), "{member}");
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_refused() {
        let json = serde_json::to_vec(&record()).unwrap();
        assert!(OfferedForm::check(&json, json.len(), now()).is_ok());
        let refused = OfferedForm::check(&json, json.len() - 1, now()).err().unwrap();
        assert_eq!(refused.code, "RecordTooLarge");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_check_panic(json in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = OfferedForm::check(&json, 1000, now());
        }
    }
}
