//! Channels: create, get, update, list, delete.

use towpath_model::{
    AccountId, Arn, CUSTOM_SOURCE, Channel, EventDataStore, PARTNER_SOURCES, Region, StoreId, StoreKind,
};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};
use uuid::Uuid;

use super::store_name::{StoreName, require_active};
use super::{Context, page, tags};
use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::refusal::refuse;

/// A channel as a request names it: by ARN or by id alone.
pub(crate) struct ChannelName {
    pub(crate) id: Uuid,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
}

impl ChannelName {
    pub(crate) fn parse(text: &str, caller: &Caller) -> Option<Self> {
        let uuid = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
        if let Some(id) = uuid(text) {
            return Some(Self { id, account: caller.account, region: caller.region.clone() });
        }
        let arn: Arn = text.parse().ok()?;
        let id = uuid(arn.resource().strip_prefix("channel/")?)?;
        let region = arn.region().parse().ok()?;
        (arn.service() == "cloudtrail").then_some(Self { id, account: arn.account_id()?, region })
    }

    fn parse_or_refuse(text: &str, caller: &Caller) -> Result<Self, ApiError> {
        Self::parse(text, caller).ok_or_else(|| {
            refuse(
                errors::CHANNEL_ARN_INVALID_EXCEPTION,
                "a channel is named by its ARN, arn:aws:cloudtrail:<region>:<account>:channel/<id>, or by its id",
            )
        })
    }

    pub(crate) fn arn(&self) -> Arn {
        Arn::cloudtrail(&self.region, self.account, &format!("channel/{}", self.id.hyphenated()))
    }

    pub(crate) fn find<'a>(&self, state: &'a CatalogState) -> Option<&'a Channel> {
        let channel = state.channel(self.id)?;
        (channel.account == self.account && channel.region == self.region).then_some(channel.as_ref())
    }

    fn not_found(&self) -> ApiError {
        refuse(errors::CHANNEL_NOT_FOUND_EXCEPTION, format!("there is no channel {}", self.arn()))
    }
}

/// CreateChannel.
pub(crate) async fn create(
    context: &Context<'_>,
    input: wire::CreateChannelRequest,
) -> Result<wire::CreateChannelResponse, ApiError> {
    let caller = context.caller;
    context.authorize("CreateChannel", &context.any("channel"))?;
    let known = input.source == CUSTOM_SOURCE || PARTNER_SOURCES.iter().any(|partner| partner.source == input.source);
    if !known {
        let names: Vec<_> = PARTNER_SOURCES.iter().map(|partner| partner.source).collect();
        return Err(refuse(
            errors::INVALID_SOURCE_EXCEPTION,
            format!("Source must be {CUSTOM_SOURCE} or one of {}", names.join(", ")),
        ));
    }
    let quotas = &context.settings().quotas;
    let tags = tags::check(input.tags.unwrap_or_default(), quotas)?;
    let channel = context
        .change(|state, change| {
            let channel = Channel {
                id: Uuid::new_v4(),
                account: caller.account,
                region: caller.region.clone(),
                name: input.name,
                source: input.source,
                destinations: destinations(context, state, &input.destinations)?,
                created: caller.now,
            };
            let existing = state.channels_of(caller.account, &caller.region);
            refuse_used_name(state, &channel)?;
            let rival = existing.iter().find(|other| other.source == channel.source);
            if let Some(other) = rival.filter(|_| channel.source != CUSTOM_SOURCE) {
                return Err(refuse(
                    errors::CHANNEL_ALREADY_EXISTS_EXCEPTION,
                    format!("a channel for source {} exists already: {}", channel.source, other.arn()),
                ));
            }
            if existing.len() >= quotas.channels {
                return Err(refuse(
                    errors::CHANNEL_MAX_LIMIT_EXCEEDED_EXCEPTION,
                    format!("the account has {} channels in this region already", quotas.channels),
                ));
            }
            change.put_channel(channel.clone());
            change.put_tags(channel.arn().as_str(), tags.clone());
            Ok(channel)
        })
        .await?;
    context.touched("AWS::CloudTrail::Channel", &channel.arn());
    Ok(wire::CreateChannelResponse {
        channel_arn: Some(channel.arn().to_string()),
        destinations: Some(destinations_to_wire(context, &channel)),
        tags: Some(tags::to_wire(&tags)),
        name: Some(channel.name),
        source: Some(channel.source),
    })
}

/// GetChannel, with the ingestion status since the channel was made.
pub(crate) async fn get(
    context: &Context<'_>,
    input: wire::GetChannelRequest,
) -> Result<wire::GetChannelResponse, ApiError> {
    let name = ChannelName::parse_or_refuse(&input.channel, context.caller)?;
    context.authorize("GetChannel", &name.arn())?;
    context.own(name.account, || name.not_found())?;
    let state = context.catalog();
    let channel = name.find(&state).ok_or_else(|| name.not_found())?;
    context.touched("AWS::CloudTrail::Channel", &channel.arn());
    let status = context.ingestion_status(channel.id);
    Ok(wire::GetChannelResponse {
        channel_arn: Some(channel.arn().to_string()),
        name: Some(channel.name.clone()),
        source: Some(channel.source.clone()),
        source_config: None,
        destinations: Some(destinations_to_wire(context, channel)),
        ingestion_status: status.map(|status| wire::IngestionStatus {
            latest_ingestion_success_time: status.success.as_ref().map(|(time, _)| (*time).into()),
            latest_ingestion_success_event_id: status.success.map(|(_, id)| id.hyphenated().to_string()),
            latest_ingestion_error_code: status.error_code,
            latest_ingestion_attempt_time: status.attempt.as_ref().map(|(time, _)| (*time).into()),
            latest_ingestion_attempt_event_id: status
                .attempt
                .and_then(|(_, id)| id)
                .map(|id| id.hyphenated().to_string()),
        }),
    })
}

