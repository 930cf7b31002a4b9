//! What LookupEvents finds an event by that the record does not say outright: the user's name and the resources.
//!
//! Amazon's own derivation is not published. The user name follows the identity's type. Resources are those that the
//! record lists, by ARN and by the short name if the request used it, and the parameters below that name a resource.

use crate::tape::{Kind, Value};

/// One resource that an event touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// A name, id or ARN as it stands in the record.
    pub name: String,
    /// `AWS::Service::Type`, where known.
    pub kind: Option<String>,
}

/// What was derived from one record. Reused from record to record.
#[derive(Debug, Default)]
pub(crate) struct Found {
    username: Option<String>,
    resources: Vec<Resource>,
}

/// Most resources kept per event; a record that names more is found by the first ones.
const MAX_RESOURCES: usize = 256;

/// Request or response members that name a resource: event source (empty: any), member, resource type.
const NAMED: &[(&str, &str, &str)] = &[
    ("s3", "bucketName", "AWS::S3::Bucket"),
    ("iam", "userName", "AWS::IAM::User"),
    ("iam", "roleName", "AWS::IAM::Role"),
    ("iam", "groupName", "AWS::IAM::Group"),
    ("iam", "policyArn", "AWS::IAM::Policy"),
    ("iam", "policyName", "AWS::IAM::Policy"),
    ("iam", "accessKeyId", "AWS::IAM::AccessKey"),
    ("iam", "instanceProfileName", "AWS::IAM::InstanceProfile"),
    ("iam", "serialNumber", "AWS::IAM::MfaDevice"),
    ("sts", "roleArn", "AWS::IAM::Role"),
    ("sts", "accessKeyId", "AWS::IAM::AccessKey"),
    ("cloudtrail", "trailName", "AWS::CloudTrail::Trail"),
    ("cloudtrail", "eventDataStore", "AWS::CloudTrail::EventDataStore"),
    ("cloudtrail", "eventDataStoreArn", "AWS::CloudTrail::EventDataStore"),
    ("cloudtrail", "channel", "AWS::CloudTrail::Channel"),
    ("cloudtrail", "channelArn", "AWS::CloudTrail::Channel"),
    ("cloudtrail-data", "channelArn", "AWS::CloudTrail::Channel"),
    ("kms", "keyId", "AWS::KMS::Key"),
    ("lambda", "functionName", "AWS::Lambda::Function"),
    ("dynamodb", "tableName", "AWS::DynamoDB::Table"),
    ("sns", "topicArn", "AWS::SNS::Topic"),
    ("sqs", "queueUrl", "AWS::SQS::Queue"),
    ("secretsmanager", "secretId", "AWS::SecretsManager::Secret"),
    ("logs", "logGroupName", "AWS::Logs::LogGroup"),
    ("rds", "dBInstanceIdentifier", "AWS::RDS::DBInstance"),
    ("rds", "dBClusterIdentifier", "AWS::RDS::DBCluster"),
    ("rds", "dBSnapshotIdentifier", "AWS::RDS::DBSnapshot"),
    ("cloudformation", "stackName", "AWS::CloudFormation::Stack"),
    ("ecr", "repositoryName", "AWS::ECR::Repository"),
    ("eks", "name", "AWS::EKS::Cluster"),
    ("ec2", "instanceId", "AWS::EC2::Instance"),
    ("ec2", "volumeId", "AWS::EC2::Volume"),
    ("ec2", "snapshotId", "AWS::EC2::Snapshot"),
    ("ec2", "imageId", "AWS::EC2::Ami"),
    ("ec2", "groupId", "AWS::EC2::SecurityGroup"),
    ("ec2", "vpcId", "AWS::EC2::VPC"),
    ("ec2", "subnetId", "AWS::EC2::Subnet"),
    ("ec2", "keyName", "AWS::EC2::KeyPair"),
    ("ec2", "networkInterfaceId", "AWS::EC2::NetworkInterface"),
    ("ec2", "routeTableId", "AWS::EC2::RouteTable"),
    ("ec2", "internetGatewayId", "AWS::EC2::InternetGateway"),
    ("ec2", "natGatewayId", "AWS::EC2::NatGateway"),
    ("ec2", "vpcEndpointId", "AWS::EC2::VPCEndpoint"),
];

/// How deep parameters are searched for the members above (`instancesSet.items[].instanceId` is three deep).
const DEPTH: usize = 4;

impl Found {
    /// The user's name, if the record tells one.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The resources, in the order found.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Forgets the last record.
    pub fn clear(&mut self) {
        self.username = None;
        self.resources.clear();
    }

    /// Derives both from `record`.
    pub fn derive(&mut self, record: Value<'_>) {
        self.clear();
        self.username = record.member("userIdentity").and_then(username);
        let parameters = [record.member("requestParameters"), record.member("responseElements")];
        if let Some(resources) = record.member("resources") {
            for resource in resources.items() {
                self.listed(resource, parameters[0]);
            }
        }
        let source = text(record, "eventSource").unwrap_or_default();
        let service = source.split_once('.').map_or(source.as_str(), |(service, _)| service);
        for parameters in parameters.into_iter().flatten() {
            self.named(service, parameters, DEPTH);
        }
        if service == "cloudtrail"
            && let Some(name) = parameters[0].and_then(|parameters| text(parameters, "name"))
            && text(record, "eventName").is_some_and(|event| event.ends_with("Trail") || event.ends_with("Logging"))
        {
            self.add(name, Some("AWS::CloudTrail::Trail"));
        }
    }

