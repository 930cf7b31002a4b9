//! Rate limits per account, region and operation.

use std::collections::HashMap;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use towpath_model::{AccountId, Region};
use towpath_wire::Operation;
use towpath_wire::sts::StsRequest;

use crate::operations::{admin, organization};
use crate::settings::{ThrottlePreset, ThrottleSettings};

/// The published rates of AWS, in calls per second (CloudTrail user guide, quotas page). Operations that the page does
/// not name have no limit in the preset.
const AWS_RATES: &[(u32, &[&str])] = &[
    (
        1,
        &[
            "AddTags",
            "RemoveTags",
            "CreateTrail",
            "UpdateTrail",
            "DeleteTrail",
            "StartLogging",
            "StopLogging",
            "PutEventSelectors",
            "CreateEventDataStore",
            "UpdateEventDataStore",
            "DeleteEventDataStore",
            "RestoreEventDataStore",
            "StartEventDataStoreIngestion",
            "StopEventDataStoreIngestion",
            "CreateChannel",
            "UpdateChannel",
            "DeleteChannel",
            "PutResourcePolicy",
            "DeleteResourcePolicy",
            "StartQuery",
            "CancelQuery",
            "StartImport",
            "StopImport",
        ],
    ),
    (2, &["LookupEvents"]),
    (
        10,
        &[
            "ListTags",
            "DescribeTrails",
            "GetTrail",
            "GetTrailStatus",
            "ListTrails",
            "GetEventSelectors",
            "ListPublicKeys",
            "RegisterOrganizationDelegatedAdmin",
            "DeregisterOrganizationDelegatedAdmin",
            "GetEventDataStore",
            "ListEventDataStores",
            "GetChannel",
            "ListChannels",
            "GetResourcePolicy",
            "DescribeQuery",
            "GetQueryResults",
            "ListQueries",
            "GetImport",
            "ListImports",
            "ListImportFailures",
        ],
    ),
    (100, &["PutAuditEvents"]),
];

/// The names of all operations, as `throttles.operations` takes them: of CloudTrail, STS and Organizations, and Towpath's own.
pub fn operation_names() -> impl Iterator<Item = &'static str> {
    let cloudtrail = Operation::ALL.iter().map(|operation| operation.name());
    cloudtrail.chain(StsRequest::NAMES).chain(organization::OPERATIONS).chain(admin::names())
}

/// Counts calls and says which are too many.
pub(crate) struct Throttle {
    limiters: HashMap<String, DefaultKeyedRateLimiter<(AccountId, Region)>>,
}

impl Throttle {
    pub(crate) fn new(settings: &ThrottleSettings) -> Self {
        let mut rates: HashMap<String, u32> = HashMap::new();
        if settings.preset == ThrottlePreset::Aws {
            for (rate, operations) in AWS_RATES {
                rates.extend(operations.iter().map(|operation| ((*operation).to_owned(), *rate)));
            }
        }
        rates.extend(settings.operations.iter().map(|(operation, rate)| (operation.clone(), *rate)));
        let limiter = |(operation, rate): (String, u32)| {
            NonZeroU32::new(rate).map(|rate| (operation, RateLimiter::keyed(Quota::per_second(rate))))
        };
        Self { limiters: rates.into_iter().filter_map(limiter).collect() }
    }

    /// Counts a call; false means that it is one too many now.
    pub(crate) fn admit(&self, account: AccountId, region: &Region, operation: &str) -> bool {
        match self.limiters.get(operation) {
            Some(limiter) => limiter.check_key(&(account, region.clone())).is_ok(),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(throttle: &Throttle, account: &str, operation: &str) -> usize {
        let (account, region) = (account.parse().unwrap(), "eu-central-1".parse().unwrap());
        (0..20).filter(|_| throttle.admit(account, &region, operation)).count()
    }

    #[test]
    fn without_a_preset_nothing_is_limited() {
        let throttle = Throttle::new(&ThrottleSettings::default());
        assert_eq!(admitted(&throttle, "000000000000", "LookupEvents"), 20);
    }

    #[test]
    fn the_published_rates_hold_for_each_account() {
        let throttle = Throttle::new(&ThrottleSettings { preset: ThrottlePreset::Aws, ..ThrottleSettings::default() });
        assert_eq!(admitted(&throttle, "000000000000", "LookupEvents"), 2);
        assert_eq!(admitted(&throttle, "000000000001", "LookupEvents"), 2);
        assert_eq!(admitted(&throttle, "000000000000", "GetQueryResults"), 10);
    }

    #[test]
    fn every_published_rate_is_that_of_an_operation_and_no_name_stands_for_two() {
        let names: Vec<_> = operation_names().collect();
        for (_, operations) in AWS_RATES {
            for operation in *operations {
                assert!(names.contains(operation), "{operation}");
            }
        }
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        for name in ["PutAuditEvents", "AssumeRole", "CreateAccessKey"] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_setting_wins_over_the_preset() {
        let operations = [("LookupEvents".to_owned(), 5), ("ListTags".to_owned(), 0)].into();
        let throttle = Throttle::new(&ThrottleSettings { preset: ThrottlePreset::Aws, operations });
        assert_eq!(admitted(&throttle, "000000000000", "LookupEvents"), 5);
        assert_eq!(admitted(&throttle, "000000000000", "ListTags"), 20);
    }
}
