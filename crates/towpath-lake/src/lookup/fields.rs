//! Which members of requests and answers name a resource, and of what type.
//!
//! The members are those that records of the services hold; the types are the names that AWS gives resources
//! (`AWS::Service::Type`). A member that names different things in different operations is listed with words, one of
//! which the event's name must contain.

/// A member that names a resource.
pub(super) struct Field {
    /// The member, as records spell it.
    member: &'static str,
    kind: &'static str,
    /// Words of which the event's name must contain one; none: any event.
    events: &'static [&'static str],
}

const fn any(member: &'static str, kind: &'static str) -> Field {
    Field { member, kind, events: &[] }
}

const fn of(member: &'static str, kind: &'static str, events: &'static [&'static str]) -> Field {
    Field { member, kind, events }
}

/// The members of a service, found once per record.
pub(super) fn of_service(service: &str) -> &'static [Field] {
    SERVICES.iter().find(|(name, _)| *name == service).map_or(&[], |(_, fields)| fields)
}

/// The type of the resource that a member names, if it names one.
pub(super) fn kind(fields: &[Field], member: &str, event: &str) -> Option<&'static str> {
    let concerns = |field: &&Field| {
        field.member == member && (field.events.is_empty() || field.events.iter().any(|word| event.contains(word)))
    };
    fields.iter().find(concerns).map(|field| field.kind)
}

