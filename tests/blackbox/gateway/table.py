"""Calls to many services, over every protocol: what moto can do, in an order in which it works.

Each function makes the calls of one service. `call(service, operation, **parameters)` returns the answer; `error` is the
code that the call must fail with, `record` says what is particular about its record.
"""

import io
import json
import zipfile

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]})


def dynamodb(call):
    keys = [{"AttributeName": "id", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    table = call("dynamodb", "CreateTable", TableName="orders", KeySchema=keys, AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST")
    arn = table["TableDescription"]["TableArn"]
    data = {"managementEvent": False, "resources": [("AWS::DynamoDB::Table", "table/orders")]}
    item = {"id": {"S": "1"}, "amount": {"N": "12.5"}, "note": {"S": "déjà vu ☃"}}
    call("dynamodb", "PutItem", record=data, TableName="orders", Item=item)
    call("dynamodb", "GetItem", record=data, TableName="orders", Key={"id": {"S": "1"}})
    call("dynamodb", "UpdateItem", record=data, TableName="orders", Key={"id": {"S": "1"}}, UpdateExpression="SET amount = :a", ExpressionAttributeValues={":a": {"N": "13"}})
    call("dynamodb", "Query", record=data, TableName="orders", KeyConditionExpression="id = :i", ExpressionAttributeValues={":i": {"S": "1"}})
    call("dynamodb", "Scan", record=data, TableName="orders")
    call("dynamodb", "BatchWriteItem", record={"managementEvent": False}, RequestItems={"orders": [{"PutRequest": {"Item": {"id": {"S": "2"}}}}]})
    call("dynamodb", "BatchGetItem", record={"managementEvent": False}, RequestItems={"orders": {"Keys": [{"id": {"S": "2"}}]}})
    call("dynamodb", "DeleteItem", record=data, TableName="orders", Key={"id": {"S": "2"}})
    call("dynamodb", "DescribeTable", TableName="orders")
    call("dynamodb", "ListTables", Limit=10)
    call("dynamodb", "TagResource", ResourceArn=arn, Tags=[{"Key": "team", "Value": "blue"}])
    call("dynamodb", "ListTagsOfResource", ResourceArn=arn)
    call("dynamodb", "UntagResource", ResourceArn=arn, TagKeys=["team"])
    call("dynamodb", "UpdateTimeToLive", TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    call("dynamodb", "DescribeTimeToLive", TableName="orders")
    call("dynamodb", "DescribeTable", error="ResourceNotFoundException", TableName="missing")
    call("dynamodb", "DeleteTable", TableName="orders")


def sqs(call):
    url = call("sqs", "CreateQueue", QueueName="jobs", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    data = {"managementEvent": False, "resources": [("AWS::SQS::Queue", ":jobs")]}
    call("sqs", "GetQueueUrl", QueueName="jobs")
    call("sqs", "SendMessage", record=data, QueueUrl=url, MessageBody="hello")
    got = call("sqs", "ReceiveMessage", record=data, QueueUrl=url, MaxNumberOfMessages=1)
    receipt = got["Messages"][0]["ReceiptHandle"]
    call("sqs", "ChangeMessageVisibility", record=data, QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=5)
    call("sqs", "DeleteMessage", record=data, QueueUrl=url, ReceiptHandle=receipt)
    call("sqs", "SendMessageBatch", record=data, QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "a"}, {"Id": "2", "MessageBody": "b"}])
    call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])
    call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "1"})
    call("sqs", "TagQueue", QueueUrl=url, Tags={"team": "blue"})
    call("sqs", "ListQueueTags", QueueUrl=url)
    call("sqs", "PurgeQueue", QueueUrl=url)
    call("sqs", "ListQueues", QueueNamePrefix="jo")
    call("sqs", "DeleteQueue", QueueUrl=url)
    call("sqs", "GetQueueUrl", error="AWS.SimpleQueueService.NonExistentQueue", QueueName="jobs")