    /// Adds an item of the record's `resources`.
    fn listed(&mut self, resource: Value<'_>, request: Option<Value<'_>>) {
        let Some(arn) = text(resource, "ARN").filter(|arn| !arn.is_empty()) else { return };
        let kind = text(resource, "type");
        let short = arn.rsplit(['/', ':']).next().unwrap_or_default().to_owned();
        self.add(arn, kind.as_deref());
        let mut scratch = String::new();
        let used = request.is_some_and(|request| {
            request.members().any(|(_, value)| value.text(&mut scratch).is_some_and(|text| text == short))
        });
        if used {
            self.add(short, kind.as_deref());
        }
    }

    /// Adds what the members of `parameters` name, down to `depth` levels.
    fn named(&mut self, service: &str, parameters: Value<'_>, depth: usize) {
        if depth == 0 {
            return;
        }
        let mut scratch = String::new();
        for (member, value) in parameters.members() {
            match value.kind() {
                Kind::Text => {
                    let member = member.source();
                    let Some((_, _, kind)) = NAMED.iter().find(|(of, name, _)| *of == service && *name == member)
                    else {
                        continue;
                    };
                    if let Some(name) = value.text(&mut scratch).filter(|name| !name.is_empty()) {
                        let name = name.to_owned();
                        self.add(name, Some(kind));
                    }
                }
                Kind::Object => self.named(service, value, depth - 1),
                Kind::Array => value.items().for_each(|item| self.named(service, item, depth - 1)),
                _ => {}
            }
        }
    }

    fn add(&mut self, name: String, kind: Option<&str>) {
        let resource = Resource { name, kind: kind.map(str::to_owned) };
        if self.resources.len() < MAX_RESOURCES && !self.resources.contains(&resource) {
            self.resources.push(resource);
        }
    }
}

fn username(identity: Value<'_>) -> Option<String> {
    let kind = text(identity, "type").unwrap_or_default();
    let named = || text(identity, "userName").filter(|name| !name.is_empty());
    match kind.as_str() {
        "Root" => Some("root".to_owned()),
        "AssumedRole" => {
            let session = text(identity, "principalId").and_then(|id| Some(id.split_once(':')?.1.to_owned()));
            session.or_else(|| Some(text(identity, "arn")?.rsplit('/').next()?.to_owned())).or_else(named)
        }
        _ => named().or_else(|| text(identity, "invokedBy")),
    }
}

fn text(object: Value<'_>, member: &str) -> Option<String> {
    object.member(member)?.text(&mut String::new()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Tape;

    fn derive(record: &str) -> Found {
        let mut tape = Tape::default();
        let mut found = Found::default();
        found.derive(tape.read(record).unwrap());
        found
    }

    fn name_of(identity: &str) -> Option<String> {
        derive(&format!(r#"{{"userIdentity":{identity}}}"#)).username
    }

    #[test]
    fn the_user_name_follows_the_type_of_identity() {
        assert_eq!(name_of(r#"{"type":"IAMUser","userName":"alice"}"#).as_deref(), Some("alice"));
        assert_eq!(name_of(r#"{"type":"Root","principalId":"1"}"#).as_deref(), Some("root"));
        assert_eq!(name_of(r#"{"type":"AssumedRole","principalId":"AROA1:session"}"#).as_deref(), Some("session"));
        assert_eq!(name_of(r#"{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/r/s"}"#).as_deref(), Some("s"));
        assert_eq!(
            name_of(r#"{"type":"AWSService","invokedBy":"x.amazonaws.com"}"#).as_deref(),
            Some("x.amazonaws.com")
        );
        assert_eq!(name_of(r#"{"type":"AWSAccount","accountId":"1"}"#), None);
        assert_eq!(name_of("null"), None);
    }

    #[test]
    fn resources_come_from_the_list_and_from_parameters() {
        let found = derive(
            r#"{"eventSource":"s3.amazonaws.com","eventName":"GetBucketAcl","requestParameters":{"bucketName":"b","x":{"y":[{"bucketName":"c"}]}},
               "resources":[{"ARN":"arn:aws:s3:::b","type":"AWS::S3::Bucket"},{"type":"no arn"},7]}"#,
        );
        let names: Vec<_> = found.resources().iter().map(|r| (r.name.as_str(), r.kind.as_deref())).collect();
        let bucket = Some("AWS::S3::Bucket");
        assert_eq!(names, [("arn:aws:s3:::b", bucket), ("b", bucket), ("c", bucket)]);
    }

    #[test]
    fn a_trail_is_found_by_the_name_in_the_request() {
        let found = derive(
            r#"{"eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","requestParameters":{"name":"main"}}"#,
        );
        assert_eq!(found.resources()[0].name, "main");
    }
}