const SERVICES: &[(&str, &[Field])] = &[
    ("apigateway", &[any("restApiId", "AWS::ApiGateway::RestApi"), any("stageName", "AWS::ApiGateway::Stage")]),
    (
        "appmesh",
        &[
            any("meshName", "AWS::AppMesh::Mesh"),
            any("virtualGatewayName", "AWS::AppMesh::VirtualGateway"),
            any("virtualNodeName", "AWS::AppMesh::VirtualNode"),
            any("virtualRouterName", "AWS::AppMesh::VirtualRouter"),
            any("virtualServiceName", "AWS::AppMesh::VirtualService"),
        ],
    ),
    ("athena", &[any("workGroup", "AWS::Athena::WorkGroup")]),
    (
        "autoscaling",
        &[
            any("autoScalingGroupName", "AWS::AutoScaling::AutoScalingGroup"),
            any("autoScalingGroupNames", "AWS::AutoScaling::AutoScalingGroup"),
            any("launchConfigurationName", "AWS::AutoScaling::LaunchConfiguration"),
            any("instanceId", "AWS::EC2::Instance"),
        ],
    ),
    ("backup", &[any("backupVaultName", "AWS::Backup::BackupVault"), any("backupPlanId", "AWS::Backup::BackupPlan")]),
    ("bedrock", &[any("modelId", "AWS::Bedrock::Model"), any("customModelName", "AWS::Bedrock::Model")]),
    (
        "cloudformation",
        &[
            any("stackName", "AWS::CloudFormation::Stack"),
            any("stackSetName", "AWS::CloudFormation::StackSet"),
            any("changeSetName", "AWS::CloudFormation::ChangeSet"),
        ],
    ),
    (
        "cloudfront",
        &[of("id", "AWS::CloudFront::Distribution", &["Invalidation", "GetDistribution", "DeleteDistribution"])],
    ),
    ("cloudhsm", &[any("clusterId", "AWS::CloudHSM::Cluster")]),
    ("cloudsearch", &[any("domainName", "AWS::CloudSearch::Domain")]),
    (
        "cloudtrail",
        &[
            any("trailName", "AWS::CloudTrail::Trail"),
            any("trailNameList", "AWS::CloudTrail::Trail"),
            of("name", "AWS::CloudTrail::Trail", &["Trail", "Logging"]),
            any("s3BucketName", "AWS::S3::Bucket"),
            any("eventDataStore", "AWS::CloudTrail::EventDataStore"),
            any("eventDataStoreArn", "AWS::CloudTrail::EventDataStore"),
            any("channel", "AWS::CloudTrail::Channel"),
            any("channelArn", "AWS::CloudTrail::Channel"),
            any("dashboardId", "AWS::CloudTrail::Dashboard"),
        ],
    ),
    ("cloudtrail-data", &[any("channelArn", "AWS::CloudTrail::Channel")]),
    ("codebuild", &[any("projectName", "AWS::CodeBuild::Project")]),
    ("codecommit", &[any("repositoryName", "AWS::CodeCommit::Repository")]),
    ("codepipeline", &[any("pipelineName", "AWS::CodePipeline::Pipeline")]),
    ("cognito-identity", &[any("identityPoolId", "AWS::Cognito::IdentityPool")]),
    ("cognito-idp", &[any("userPoolId", "AWS::Cognito::UserPool")]),
    (
        "config",
        &[
            any("configurationRecorderName", "AWS::Config::ConfigurationRecorder"),
            any("configurationRecorderNames", "AWS::Config::ConfigurationRecorder"),
            any("configRuleName", "AWS::Config::ConfigRule"),
            any("deliveryChannelName", "AWS::Config::DeliveryChannel"),
            any("deliveryChannelNames", "AWS::Config::DeliveryChannel"),
        ],
    ),
    ("dynamodb", &[any("tableName", "AWS::DynamoDB::Table"), any("globalTableName", "AWS::DynamoDB::GlobalTable")]),
    ("ec2", EC2),
    ("ec2-instance-connect", &[any("instanceId", "AWS::EC2::Instance")]),
    ("ecr", &[any("repositoryName", "AWS::ECR::Repository"), any("repositoryNames", "AWS::ECR::Repository")]),
    (
        "ecs",
        &[
            any("cluster", "AWS::ECS::Cluster"),
            any("clusterName", "AWS::ECS::Cluster"),
            any("clusters", "AWS::ECS::Cluster"),
            any("service", "AWS::ECS::Service"),
            any("serviceName", "AWS::ECS::Service"),
            any("taskDefinition", "AWS::ECS::TaskDefinition"),
        ],
    ),
    (
        "eks",
        &[
            any("clusterName", "AWS::EKS::Cluster"),
            of("name", "AWS::EKS::Cluster", &["Cluster", "Update", "ListNodegroups", "DescribeNodegroup"]),
            any("nodegroupName", "AWS::EKS::Nodegroup"),
        ],
    ),
    (
        "elasticache",
        &[
            any("cacheClusterId", "AWS::ElastiCache::CacheCluster"),
            any("replicationGroupId", "AWS::ElastiCache::ReplicationGroup"),
        ],
    ),
    (
        "elasticfilesystem",
        &[
            any("fileSystemId", "AWS::EFS::FileSystem"),
            any("mountTargetId", "AWS::EFS::MountTarget"),
            any("accessPointId", "AWS::EFS::AccessPoint"),
        ],
    ),
    (
        "elasticloadbalancing",
        &[
            any("loadBalancerName", "AWS::ElasticLoadBalancing::LoadBalancer"),
            any("loadBalancerNames", "AWS::ElasticLoadBalancing::LoadBalancer"),
        ],
    ),
    (
        "elasticmapreduce",
        &[
            any("clusterId", "AWS::EMR::Cluster"),
            any("jobFlowId", "AWS::EMR::Cluster"),
            any("jobFlowIds", "AWS::EMR::Cluster"),
        ],
    ),
    ("es", &[any("domainName", "AWS::Elasticsearch::Domain"), any("domainNames", "AWS::Elasticsearch::Domain")]),
    (
        "events",
        &[
            of("name", "AWS::Events::Rule", &["Rule"]),
            any("rule", "AWS::Events::Rule"),
            any("eventBusName", "AWS::Events::EventBus"),
        ],
    ),
    ("firehose", &[any("deliveryStreamName", "AWS::KinesisFirehose::DeliveryStream")]),
    ("glacier", &[any("vaultName", "AWS::Glacier::Vault")]),
    (
        "glue",
        &[
            any("databaseName", "AWS::Glue::Database"),
            any("tableName", "AWS::Glue::Table"),
            any("jobName", "AWS::Glue::Job"),
            any("crawlerName", "AWS::Glue::Crawler"),
        ],
    ),
    ("guardduty", &[any("detectorId", "AWS::GuardDuty::Detector")]),
    (
        "iam",
        &[
            any("userName", "AWS::IAM::User"),
            any("roleName", "AWS::IAM::Role"),
            any("groupName", "AWS::IAM::Group"),
            any("policyArn", "AWS::IAM::Policy"),
            any("policyName", "AWS::IAM::Policy"),
            any("accessKeyId", "AWS::IAM::AccessKey"),
            any("instanceProfileName", "AWS::IAM::InstanceProfile"),
            any("serialNumber", "AWS::IAM::MfaDevice"),
            any("virtualMFADeviceName", "AWS::IAM::MfaDevice"),
            any("serverCertificateName", "AWS::IAM::ServerCertificate"),
            any("permissionsBoundary", "AWS::IAM::Policy"),
        ],
    ),
    ("kinesis", &[any("streamName", "AWS::Kinesis::Stream")]),
    ("kms", &[any("keyId", "AWS::KMS::Key"), any("targetKeyId", "AWS::KMS::Key"), any("aliasName", "AWS::KMS::Alias")]),
    (
        "lambda",
        &[
            any("functionName", "AWS::Lambda::Function"),
            any("layerName", "AWS::Lambda::LayerVersion"),
            any("layers", "AWS::Lambda::LayerVersion"),
            any("role", "AWS::IAM::Role"),
        ],
    ),
    (
        "logs",
        &[
            any("logGroupName", "AWS::Logs::LogGroup"),
            any("logGroupNames", "AWS::Logs::LogGroup"),
            any("logGroupIdentifier", "AWS::Logs::LogGroup"),
            any("logStreamName", "AWS::Logs::LogStream"),
            any("destinationName", "AWS::Logs::Destination"),
        ],
    ),
    (
        "monitoring",
        &[
            any("alarmName", "AWS::CloudWatch::Alarm"),
            any("alarmNames", "AWS::CloudWatch::Alarm"),
            any("dashboardName", "AWS::CloudWatch::Dashboard"),
            any("dashboardNames", "AWS::CloudWatch::Dashboard"),
        ],
    ),
    (
        "organizations",
        &[
            any("policyId", "AWS::Organizations::Policy"),
            any("organizationalUnitId", "AWS::Organizations::OrganizationalUnit"),
            any("accountId", "AWS::Organizations::Account"),
        ],
    ),
    (
        "rds",
        &[
            any("dBInstanceIdentifier", "AWS::RDS::DBInstance"),
            any("dBClusterIdentifier", "AWS::RDS::DBCluster"),
            any("dBSnapshotIdentifier", "AWS::RDS::DBSnapshot"),
            any("dBClusterSnapshotIdentifier", "AWS::RDS::DBClusterSnapshot"),
            any("dBSubnetGroupName", "AWS::RDS::DBSubnetGroup"),
            any("dBParameterGroupName", "AWS::RDS::DBParameterGroup"),
            any("dBClusterParameterGroup", "AWS::RDS::DBClusterParameterGroup"),
            any("optionGroupName", "AWS::RDS::OptionGroup"),
        ],
    ),
    ("redshift", &[any("clusterIdentifier", "AWS::Redshift::Cluster")]),
    (
        "rolesanywhere",
        &[any("trustAnchorId", "AWS::RolesAnywhere::TrustAnchor"), any("profileId", "AWS::RolesAnywhere::Profile")],
    ),
    ("route53", &[any("hostedZoneId", "AWS::Route53::HostedZone")]),
    (
        "route53resolver",
        &[
            any("resolverQueryLogConfigId", "AWS::Route53Resolver::ResolverQueryLoggingConfig"),
            any("vpcId", "AWS::EC2::VPC"),
        ],
    ),
    ("s3", &[any("bucketName", "AWS::S3::Bucket"), any("bucket", "AWS::S3::Bucket")]),
    (
        "sagemaker",
        &[
            any("notebookInstanceName", "AWS::SageMaker::NotebookInstance"),
            any("endpointName", "AWS::SageMaker::Endpoint"),
        ],
    ),
    (
        "secretsmanager",
        &[any("secretId", "AWS::SecretsManager::Secret"), of("name", "AWS::SecretsManager::Secret", &["CreateSecret"])],
    ),
    ("sns", &[any("topicArn", "AWS::SNS::Topic"), of("name", "AWS::SNS::Topic", &["CreateTopic"])]),
    ("sqs", &[any("queueUrl", "AWS::SQS::Queue"), any("queueName", "AWS::SQS::Queue")]),
    (
        "ssm",
        &[
            of("name", "AWS::SSM::Parameter", &["Parameter"]),
            of("names", "AWS::SSM::Parameter", &["Parameter"]),
            of("name", "AWS::SSM::Document", &["Document"]),
            any("documentName", "AWS::SSM::Document"),
            any("instanceId", "AWS::EC2::Instance"),
            any("instanceIds", "AWS::EC2::Instance"),
            of("target", "AWS::EC2::Instance", &["StartSession"]),
        ],
    ),
    ("sts", &[any("roleArn", "AWS::IAM::Role"), any("accessKeyId", "AWS::IAM::AccessKey")]),
];

