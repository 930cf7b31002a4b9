"""Trails whose buckets, topics, keys and log groups are outside: at moto's server, and at one that misbehaves when told."""

import gzip
import json

import boto3
import pytest
from moto.server import ThreadedMotoServer

from conftest import REGION, Server, error_of, free_port, unique
from fake_s3 import FakeS3, always, slow
from trails import ACCOUNT, QUICK, named, new_bucket, wait_for

pytestmark = pytest.mark.timeout(300)

# The account that everything at moto's server is of.
OUTSIDE = "123456789012"


class Outside:
    """moto's server, and a Towpath server that delivers to it and asks it about what trails name."""

    def __init__(self, folder):
        self.moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        self.moto.start()
        host, port = self.moto.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        services = "".join(
            f'[{name}]\nendpoint = "{self.endpoint}"\naccess_key_id = "test"\nsecret_access_key = "test"\n'
            for name in ("notify.topics", "notify.log_groups", "notify.roles", "trail.kms")
        )
        config = folder / "towpath.toml"
        config.write_text(
            f'account_id = "{OUTSIDE}"\n[quotas]\ntrails = 1000\n{services}[[import.endpoint]]\nname = "moto"\n'
            f'endpoint = "{self.endpoint}"\nregion = "{REGION}"\npath_style = true\nallow_http = true\n'
            'access_key_id = "test"\nsecret_access_key = "test"\n'
        )
        self.server = Server(folder / "data", QUICK, ["--config", config]).start()

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def new_bucket(self):
        name = unique("outside")
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def keys(self, bucket, folder):
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", []) if f"/{folder}/" in item["Key"]]

    def stop(self):
        self.server.stop()
        self.moto.stop()


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    outside = Outside(tmp_path_factory.mktemp("endpoint"))
    yield outside
    outside.stop()


@pytest.fixture
def bucket(outside):
    """A bucket of the server itself that takes deliveries."""
    return new_bucket(outside.server, OUTSIDE)


def cloudtrail_may(actions, resource="*", **condition):
    statement = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": actions, "Resource": resource}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# Buckets.


def test_a_trail_delivers_to_a_bucket_behind_an_endpoint(outside):
    s3, cloudtrail, bucket = outside.client("s3"), outside.server.client(), unique("endpoint")
    code, _ = error_of(cloudtrail.create_trail, Name="elsewhere", S3BucketName=bucket)
    assert code == "S3BucketDoesNotExistException"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    arn = cloudtrail.create_trail(Name="elsewhere", S3BucketName=bucket, EnableLogFileValidation=True)["TrailARN"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0, "the probe is gone"
    cloudtrail.start_logging(Name=arn)
    tag = unique("mark")
    error_of(cloudtrail.get_trail, Name=tag)

    def delivered():
        found = outside.keys(bucket, "CloudTrail")
        texts = (gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in found)
        return any(named("GetTrail", name=tag)(record) for text in texts for record in json.loads(text)["Records"])

    wait_for("the record", delivered)
    # The bucket goes away and comes back.
    status = lambda: cloudtrail.get_trail_status(Name=arn)
    wait_for("a digest", lambda: "LatestDigestDeliveryTime" in status())
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)
    wait_for("the refusal", lambda: status().get("LatestDeliveryError") == "NoSuchBucket")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    wait_for("the recovery", lambda: "LatestDeliveryError" not in status(), timeout=90)
    cloudtrail.stop_logging(Name=arn)


def test_what_is_delivered_is_encrypted_with_the_key_of_the_trail(outside):
    kms, s3, cloudtrail = outside.client("kms"), outside.client("s3"), outside.server.client()
    key = kms.create_key(Policy=cloudtrail_may(["kms:GenerateDataKey*", "kms:DescribeKey"]))["KeyMetadata"]["Arn"]
    bucket = outside.new_bucket()
    arn = cloudtrail.create_trail(Name=unique(), S3BucketName=bucket, KmsKeyId=key, EnableLogFileValidation=True)["TrailARN"]
    cloudtrail.start_logging(Name=arn)
    cloudtrail.list_trails()
    for folder in ("CloudTrail", "CloudTrail-Digest"):
        wait_for(folder, lambda: outside.keys(bucket, folder))
        for object_key in outside.keys(bucket, folder):
            head = s3.head_object(Bucket=bucket, Key=object_key)
            assert (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) == ("aws:kms", key), object_key
    cloudtrail.stop_logging(Name=arn)


@pytest.fixture
def fake():
    fake = FakeS3()
    yield fake
    fake.stop()


@pytest.fixture
def faked(fake, tmp_path):
    """A server whose trails deliver to the server that misbehaves."""
    config = tmp_path / "towpath.toml"
    config.write_text(fake.config(REGION))
    server = Server(tmp_path / "data", QUICK, ["--config", config]).start()
    yield server
    fake.mood = lambda bucket, key: None
    server.stop()


def taken(fake, bucket):
    """Every record that was put."""
    texts = [gzip.decompress(fake.objects[bucket, key]) for key in fake.keys(bucket, "CloudTrail")]
    return [record for text in texts for record in json.loads(text)["Records"]]


