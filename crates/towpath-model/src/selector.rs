//! Advanced event selectors: which events an event data store or trail wants, and how one is matched.
//!
//! Selectors are OR-ed, the fields of one selector AND-ed. Within a field the positive operators form one OR group, the
//! negative ones must all hold, and both groups are AND-ed (CloudTrail user guide, "Advanced event selectors").
//! Which fields and operators a selector may use is checked once, in [`crate::selector_rules`].

use serde::{Deserialize, Serialize};

/// A selector as the API carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdvancedEventSelector {
    /// Optional, 0 to 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At least one.
    pub field_selectors: Vec<AdvancedFieldSelector>,
}

/// The conditions on one field of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdvancedFieldSelector {
    /// The field's name, such as `eventName` or `resources.ARN`.
    pub field: String,
    /// Matches when the field is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equals: Vec<String>,
    /// Matches when the field begins with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<String>,
    /// Matches when the field ends with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends_with: Vec<String>,
    /// Rejects when the field is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_equals: Vec<String>,
    /// Rejects when the field begins with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_starts_with: Vec<String>,
    /// Rejects when the field ends with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ends_with: Vec<String>,
}

/// What a selector looks at in an event, borrowed from the record.
#[derive(Clone, Debug, Default)]
pub struct EventFacts<'a> {
    /// `eventCategory`.
    pub category: &'a str,
    /// `readOnly`.
    pub read_only: Option<bool>,
    /// `eventSource`.
    pub event_source: Option<&'a str>,
    /// `eventName`.
    pub event_name: Option<&'a str>,
    /// `eventType`.
    pub event_type: Option<&'a str>,
    /// `userIdentity.arn`.
    pub user_arn: Option<&'a str>,
    /// `errorCode`.
    pub error_code: Option<&'a str>,
    /// `vpcEndpointId`.
    pub vpc_endpoint_id: Option<&'a str>,
    /// `sessionCredentialFromConsole`, a text in records.
    pub session_credential_from_console: Option<&'a str>,
    /// `resources`: type and ARN of each.
    pub resources: &'a [(Option<&'a str>, Option<&'a str>)],
}

impl AdvancedEventSelector {
    /// The selector that a store gets when none is given: all management events.
    pub fn default_management_events() -> Self {
        Self::category("Default management events", "Management")
    }

    /// A selector of one whole category.
    pub fn category(name: &str, category: &str) -> Self {
        let field = AdvancedFieldSelector {
            field: "eventCategory".to_owned(),
            equals: vec![category.to_owned()],
            ..AdvancedFieldSelector::default()
        };
        Self { name: Some(name.to_owned()), field_selectors: vec![field] }
    }

    /// The single value of the `eventCategory` field, if the selector has one.
    pub fn event_category(&self) -> Option<&str> {
        let field = self.field_selectors.iter().find(|field| field.field == "eventCategory")?;
        match field.equals.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// True when the event satisfies every field of the selector.
    ///
    /// `resources.type` and `resources.ARN` must be satisfied by one and the same entry of `resources`.
    pub fn matches(&self, event: &EventFacts<'_>) -> bool {
        let (on_resources, on_event): (Vec<_>, Vec<_>) =
            self.field_selectors.iter().partition(|field| field.field.starts_with("resources."));
        if !on_event.iter().all(|field| field.matches(event_field(event, &field.field).as_deref())) {
            return false;
        }
        let entry_matches = |entry: &(Option<&str>, Option<&str>)| {
            on_resources
                .iter()
                .all(|field| field.matches(if field.field == "resources.type" { entry.0 } else { entry.1 }))
        };
        match event.resources {
            [] => entry_matches(&(None, None)),
            entries => entries.iter().any(entry_matches),
        }
    }
}

impl AdvancedFieldSelector {
    /// True when the value passes. A field that the record lacks fails the positive operators and passes the negative
    /// ones.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let has_positive = !(self.equals.is_empty() && self.starts_with.is_empty() && self.ends_with.is_empty());
        let Some(value) = value else { return !has_positive };
        let positive = !has_positive
            || self.equals.iter().any(|want| want == value)
            || self.starts_with.iter().any(|want| value.starts_with(want.as_str()))
            || self.ends_with.iter().any(|want| value.ends_with(want.as_str()));
        positive
            && !self.not_equals.iter().any(|bad| bad == value)
            && !self.not_starts_with.iter().any(|bad| value.starts_with(bad.as_str()))
            && !self.not_ends_with.iter().any(|bad| value.ends_with(bad.as_str()))
    }

