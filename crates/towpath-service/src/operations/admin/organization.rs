//! Organizations: the first account makes them and says which accounts belong to them.
//!
//! At AWS an account joins by its own consent. Here the first account, which manages all others, decides; a management
//! account may let members go and cannot take any in, because it would then see their events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towpath_model::{
    AccountId, FeatureSet, Member, Organization, OrganizationId, OrganizationRole, Trail, eventtime_text,
};
use towpath_wire::ApiError;

use super::{Context, Done, require_first_account};
use crate::catalog::{CatalogState, Change};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateInput {
    management_account_id: Option<AccountId>,
    organization_id: Option<OrganizationId>,
    feature_set: Option<FeatureSet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateInput {
    organization_id: Option<OrganizationId>,
    feature_set: Option<FeatureSet>,
    trusted_access: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OrganizationInput {
    organization_id: Option<OrganizationId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MemberInput {
    account_id: AccountId,
    organization_id: Option<OrganizationId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OrganizationOutput {
    organization_id: OrganizationId,
    management_account_id: AccountId,
    feature_set: FeatureSet,
    trusted_access: bool,
    created_timestamp: String,
    accounts: Vec<MemberOutput>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MemberOutput {
    account_id: AccountId,
    role: &'static str,
    joined_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OneOutput {
    organization: OrganizationOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    organizations: Vec<OrganizationOutput>,
}

/// Makes an organization around a management account, the caller's if none is named.
pub(super) async fn create(context: &Context<'_>, input: CreateInput) -> Result<OneOutput, ApiError> {
    require_first_account(context)?;
    let management = input.management_account_id.unwrap_or(context.caller.account);
    let organization = Organization {
        id: input.organization_id.unwrap_or_else(|| OrganizationId::from_bits(uuid::Uuid::new_v4().as_u64_pair().0)),
        management,
        members: BTreeMap::new(),
        feature_set: input.feature_set.unwrap_or_default(),
        trusted_access: true,
        created: context.caller.now,
    };
    context
        .change(|state, change| {
            require_free(context, state, management)?;
            if state.organization_with(&organization.id).is_some() {
                let message = format!("organization {} exists already", organization.id);
                return Err(ApiError::new("EntityAlreadyExistsException", message));
            }
            change.put_organization(organization.clone());
            Ok(())
        })
        .await?;
    Ok(OneOutput { organization: output(&organization) })
}

/// Changes what members share, or whether CloudTrail has trusted access.
pub(super) async fn update(context: &Context<'_>, input: UpdateInput) -> Result<OneOutput, ApiError> {
    let organization = context
        .change(|state, change| {
            let mut organization = managed(context, state, input.organization_id.as_ref())?;
            if let Some(feature_set) = input.feature_set {
                organization.feature_set = feature_set;
            }
            if let Some(trusted_access) = input.trusted_access {
                organization.trusted_access = trusted_access;
            }
            change.put_organization(organization.clone());
            Ok(organization)
        })
        .await?;
    Ok(OneOutput { organization: output(&organization) })
}

/// Dissolves an organization: its trails and event data stores become ordinary ones of the management account.
pub(super) async fn delete(context: &Context<'_>, input: OrganizationInput) -> Result<Done, ApiError> {
    require_first_account(context)?;
    context
        .change(|state, change| {
            let organization = managed(context, state, input.organization_id.as_ref())?;
            make_ordinary(state, change, &organization);
            change.delete_organization(&organization.id);
            Ok(())
        })
        .await?;
    context.parts.trails_changed().await;
    Ok(Done {})
}

fn make_ordinary(state: &CatalogState, change: &mut Change, organization: &Organization) {
    for trail in state.trails_of(organization.management).iter().filter(|trail| trail.organization.is_some()) {
        let mut trail = Trail::clone(trail);
        trail.organization = None;
        change.put_trail(trail);
    }
    let stores = state.all_stores().filter(|store| store.organization && store.account == organization.management);
    for store in stores {
        let mut store = towpath_model::EventDataStore::clone(store);
        store.organization = false;
        change.put_store(store);
    }
}

/// Every organization for the first account; for others the one that they belong to.
pub(super) fn list(context: &Context<'_>) -> Result<ListOutput, ApiError> {
    let state = context.catalog();
    let caller = context.caller.account;
    let all = state.all_organizations().into_iter();
    let seen = all.filter(|o| caller == context.parts.first_account || o.role_of(caller).is_some());
    Ok(ListOutput { organizations: seen.map(|organization| output(organization)).collect() })
}

/// Takes an account into an organization: its trails deliver the account's events from now on.
pub(super) async fn add_account(context: &Context<'_>, input: MemberInput) -> Result<OneOutput, ApiError> {
    require_first_account(context)?;
    let organization = context
        .change(|state, change| {
            let mut organization = managed(context, state, input.organization_id.as_ref())?;
            require_free(context, state, input.account_id)?;
            let member = Member { joined: context.caller.now, delegated_administrator: false };
            organization.members.insert(input.account_id, member);
            change.put_organization(organization.clone());
            Ok(organization)
        })
        .await?;
    context.parts.trails_changed().await;
    Ok(OneOutput { organization: output(&organization) })
}

/// Lets an account go: it no longer sees the organization's trails, and its events no longer go there. What was
/// delivered stays.
pub(super) async fn remove_account(context: &Context<'_>, input: MemberInput) -> Result<OneOutput, ApiError> {
    let organization = context
        .change(|state, change| {
            let mut organization = managed(context, state, input.organization_id.as_ref())?;
            if organization.management == input.account_id {
                return Err(ApiError::new(
                    "DeleteConflictException",
                    "the management account cannot leave its organization; delete the organization instead",
                ));
            }
            if organization.members.remove(&input.account_id).is_none() {
                let message =
                    format!("account {} is not a member of organization {}", input.account_id, organization.id);
                return Err(ApiError::new("NoSuchEntityException", message));
            }
            change.put_organization(organization.clone());
            Ok(organization)
        })
        .await?;
    context.parts.trails_changed().await;
    Ok(OneOutput { organization: output(&organization) })
}

/// The organization that an operation is about: the named one, or the one that the caller's account manages. Only the
/// first account may name one that it does not manage.
fn managed(
    context: &Context<'_>,
    state: &CatalogState,
    named: Option<&OrganizationId>,
) -> Result<Organization, ApiError> {
    let caller = context.caller.account;
    let own = state.organization(caller).filter(|organization| organization.management == caller);
    let found = match named {
        Some(id) if own.is_none_or(|own| own.id != *id) => {
            require_first_account(context)?;
            state.organization_with(id)
        }
        _ => own,
    };
    // An installation has one organization as a rule, and the first account need not name it.
    let all = state.all_organizations();
    let only = all.first().filter(|_| all.len() == 1 && named.is_none() && caller == context.parts.first_account);
    let found = found.or(only.copied());
    found.map(|organization| Organization::clone(organization)).ok_or_else(|| {
        let what = named.map_or_else(|| "managed by the caller's account".to_owned(), |id| format!("with the id {id}"));
        ApiError::new("NoSuchEntityException", format!("there is no organization {what}"))
    })
}

/// Refuses accounts that do not exist or belong to an organization already.
fn require_free(context: &Context<'_>, state: &CatalogState, account: AccountId) -> Result<(), ApiError> {
    if context.parts.directory.account(account).is_none() {
        return Err(ApiError::new("NoSuchEntityException", format!("there is no account {account}")));
    }
    match state.organization(account) {
        None => Ok(()),
        Some(organization) => Err(ApiError::new(
            "EntityAlreadyExistsException",
            format!("account {account} belongs to organization {} already", organization.id),
        )),
    }
}

fn output(organization: &Organization) -> OrganizationOutput {
    let member = |account: AccountId| MemberOutput {
        account_id: account,
        role: match organization.role_of(account) {
            Some(OrganizationRole::Management) => "MANAGEMENT",
            Some(OrganizationRole::DelegatedAdministrator) => "DELEGATED_ADMINISTRATOR",
            _ => "MEMBER",
        },
        joined_timestamp: eventtime_text(
            organization.members.get(&account).map_or(organization.created, |member| member.joined),
        ),
    };
    OrganizationOutput {
        organization_id: organization.id.clone(),
        management_account_id: organization.management,
        feature_set: organization.feature_set,
        trusted_access: organization.trusted_access,
        created_timestamp: eventtime_text(organization.created),
        accounts: organization.accounts().map(member).collect(),
    }
}