def sns(call):
    arn = call("sns", "CreateTopic", Name="news", Tags=[{"Key": "team", "Value": "blue"}])["TopicArn"]
    call("sns", "GetTopicAttributes", TopicArn=arn)
    call("sns", "SetTopicAttributes", TopicArn=arn, AttributeName="DisplayName", AttributeValue="News")
    subscription = call("sns", "Subscribe", TopicArn=arn, Protocol="email", Endpoint="a@example.com")["SubscriptionArn"]
    call("sns", "ListSubscriptionsByTopic", TopicArn=arn)
    call("sns", "Publish", record={"managementEvent": False, "resources": [("AWS::SNS::Topic", ":news")]}, TopicArn=arn, Message="text of a message")
    call("sns", "ListTopics")
    call("sns", "Unsubscribe", SubscriptionArn=subscription)
    call("sns", "ListTagsForResource", ResourceArn=arn)
    call("sns", "DeleteTopic", TopicArn=arn)
    call("sns", "GetTopicAttributes", error="NotFound", TopicArn=arn)


def iam(call):
    call("iam", "CreateUser", UserName="ann", Path="/staff/", Tags=[{"Key": "team", "Value": "blue"}])
    call("iam", "GetUser", UserName="ann")
    key = call("iam", "CreateAccessKey", UserName="ann")["AccessKey"]["AccessKeyId"]
    call("iam", "ListAccessKeys", UserName="ann")
    call("iam", "UpdateAccessKey", UserName="ann", AccessKeyId=key, Status="Inactive")
    call("iam", "DeleteAccessKey", UserName="ann", AccessKeyId=key)
    call("iam", "CreateLoginProfile", UserName="ann", Password="Pa55-word-of-ann", PasswordResetRequired=True)
    call("iam", "DeleteLoginProfile", UserName="ann")
    policy = call("iam", "CreatePolicy", PolicyName="read", PolicyDocument=POLICY)["Policy"]["Arn"]
    call("iam", "GetPolicy", PolicyArn=policy)
    call("iam", "AttachUserPolicy", UserName="ann", PolicyArn=policy)
    call("iam", "ListAttachedUserPolicies", UserName="ann")
    call("iam", "DetachUserPolicy", UserName="ann", PolicyArn=policy)
    call("iam", "PutUserPolicy", UserName="ann", PolicyName="inline", PolicyDocument=POLICY)
    call("iam", "DeleteUserPolicy", UserName="ann", PolicyName="inline")
    call("iam", "CreateGroup", GroupName="staff")
    call("iam", "AddUserToGroup", GroupName="staff", UserName="ann")
    call("iam", "RemoveUserFromGroup", GroupName="staff", UserName="ann")
    call("iam", "DeleteGroup", GroupName="staff")
    call("iam", "CreateRole", RoleName="worker", AssumeRolePolicyDocument=TRUST)
    call("iam", "GetRole", RoleName="worker")
    call("iam", "TagRole", RoleName="worker", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    call("iam", "ListRoles")
    call("iam", "ListUsers", PathPrefix="/staff/", MaxItems=10)
    call("iam", "DeleteUser", UserName="ann")
    call("iam", "DeletePolicy", PolicyArn=policy)
    call("iam", "GetUser", error="NoSuchEntity", UserName="ann")


def sts(call):
    call("sts", "GetCallerIdentity")
    call("sts", "AssumeRole", RoleArn="arn:aws:iam::123456789012:role/worker", RoleSessionName="me", DurationSeconds=900)
    call("sts", "GetSessionToken", DurationSeconds=900)
    call("sts", "GetAccessKeyInfo", AccessKeyId="AKIAIOSFODNN7EXAMPLE")


def ec2(call):
    image = "ami-12c6146b"
    call("ec2", "DescribeImages", record={"requestParameters": {"imagesSet": {"items": [{"imageId": image}]}}}, ImageIds=[image])
    vpc = call("ec2", "CreateVpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    call("ec2", "DescribeVpcs", record={"requestParameters": {"vpcSet": {"items": [{"vpcId": vpc}]}}}, VpcIds=[vpc])
    subnet = call("ec2", "CreateSubnet", VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = call("ec2", "CreateSecurityGroup", GroupName="web", Description="of the web", VpcId=vpc, record={"requestParameters": {"groupName": "web", "groupDescription": "of the web", "vpcId": vpc}})["GroupId"]
    rule = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    call("ec2", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=rule, record={"requestParameters": {"groupId": group}})
    ran = call("ec2", "RunInstances", ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, UserData="#!/bin/sh secret-of-user-data", record={"requestParameters": {"subnetId": subnet, "userData": "<sensitiveDataRemoved>"}})
    instance = ran["Instances"][0]["InstanceId"]
    one = {"instancesSet": {"items": [{"instanceId": instance}]}}
    call("ec2", "DescribeInstances", InstanceIds=[instance], record={"requestParameters": one})
    tags = {"resourcesSet": {"items": [{"resourceId": instance}]}, "tagSet": {"items": [{"key": "Name", "value": "web"}]}}
    call("ec2", "CreateTags", Resources=[instance], Tags=[{"Key": "Name", "Value": "web"}], record={"requestParameters": tags})
    call("ec2", "StopInstances", InstanceIds=[instance], record={"requestParameters": one})
    call("ec2", "TerminateInstances", InstanceIds=[instance], record={"requestParameters": one})
    call("ec2", "CreateKeyPair", KeyName="login", record={"requestParameters": {"keyName": "login"}})
    call("ec2", "DeleteKeyPair", KeyName="login", record={"requestParameters": {"keyName": "login"}})
    volume = call("ec2", "CreateVolume", AvailabilityZone="us-east-1a", Size=1, record={"requestParameters": {"zone": "us-east-1a"}})["VolumeId"]
    call("ec2", "DeleteVolume", VolumeId=volume)
    call("ec2", "DescribeRegions", record={"requestParameters": {}})
    call("ec2", "DescribeInstances", error="InvalidInstanceID.NotFound", InstanceIds=["i-0123456789abcdef0"], record={"errorCode": "Client.InvalidInstanceID.NotFound", "requestParameters": {"instancesSet": {"items": [{"instanceId": "i-0123456789abcdef0"}]}}})


def support(call):
    made = call("support", "CreateCase", subject="private subject", communicationBody="private text", serviceCode="amazon-s3", severityCode="low", categoryCode="other", language="en", issueType="technical", ccEmailAddresses=["private@example.com"])
    call("support", "DescribeCases", caseIdList=[made["caseId"]], includeResolvedCases=True, language="en")
    call("support", "ResolveCase", caseId=made["caseId"])
    checks = call("support", "DescribeTrustedAdvisorChecks", language="en")["checks"]
    call("support", "RefreshTrustedAdvisorCheck", checkId=checks[0]["id"], record={"responseElements": None})


def lambda_(call):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("lambda_function.py", "def lambda_handler(event, context): return event")
    code = {"ZipFile": archive.getvalue()}
    role = "arn:aws:iam::123456789012:role/worker"
    versioned = lambda name, version: {"eventName": name + version}
    call("lambda", "CreateFunction", record=versioned("CreateFunction", "20150331"), FunctionName="resize", Runtime="python3.12", Role=role, Handler="lambda_function.lambda_handler", Code=code, Environment={"Variables": {"DB_PASSWORD": "secret-of-the-function"}}, Tags={"Team": "blue"})
    call("lambda", "GetFunction", record=versioned("GetFunction", "20150331v2"), FunctionName="resize")
    call("lambda", "GetFunctionConfiguration", record=versioned("GetFunctionConfiguration", "20150331v2"), FunctionName="resize")
    call("lambda", "UpdateFunctionConfiguration", record=versioned("UpdateFunctionConfiguration", "20150331v2"), FunctionName="resize", Timeout=10)
    call("lambda", "AddPermission", record=versioned("AddPermission", "20150331v2"), FunctionName="resize", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com")
    call("lambda", "GetPolicy", record=versioned("GetPolicy", "20150331v2"), FunctionName="resize")
    call("lambda", "PublishVersion", record=versioned("PublishVersion", "20150331"), FunctionName="resize", Description="first")
    call("lambda", "CreateAlias", record=versioned("CreateAlias", "20150331"), FunctionName="resize", Name="live", FunctionVersion="1")
    call("lambda", "ListAliases", record=versioned("ListAliases", "20150331"), FunctionName="resize")
    arn = call("lambda", "ListFunctions", record=versioned("ListFunctions", "20150331"), MaxItems=5)["Functions"][0]["FunctionArn"]
    call("lambda", "TagResource", record=versioned("TagResource", "20170331v2"), Resource=arn.rsplit(":", 1)[0] if arn.endswith("$LATEST") else arn, Tags={"Cost": "7"})
    call("lambda", "DeleteFunction", record=versioned("DeleteFunction", "20150331"), FunctionName="resize")
    call("lambda", "GetFunction", error="ResourceNotFoundException", record=versioned("GetFunction", "20150331v2"), FunctionName="resize")


def kms(call):
    key = call("kms", "CreateKey", Description="for tests", Tags=[{"TagKey": "team", "TagValue": "blue"}])["KeyMetadata"]["KeyId"]
    call("kms", "CreateAlias", AliasName="alias/tests", TargetKeyId=key)
    call("kms", "ListAliases", KeyId=key)
    call("kms", "DescribeKey", KeyId="alias/tests")
    sealed = call("kms", "Encrypt", KeyId=key, Plaintext=b"secret-of-kms", EncryptionContext={"Purpose": "Test"})
    call("kms", "Decrypt", CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"Purpose": "Test"})
    call("kms", "GenerateDataKey", KeyId=key, KeySpec="AES_256")
    call("kms", "EnableKeyRotation", KeyId=key)
    call("kms", "GetKeyRotationStatus", KeyId=key)
    call("kms", "GetKeyPolicy", KeyId=key, PolicyName="default")
    call("kms", "DisableKey", KeyId=key)
    call("kms", "EnableKey", KeyId=key)
    call("kms", "ListKeys", Limit=10)
    call("kms", "ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    call("kms", "DescribeKey", error="NotFoundException", KeyId="00000000-0000-0000-0000-000000000000")


def secretsmanager(call):
    arn = call("secretsmanager", "CreateSecret", Name="db", SecretString="secret-of-the-database")["ARN"]
    call("secretsmanager", "GetSecretValue", SecretId="db")
    call("secretsmanager", "PutSecretValue", SecretId="db", SecretString="secret-of-the-database-2")
    call("secretsmanager", "DescribeSecret", SecretId=arn)
    call("secretsmanager", "ListSecrets", MaxResults=5)
    call("secretsmanager", "TagResource", SecretId="db", Tags=[{"Key": "team", "Value": "blue"}])
    call("secretsmanager", "GetRandomPassword", PasswordLength=20)
    call("secretsmanager", "DeleteSecret", SecretId="db", ForceDeleteWithoutRecovery=True)
    call("secretsmanager", "GetSecretValue", error="ResourceNotFoundException", SecretId="db")


def ssm(call):
    call("ssm", "PutParameter", Name="/app/password", Value="secret-of-a-parameter", Type="SecureString")
    call("ssm", "GetParameter", Name="/app/password", WithDecryption=True)
    call("ssm", "GetParameters", Names=["/app/password"])
    call("ssm", "GetParametersByPath", Path="/app", Recursive=True)
    call("ssm", "DescribeParameters", MaxResults=10)
    call("ssm", "GetParameterHistory", Name="/app/password")
    call("ssm", "DeleteParameter", Name="/app/password")
    call("ssm", "GetParameter", error="ParameterNotFound", Name="/app/password")


def cloudformation(call):
    template = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "made"}}}})
    call("cloudformation", "ValidateTemplate", TemplateBody=template)
    stack = call("cloudformation", "CreateStack", StackName="one", TemplateBody=template, Tags=[{"Key": "team", "Value": "blue"}])["StackId"]
    call("cloudformation", "DescribeStacks", StackName="one")
    call("cloudformation", "ListStackResources", StackName="one")
    call("cloudformation", "DescribeStackResources", StackName="one")
    call("cloudformation", "GetTemplate", StackName="one")
    call("cloudformation", "ListStacks", StackStatusFilter=["CREATE_COMPLETE"])
    call("cloudformation", "DeleteStack", StackName=stack)
    call("cloudformation", "DescribeStacks", error="ValidationError", StackName="missing")


