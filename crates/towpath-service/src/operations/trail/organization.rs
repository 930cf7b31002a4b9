//! What the organization of the caller lets it do with trails and event data stores.

use std::sync::Arc;

use towpath_model::{AccountId, FeatureSet, Organization, OrganizationRole};
use towpath_wire::{ApiError, errors};

use crate::authorize;
use crate::catalog::CatalogState;
use crate::operations::Context;
use crate::refusal::refuse;

/// Rights that the caller needs in Organizations to make something for the whole organization.
const NEEDED: [&str; 2] = ["organizations:DescribeOrganization", "organizations:ListAWSServiceAccessForOrganization"];

/// The organization for a new organization trail, made by its management account or a delegated administrator.
///
/// # Errors
/// Those of [`usable`], and `NotOrganizationMasterAccountException` for other members.
pub(super) fn organization_of_new_trail(
    context: &Context<'_>,
    state: &CatalogState,
) -> Result<Arc<Organization>, ApiError> {
    let organization = usable(context, state)?;
    match organization.role_of(context.caller.account) {
        Some(OrganizationRole::Management | OrganizationRole::DelegatedAdministrator) => Ok(organization),
        _ => Err(not_management(&organization)),
    }
}

/// The organization whose trail an ordinary trail becomes, or the other way round: its management account alone may do
/// that.
pub(super) fn organization_to_convert_for(
    context: &Context<'_>,
    state: &CatalogState,
    account: AccountId,
) -> Result<Arc<Organization>, ApiError> {
    let organization = usable(context, state)?;
    if organization.management == account { Ok(organization) } else { Err(not_management(&organization)) }
}

/// The owner of a new event data store: the management account if it is for the organization, which delegated
/// administrators may make too.
pub(crate) fn owner_of_new_store(context: &Context<'_>, organization: Option<bool>) -> Result<AccountId, ApiError> {
    if organization != Some(true) {
        return Ok(context.caller.account);
    }
    Ok(organization_of_new_trail(context, &context.catalog())?.management)
}

/// Refuses to make an event data store one of the organization for anyone but the management account.
pub(crate) fn refuse_organization(context: &Context<'_>, enabled: Option<bool>) -> Result<(), ApiError> {
    if enabled == Some(true) {
        organization_to_convert_for(context, &context.catalog(), context.caller.account)?;
    }
    Ok(())
}

/// The organization of the caller, if CloudTrail may work in it and the caller may see it.
///
/// # Errors
/// `OrganizationsNotInUseException`, `OrganizationNotInAllFeaturesModeException`, `CloudTrailAccessNotEnabledException`
/// and, where the caller lacks rights in Organizations, `InsufficientDependencyServiceAccessPermissionException`.
pub(crate) fn usable(context: &Context<'_>, state: &CatalogState) -> Result<Arc<Organization>, ApiError> {
    let account = context.caller.account;
    let organization = state.organization(account).ok_or_else(|| {
        refuse(
            errors::ORGANIZATIONS_NOT_IN_USE_EXCEPTION,
            format!("account {account} is not a member of an organization"),
        )
    })?;
    if organization.feature_set != FeatureSet::All {
        return Err(refuse(
            errors::ORGANIZATION_NOT_IN_ALL_FEATURES_MODE_EXCEPTION,
            format!("organization {} shares bills alone; enable all features first", organization.id),
        ));
    }
    if !organization.trusted_access {
        return Err(refuse(
            errors::CLOUD_TRAIL_ACCESS_NOT_ENABLED_EXCEPTION,
            format!("trusted access of CloudTrail is not enabled in organization {}", organization.id),
        ));
    }
    for action in NEEDED {
        if authorize::authorize(context, action, "*", None).is_err() {
            return Err(refuse(
                errors::INSUFFICIENT_DEPENDENCY_SERVICE_ACCESS_PERMISSION_EXCEPTION,
                format!("the caller needs the right {action}"),
            ));
        }
    }
    Ok(Arc::clone(organization))
}

fn not_management(organization: &Organization) -> ApiError {
    refuse(
        errors::NOT_ORGANIZATION_MASTER_ACCOUNT_EXCEPTION,
        format!("the account is not the management account of organization {}", organization.id),
    )
}
