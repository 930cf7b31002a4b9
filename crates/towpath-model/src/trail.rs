//! Trails as the service keeps them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AccountId, Arn, EventFacts, OrganizationId, Region, TrailId, TrailName, TrailSelectors};

/// A trail: delivers the events it wants as log files to a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// Tells it from a trail of the same name that was deleted.
    pub id: TrailId,
    /// The owner; of an organization trail the management account.
    pub account: AccountId,
    /// Where it was made and is changed.
    pub home_region: Region,
    /// Unique within account and home region.
    pub name: TrailName,

    // Where log files go.
    /// The bucket.
    pub bucket: String,
    /// What keys begin with before `/AWSLogs/`; never empty, no `/` at its end.
    pub prefix: Option<String>,
    /// Key that objects are encrypted with, as an ARN.
    pub kms_key_id: Option<String>,
    /// Writes digests.
    pub log_file_validation: bool,

    // Who is told.
    /// ARN of the topic that hears of new log files.
    pub sns_topic_arn: Option<String>,
    /// Log group that gets the events.
    pub cloud_watch_logs: Option<CloudWatchLogs>,

    // Which events it takes.
    /// Takes events of services that are not in any region.
    pub include_global_service_events: bool,
    /// Takes events of all regions, or of its home region alone.
    pub multi_region: bool,
    /// Takes events of its own deliveries. Kept and shown: Towpath's deliveries make no events.
    #[serde(default = "yes")]
    pub recursive_logging: bool,
    /// The organization whose accounts' events it takes, for an organization trail.
    #[serde(default)]
    pub organization: Option<OrganizationId>,
    /// Which events of those.
    pub selectors: TrailSelectors,
    /// Which Insights it asks for.
    #[serde(default)]
    pub insight_selectors: Vec<InsightSelector>,
    /// How data events are aggregated.
    #[serde(default)]
    pub aggregations: Vec<AggregationConfiguration>,

    // Its life.
    /// Events are taken; set by StartLogging and StopLogging.
    pub logging: bool,
    /// When logging was last started.
    pub started: Option<Timestamp>,
    /// When logging was last stopped.
    pub stopped: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// A log group, and the role that may write to it. They come together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudWatchLogs {
    /// ARN of the group, as given.
    pub group_arn: String,
    /// ARN of the role, as given.
    pub role_arn: String,
}

/// An Insights selector as the API carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InsightSelector {
    /// `ApiCallRateInsight` or `ApiErrorRateInsight`.
    pub insight_type: String,
    /// `Management`, `Data` or both; none means management.
    #[serde(default)]
    pub event_categories: Vec<String>,
}

/// An aggregation of data events as the API carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AggregationConfiguration {
    /// `Data`.
    pub event_category: String,
    /// `API_ACTIVITY`, `RESOURCE_ACCESS`, `USER_ACTIONS`.
    pub templates: Vec<String>,
}

/// The region that records of most global services carry.
pub const GLOBAL_SERVICE_REGION: &str = "us-east-1";

/// True when events of this source in this region belong to no region: IAM, CloudFront and global STS are recorded in
/// us-east-1 (trails.md, section 2).
pub fn is_global_service_event(region: &Region, event_source: Option<&str>) -> bool {
    const SOURCES: [&str; 3] = ["iam.amazonaws.com", "cloudfront.amazonaws.com", "sts.amazonaws.com"];
    region.as_str() == GLOBAL_SERVICE_REGION && event_source.is_some_and(|source| SOURCES.contains(&source))
}

/// Trails that were made before this could be said have it on, as AWS has by default.
const fn yes() -> bool {
    true
}

impl Trail {
    /// A trail with the defaults of CreateTrail: of one region with global-service events, all management events, no
    /// digests, nobody told, and not logging yet.
    pub fn new(account: AccountId, home_region: Region, name: TrailName, bucket: String, made: Timestamp) -> Self {
        Self {
            id: TrailId::random(),
            account,
            home_region,
            name,
            bucket,
            prefix: None,
            kms_key_id: None,
            log_file_validation: false,
            sns_topic_arn: None,
            cloud_watch_logs: None,
            include_global_service_events: true,
            recursive_logging: true,
            multi_region: false,
            organization: None,
            selectors: TrailSelectors::Default,
            insight_selectors: Vec::new(),
            aggregations: Vec::new(),
            logging: false,
            started: None,
            stopped: None,
            created: made,
            updated: made,
        }
    }