const EC2: &[Field] = &[
    any("instanceId", "AWS::EC2::Instance"),
    any("volumeId", "AWS::EC2::Volume"),
    any("snapshotId", "AWS::EC2::Snapshot"),
    any("imageId", "AWS::EC2::Ami"),
    any("groupId", "AWS::EC2::SecurityGroup"),
    of("groupName", "AWS::EC2::SecurityGroup", &["SecurityGroup"]),
    any("vpcId", "AWS::EC2::VPC"),
    any("subnetId", "AWS::EC2::Subnet"),
    any("keyName", "AWS::EC2::KeyPair"),
    any("networkInterfaceId", "AWS::EC2::NetworkInterface"),
    any("networkAclId", "AWS::EC2::NetworkAcl"),
    any("routeTableId", "AWS::EC2::RouteTable"),
    any("internetGatewayId", "AWS::EC2::InternetGateway"),
    any("natGatewayId", "AWS::EC2::NatGateway"),
    any("vpcEndpointId", "AWS::EC2::VPCEndpoint"),
    any("vpcPeeringConnectionId", "AWS::EC2::VPCPeeringConnection"),
    any("dhcpOptionsId", "AWS::EC2::DHCPOptions"),
    any("flowLogId", "AWS::EC2::FlowLog"),
    any("allocationId", "AWS::EC2::EIP"),
    any("publicIp", "AWS::EC2::EIP"),
    any("launchTemplateId", "AWS::EC2::LaunchTemplate"),
    any("launchTemplateName", "AWS::EC2::LaunchTemplate"),
    any("transitGatewayId", "AWS::EC2::TransitGateway"),
    any("transitGatewayAttachmentId", "AWS::EC2::TransitGatewayAttachment"),
    any("TransitGatewayAttachmentId", "AWS::EC2::TransitGatewayAttachment"),
    any("customerGatewayId", "AWS::EC2::CustomerGateway"),
    any("vpnConnectionId", "AWS::EC2::VPNConnection"),
    any("vpnGatewayId", "AWS::EC2::VPNGateway"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_service_and_where_it_matters_by_event() {
        let kind = |service, member, event| kind(of_service(service), member, event);
        assert_eq!(kind("ec2", "instanceId", "StopInstances"), Some("AWS::EC2::Instance"));
        assert_eq!(kind("ec2", "InstanceId", "StopInstances"), None);
        assert_eq!(kind("cloudtrail", "name", "GetTrailStatus"), Some("AWS::CloudTrail::Trail"));
        assert_eq!(kind("cloudtrail", "name", "CreateChannel"), None);
        assert_eq!(kind("ssm", "name", "PutParameter"), Some("AWS::SSM::Parameter"));
        assert_eq!(kind("ssm", "name", "GetDocument"), Some("AWS::SSM::Document"));
        assert_eq!(kind("nobody", "name", "x"), None);
    }
}