    /// The operators that are in use: name and values.
    pub fn operators(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        [
            ("Equals", &self.equals),
            ("StartsWith", &self.starts_with),
            ("EndsWith", &self.ends_with),
            ("NotEquals", &self.not_equals),
            ("NotStartsWith", &self.not_starts_with),
            ("NotEndsWith", &self.not_ends_with),
        ]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| (name, values.as_slice()))
    }
}

fn event_field<'a>(event: &EventFacts<'a>, field: &str) -> Option<std::borrow::Cow<'a, str>> {
    let value = match field {
        "eventCategory" => Some(event.category),
        "readOnly" => event.read_only.map(|yes| if yes { "true" } else { "false" }),
        "eventSource" => event.event_source,
        "eventName" => event.event_name,
        "eventType" => event.event_type,
        "userIdentity.arn" => event.user_arn,
        "errorCode" => event.error_code,
        "vpcEndpointId" => event.vpc_endpoint_id,
        "sessionCredentialFromConsole" => event.session_credential_from_console,
        _ => None,
    };
    value.map(std::borrow::Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(field: &str, positive: &[&str], negative: &[&str]) -> AdvancedFieldSelector {
        let own = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
        AdvancedFieldSelector {
            field: field.to_owned(),
            equals: own(positive),
            not_equals: own(negative),
            ..AdvancedFieldSelector::default()
        }
    }

    fn selector(fields: Vec<AdvancedFieldSelector>) -> AdvancedEventSelector {
        AdvancedEventSelector { name: None, field_selectors: fields }
    }

    #[test]
    fn positive_operators_are_one_group_and_negative_ones_all_hold() {
        let mut name = field("eventName", &["GetObject"], &["PutObjectAcl"]);
        name.starts_with = vec!["Put".to_owned()];
        for (value, expected) in [("GetObject", true), ("PutObject", true), ("PutObjectAcl", false), ("Delete", false)]
        {
            assert_eq!(name.matches(Some(value)), expected, "{value}");
        }
    }

    #[test]
    fn an_absent_field_passes_negative_operators_only() {
        assert!(field("sessionCredentialFromConsole", &[], &["true"]).matches(None));
        assert!(!field("sessionCredentialFromConsole", &["true"], &[]).matches(None));
    }

    #[test]
    fn one_resource_must_have_both_type_and_arn() {
        let wanted = selector(vec![
            field("eventCategory", &["Data"], &[]),
            field("resources.type", &["AWS::S3::Object"], &[]),
            field("resources.ARN", &["arn:aws:s3:::b/k"], &[]),
        ]);
        let split = [
            (Some("AWS::S3::Object"), Some("arn:aws:s3:::other")),
            (Some("AWS::S3::Bucket"), Some("arn:aws:s3:::b/k")),
        ];
        let facts = EventFacts { category: "Data", resources: &split, ..EventFacts::default() };
        assert!(!wanted.matches(&facts));
        let whole = [(Some("AWS::S3::Object"), Some("arn:aws:s3:::b/k"))];
        assert!(wanted.matches(&EventFacts { resources: &whole, ..facts }));
    }

    #[test]
    fn read_only_is_compared_as_text() {
        let reads = selector(vec![field("eventCategory", &["Management"], &[]), field("readOnly", &["true"], &[])]);
        let facts = |read_only| EventFacts { category: "Management", read_only, ..EventFacts::default() };
        assert!(reads.matches(&facts(Some(true))));
        assert!(!reads.matches(&facts(Some(false))));
        assert!(!reads.matches(&facts(None)));
    }

    proptest! {
        #[test]
        fn a_negative_value_never_widens_a_selector(
            positive in proptest::collection::vec("[ab]{0,3}", 0..3),
            negative in "[ab]{0,3}",
            value in proptest::option::of("[ab]{0,3}"),
        ) {
            let without = AdvancedFieldSelector { field: "eventName".into(), equals: positive, ..Default::default() };
            let with = AdvancedFieldSelector { not_equals: vec![negative], ..without.clone() };
            prop_assert!(!with.matches(value.as_deref()) || without.matches(value.as_deref()));
        }
    }
}
