//! Operations: what the service models say about each of them.

use std::fmt;

use crate::generated::operations::Operation;
use crate::shape::Shape;

/// The service an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// CloudTrail 2013-11-01, AWS JSON 1.1.
    CloudTrail,
    /// CloudTrail Data 2021-08-11, REST JSON.
    CloudTrailData,
}

impl Service {
    /// The name requests are signed for.
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::CloudTrail => "cloudtrail",
            Self::CloudTrailData => "cloudtrail-data",
        }
    }

    /// The prefixes of `X-Amz-Target` that name this service; empty where the path names the operation.
    pub const fn target_prefixes(self) -> &'static [&'static str] {
        match self {
            Self::CloudTrail => &["com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "CloudTrail_20131101"],
            Self::CloudTrailData => &[],
        }
    }

    /// The service as events name it.
    pub const fn event_source(self) -> &'static str {
        match self {
            Self::CloudTrail => "cloudtrail.amazonaws.com",
            Self::CloudTrailData => "cloudtrail-data.amazonaws.com",
        }
    }
}

/// An operation's entry in its service model.
#[derive(Debug)]
pub struct OperationModel {
    /// The operation's name.
    pub name: &'static str,
    /// The service it belongs to.
    pub service: Service,
    /// True if it changes nothing.
    pub read_only: bool,
    /// The errors the model lists for it.
    pub errors: &'static [ModelledError],
    /// What its input must look like.
    pub input: &'static Shape,
}

/// An error that a service model names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelledError {
    /// The code on the wire.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The code of the old query protocol, where the model has one.
    pub query_code: Option<&'static str>,
}

impl Operation {
    /// The operation's name.
    pub fn name(self) -> &'static str {
        self.model().name
    }

    /// The service the operation belongs to.
    pub fn service(self) -> Service {
        self.model().service
    }

    /// True if the operation changes nothing.
    pub fn read_only(self) -> bool {
        self.model().read_only
    }

    /// The operation of `service` with this name.
    pub fn named(service: Service, name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.service() == service && operation.name() == name)
    }

    /// The listed error with this code.
    pub fn error(self, code: &str) -> Option<ModelledError> {
        self.model().errors.iter().copied().find(|error| error.code == code)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_name_in_its_own_service_only() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.service(), operation.name()), Some(*operation));
        }
        assert_eq!(Operation::named(Service::CloudTrail, "PutAuditEvents"), None);
        assert_eq!(Operation::named(Service::CloudTrail, "createchannel"), None);
        assert_eq!(Operation::ALL.len(), 61);
    }

    #[test]
    fn operations_that_only_read_are_told_from_those_that_may_change_something() {
        assert!(Operation::LookupEvents.read_only());
        assert!(Operation::GetQueryResults.read_only());
        assert!(!Operation::StartQuery.read_only());
        assert!(!Operation::PutAuditEvents.read_only());
    }

    #[test]
    fn an_operation_knows_the_errors_its_model_lists() {
        assert!(Operation::CreateChannel.error("ChannelAlreadyExistsException").is_some());
        assert!(Operation::CreateChannel.error("QueryIdNotFoundException").is_none());
        assert!(Operation::PutAuditEvents.error("ChannelNotFound").is_some());
    }
}