def test_what_is_delivered_belongs_to_the_owner_of_the_bucket(fake, faked):
    cloudtrail, bucket = faked.client(), unique("fake")
    arn = cloudtrail.create_trail(Name=unique(), S3BucketName=bucket, EnableLogFileValidation=True)["TrailARN"]
    cloudtrail.start_logging(Name=arn)
    wait_for("a digest", lambda: fake.keys(bucket, "CloudTrail-Digest"))
    puts = [headers for method, key, headers in fake.requests if method == "PUT"]
    assert len(puts) >= 2
    for headers in puts:
        assert headers["x-amz-acl"] == "bucket-owner-full-control"
        assert "x-amz-acl" in headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")


@pytest.mark.parametrize("status, code", [(403, "AccessDenied"), (404, "NoSuchBucket"), (500, "InternalError"), (503, "SlowDown")])
def test_a_bucket_that_answers_with_an_error_is_told_and_waited_for(fake, faked, status, code):
    cloudtrail, bucket = faked.client(), unique("fake")
    arn = cloudtrail.create_trail(Name=unique(), S3BucketName=bucket, EnableLogFileValidation=True)["TrailARN"]
    cloudtrail.start_logging(Name=arn)
    shown = lambda: cloudtrail.get_trail_status(Name=arn)
    wait_for("a delivery", lambda: "LatestDeliveryTime" in shown())
    fake.mood = always(status)
    tag = unique("mark")
    error_of(cloudtrail.get_trail, Name=tag)
    wait_for("the status", lambda: shown().get("LatestDeliveryError") == code)
    wait_for("the status of digests", lambda: shown().get("LatestDigestDeliveryError") == code)
    before = len(fake.objects)
    fake.mood = lambda bucket, key: None
    wait_for("the recovery", lambda: not {"LatestDeliveryError", "LatestDigestDeliveryError"} & shown().keys(), timeout=60)
    wait_for("the record", lambda: any(named("GetTrail", name=tag)(record) for record in taken(fake, bucket)))
    assert len(fake.objects) > before
    cloudtrail.stop_logging(Name=arn)

    def whole():
        digests = [json.loads(gzip.decompress(fake.objects[bucket, key])) for key in fake.keys(bucket, "CloudTrail-Digest")]
        listed = [file["s3Object"] for digest in digests for file in digest["logFiles"]]
        assert len(listed) == len(set(listed)), "a file is in two digests"
        stopped = any(named("StopLogging", name=arn)(record) for record in taken(fake, bucket))
        return stopped and sorted(listed) == fake.keys(bucket, "CloudTrail")

    wait_for("all files in digests", whole)
    ids = [record["eventID"] for record in taken(fake, bucket)]
    assert len(ids) == len(set(ids)), "an event was delivered twice"


def test_a_slow_bucket_holds_up_its_own_trail_alone(fake, faked):
    cloudtrail, late, prompt = faked.client(), unique("late"), unique("prompt")
    for bucket in (late, prompt):
        arn = cloudtrail.create_trail(Name=bucket, S3BucketName=bucket)["TrailARN"]
        cloudtrail.start_logging(Name=arn)
    wait_for("both", lambda: fake.keys(late, "CloudTrail") and fake.keys(prompt, "CloudTrail"))
    wait = slow(15)
    fake.mood = lambda bucket, key: wait(bucket, key) if bucket == late else None
    tag = unique("mark")
    error_of(cloudtrail.get_trail, Name=tag)
    has = lambda bucket: any(named("GetTrail", name=tag)(record) for record in taken(fake, bucket))
    wait_for("the prompt one", lambda: has(prompt), timeout=10)
    assert not has(late)
    wait_for("the late one", lambda: has(late), timeout=60)
    ids = [record["eventID"] for record in taken(fake, late)]
    assert len(ids) == len(set(ids))


# What a trail names beside its bucket.


