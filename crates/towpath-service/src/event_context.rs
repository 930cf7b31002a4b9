//! `eventContext`: what the event configuration of a store adds to the records of Towpath's own calls.
//!
//! A store may ask for condition keys of the request and for tags of the caller and of the resources
//! (PutEventConfiguration). The context belongs to the store, not to the event: the record goes into the log once for
//! all destinations that ask for nothing, event history and trails among them, and once more for each different
//! configuration. The copies have one identity; no store gets two of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use smallvec::SmallVec;
use towpath_iam::{Principal, Request};
use towpath_model::{AccountId, Arn, ContextKeySelector, Destination, Event};

use crate::authorize;
use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::operations::Touched;

/// Condition keys that may be added to events (CloudTrail API reference, PutEventConfiguration), and whether other
/// accounts than the caller's may see them: a record in another account says of the caller no more than its account and
/// principal id.
const CONDITION_KEYS: &[(&str, Seen)] = &[
    ("aws:FederatedProvider", Seen::ByCaller),
    ("aws:TokenIssueTime", Seen::ByCaller),
    ("aws:MultiFactorAuthAge", Seen::ByCaller),
    ("aws:MultiFactorAuthPresent", Seen::ByCaller),
    ("aws:SourceIdentity", Seen::ByCaller),
    ("aws:PrincipalAccount", Seen::ByAll),
    ("aws:PrincipalArn", Seen::ByCaller),
    ("aws:PrincipalIsAWSService", Seen::ByAll),
    ("aws:PrincipalOrgID", Seen::ByCaller),
    ("aws:PrincipalOrgPaths", Seen::ByCaller),
    ("aws:PrincipalServiceName", Seen::ByAll),
    ("aws:PrincipalServiceNamesList", Seen::ByAll),
    ("aws:PrincipalType", Seen::ByCaller),
    ("aws:userid", Seen::ByAll),
    ("aws:username", Seen::ByCaller),
    ("aws:RequestedRegion", Seen::ByAll),
    ("aws:SecureTransport", Seen::ByAll),
    ("aws:ViaAWSService", Seen::ByAll),
    ("aws:CurrentTime", Seen::ByAll),
    ("aws:EpochTime", Seen::ByAll),
    ("aws:SourceAccount", Seen::ByAll),
    ("aws:SourceOrgID", Seen::ByAll),
];

/// The accounts in whose records a condition key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    ByCaller,
    ByAll,
}

/// The proper spelling of a condition key that may be added to events.
pub(crate) fn condition_key(text: &str) -> Option<&'static str> {
    CONDITION_KEYS.iter().map(|(key, _)| *key).find(|key| key.eq_ignore_ascii_case(text))
}

/// Gives stores that ask for context their own copies of the records of one call. A copy that would be longer than
/// `max_bytes` goes without context.
pub(crate) fn enrich(
    state: &CatalogState,
    caller: &Caller,
    touched: &[Touched],
    max_bytes: usize,
    events: Vec<Event>,
) -> Vec<Event> {
    let mut enriched = Vec::with_capacity(events.len());
    for mut event in events {
        let mut asking: Vec<(&[ContextKeySelector], SmallVec<[Destination; 2]>)> = Vec::new();
        event.destinations.retain(|to| match asked_by(state, to) {
            [] => true,
            keys => {
                match asking.iter_mut().find(|(same, _)| *same == keys) {
                    Some((_, stores)) => stores.push(*to),
                    None => asking.push((keys, SmallVec::from_elem(*to, 1))),
                }
                false
            }
        });
        for (keys, stores) in asking {
            let context = EventContext::of(state, caller, touched, event.account, keys);
            let mut copy = event.clone();
            copy.json = context.added_to(&event.json).filter(|json| json.len() <= max_bytes).unwrap_or(copy.json);
            copy.destinations = stores;
            copy.trails.clear();
            enriched.push(copy);
        }
        if !event.destinations.is_empty() || !event.trails.is_empty() {
            enriched.push(event);
        }
    }
    enriched
}

