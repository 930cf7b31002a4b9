//! Organizations as AWS's own operations see them: delegated administrators of CloudTrail, and DescribeOrganization of
//! the Organizations service, which the AWS CLI asks before it validates an organization trail's files. Organizations
//! are made and changed in [`super::admin`].

use serde_json::{Value, json};
use towpath_model::{AccountId, MAX_DELEGATED_ADMINISTRATORS, Organization};
use towpath_wire::{ApiError, cloudtrail as wire, errors};

use super::Context;
use super::trail::usable;
use crate::authorize;
use crate::catalog::CatalogState;
use crate::refusal::refuse;

/// The operations of the Organizations service that are answered.
pub(crate) const OPERATIONS: [&str; 1] = ["DescribeOrganization"];

/// True for the name of an operation.
pub(crate) fn is_known(name: &str) -> bool {
    OPERATIONS.contains(&name)
}

/// Authorizes (`organizations:<name>`) and runs an operation of the Organizations service.
pub(crate) fn call(context: &Context<'_>, name: &str) -> Result<Value, ApiError> {
    if !is_known(name) {
        return Err(ApiError::unknown_operation(format!(
            "{name} of Organizations is not answered; DescribeOrganization is"
        )));
    }
    authorize::authorize(context, &format!("organizations:{name}"), "*", None)?;
    let state = context.catalog();
    let organization = state.organization(context.caller.account).ok_or_else(|| {
        ApiError::new("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    })?;
    Ok(json!({ "Organization": described(organization) }))
}

/// The `Organization` structure of the Organizations service. There are no e-mail addresses.
fn described(organization: &Organization) -> Value {
    let (id, management) = (&organization.id, organization.management);
    json!({
        "Id": id,
        "Arn": format!("arn:aws:organizations::{management}:organization/{id}"),
        "FeatureSet": organization.feature_set,
        "MasterAccountArn": format!("arn:aws:organizations::{management}:account/{id}/{management}"),
        "MasterAccountId": management,
        "AvailablePolicyTypes": [],
    })
}

/// RegisterOrganizationDelegatedAdmin: the account may manage the organization's trails for the management account.
pub(crate) async fn register(
    context: &Context<'_>,
    input: wire::RegisterOrganizationDelegatedAdminRequest,
) -> Result<wire::RegisterOrganizationDelegatedAdminResponse, ApiError> {
    authorize::authorize(context, "cloudtrail:RegisterOrganizationDelegatedAdmin", "*", None)?;
    let account = member(&input.member_account_id)?;
    context
        .change(|state, change| {
            let mut organization = managed(context, state)?;
            if account == organization.management {
                return Err(refuse(
                    errors::CANNOT_DELEGATE_MANAGEMENT_ACCOUNT_EXCEPTION,
                    "the management account cannot be its own delegated administrator",
                ));
            }
            let administrators = organization.delegated_administrators();
            let member = organization.members.get_mut(&account).ok_or_else(|| not_found(account))?;
            if member.delegated_administrator {
                return Err(refuse(
                    errors::ACCOUNT_REGISTERED_EXCEPTION,
                    format!("account {account} is registered already"),
                ));
            }
            if administrators >= MAX_DELEGATED_ADMINISTRATORS {
                return Err(refuse(
                    errors::DELEGATED_ADMIN_ACCOUNT_LIMIT_EXCEEDED_EXCEPTION,
                    format!("there are {MAX_DELEGATED_ADMINISTRATORS} delegated administrators already"),
                ));
            }
            member.delegated_administrator = true;
            change.put_organization(organization);
            Ok(())
        })
        .await?;
    Ok(wire::RegisterOrganizationDelegatedAdminResponse {})
}

/// DeregisterOrganizationDelegatedAdmin. Trails that the account made belong to the management account and stay.
pub(crate) async fn deregister(
    context: &Context<'_>,
    input: wire::DeregisterOrganizationDelegatedAdminRequest,
) -> Result<wire::DeregisterOrganizationDelegatedAdminResponse, ApiError> {
    authorize::authorize(context, "cloudtrail:DeregisterOrganizationDelegatedAdmin", "*", None)?;
    let account = member(&input.delegated_admin_account_id)?;
    context
        .change(|state, change| {
            let mut organization = managed(context, state)?;
            let not_registered =
                || refuse(errors::ACCOUNT_NOT_REGISTERED_EXCEPTION, format!("account {account} is not registered"));
            if account == organization.management {
                return Err(not_registered());
            }
            let member = organization.members.get_mut(&account).ok_or_else(|| not_found(account))?;
            if !member.delegated_administrator {
                return Err(not_registered());
            }
            member.delegated_administrator = false;
            change.put_organization(organization);
            Ok(())
        })
        .await?;
    Ok(wire::DeregisterOrganizationDelegatedAdminResponse {})
}

/// The organization that the caller manages.
fn managed(context: &Context<'_>, state: &CatalogState) -> Result<Organization, ApiError> {
    let organization = usable(context, state)?;
    if organization.management != context.caller.account {
        return Err(refuse(
            errors::NOT_ORGANIZATION_MANAGEMENT_ACCOUNT_EXCEPTION,
            format!("the account is not the management account of organization {}", organization.id),
        ));
    }
    Ok(Organization::clone(&organization))
}

fn member(text: &str) -> Result<AccountId, ApiError> {
    text.parse().map_err(|_| refuse(errors::INVALID_PARAMETER_EXCEPTION, "an account id has twelve digits"))
}

fn not_found(account: AccountId) -> ApiError {
    refuse(errors::ACCOUNT_NOT_FOUND_EXCEPTION, format!("account {account} is not a member of the organization"))
}