    /// `arn:aws:cloudtrail:<home region>:<account>:trail/<name>`, the same in every region and member account.
    pub fn arn(&self) -> Arn {
        Arn::cloudtrail(&self.home_region, self.account, &format!("trail/{}", self.name))
    }

    /// True when the trail takes events of this region and source: a multi-region trail those of every region, another
    /// those of its home region; global-service events only where they are included.
    pub fn takes_region(&self, region: &Region, event_source: Option<&str>) -> bool {
        if self.multi_region {
            return true;
        }
        self.home_region == *region
            && (self.include_global_service_events || !is_global_service_event(region, event_source))
    }

    /// True when the trail takes events of this account, which is in `organization` if in any.
    pub fn takes_account(&self, account: AccountId, organization: Option<&OrganizationId>) -> bool {
        self.account == account || (self.organization.is_some() && self.organization.as_ref() == organization)
    }

    /// True when a live event of `account` in `region` with these facts is to be delivered. Insights and aggregated
    /// events are addressed to trails by whoever makes them and are not asked about here.
    pub fn wants(
        &self,
        account: AccountId,
        organization: Option<&OrganizationId>,
        region: &Region,
        facts: &EventFacts<'_>,
    ) -> bool {
        self.logging
            && self.takes_account(account, organization)
            && self.takes_region(region, facts.event_source)
            && self.selectors.matches(facts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trail(home: &str, multi_region: bool, global: bool) -> Trail {
        let made: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let (account, name) = ("000000000001".parse().unwrap(), "trail".parse().unwrap());
        Trail {
            include_global_service_events: global,
            multi_region,
            logging: true,
            ..Trail::new(account, home.parse().unwrap(), name, "bucket".to_owned(), made)
        }
    }

    fn takes(trail: &Trail, region: &str, source: &str) -> bool {
        trail.takes_region(&region.parse().unwrap(), Some(source))
    }

    #[test]
    fn a_single_region_trail_takes_global_services_only_in_us_east_1_and_only_if_asked() {
        let (iam, s3) = ("iam.amazonaws.com", "s3.amazonaws.com");
        let east = trail("us-east-1", false, true);
        assert!(takes(&east, "us-east-1", iam) && takes(&east, "us-east-1", s3));
        assert!(!takes(&east, "eu-central-1", s3));
        let plain = trail("us-east-1", false, false);
        assert!(!takes(&plain, "us-east-1", iam) && takes(&plain, "us-east-1", s3));
        let europe = trail("eu-central-1", false, true);
        assert!(!takes(&europe, "us-east-1", iam) && takes(&europe, "eu-central-1", s3));
        // Regional STS is no global service.
        assert!(takes(&trail("eu-central-1", false, false), "eu-central-1", "sts.amazonaws.com"));
    }

    #[test]
    fn an_organization_trail_takes_the_accounts_of_its_organization() {
        let mut trail = trail("us-east-1", true, true);
        let member: AccountId = "000000000002".parse().unwrap();
        let organization: OrganizationId = "o-abcdefghij".parse().unwrap();
        assert!(!trail.takes_account(member, None));
        assert!(!trail.takes_account(member, Some(&organization)));
        trail.organization = Some(organization.clone());
        assert!(trail.takes_account(member, Some(&organization)));
        assert!(!trail.takes_account(member, None));
        assert!(trail.takes_account(trail.account, None));
    }

    #[test]
    fn a_trail_that_is_not_logging_wants_nothing() {
        let mut trail = trail("us-east-1", true, true);
        let facts = EventFacts { category: "Management", ..EventFacts::default() };
        let region = trail.home_region.clone();
        assert!(trail.wants(trail.account, None, &region, &facts));
        trail.logging = false;
        assert!(!trail.wants(trail.account, None, &region, &facts));
    }

    #[test]
    fn the_arn_names_home_region_and_owner() {
        let arn = trail("eu-central-1", true, true).arn();
        assert_eq!(arn.as_str(), "arn:aws:cloudtrail:eu-central-1:000000000001:trail/trail");
    }

    proptest! {
        #[test]
        fn a_multi_region_trail_takes_whatever_another_takes(
            home in "(us-east-1|eu-central-1)",
            region in "(us-east-1|eu-central-1|ap-south-1)",
            source in "(iam|s3|sts|cloudfront)",
            global: bool,
        ) {
            let source = format!("{source}.amazonaws.com");
            prop_assert!(takes(&trail(&home, true, global), &region, &source));
            let single = takes(&trail(&home, false, global), &region, &source);
            prop_assert_eq!(single, home == region && (global || region != "us-east-1" || source.starts_with("s3")));
        }
    }
}
