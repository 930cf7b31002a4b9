//! The columns of each store kind, as declared.

use super::{Column, RESOURCE_NAME_ELEMENT, Shape};

const fn col(id: i32, json: &'static str, shape: Shape) -> Column {
    Column { id, json, alias: "", shape }
}

const fn text(id: i32, json: &'static str) -> Column {
    col(id, json, Shape::Text)
}

const fn map(id: i32, json: &'static str, inner: i32) -> Column {
    col(id, json, Shape::Map(inner, inner + 1))
}

const fn row(id: i32, json: &'static str, members: &'static [Column]) -> Column {
    col(id, json, Shape::Row(members))
}

const EVENT_TIME_COLUMN: &str = "eventTime";

static USER_IDENTITY: &[Column] = &[
    text(100, "type"),
    text(101, "principalId"),
    text(102, "arn"),
    text(103, "accountId"),
    text(104, "accessKeyId"),
    text(105, "userName"),
    row(
        106,
        "sessionContext",
        &[
            row(107, "attributes", &[col(108, "creationDate", Shape::Time), text(109, "mfaAuthenticated")]),
            row(
                110,
                "sessionIssuer",
                &[
                    text(111, "type"),
                    text(112, "principalId"),
                    text(113, "arn"),
                    text(114, "accountId"),
                    text(115, "userName"),
                ],
            ),
            row(116, "webIdFederationData", &[text(117, "federatedProvider"), map(118, "attributes", 119)]),
            text(121, "sourceIdentity"),
            text(122, "ec2RoleDelivery"),
            text(123, "ec2IssuedInVpc"),
        ],
    ),
    row(124, "onBehalfOf", &[text(125, "userId"), text(126, "identityStoreArn")]),
    row(
        127,
        "inScopeOf",
        &[
            text(128, "sourceArn"),
            text(129, "sourceAccount"),
            text(130, "issuerType"),
            // The published schema spells it so; records do not.
            Column { id: 131, json: "credentiaIsIssuedTo", alias: "credentialsIssuedTo", shape: Shape::Text },
        ],
    ),
    text(132, "invokedBy"),
    text(133, "identityProvider"),
];

static RESOURCES: &[Column] = &[text(141, "accountId"), text(142, "type"), text(143, "ARN"), text(144, "ARNPrefix")];

static EVENT_CONTEXT: &[Column] = &[
    map(180, "requestContext", 181),
    row(
        183,
        "tagContext",
        &[
            col(184, "resourceTags", Shape::List(185, &[text(186, "arn"), map(187, "tags", 188)])),
            map(190, "principalTags", 191),
        ],
    ),
];

pub(super) static CLOUD_TRAIL: &[Column] = &[
    text(1, "eventVersion"),
    row(2, "userIdentity", USER_IDENTITY),
    col(3, EVENT_TIME_COLUMN, Shape::EventTime),
    text(4, "eventSource"),
    text(5, "eventName"),
    text(6, "awsRegion"),
    text(7, "sourceIPAddress"),
    text(8, "userAgent"),
    text(9, "errorCode"),
    text(10, "errorMessage"),
    map(11, "requestParameters", 150),
    map(12, "responseElements", 152),
    map(13, "additionalEventData", 154),
    text(14, "requestID"),
    text(15, "eventID"),
    col(16, "readOnly", Shape::Bool),
    col(17, "resources", Shape::List(140, RESOURCES)),
    text(18, "eventType"),
    text(19, "apiVersion"),
    col(20, "managementEvent", Shape::Bool),
    text(21, "recipientAccountId"),
    text(22, "sharedEventID"),
    text(23, "annotation"),
    text(24, "vpcEndpointId"),
    text(25, "vpcEndpointAccountId"),
    map(26, "serviceEventDetails", 156),
    map(27, "addendum", 158),
    map(28, "edgeDeviceDetails", 160),
    map(29, "insightDetails", 162),
    text(30, "eventCategory"),
    row(31, "tlsDetails", &[text(170, "tlsVersion"), text(171, "cipherSuite"), text(172, "clientProvidedHostHeader")]),
    text(32, "sessionCredentialFromConsole"),
    col(33, "eventJson", Shape::Record),
    // 34 is eventjsonchecksum, computed when read.
    row(35, "eventContext", EVENT_CONTEXT),
];

pub(super) static LOOKUP: &[Column] = &[
    col(40, "lookupUsername", Shape::LookupText),
    col(41, "lookupResourceNames", Shape::LookupList(RESOURCE_NAME_ELEMENT)),
    col(43, "lookupResourceTypes", Shape::LookupList(44)),
];

