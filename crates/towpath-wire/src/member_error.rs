//! Which error a broken constraint is answered with.
//!
//! The models list errors per operation without saying which member each is for; this table does. A rule applies only
//! to operations whose model lists its code. Where none applies the answer is InvalidParameterException if the
//! operation lists it, else ValidationException.

use crate::generated::operations::Operation;
use crate::violation::{Constraint, Violation};

/// By the shape that carries the constraint. Comes first: it is the more precise.
const BY_SHAPE: &[(&str, &str)] = &[
    ("EventDataStoreArn", "EventDataStoreARNInvalidException"),
    ("ImportDestinations", "EventDataStoreARNInvalidException"),
    ("Location", "EventDataStoreARNInvalidException"),
    ("S3ImportSource", "InvalidImportSourceException"),
    ("QueryStatement", "InvalidQueryStatementException"),
    ("Tag", "InvalidTagParameterException"),
    ("TagKey", "InvalidTagParameterException"),
    ("TagValue", "InvalidTagParameterException"),
];

/// By the member of the input that the offending value is in. The first listed code wins.
const BY_MEMBER: &[(&str, &[&str])] = &[
    ("AdvancedEventSelectors", &["InvalidEventSelectorsException"]),
    ("Channel", &["ChannelARNInvalidException"]),
    ("DeliveryS3Uri", &["InvalidS3BucketNameException"]),
    ("EventCategory", &["InvalidEventCategoryException"]),
    ("EventDataStore", &["EventDataStoreARNInvalidException"]),
    ("EventSelectors", &["InvalidEventSelectorsException"]),
    ("ImportSource", &["InvalidImportSourceException"]),
    ("InsightSelectors", &["InvalidInsightSelectorsException"]),
    ("KmsKeyId", &["InvalidKmsKeyIdException"]),
    ("LookupAttributes", &["InvalidLookupAttributesException"]),
    ("MaxQueryResults", &["InvalidMaxResultsException"]),
    ("MaxResults", &["InvalidMaxResultsException"]),
    ("Name", &["InvalidTrailNameException"]),
    ("NextToken", &["InvalidNextTokenException", "InvalidTokenException"]),
    ("QueryStatus", &["InvalidQueryStatusException"]),
    ("ResourceArn", &["ResourceARNNotValidException"]),
    ("ResourcePolicy", &["ResourcePolicyNotValidException"]),
    ("S3BucketName", &["InvalidS3BucketNameException"]),
    ("Source", &["InvalidSourceException"]),
    ("Tags", &["InvalidTagParameterException"]),
    ("TagsList", &["InvalidTagParameterException"]),
    ("TrailName", &["InvalidTrailNameException"]),
    ("Widgets", &["InvalidQueryStatementException"]),
];

/// The code that `operation` answers a violation with.
pub(crate) fn code_for(operation: Operation, violation: &Violation) -> &'static str {
    let listed = |code: &'static str| operation.error(code).map(|_| code);
    precise(operation, violation)
        .and_then(listed)
        .or_else(|| find(BY_SHAPE, violation.shape).and_then(&listed))
        .or_else(|| find(BY_MEMBER, violation.member).and_then(|codes| codes.iter().find_map(|code| listed(code))))
        .or_else(|| listed("InvalidParameterException"))
        .unwrap_or("ValidationException")
}

/// Rules that depend on the kind of constraint.
fn precise(operation: Operation, violation: &Violation) -> Option<&'static str> {
    match (operation, violation.member, &violation.constraint) {
        (_, "TagsList" | "Tags", Constraint::MaxLength(_)) if violation.shape == "TagsList" => {
            Some("TagsLimitExceededException")
        }
        // The bucket's name is right but what follows it is too long.
        (_, "DeliveryS3Uri", Constraint::MaxLength(_)) => Some("InvalidS3PrefixException"),
        // An absent ARN is a malformed call; only a present one can be a malformed ARN.
        (Operation::PutAuditEvents, "channelArn", Constraint::Pattern(_)) => Some("InvalidChannelARN"),
        _ => None,
    }
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(key, _)| *key == name).map(|(_, found)| *found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_tables_is_listed_by_some_operation() {
        let lists = |code: &str| Operation::ALL.iter().any(|operation| operation.error(code).is_some());
        let by_member = BY_MEMBER.iter().flat_map(|(_, codes)| codes.iter().copied());
        for code in BY_SHAPE.iter().map(|(_, code)| *code).chain(by_member) {
            assert!(lists(code), "no operation lists {code}");
        }
    }

    #[test]
    fn every_member_of_the_table_is_a_member_of_an_input_that_lists_its_code() {
        for (member, codes) in BY_MEMBER {
            let used = Operation::ALL.iter().any(|operation| {
                operation.model().input.members().iter().any(|m| m.name == *member)
                    && codes.iter().any(|code| operation.error(code).is_some())
            });
            assert!(used, "the rule for {member} never applies");
        }
    }
}