def test_a_topic_must_be_there_and_let_cloudtrail_in(outside, bucket):
    sns, sqs, cloudtrail = outside.client("sns"), outside.client("sqs"), outside.server.client()
    refused = ("InsufficientSnsTopicPolicyException", "SNS Topic does not exist or the topic policy is incorrect!")
    create = lambda topic, name=None: dict(Name=name or unique(), S3BucketName=bucket, SnsTopicName=topic)
    assert error_of(cloudtrail.create_trail, **create(f"arn:aws:sns:{REGION}:{OUTSIDE}:{unique()}")) == refused
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    assert error_of(cloudtrail.create_trail, **create(topic)) == refused, "the default policy is for the owner"
    name = unique()
    own = f"arn:aws:cloudtrail:{REGION}:{OUTSIDE}:trail/{name}"
    policy = cloudtrail_may("SNS:Publish", topic, StringEquals={"aws:SourceArn": own})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    queue = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    assert error_of(cloudtrail.create_trail, **create(topic)) == refused, "the policy names another trail"
    assert cloudtrail.create_trail(**create(topic, name))["SnsTopicARN"] == topic
    [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["Message"] == "CloudTrail validation message."
    other = cloudtrail.create_trail(Name=unique(), S3BucketName=bucket)["TrailARN"]
    assert error_of(cloudtrail.update_trail, Name=other, SnsTopicName=topic) == refused
    assert "SnsTopicARN" not in cloudtrail.get_trail(Name=other)["Trail"]


def test_a_key_must_be_there_enabled_and_let_cloudtrail_in(outside, bucket):
    kms, cloudtrail = outside.client("kms"), outside.server.client()
    create = lambda key: dict(Name=unique(), S3BucketName=bucket, KmsKeyId=key)
    absent = f"arn:aws:kms:{REGION}:{OUTSIDE}:key/00000000-0000-0000-0000-000000000000"
    assert error_of(cloudtrail.create_trail, **create(absent))[0] == "KmsKeyNotFoundException"
    assert error_of(cloudtrail.create_trail, **create("alias/none"))[0] == "KmsKeyNotFoundException"
    owners = kms.create_key()["KeyMetadata"]["Arn"]
    assert error_of(cloudtrail.create_trail, **create(owners))[0] == "InsufficientEncryptionPolicyException"
    context = {"kms:EncryptionContext:aws:cloudtrail:arn": f"arn:aws:cloudtrail:*:{OUTSIDE}:trail/*"}
    policy = cloudtrail_may(["kms:GenerateDataKey*", "kms:DescribeKey"], StringLike=context)
    key = kms.create_key(Policy=policy)["KeyMetadata"]
    kms.create_alias(AliasName="alias/audit", TargetKeyId=key["KeyId"])
    for given in (key["Arn"], key["KeyId"], "alias/audit", f"arn:aws:kms:{REGION}:{OUTSIDE}:alias/audit"):
        assert cloudtrail.create_trail(**create(given))["KmsKeyId"] == key["Arn"], given
    trail = cloudtrail.create_trail(Name=unique(), S3BucketName=bucket)["TrailARN"]
    assert cloudtrail.update_trail(Name=trail, KmsKeyId="alias/audit")["KmsKeyId"] == key["Arn"]
    assert "KmsKeyId" not in cloudtrail.update_trail(Name=trail, KmsKeyId="")
    kms.disable_key(KeyId=key["KeyId"])
    assert error_of(cloudtrail.create_trail, **create("alias/audit"))[0] == "KmsException"
    assert error_of(cloudtrail.update_trail, Name=trail, KmsKeyId=key["Arn"])[0] == "KmsException"


def test_a_log_group_must_be_there_and_its_role_trust_cloudtrail(outside, bucket):
    logs, iam, cloudtrail = outside.client("logs"), outside.client("iam"), outside.server.client()

    def create(group, role):
        group = f"arn:aws:logs:{REGION}:{OUTSIDE}:log-group:{group}:*"
        role = f"arn:aws:iam::{OUTSIDE}:role/{role}"
        return dict(Name=unique(), S3BucketName=bucket, CloudWatchLogsLogGroupArn=group, CloudWatchLogsRoleArn=role)

    def new_role(service):
        name = unique("role")
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        return name

    group, role = unique("group"), new_role("cloudtrail.amazonaws.com")
    assert error_of(cloudtrail.create_trail, **create(group, role))[0] == "InvalidCloudWatchLogsLogGroupArnException"
    logs.create_log_group(logGroupName=group)
    assert error_of(cloudtrail.create_trail, **create(group, unique()))[0] == "InvalidCloudWatchLogsRoleArnException"
    other = new_role("ec2.amazonaws.com")
    assert error_of(cloudtrail.create_trail, **create(group, other))[0] == "InvalidCloudWatchLogsRoleArnException"
    cloudtrail.create_trail(**create(group, role))
    [stream] = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"] == f"{OUTSIDE}_CloudTrail_{REGION}"
    cloudtrail.create_trail(**create(group, role))


def test_services_that_do_not_answer_are_told_from_refusals(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    config = tmp_path / "towpath.toml"
    config.write_text(
        "".join(
            f'[{name}]\nendpoint = "{nobody}"\naccess_key_id = "k"\nsecret_access_key = "s"\n'
            for name in ("notify.topics", "notify.log_groups", "trail.kms")
        )
    )
    server = Server(tmp_path / "data", QUICK, ["--config", config]).start()
    try:
        bucket, cloudtrail = new_bucket(server), server.client()
        create = lambda **arguments: error_of(cloudtrail.create_trail, Name=unique(), S3BucketName=bucket, **arguments)[0]
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:g:*"
        role = f"arn:aws:iam::{ACCOUNT}:role/r"
        unavailable = "CloudWatchLogsDeliveryUnavailableException"
        assert create(CloudWatchLogsLogGroupArn=group, CloudWatchLogsRoleArn=role) == unavailable
        assert create(SnsTopicName="topic") == "ServiceUnavailable"
        assert create(KmsKeyId="alias/key") == "ServiceUnavailable"
        assert cloudtrail.list_trails()["Trails"] == [], "nothing was made"
    finally:
        server.stop()