pub(super) static INSIGHT: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    text(8, "sharedEventID"),
    map(9, "addendum", 100),
    text(10, "insightSource"),
    text(11, "insightState"),
    text(12, "insightEventSource"),
    text(13, "insightEventName"),
    text(14, "insightErrorCode"),
    text(15, "insightType"),
    row(
        16,
        "insightContext",
        &[
            col(110, "baselineAverage", Shape::Double),
            col(111, "insightAverage", Shape::Double),
            col(112, "baselineDuration", Shape::Int),
            col(113, "insightDuration", Shape::Int),
            col(
                114,
                "attributions",
                Shape::List(
                    115,
                    &[
                        text(116, "attribute"),
                        text(117, "insightValue"),
                        col(118, "insightAverage", Shape::Double),
                        text(119, "baselineValue"),
                        col(120, "baselineAverage", Shape::Double),
                        row(121, "insight", &[text(122, "value"), col(123, "average", Shape::Double)]),
                        row(124, "baseline", &[text(125, "value"), col(126, "average", Shape::Double)]),
                    ],
                ),
            ),
        ],
    ),
    col(17, "eventJson", Shape::Record),
];

pub(super) static CONFIGURATION_ITEM: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    map(8, "addendum", 100),
    row(
        9,
        "eventData",
        &[
            text(110, "configurationItemVersion"),
            text(111, "configurationItemCaptureTime"),
            text(112, "configurationItemStatus"),
            Column { id: 113, json: "configurationItemStateId", alias: "configurationStateId", shape: Shape::Text },
            text(114, "accountId"),
            text(115, "resourceType"),
            text(116, "resourceId"),
            text(117, "resourceName"),
            text(118, "arn"),
            text(119, "awsRegion"),
            text(120, "availabilityZone"),
            text(121, "resourceCreationTime"),
            map(122, "configuration", 130),
            map(123, "supplementaryConfiguration", 132),
            col(124, "relatedEvents", Shape::Json),
            col(
                125,
                "relationships",
                Shape::List(
                    134,
                    &[text(135, "name"), text(136, "resourceType"), text(137, "resourceId"), text(138, "resourceName")],
                ),
            ),
            map(126, "tags", 140),
        ],
    ),
    col(10, "eventJson", Shape::Record),
];

pub(super) static EVIDENCE: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    map(8, "addendum", 100),
    row(
        9,
        "eventData",
        &[
            map(110, "attributes", 150),
            text(111, "awsAccountId"),
            text(112, "awsOrganization"),
            text(113, "complianceCheck"),
            text(114, "dataSource"),
            text(115, "eventName"),
            text(116, "eventSource"),
            text(117, "evidenceAwsAccountId"),
            text(118, "evidenceByType"),
            text(119, "iamId"),
            text(120, "evidenceId"),
            col(121, "time", Shape::Time),
            text(122, "assessmentId"),
            text(123, "controlSetId"),
            text(124, "controlId"),
            text(125, "controlName"),
            text(126, "controlDomainName"),
            text(127, "frameworkName"),
            text(128, "frameworkId"),
            text(129, "service"),
            text(130, "serviceCategory"),
            text(131, "resourceArn"),
            text(132, "resourceType"),
            text(133, "evidenceFolderId"),
            text(134, "description"),
            text(135, "manualEvidenceS3ResourcePath"),
            text(136, "evidenceFolderName"),
            text(137, "resourceComplianceCheck"),
        ],
    ),
    col(10, "eventJson", Shape::Record),
];

pub(super) static ACTIVITY: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    row(
        8,
        "addendum",
        &[text(100, "reason"), text(101, "updatedFields"), text(102, "originalUID"), text(103, "originalEventID")],
    ),
    row(9, "metadata", &[text(110, "ingestionTime"), text(111, "channelARN")]),
    row(
        10,
        "eventData",
        &[
            text(120, "version"),
            row(121, "userIdentity", &[text(140, "type"), text(141, "principalId"), map(142, "details", 143)]),
            text(122, "userAgent"),
            text(123, "eventSource"),
            text(124, "eventName"),
            text(125, "eventTime"),
            text(126, "UID"),
            map(127, "requestParameters", 150),
            map(128, "responseElements", 152),
            text(129, "errorCode"),
            text(130, "errorMessage"),
            text(131, "sourceIPAddress"),
            text(132, "recipientAccountId"),
            map(133, "additionalEventData", 154),
        ],
    ),
    col(11, "eventJson", Shape::Record),
];
