//! What of a data event is counted.

use std::borrow::Cow;

use serde::Deserialize;

use super::Dimension;

/// The members of a record that aggregates count.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counted<'a> {
    #[serde(borrow)]
    event_source: Cow<'a, str>,
    #[serde(borrow)]
    event_name: Cow<'a, str>,
    #[serde(borrow, default)]
    user_identity: Option<Identity<'a>>,
    #[serde(rename = "sourceIPAddress", borrow, default)]
    source_ip: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error_code: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    resources: Option<Vec<Resource<'a>>>,
    // Made of the identity's members.
    #[serde(skip)]
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arn: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    account_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    principal_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    invoked_by: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct Resource<'a> {
    #[serde(rename = "ARN", borrow, default)]
    arn: Option<Cow<'a, str>>,
}

impl<'a> Counted<'a> {
    /// Reads a record; none if it has not the form of one, which then counts for nothing.
    pub(crate) fn of(record: &'a [u8]) -> Option<Self> {
        let mut counted: Self = serde_json::from_slice(record).ok()?;
        counted.user = counted.user_identity.as_ref().and_then(Identity::name);
        // An event touches a resource once, however often it names it.
        let resources = counted.resources.get_or_insert_default();
        resources.retain(|resource| resource.arn.is_some());
        resources.sort_by(|a, b| a.arn.cmp(&b.arn));
        resources.dedup_by(|a, b| a.arn == b.arn);
        Some(counted)
    }

    pub(super) fn source(&self) -> &str {
        &self.event_source
    }

    /// What the event has to say for a dimension; resources may be several.
    pub(super) fn names(&self, dimension: Dimension) -> impl Iterator<Item = &str> {
        let one = match dimension {
            Dimension::EventName => Some(&*self.event_name),
            Dimension::ResourceArn => None,
            Dimension::UserIdentity => self.user.as_deref(),
            Dimension::UserAgent => self.user_agent.as_deref(),
            Dimension::SourceIpAddress => self.source_ip.as_deref(),
            Dimension::ErrorCodes => self.error_code.as_deref(),
        };
        let resources = self.resources.iter().flatten().filter(move |_| dimension == Dimension::ResourceArn);
        one.into_iter().chain(resources.filter_map(|resource| resource.arn.as_deref()))
    }
}

impl Identity<'_> {
    /// The ARN; else `Type:id`, as `AWSAccount:111111111111` or `AWSService:AWS Internal`.
    fn name(&self) -> Option<String> {
        if let Some(arn) = &self.arn {
            return Some(arn.to_string());
        }
        let id = match self.kind.as_deref() {
            Some("AWSService") => self.invoked_by.as_ref(),
            Some("AWSAccount") => self.account_id.as_ref().or(self.principal_id.as_ref()),
            _ => self.principal_id.as_ref().or(self.account_id.as_ref()).or(self.invoked_by.as_ref()),
        };
        match (&self.kind, id) {
            (Some(kind), Some(id)) => Some(format!("{kind}:{id}")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_string()),
            (None, None) => None,
        }
    }
}
