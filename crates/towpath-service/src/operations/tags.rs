//! Tags on trails, event data stores and channels: AddTags, ListTags, RemoveTags.

use towpath_model::{Arn, Quotas};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};
use uuid::Uuid;

use super::Context;
use super::store_name::{StoreName, require_active};
use super::trail::NamedTrail;
use crate::catalog::{CatalogState, Tag};
use crate::refusal::refuse;

/// AddTags: a key that is there already gets the new value.
pub(crate) async fn add(context: &Context<'_>, input: wire::AddTagsRequest) -> Result<wire::AddTagsResponse, ApiError> {
    let arn = taggable(&input.resource_id)?;
    authorize(context, "AddTags", &arn)?;
    let quotas = &context.settings().quotas;
    let added = check(input.tags_list, quotas)?;
    context
        .change(|state, change| {
            require_changeable(context, state, &arn)?;
            let mut tags = state.tags(arn.as_str()).to_vec();
            for tag in added {
                match tags.iter_mut().find(|old| old.key == tag.key) {
                    Some(old) => old.value = tag.value,
                    None => tags.push(tag),
                }
            }
            require_tags_fit(tags.len(), quotas)?;
            change.put_tags(arn.as_str(), tags);
            Ok(())
        })
        .await?;
    context.touched_arn(&arn);
    Ok(wire::AddTagsResponse {})
}

/// RemoveTags: a tag is removed by its key; one with another value, or none of that key, is left alone silently.
pub(crate) async fn remove(
    context: &Context<'_>,
    input: wire::RemoveTagsRequest,
) -> Result<wire::RemoveTagsResponse, ApiError> {
    let arn = taggable(&input.resource_id)?;
    authorize(context, "RemoveTags", &arn)?;
    context
        .change(|state, change| {
            require_changeable(context, state, &arn)?;
            let removed = |tag: &Tag| {
                input
                    .tags_list
                    .iter()
                    .any(|gone| gone.key == tag.key && (gone.value.is_none() || gone.value == tag.value))
            };
            change
                .put_tags(arn.as_str(), state.tags(arn.as_str()).iter().filter(|tag| !removed(tag)).cloned().collect());
            Ok(())
        })
        .await?;
    context.touched_arn(&arn);
    Ok(wire::RemoveTagsResponse {})
}

/// ListTags of up to 20 resources.
pub(crate) async fn list(
    context: &Context<'_>,
    input: wire::ListTagsRequest,
) -> Result<wire::ListTagsResponse, ApiError> {
    if input.next_token.is_some() {
        return Err(refuse(errors::INVALID_TOKEN_EXCEPTION, "NextToken is reserved and must not be given"));
    }
    if input.resource_id_list.is_empty() || input.resource_id_list.len() > 20 {
        return Err(refuse(errors::RESOURCE_NOT_FOUND_EXCEPTION, "ResourceIdList must name 1 to 20 resources"));
    }
    let mut lists = Vec::with_capacity(input.resource_id_list.len());
    for id in &input.resource_id_list {
        let arn = taggable(id)?;
        authorize(context, "ListTags", &arn)?;
        let state = context.catalog();
        require_exists(context, &state, &arn).map_err(|error| match error.code() {
            // The one of these that the service model does not list for this operation.
            "ChannelNotFoundException" => refuse(errors::RESOURCE_NOT_FOUND_EXCEPTION, error.message()),
            _ => error,
        })?;
        lists.push(wire::ResourceTag {
            resource_id: Some(arn.to_string()),
            tags_list: Some(to_wire(state.tags(arn.as_str()))),
        });
        context.touched_arn(&arn);
    }
    Ok(wire::ListTagsResponse { resource_tag_list: Some(lists), next_token: None })
}

/// Trails have no resource policies: what an account sees of them it uses as its own.
fn authorize(context: &Context<'_>, action: &str, arn: &Arn) -> Result<(), ApiError> {
    if arn.resource().starts_with("trail/") {
        context.authorize_as_own(action, arn)
    } else {
        context.authorize(action, arn)
    }
}

/// Checks tags of a request: keys once each, no key of AWS's own, no more than the quota.
pub(super) fn check(tags: Vec<wire::Tag>, quotas: &Quotas) -> Result<Vec<Tag>, ApiError> {
    let invalid = |message: String| refuse(errors::INVALID_TAG_PARAMETER_EXCEPTION, message);
    require_tags_fit(tags.len(), quotas)?;
    let mut checked: Vec<Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(format!("tag key '{}' begins with aws:, which is reserved", tag.key)));
        }
        if checked.iter().any(|other| other.key == tag.key) {
            return Err(invalid(format!("tag key '{}' is given more than once", tag.key)));
        }
        if !tag.key.chars().chain(tag.value.iter().flat_map(|value| value.chars())).all(allowed) {
            return Err(invalid(format!(
                "tag '{}' has a character other than letters, digits, blanks and _ . : / = + - @",
                tag.key
            )));
        }
        checked.push(Tag { key: tag.key, value: tag.value });
    }
    Ok(checked)
}