def route53(call):
    zone = call("route53", "CreateHostedZone", Name="example.com.", CallerReference="1")["HostedZone"]["Id"].rsplit("/", 1)[1]
    record = {"Name": "www.example.com.", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    change = call("route53", "ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch={"Comment": "c", "Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]})
    call("route53", "ListResourceRecordSets", HostedZoneId=zone, MaxItems="10")
    call("route53", "GetHostedZone", Id=zone)
    call("route53", "ListHostedZones")
    call("route53", "ListTagsForResource", ResourceType="hostedzone", ResourceId=zone)
    record_delete = {"Action": "DELETE", "ResourceRecordSet": record}
    call("route53", "ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch={"Changes": [record_delete]})
    call("route53", "DeleteHostedZone", Id=zone)
    call("route53", "GetHostedZone", error="NoSuchHostedZone", Id=zone)
    return change


def rds(call):
    call("rds", "CreateDBInstance", DBInstanceIdentifier="main", DBInstanceClass="db.t3.micro", Engine="postgres", MasterUsername="admin1", MasterUserPassword="secret-of-the-master", AllocatedStorage=20)
    call("rds", "DescribeDBInstances", DBInstanceIdentifier="main")
    call("rds", "CreateDBSnapshot", DBInstanceIdentifier="main", DBSnapshotIdentifier="snap")
    call("rds", "DescribeDBSnapshots", DBSnapshotIdentifier="snap")
    call("rds", "DeleteDBSnapshot", DBSnapshotIdentifier="snap")
    call("rds", "CreateDBParameterGroup", DBParameterGroupName="pg", DBParameterGroupFamily="postgres14", Description="d")
    call("rds", "DescribeDBParameterGroups", DBParameterGroupName="pg")
    call("rds", "DeleteDBInstance", DBInstanceIdentifier="main", SkipFinalSnapshot=True)
    call("rds", "DescribeDBInstances", error="DBInstanceNotFound", DBInstanceIdentifier="missing")


def logs(call):
    call("logs", "CreateLogGroup", logGroupName="/app", tags={"Team": "blue"})
    call("logs", "CreateLogStream", logGroupName="/app", logStreamName="a")
    call("logs", "DescribeLogGroups", logGroupNamePrefix="/app")
    call("logs", "DescribeLogStreams", logGroupName="/app")
    call("logs", "PutRetentionPolicy", logGroupName="/app", retentionInDays=7)
    call("logs", "DeleteRetentionPolicy", logGroupName="/app")
    call("logs", "DeleteLogStream", logGroupName="/app", logStreamName="a")
    call("logs", "DeleteLogGroup", logGroupName="/app")
    call("logs", "DeleteLogGroup", error="ResourceNotFoundException", logGroupName="/app")


def others(call):
    call("cloudwatch", "PutMetricAlarm", AlarmName="high", MetricName="CPU", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1.5, ComparisonOperator="GreaterThanThreshold", Statistic="Average")
    call("cloudwatch", "DescribeAlarms", AlarmNames=["high"])
    call("cloudwatch", "DeleteAlarms", AlarmNames=["high"])
    call("events", "PutRule", Name="nightly", ScheduleExpression="rate(1 day)")
    call("events", "ListRules", NamePrefix="night")
    call("events", "DeleteRule", Name="nightly")
    call("stepfunctions", "ListStateMachines", maxResults=5)
    stream = call("kinesis", "CreateStream", StreamName="clicks", ShardCount=1)
    call("kinesis", "DescribeStreamSummary", StreamName="clicks")
    call("kinesis", "DeleteStream", StreamName="clicks")
    call("ecr", "CreateRepository", repositoryName="images")
    call("ecr", "DescribeRepositories", repositoryNames=["images"])
    call("ecr", "DeleteRepository", repositoryName="images")
    api = call("apigateway", "CreateRestApi", name="front", description="d")["id"]
    call("apigateway", "GetRestApi", restApiId=api)
    call("apigateway", "DeleteRestApi", restApiId=api)
    files = call("efs", "CreateFileSystem", CreationToken="t1")["FileSystemId"]
    call("efs", "DescribeFileSystems", FileSystemId=files)
    call("efs", "DeleteFileSystem", FileSystemId=files)
    return stream


def s3(call):
    data = {"managementEvent": False, "resources": [("AWS::S3::Object", "photos/2026/a b.txt"), ("AWS::S3::Bucket", ":photos")]}
    bucket = {"resources": [("AWS::S3::Bucket", ":photos")]}
    key = "2026/a b.txt"
    of_bucket = lambda **more: {**bucket, "requestParameters": {"bucketName": "photos"}, **more}
    of_object = lambda **more: {**data, "requestParameters": {"bucketName": "photos", "key": key}, **more}
    call("s3", "CreateBucket", Bucket="photos", record=of_bucket())
    call("s3", "PutBucketVersioning", Bucket="photos", VersioningConfiguration={"Status": "Enabled"}, record=of_bucket(requestParameters={"bucketName": "photos", "versioning": ""}))
    call("s3", "GetBucketVersioning", Bucket="photos", record=of_bucket())
    call("s3", "PutBucketTagging", Bucket="photos", Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]}, record=of_bucket())
    call("s3", "GetBucketTagging", Bucket="photos", record=of_bucket())
    call("s3", "PutBucketPolicy", Bucket="photos", Policy=POLICY, record=of_bucket())
    call("s3", "GetBucketPolicy", Bucket="photos", record=of_bucket())
    call("s3", "GetBucketLocation", Bucket="photos", record=of_bucket())
    call("s3", "ListBuckets", record={"requestParameters": {}})
    call("s3", "PutObject", Bucket="photos", Key=key, Body=b"secret-of-the-object", ContentType="text/plain", ServerSideEncryption="AES256", record=of_object(requestParameters={"bucketName": "photos", "key": key, "x-amz-server-side-encryption": "AES256"}))
    call("s3", "HeadObject", Bucket="photos", Key=key, record=of_object())
    call("s3", "GetObject", Bucket="photos", Key=key, Range="bytes=0-3", record=of_object())["Body"].read()
    call("s3", "PutObjectTagging", Bucket="photos", Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}, record=of_object())
    call("s3", "GetObjectTagging", Bucket="photos", Key=key, record=of_object())
    call("s3", "CopyObject", Bucket="photos", Key="copy", CopySource={"Bucket": "photos", "Key": key}, record={"managementEvent": False, "requestParameters": {"bucketName": "photos", "key": "copy"}})
    call("s3", "ListObjectsV2", Bucket="photos", Prefix="20", record={"eventName": "ListObjects", "managementEvent": False, "requestParameters": {"bucketName": "photos", "prefix": "20", "list-type": "2"}})
    call("s3", "ListObjectVersions", Bucket="photos", record={"managementEvent": False, "requestParameters": {"bucketName": "photos"}})
    upload = call("s3", "CreateMultipartUpload", Bucket="photos", Key="large", record={"managementEvent": False, "requestParameters": {"bucketName": "photos", "key": "large"}})["UploadId"]
    of_upload = {"managementEvent": False, "requestParameters": {"bucketName": "photos", "key": "large", "uploadId": upload}}
    tag = call("s3", "UploadPart", Bucket="photos", Key="large", UploadId=upload, PartNumber=1, Body=b"x" * 100_000, record=of_upload)["ETag"]
    call("s3", "ListParts", Bucket="photos", Key="large", UploadId=upload, record=of_upload)
    call("s3", "CompleteMultipartUpload", Bucket="photos", Key="large", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]}, record=of_upload)
    call("s3", "DeleteObject", Bucket="photos", Key="large", record={"managementEvent": False, "requestParameters": {"bucketName": "photos", "key": "large"}})
    call("s3", "GetObject", Bucket="photos", Key="missing", error="NoSuchKey", record={"managementEvent": False, "requestParameters": {"bucketName": "photos", "key": "missing"}})
    call("s3", "HeadBucket", Bucket="no-such-bucket", error="404", record={"errorCode": "NoSuchBucket", "managementEvent": False, "requestParameters": {"bucketName": "no-such-bucket"}})
    call("s3", "DeleteBucketPolicy", Bucket="photos", record=of_bucket())
    call("s3", "DeleteBucket", Bucket="photos", error="BucketNotEmpty", record=of_bucket())


SERVICES = [s3, dynamodb, sqs, sns, iam, sts, ec2, support, lambda_, kms, secretsmanager, ssm, cloudformation, route53, rds, logs, others]