/// UpdateChannel: name and destinations; destinations are replaced as a whole.
pub(crate) async fn update(
    context: &Context<'_>,
    input: wire::UpdateChannelRequest,
) -> Result<wire::UpdateChannelResponse, ApiError> {
    let name = ChannelName::parse_or_refuse(&input.channel, context.caller)?;
    context.authorize("UpdateChannel", &name.arn())?;
    context.own(name.account, || name.not_found())?;
    if input.name.is_none() && input.destinations.is_none() {
        return Err(refuse(errors::INVALID_PARAMETER_EXCEPTION, "Name or Destinations must be given"));
    }
    let channel = context
        .change(|state, change| {
            let mut channel = name.find(state).ok_or_else(|| name.not_found())?.clone();
            if let Some(new_name) = input.name {
                channel.name = new_name;
                refuse_used_name(state, &channel)?;
            }
            if let Some(given) = &input.destinations {
                channel.destinations = destinations(context, state, given)?;
            }
            change.put_channel(channel.clone());
            Ok(channel)
        })
        .await?;
    context.touched("AWS::CloudTrail::Channel", &channel.arn());
    Ok(wire::UpdateChannelResponse {
        channel_arn: Some(channel.arn().to_string()),
        destinations: Some(destinations_to_wire(context, &channel)),
        name: Some(channel.name),
        source: Some(channel.source),
    })
}

/// ListChannels: ARN and name of each.
pub(crate) async fn list(
    context: &Context<'_>,
    input: wire::ListChannelsRequest,
) -> Result<wire::ListChannelsResponse, ApiError> {
    context.authorize("ListChannels", &context.any("channel"))?;
    let state = context.catalog();
    let channels = state.channels_of(context.caller.account, &context.caller.region);
    let page = page::of(&channels, input.next_token.as_deref(), input.max_results, |channel| channel.id.to_string())?;
    let item = |channel: &&std::sync::Arc<Channel>| wire::Channel {
        channel_arn: Some(channel.arn().to_string()),
        name: Some(channel.name.clone()),
    };
    Ok(wire::ListChannelsResponse {
        channels: Some(page.items.iter().map(item).collect()),
        next_token: page.next_token,
    })
}

/// DeleteChannel: ends ingestion through it at once; what it has sent stays in the stores.
pub(crate) async fn delete(
    context: &Context<'_>,
    input: wire::DeleteChannelRequest,
) -> Result<wire::DeleteChannelResponse, ApiError> {
    let name = ChannelName::parse_or_refuse(&input.channel, context.caller)?;
    context.authorize("DeleteChannel", &name.arn())?;
    context.own(name.account, || name.not_found())?;
    context.touched("AWS::CloudTrail::Channel", &name.arn());
    context
        .change(|state, change| {
            change.delete_channel(name.find(state).ok_or_else(|| name.not_found())?);
            Ok(())
        })
        .await?;
    context.forget_ingestion_status(name.id).await?;
    Ok(wire::DeleteChannelResponse {})
}

fn refuse_used_name(state: &CatalogState, channel: &Channel) -> Result<(), ApiError> {
    let used = |other: &&std::sync::Arc<Channel>| other.name == channel.name && other.id != channel.id;
    match state.channels_of(channel.account, &channel.region).into_iter().find(used) {
        Some(other) => Err(refuse(
            errors::CHANNEL_ALREADY_EXISTS_EXCEPTION,
            format!("a channel named {} exists already: {}", channel.name, other.arn()),
        )),
        None => Ok(()),
    }
}

/// Resolves the destinations of a request: stores of the caller, of the activity kind, active, single-region.
fn destinations(
    context: &Context<'_>,
    state: &CatalogState,
    given: &[wire::Destination],
) -> Result<Vec<StoreId>, ApiError> {
    let limit = context.settings().quotas.destinations_per_channel;
    if given.is_empty() || given.len() > limit {
        return Err(refuse(errors::INVALID_PARAMETER_EXCEPTION, format!("a channel has 1 to {limit} destinations")));
    }
    let mut stores = Vec::with_capacity(given.len());
    for destination in given {
        if destination.kind != wire::DestinationType::EventDataStore {
            return Err(refuse(errors::INVALID_PARAMETER_EXCEPTION, "destinations must be of Type EVENT_DATA_STORE"));
        }
        let name = StoreName::parse(&destination.location, context.caller)?;
        context.own(name.account, || name.not_found())?;
        let store = name.find(state)?;
        require_active(store)?;
        require_destination(store)?;
        if stores.contains(&store.id) {
            return Err(refuse(
                errors::INVALID_PARAMETER_EXCEPTION,
                format!("event data store {} is given more than once", store.id),
            ));
        }
        stores.push(store.id);
    }
    Ok(stores)
}

fn require_destination(store: &EventDataStore) -> Result<(), ApiError> {
    if store.kind != StoreKind::Activity {
        return Err(refuse(
            errors::INVALID_EVENT_DATA_STORE_CATEGORY_EXCEPTION,
            format!(
                "event data store {} is not for events from integrations (eventCategory ActivityAuditLog)",
                store.id
            ),
        ));
    }
    Ok(())
}

fn destinations_to_wire(context: &Context<'_>, channel: &Channel) -> Vec<wire::Destination> {
    let state = context.catalog();
    let stores = channel.destinations.iter().filter_map(|id| state.store(*id));
    stores
        .map(|store| wire::Destination {
            kind: wire::DestinationType::EventDataStore,
            location: store.arn().to_string(),
        })
        .collect()
}
