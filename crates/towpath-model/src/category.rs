//! Event categories: what kind of activity a record describes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `eventCategory` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Category {
    /// Calls that manage resources; the only category in Event history.
    Management,
    /// Calls on the contents of a resource, such as an object in a bucket.
    Data,
    /// Calls through a VPC endpoint.
    NetworkActivity,
    /// Unusual activity found by CloudTrail Insights.
    Insight,
    /// AWS Config configuration items.
    ConfigurationItem,
    /// AWS Audit Manager evidence.
    Evidence,
    /// Activity outside AWS, sent with PutAuditEvents.
    ActivityAuditLog,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 7] = [
        Self::Management,
        Self::Data,
        Self::NetworkActivity,
        Self::Insight,
        Self::ConfigurationItem,
        Self::Evidence,
        Self::ActivityAuditLog,
    ];

    /// The text that records and selectors carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Management => "Management",
            Self::Data => "Data",
            Self::NetworkActivity => "NetworkActivity",
            Self::Insight => "Insight",
            Self::ConfigurationItem => "ConfigurationItem",
            Self::Evidence => "Evidence",
            Self::ActivityAuditLog => "ActivityAuditLog",
        }
    }

    /// Finds the category with this exact text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == text)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