fn allowed(c: char) -> bool {
    c.is_alphanumeric() || " _.:/=+-@".contains(c)
}

pub(super) fn to_wire(tags: &[Tag]) -> Vec<wire::Tag> {
    tags.iter().map(|tag| wire::Tag { key: tag.key.clone(), value: tag.value.clone() }).collect()
}

fn require_tags_fit(count: usize, quotas: &Quotas) -> Result<(), ApiError> {
    if count <= quotas.tags_per_resource {
        return Ok(());
    }
    let limit = quotas.tags_per_resource;
    Err(refuse(errors::TAGS_LIMIT_EXCEEDED_EXCEPTION, format!("a resource can have at most {limit} tags, not {count}")))
}

/// Parses the ARN of something that can have tags.
fn taggable(text: &str) -> Result<Arn, ApiError> {
    let arn: Arn = text.parse().map_err(|_| {
        refuse(errors::CLOUD_TRAIL_ARN_INVALID_EXCEPTION, "a resource is named by its ARN, arn:aws:cloudtrail:...")
    })?;
    let (kind, id) = arn.resource().split_once('/').unwrap_or((arn.resource(), ""));
    let valid = arn.service() == "cloudtrail" && arn.account_id().is_some();
    match kind {
        "eventdatastore" if valid && id.parse::<towpath_model::StoreId>().is_ok() => Ok(arn),
        "channel" if valid && Uuid::try_parse(id).is_ok() => Ok(arn),
        "trail" if valid && id.parse::<towpath_model::TrailName>().is_ok() => Ok(arn),
        "trail" => Err(refuse(errors::CLOUD_TRAIL_ARN_INVALID_EXCEPTION, "not the ARN of a trail")),
        "eventdatastore" => {
            Err(refuse(errors::EVENT_DATA_STORE_ARN_INVALID_EXCEPTION, "not the ARN of an event data store"))
        }
        "channel" => Err(refuse(errors::CHANNEL_ARN_INVALID_EXCEPTION, "not the ARN of a channel")),
        _ => Err(refuse(
            errors::RESOURCE_TYPE_NOT_SUPPORTED_EXCEPTION,
            "tags are supported on trails, event data stores and channels",
        )),
    }
}

/// Refuses tags of what does not exist or is not the caller's to change.
fn require_changeable(context: &Context<'_>, state: &CatalogState, arn: &Arn) -> Result<(), ApiError> {
    require_exists(context, state, arn)?;
    if !arn.resource().starts_with("trail/") {
        return Ok(());
    }
    let name = NamedTrail::parse(arn.as_str(), context.caller)?;
    match name.find(state, context.caller) {
        Some(trail) if !state.may_change(context.caller.account, trail) => Err(refuse(
            errors::NOT_ORGANIZATION_MASTER_ACCOUNT_EXCEPTION,
            format!("trail {arn} is of the organization; only its management account may tag it"),
        )),
        _ => Ok(()),
    }
}

fn require_exists(context: &Context<'_>, state: &CatalogState, arn: &Arn) -> Result<(), ApiError> {
    if arn.resource().starts_with("trail/") {
        let name = NamedTrail::parse(arn.as_str(), context.caller)?;
        return match name.find(state, context.caller) {
            Some(_) => Ok(()),
            None => Err(refuse(errors::RESOURCE_NOT_FOUND_EXCEPTION, format!("there is no trail {arn}"))),
        };
    }
    let account = context.caller.account;
    let own = arn.account() == account.as_str();
    if let Some(id) = arn.resource().strip_prefix("channel/") {
        let found = Uuid::try_parse(id).ok().and_then(|id| state.channel(id)).is_some_and(|found| found.arn() == *arn);
        return if own && found {
            Ok(())
        } else {
            Err(refuse(errors::CHANNEL_NOT_FOUND_EXCEPTION, format!("there is no channel {arn}")))
        };
    }
    let name = StoreName::parse(arn.as_str(), context.caller)?;
    // Each of the three operations on tags is delegated.
    if !own && !state.may_as_delegate(account, "ListTags", arn) {
        return Err(name.not_found());
    }
    require_active(name.find(state)?)
}
