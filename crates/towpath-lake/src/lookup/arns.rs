//! ARNs in requests and answers: which members hold them, and the type of what they name.

/// True for members that hold ARNs by their name: `topicArn`, `aRN`, `resourceArns`; not for keys of other kinds of text,
/// such as `aws:s3:arn` of an encryption context.
pub(super) fn holds_arns(member: &str) -> bool {
    let name = member.strip_suffix(['s', 'S']).unwrap_or(member);
    let end = name.len().checked_sub(3).and_then(|start| name.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case("arn")) && !member.contains(':')
}

/// The type of what an ARN names, if it is of a known one.
pub(super) fn kind_of_arn(arn: &str) -> Option<&'static str> {
    let mut parts = arn.strip_prefix("arn:")?.splitn(5, ':');
    let (_, service, _, _, resource) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let found = ARNS.iter().find(|(of, start, _)| *of == service && resource.starts_with(start));
    match (service, resource) {
        ("s3", resource) if resource.contains('/') => Some("AWS::S3::Object"),
        _ => found.map(|(_, _, kind)| *kind),
    }
}

/// ARNs by service and beginning of their resource part.
const ARNS: &[(&str, &str, &str)] = &[
    ("acm", "certificate/", "AWS::CertificateManager::Certificate"),
    ("apigateway", "/restapis/", "AWS::ApiGateway::RestApi"),
    ("appmesh", "mesh/", "AWS::AppMesh::Mesh"),
    ("athena", "workgroup/", "AWS::Athena::WorkGroup"),
    ("backup", "backup-vault:", "AWS::Backup::BackupVault"),
    ("cloudformation", "stack/", "AWS::CloudFormation::Stack"),
    ("cloudfront", "distribution/", "AWS::CloudFront::Distribution"),
    ("cloudsearch", "domain/", "AWS::CloudSearch::Domain"),
    ("cloudtrail", "trail/", "AWS::CloudTrail::Trail"),
    ("cloudtrail", "eventdatastore/", "AWS::CloudTrail::EventDataStore"),
    ("cloudtrail", "channel/", "AWS::CloudTrail::Channel"),
    ("cloudtrail", "dashboard/", "AWS::CloudTrail::Dashboard"),
    ("codebuild", "project/", "AWS::CodeBuild::Project"),
    ("cognito-idp", "userpool/", "AWS::Cognito::UserPool"),
    ("dynamodb", "table/", "AWS::DynamoDB::Table"),
    ("ec2", "image/", "AWS::EC2::Ami"),
    ("ec2", "instance/", "AWS::EC2::Instance"),
    ("ec2", "network-interface/", "AWS::EC2::NetworkInterface"),
    ("ec2", "security-group/", "AWS::EC2::SecurityGroup"),
    ("ec2", "snapshot/", "AWS::EC2::Snapshot"),
    ("ec2", "subnet/", "AWS::EC2::Subnet"),
    ("ec2", "volume/", "AWS::EC2::Volume"),
    ("ec2", "vpc/", "AWS::EC2::VPC"),
    ("ecr", "repository/", "AWS::ECR::Repository"),
    ("ecs", "cluster/", "AWS::ECS::Cluster"),
    ("ecs", "service/", "AWS::ECS::Service"),
    ("ecs", "task-definition/", "AWS::ECS::TaskDefinition"),
    ("eks", "cluster/", "AWS::EKS::Cluster"),
    ("elasticfilesystem", "access-point/", "AWS::EFS::AccessPoint"),
    ("elasticfilesystem", "file-system/", "AWS::EFS::FileSystem"),
    ("elasticloadbalancing", "listener/", "AWS::ElasticLoadBalancingV2::Listener"),
    ("elasticloadbalancing", "loadbalancer/app/", "AWS::ElasticLoadBalancingV2::LoadBalancer"),
    ("elasticloadbalancing", "loadbalancer/gwy/", "AWS::ElasticLoadBalancingV2::LoadBalancer"),
    ("elasticloadbalancing", "loadbalancer/net/", "AWS::ElasticLoadBalancingV2::LoadBalancer"),
    ("elasticloadbalancing", "loadbalancer/", "AWS::ElasticLoadBalancing::LoadBalancer"),
    ("elasticloadbalancing", "targetgroup/", "AWS::ElasticLoadBalancingV2::TargetGroup"),
    ("es", "domain/", "AWS::Elasticsearch::Domain"),
    ("events", "event-bus/", "AWS::Events::EventBus"),
    ("events", "rule/", "AWS::Events::Rule"),
    ("firehose", "deliverystream/", "AWS::KinesisFirehose::DeliveryStream"),
    ("glue", "database/", "AWS::Glue::Database"),
    ("glue", "table/", "AWS::Glue::Table"),
    ("guardduty", "detector/", "AWS::GuardDuty::Detector"),
    ("iam", "group/", "AWS::IAM::Group"),
    ("iam", "instance-profile/", "AWS::IAM::InstanceProfile"),
    ("iam", "mfa/", "AWS::IAM::MfaDevice"),
    ("iam", "oidc-provider/", "AWS::IAM::OIDCProvider"),
    ("iam", "policy/", "AWS::IAM::Policy"),
    ("iam", "role/", "AWS::IAM::Role"),
    ("iam", "saml-provider/", "AWS::IAM::SAMLProvider"),
    ("iam", "server-certificate/", "AWS::IAM::ServerCertificate"),
    ("iam", "user/", "AWS::IAM::User"),
    ("kinesis", "stream/", "AWS::Kinesis::Stream"),
    ("kms", "alias/", "AWS::KMS::Alias"),
    ("kms", "key/", "AWS::KMS::Key"),
    ("lambda", "function:", "AWS::Lambda::Function"),
    ("lambda", "layer:", "AWS::Lambda::LayerVersion"),
    ("logs", "log-group:", "AWS::Logs::LogGroup"),
    ("rds", "cluster-snapshot:", "AWS::RDS::DBClusterSnapshot"),
    ("rds", "cluster:", "AWS::RDS::DBCluster"),
    ("rds", "db:", "AWS::RDS::DBInstance"),
    ("rds", "snapshot:", "AWS::RDS::DBSnapshot"),
    ("redshift", "cluster:", "AWS::Redshift::Cluster"),
    ("rolesanywhere", "profile/", "AWS::RolesAnywhere::Profile"),
    ("rolesanywhere", "trust-anchor/", "AWS::RolesAnywhere::TrustAnchor"),
    ("route53resolver", "resolver-query-log-config/", "AWS::Route53Resolver::ResolverQueryLoggingConfig"),
    ("s3", "", "AWS::S3::Bucket"),
    ("secretsmanager", "secret:", "AWS::SecretsManager::Secret"),
    ("sns", "", "AWS::SNS::Topic"),
    ("sqs", "", "AWS::SQS::Queue"),
    ("ssm", "document/", "AWS::SSM::Document"),
    ("ssm", "parameter/", "AWS::SSM::Parameter"),
    ("states", "stateMachine:", "AWS::StepFunctions::StateMachine"),
    ("wafv2", "global/webacl/", "AWS::WAFv2::WebACL"),
    ("wafv2", "regional/webacl/", "AWS::WAFv2::WebACL"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_hold_arns_are_told_by_their_names() {
        for member in ["arn", "aRN", "topicArn", "trailARN", "resourceArns", "ARN"] {
            assert!(holds_arns(member), "{member}");
        }
        for member in ["", "n", "s", "warning", "aws:s3:arn", "learned", "日本"] {
            assert!(!holds_arns(member), "{member}");
        }
    }

    #[test]
    fn arns_tell_their_type() {
        for (arn, kind) in [
            ("arn:aws:cloudtrail:us-east-1:1:trail/main", Some("AWS::CloudTrail::Trail")),
            ("arn:aws:s3:::bucket", Some("AWS::S3::Bucket")),
            ("arn:aws:s3:::bucket/a/key", Some("AWS::S3::Object")),
            ("arn:aws-cn:ssm:cn-north-1:1:parameter/a/b", Some("AWS::SSM::Parameter")),
            (
                "arn:aws:elasticloadbalancing:r:1:loadbalancer/net/x/1",
                Some("AWS::ElasticLoadBalancingV2::LoadBalancer"),
            ),
            ("arn:aws:elasticloadbalancing:r:1:loadbalancer/x", Some("AWS::ElasticLoadBalancing::LoadBalancer")),
            ("arn:aws:iam::1:root", None),
            ("arn:aws:nobody:r:1:thing/1", None),
            ("arn:aws:s3", None),
            ("bucket", None),
        ] {
            assert_eq!(kind_of_arn(arn), kind, "{arn}");
        }
    }
}
