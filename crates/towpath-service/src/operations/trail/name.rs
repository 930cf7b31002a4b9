//! How requests name a trail: by ARN, or by name alone, which means a trail whose home is the region of the request.

use std::sync::Arc;

use towpath_model::{AccountId, Arn, Region, Trail, TrailName};
use towpath_wire::{ApiError, errors};

use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::operations::Context;
use crate::refusal::refuse;

/// A trail as a request names it. Whether it exists is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedTrail {
    name: TrailName,
    account: AccountId,
    home_region: Region,
    by_arn: bool,
}

impl NamedTrail {
    /// Parses a name or an ARN, `arn:<partition>:cloudtrail:<home region>:<account>:trail/<name>`.
    ///
    /// # Errors
    /// `CloudTrailARNInvalidException` for what begins like an ARN and is none of a trail,
    /// `InvalidTrailNameException` for what is no name.
    pub(crate) fn parse(text: &str, caller: &Caller) -> Result<Self, ApiError> {
        if !text.starts_with("arn:") {
            let name = parse_name(text)?;
            return Ok(Self { name, account: caller.account, home_region: caller.region.clone(), by_arn: false });
        }
        let invalid = || {
            refuse(
                errors::CLOUD_TRAIL_ARN_INVALID_EXCEPTION,
                "the ARN of a trail has the form arn:aws:cloudtrail:<home region>:<account>:trail/<name>",
            )
        };
        let arn: Arn = text.parse().map_err(|_| invalid())?;
        let name = arn.resource().strip_prefix("trail/").and_then(|name| name.parse().ok());
        match (arn.service(), name, arn.account_id(), arn.region().parse().ok()) {
            ("cloudtrail", Some(name), Some(account), Some(home_region)) => {
                Ok(Self { name, account, home_region, by_arn: true })
            }
            _ => Err(invalid()),
        }
    }

    /// The ARN in full.
    pub(crate) fn arn(&self) -> Arn {
        Arn::cloudtrail(&self.home_region, self.account, &format!("trail/{}", self.name))
    }

    /// The trail, if the caller's account sees it.
    ///
    /// An organization's trail has the ARN of the management account in all accounts; a member may also name it alone.
    pub(crate) fn find<'a>(&self, state: &'a CatalogState, caller: &Caller) -> Option<&'a Arc<Trail>> {
        if !self.by_arn
            && let Some(own) = state.trail_named(self.account, &self.home_region, &self.name)
        {
            return Some(own);
        }
        state.trails_seen_by(caller.account).find(|trail| {
            trail.name == self.name
                && trail.home_region == self.home_region
                && (trail.account == self.account || !self.by_arn)
        })
    }

    /// `TrailNotFoundException`, in AWS's words.
    pub(crate) fn not_found(&self, caller: &Caller) -> ApiError {
        refuse(
            errors::TRAIL_NOT_FOUND_EXCEPTION,
            format!("Unknown trail: {} for the user: {}", self.arn(), caller.account),
        )
    }

    /// Finds the trail for an operation that shows it and refuses callers who may not do `action`.
    pub(crate) fn shown_by<'a>(
        &self,
        context: &Context<'_>,
        state: &'a CatalogState,
        action: &str,
    ) -> Result<&'a Arc<Trail>, ApiError> {
        let found = self.find(state, context.caller);
        context.authorize_as_own(action, &found.map_or_else(|| self.arn(), |trail| trail.arn()))?;
        found.ok_or_else(|| self.not_found(context.caller))
    }

    /// Finds the trail for an operation that changes it and refuses callers who may not do `action`.
    ///
    /// # Errors
    /// `TrailNotFoundException`, `InvalidHomeRegionException` anywhere but in the trail's home region, and
    /// `NotOrganizationMasterAccountException` for members of an organization who see its trail.
    pub(crate) fn changed_by<'a>(
        &self,
        context: &Context<'_>,
        state: &'a CatalogState,
        action: &str,
    ) -> Result<&'a Arc<Trail>, ApiError> {
        // A shadow has the name of its trail.
        let shadow = || state.trails_in(context.caller.account, &self.home_region).find(|t| t.name == self.name);
        let found = self.find(state, context.caller).or_else(|| shadow().filter(|_| !self.by_arn));
        context.authorize_as_own(action, &found.map_or_else(|| self.arn(), |trail| trail.arn()))?;
        let trail = found.ok_or_else(|| self.not_found(context.caller))?;
        require_changeable(context, state, trail)?;
        Ok(trail)
    }
}

/// Refuses changes of a trail from another account or region than may change it.
pub(crate) fn require_changeable(context: &Context<'_>, state: &CatalogState, trail: &Trail) -> Result<(), ApiError> {
    let caller = context.caller;
    if !state.may_change(caller.account, trail) {
        return Err(refuse(
            errors::NOT_ORGANIZATION_MASTER_ACCOUNT_EXCEPTION,
            format!("trail {} is of the organization; only its management account may change it", trail.arn()),
        ));
    }
    if trail.home_region != caller.region {
        return Err(refuse(
            errors::INVALID_HOME_REGION_EXCEPTION,
            format!("trail {} can be changed only in its home region, {}", trail.arn(), trail.home_region),
        ));
    }
    Ok(())
}

/// Parses a name that cannot be an ARN.
pub(super) fn parse_name(text: &str) -> Result<TrailName, ApiError> {
    text.parse()
        .map_err(|error: towpath_model::TrailNameError| refuse(errors::INVALID_TRAIL_NAME_EXCEPTION, error.to_string()))
}