fn asked_by<'a>(state: &'a CatalogState, to: &Destination) -> &'a [ContextKeySelector] {
    state.store(to.store).map_or(&[], |store| &store.event_configuration.context_key_selectors)
}

/// The context of one call for one configuration, as records print it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventContext<'a> {
    request_context: BTreeMap<&'static str, Value>,
    tag_context: TagContext<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct TagContext<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_tags: Vec<ResourceTags<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    principal_tags: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct ResourceTags<'a> {
    arn: &'a Arn,
    tags: BTreeMap<&'a str, &'a str>,
}

impl<'a> EventContext<'a> {
    /// Works out what `recipient` may see of the keys.
    fn of(
        state: &'a CatalogState,
        caller: &'a Caller,
        touched: &'a [Touched],
        recipient: AccountId,
        selectors: &[ContextKeySelector],
    ) -> Self {
        let keys = |kind: &str| {
            let of_kind = selectors.iter().filter(|selector| selector.r#type == kind);
            of_kind.flat_map(|selector| &selector.equals).map(String::as_str).collect::<Vec<_>>()
        };
        let tag_keys = keys("TagContext");
        Self {
            request_context: request_context(caller, recipient, &keys("RequestContext")),
            tag_context: TagContext {
                resource_tags: resource_tags(state, touched, recipient, &tag_keys),
                principal_tags: if recipient == caller.account {
                    principal_tags(caller, &tag_keys)
                } else {
                    BTreeMap::new()
                },
            },
        }
    }

    /// Adds the context to a record as its last member. `None` if the text is no object, which no record is.
    fn added_to(&self, record: &[u8]) -> Option<Bytes> {
        let open = record.strip_suffix(b"}").filter(|open| open.len() > 1)?;
        let mut json = Vec::with_capacity(record.len() + 256);
        json.extend_from_slice(open);
        json.extend_from_slice(b",\"eventContext\":");
        serde_json::to_writer(&mut json, self).ok()?;
        json.push(b'}');
        Some(json.into())
    }
}

/// The values of condition keys; one value is a text, several are a list, none leave the key out.
fn request_context(caller: &Caller, recipient: AccountId, keys: &[&str]) -> BTreeMap<&'static str, Value> {
    let context = authorize::request_conditions(caller);
    let request = Request {
        principal: &caller.principal,
        action: "",
        resource: "*",
        resource_account: recipient,
        context: &context,
    };
    let wanted = CONDITION_KEYS.iter().filter(|(key, seen)| {
        let may_see = *seen == Seen::ByAll || recipient == caller.account;
        may_see && keys.iter().any(|wanted| wanted.eq_ignore_ascii_case(key))
    });
    let value = |key: &'static str| {
        let mut values = request.values(key)?;
        let value = if values.len() == 1 { Value::from(values.remove(0)) } else { Value::from(values) };
        Some((key, value))
    };
    wanted.filter_map(|(key, _)| value(key)).collect()
}

/// The tags of the resources that are the recipient's.
fn resource_tags<'a>(
    state: &'a CatalogState,
    touched: &'a [Touched],
    recipient: AccountId,
    keys: &[&str],
) -> Vec<ResourceTags<'a>> {
    let own = touched.iter().filter(|touched| touched.arn.account_id() == Some(recipient));
    let tagged = own.map(|touched| {
        let tags = state.tags(touched.arn.as_str()).iter().filter(|tag| keys.contains(&tag.key.as_str()));
        let tags = tags.map(|tag| (tag.key.as_str(), tag.value.as_deref().unwrap_or_default()));
        ResourceTags { arn: &touched.arn, tags: tags.collect() }
    });
    tagged.filter(|resource| !resource.tags.is_empty()).collect()
}

/// The tags of the caller; sessions alone have any.
fn principal_tags<'a>(caller: &'a Caller, keys: &[&str]) -> BTreeMap<&'a str, &'a str> {
    let Principal::AssumedRole(session) = &*caller.principal else { return BTreeMap::new() };
    let tags = session.tags.iter().filter(|tag| keys.contains(&tag.key.as_str()));
    tags.map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
}
