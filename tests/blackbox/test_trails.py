"""The operations of trails."""

import json
import re

import pytest

from conftest import REGION, error_of, unique
from trails import ACCOUNT, delivery_policy, new_bucket, quick_server

pytestmark = pytest.mark.timeout(300)
OTHER = "us-east-1"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    yield from quick_server(tmp_path_factory.mktemp("trails"))


@pytest.fixture(scope="module")
def cloudtrail(quick):
    return quick.client()


@pytest.fixture(scope="module")
def bucket(quick):
    """A bucket for trails that deliver nothing."""
    return new_bucket(quick)


def test_a_new_trail_has_the_published_defaults(cloudtrail, bucket):
    name = unique()
    created = cloudtrail.create_trail(Name=name, S3BucketName=bucket)
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{name}"
    del created["ResponseMetadata"]
    assert created == {
        "Name": name,
        "S3BucketName": bucket,
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": False,
        "TrailARN": arn,
        "LogFileValidationEnabled": False,
        "IsOrganizationTrail": False,
        "RecursiveLogging": True,
    }
    shown = cloudtrail.get_trail(Name=name)["Trail"]
    assert shown == {**created, "HomeRegion": REGION, "HasCustomEventSelectors": False, "HasInsightSelectors": False}
    assert cloudtrail.describe_trails(trailNameList=[name])["trailList"] == [shown]
    assert {"TrailARN": arn, "Name": name, "HomeRegion": REGION} in cloudtrail.list_trails()["Trails"]
    status = cloudtrail.get_trail_status(Name=arn)
    assert status["IsLogging"] is False
    assert "LatestDeliveryTime" not in status and "StartLoggingTime" not in status
    assert status["TimeLoggingStarted"] == status["LatestDeliveryAttemptTime"] == ""


def test_logging_is_started_and_stopped(cloudtrail, bucket):
    name = unique()
    cloudtrail.create_trail(Name=name, S3BucketName=bucket)
    cloudtrail.start_logging(Name=name)
    status = cloudtrail.get_trail_status(Name=name)
    assert status["IsLogging"] and status["StartLoggingTime"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["TimeLoggingStarted"])
    cloudtrail.start_logging(Name=name)
    assert cloudtrail.get_trail_status(Name=name)["StartLoggingTime"] == status["StartLoggingTime"]
    cloudtrail.stop_logging(Name=name)
    stopped = cloudtrail.get_trail_status(Name=name)
    assert not stopped["IsLogging"] and stopped["StopLoggingTime"] >= status["StartLoggingTime"]
    cloudtrail.delete_trail(Name=name)
    code, message = error_of(cloudtrail.get_trail, Name=name)
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{name}"
    assert (code, message) == ("TrailNotFoundException", f"Unknown trail: {arn} for the user: {ACCOUNT}")


def test_an_update_changes_what_is_given_and_removes_what_is_empty(quick, cloudtrail, bucket):
    name = unique()
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:g:*"
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    prefixed = new_bucket(quick, prefix="a/b/")
    cloudtrail.create_trail(
        Name=name,
        S3BucketName=prefixed,
        S3KeyPrefix="a/b",
        SnsTopicName="topic",
        KmsKeyId="alias/key",
        CloudWatchLogsLogGroupArn=group,
        CloudWatchLogsRoleArn=role,
        EnableLogFileValidation=True,
    )
    shown = cloudtrail.get_trail(Name=name)["Trail"]
    assert shown["SnsTopicARN"] == f"arn:aws:sns:{REGION}:{ACCOUNT}:topic" and shown["SnsTopicName"] == "topic"
    assert shown["KmsKeyId"] == f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/key"
    assert (shown["CloudWatchLogsLogGroupArn"], shown["CloudWatchLogsRoleArn"]) == (group, role)
    assert shown["S3KeyPrefix"] == "a/b" and shown["LogFileValidationEnabled"]

    cloudtrail.update_trail(Name=name, EnableLogFileValidation=False)
    shown["LogFileValidationEnabled"] = False
    assert cloudtrail.get_trail(Name=name)["Trail"] == shown
    cloudtrail.update_trail(
        Name=name,
        S3BucketName=bucket,
        S3KeyPrefix="",
        SnsTopicName="",
        KmsKeyId="",
        CloudWatchLogsLogGroupArn="",
        CloudWatchLogsRoleArn="",
    )
    shown = cloudtrail.get_trail(Name=name)["Trail"]
    gone = {"S3KeyPrefix", "SnsTopicName", "SnsTopicARN", "KmsKeyId", "CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn"}
    assert gone & shown.keys() == set()


def test_whether_deliveries_are_logged_is_kept(cloudtrail, bucket):
    name = unique()
    created = cloudtrail.create_trail(Name=name, S3BucketName=bucket, RecursiveLogging=False)
    assert created["RecursiveLogging"] is False
    assert cloudtrail.update_trail(Name=name, EnableLogFileValidation=True)["RecursiveLogging"] is False
    assert cloudtrail.get_trail(Name=name)["Trail"]["RecursiveLogging"] is False
    assert cloudtrail.update_trail(Name=name, RecursiveLogging=True)["RecursiveLogging"] is True


def test_global_service_events_follow_the_regions_of_a_trail(cloudtrail, bucket):
    name = unique()
    cloudtrail.create_trail(Name=name, S3BucketName=bucket, IsMultiRegionTrail=True)
    single = cloudtrail.update_trail(Name=name, IsMultiRegionTrail=False)
    assert (single["IsMultiRegionTrail"], single["IncludeGlobalServiceEvents"]) == (False, False)
    multi = cloudtrail.update_trail(Name=name, IsMultiRegionTrail=True)
    assert (multi["IsMultiRegionTrail"], multi["IncludeGlobalServiceEvents"]) == (True, True)
    code, _ = error_of(cloudtrail.update_trail, Name=name, IncludeGlobalServiceEvents=False)
    assert code == "InvalidParameterCombinationException"


CREATE_ERRORS = [
    ({"Name": "ab"}, "InvalidTrailNameException"),
    ({"Name": "my--trail"}, "InvalidTrailNameException"),
    ({"Name": "192.168.5.4"}, "InvalidTrailNameException"),
    ({"Name": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/x"}, "InvalidTrailNameException"),
    ({"S3BucketName": "Capital"}, "InvalidS3BucketNameException"),
    ({"S3BucketName": "under_score"}, "InvalidS3BucketNameException"),
    ({"S3BucketName": "192.168.5.4"}, "InvalidS3BucketNameException"),
    ({"S3BucketName": "nobody-has-this-one"}, "S3BucketDoesNotExistException"),
    ({"S3KeyPrefix": "p" * 201}, "InvalidS3PrefixException"),
    ({"S3KeyPrefix": "AWSLogs/mine"}, "InvalidS3PrefixException"),
    ({"S3KeyPrefix": "elsewhere"}, "InsufficientS3BucketPolicyException"),
    ({"SnsTopicName": "no topic"}, "InvalidSnsTopicNameException"),
    ({"KmsKeyId": "no key"}, "InvalidKmsKeyIdException"),
    ({"CloudWatchLogsLogGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:g:*"}, "InvalidCloudWatchLogsRoleArnException"),
    ({"CloudWatchLogsRoleArn": f"arn:aws:iam::{ACCOUNT}:role/r"}, "InvalidCloudWatchLogsLogGroupArnException"),
    ({"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False}, "InvalidParameterCombinationException"),
    ({"IsOrganizationTrail": True}, "OrganizationsNotInUseException"),
    ({"TagsList": [{"Key": "k"}, {"Key": "k"}]}, "InvalidTagParameterException"),
    ({"TagsList": [{"Key": f"k{n}"} for n in range(51)]}, "TagsLimitExceededException"),
]


@pytest.mark.parametrize("arguments, code", CREATE_ERRORS, ids=lambda value: str(value)[:40])
def test_each_cause_of_a_refused_trail_has_its_error(cloudtrail, bucket, arguments, code):
    arguments = {"Name": unique(), "S3BucketName": bucket, **arguments}
    assert error_of(cloudtrail.create_trail, **arguments)[0] == code


def test_a_bucket_must_let_cloudtrail_in(quick, cloudtrail):
    s3, name = quick.client("s3"), unique("bare")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    refused = ("InsufficientS3BucketPolicyException", f"Incorrect S3 bucket policy is detected for bucket: {name}")
    trail = unique()
    assert error_of(cloudtrail.create_trail, Name=trail, S3BucketName=name) == refused
    s3.put_bucket_policy(Bucket=name, Policy=delivery_policy(name, "000000000009"))
    assert error_of(cloudtrail.create_trail, Name=trail, S3BucketName=name) == refused
    # A policy may name the trail that may deliver.
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{trail}"
    s3.put_bucket_policy(Bucket=name, Policy=delivery_policy(name, ACCOUNT, condition={"aws:SourceArn": arn}))
    assert error_of(cloudtrail.create_trail, Name=unique(), S3BucketName=name) == refused
    assert cloudtrail.create_trail(Name=trail, S3BucketName=name)["TrailARN"] == arn
    assert error_of(cloudtrail.create_trail, Name=trail, S3BucketName=name)[0] == "TrailAlreadyExistsException"


@pytest.mark.parametrize(
    "name, code",
    [
        ("never-made", "TrailNotFoundException"),
        (f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/never-made", "TrailNotFoundException"),
        (f"arn:aws:cloudtrail:{REGION}:111111111111:trail/never-made", "TrailNotFoundException"),
        (f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:eventdatastore/x", "CloudTrailARNInvalidException"),
        ("arn:aws:s3:::bucket", "CloudTrailARNInvalidException"),
        ("a b", "InvalidTrailNameException"),
    ],
)
def test_a_trail_that_is_not_there_is_told_from_a_wrong_name(cloudtrail, name, code):
    for call in (cloudtrail.get_trail, cloudtrail.get_trail_status, cloudtrail.start_logging, cloudtrail.stop_logging,
                 cloudtrail.update_trail, cloudtrail.delete_trail):
        assert error_of(call, Name=name)[0] == code
    assert error_of(cloudtrail.get_event_selectors, TrailName=name)[0] == code
    assert error_of(cloudtrail.get_event_configuration, TrailName=name)[0] == code


def test_a_multi_region_trail_is_seen_everywhere_and_changed_at_home(quick, cloudtrail, bucket):
    elsewhere = quick.client(region=OTHER)
    multi, single = unique(), unique()
    arn = cloudtrail.create_trail(Name=multi, S3BucketName=bucket, IsMultiRegionTrail=True)["TrailARN"]
    local = cloudtrail.create_trail(Name=single, S3BucketName=bucket)["TrailARN"]
    seen = {trail["TrailARN"] for trail in elsewhere.describe_trails()["trailList"]}
    assert arn in seen and local not in seen
    assert arn not in {trail["TrailARN"] for trail in elsewhere.describe_trails(includeShadowTrails=False)["trailList"]}
    assert arn in {trail["TrailARN"] for trail in elsewhere.list_trails()["Trails"]}
    assert elsewhere.get_trail(Name=arn)["Trail"]["HomeRegion"] == REGION
    assert elsewhere.get_trail_status(Name=arn)["IsLogging"] is False
    assert error_of(elsewhere.get_trail, Name=multi)[0] == "TrailNotFoundException"
    for name in (arn, multi, local):
        for call in (elsewhere.update_trail, elsewhere.start_logging, elsewhere.stop_logging, elsewhere.delete_trail):
            assert error_of(call, Name=name)[0] == "InvalidHomeRegionException"
        selectors = [{"ReadWriteType": "All"}]
        assert error_of(elsewhere.put_event_selectors, TrailName=name, EventSelectors=selectors)[0] == "InvalidHomeRegionException"
        code, _ = error_of(elsewhere.put_event_configuration, TrailName=name, AggregationConfigurations=[])
        assert code == "InvalidHomeRegionException"
    cloudtrail.delete_trail(Name=multi)
    assert arn not in {trail["TrailARN"] for trail in elsewhere.describe_trails()["trailList"]}


def test_five_trails_are_the_quota_of_a_region_shadows_included(new_server):
    server = new_server()
    bucket = new_bucket(server)
    here, there = server.client(), server.client(region=OTHER)
    shadow = here.create_trail(Name="multi-region", S3BucketName=bucket, IsMultiRegionTrail=True)["Name"]
    for number in range(4):
        here.create_trail(Name=f"trail-{number}", S3BucketName=bucket)
    code, _ = error_of(here.create_trail, Name="one-too-many", S3BucketName=bucket)
    assert code == "MaximumNumberOfTrailsExceededException"
    for number in range(4):
        there.create_trail(Name=f"trail-{number}", S3BucketName=bucket)
    assert error_of(there.create_trail, Name="fifth", S3BucketName=bucket)[0] == "MaximumNumberOfTrailsExceededException"
    here.delete_trail(Name="trail-0")
    code, _ = error_of(here.create_trail, Name="everywhere", S3BucketName=bucket, IsMultiRegionTrail=True)
    assert code == "MaximumNumberOfTrailsExceededException", "the other region is full"
    here.delete_trail(Name=shadow)
    here.create_trail(Name="everywhere", S3BucketName=bucket, IsMultiRegionTrail=True)


def test_trails_have_tags(cloudtrail, bucket):
    tags = [{"Key": "team", "Value": "blue"}]
    arn = cloudtrail.create_trail(Name=unique(), S3BucketName=bucket, TagsList=tags)["TrailARN"]
    shown = lambda: cloudtrail.list_tags(ResourceIdList=[arn])["ResourceTagList"][0]["TagsList"]
    assert shown() == tags
    cloudtrail.add_tags(ResourceId=arn, TagsList=[{"Key": "team", "Value": "red"}, {"Key": "more"}])
    assert shown() == [{"Key": "team", "Value": "red"}, {"Key": "more"}]
    cloudtrail.remove_tags(ResourceId=arn, TagsList=[{"Key": "more"}])
    assert shown() == [{"Key": "team", "Value": "red"}]
    missing = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/never-made"
    assert error_of(cloudtrail.list_tags, ResourceIdList=[missing])[0] == "ResourceNotFoundException"
    assert error_of(cloudtrail.add_tags, ResourceId=missing, TagsList=tags)[0] == "ResourceNotFoundException"
    cloudtrail.delete_trail(Name=arn)
    cloudtrail.create_trail(Name=arn.rsplit("/", 1)[1], S3BucketName=bucket)
    assert shown() == [], "the tags of a deleted trail are gone"


MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}
DATA = {"Field": "eventCategory", "Equals": ["Data"]}


def test_selectors_are_basic_or_advanced_and_never_both(cloudtrail, bucket):
    name = unique()
    arn = cloudtrail.create_trail(Name=name, S3BucketName=bucket)["TrailARN"]
    fresh = cloudtrail.get_event_selectors(TrailName=name)
    assert fresh["AdvancedEventSelectors"] == [{"Name": "Management events selector", "FieldSelectors": [MANAGEMENT]}]
    assert fresh["TrailARN"] == arn and "EventSelectors" not in fresh

    basic = [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]
    put = cloudtrail.put_event_selectors(TrailName=name, EventSelectors=basic)
    whole = [{**basic[0], "DataResources": [], "ExcludeManagementEventSources": []}]
    assert put["EventSelectors"] == whole and "AdvancedEventSelectors" not in put
    assert cloudtrail.get_event_selectors(TrailName=arn)["EventSelectors"] == whole
    assert cloudtrail.get_trail(Name=name)["Trail"]["HasCustomEventSelectors"]

    advanced = [{"Name": "reads", "FieldSelectors": [MANAGEMENT, {"Field": "readOnly", "Equals": ["true"]}]}]
    cloudtrail.put_event_selectors(TrailName=name, AdvancedEventSelectors=advanced)
    shown = cloudtrail.get_event_selectors(TrailName=name)
    assert shown["AdvancedEventSelectors"] == advanced and "EventSelectors" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"EventSelectors": [{}], "AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT]}]},
        {"EventSelectors": [{}] * 6},
        {"EventSelectors": [{"DataResources": [{"Type": "AWS::SNS::Topic", "Values": []}]}]},
        {"EventSelectors": [{"DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::no-slash"]}]}]},
        {"EventSelectors": [{"ExcludeManagementEventSources": ["s3.amazonaws.com"]}]},
        {"EventSelectors": [{"ReadWriteType": "readonly"}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "readOnly", "Equals": ["true"]}]}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT, {"Field": "eventName", "Equals": ["X"]}]}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [DATA]}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Insight"]}]}]},
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_selectors_that_break_a_rule_are_refused(cloudtrail, bucket, arguments):
    name = unique()
    cloudtrail.create_trail(Name=name, S3BucketName=bucket)
    code, _ = error_of(cloudtrail.put_event_selectors, TrailName=name, **arguments)
    assert code == "InvalidEventSelectorsException"
    assert not cloudtrail.get_trail(Name=name)["Trail"]["HasCustomEventSelectors"]


def test_aggregations_of_a_trail_are_kept(cloudtrail, bucket):
    name = unique()
    arn = cloudtrail.create_trail(Name=name, S3BucketName=bucket)["TrailARN"]
    given = [{"Templates": ["API_ACTIVITY", "USER_ACTIONS"], "EventCategory": "Data"}]
    code, message = error_of(cloudtrail.put_event_configuration, TrailName=name, AggregationConfigurations=given)
    assert code == "InvalidParameterException" and "PutEventSelectors" in message
    data = {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}
    cloudtrail.put_event_selectors(TrailName=name, EventSelectors=[{"DataResources": [data]}])
    put = cloudtrail.put_event_configuration(TrailName=name, AggregationConfigurations=given)
    assert (put["TrailARN"], put["AggregationConfigurations"]) == (arn, given)
    assert cloudtrail.get_event_configuration(TrailName=arn)["AggregationConfigurations"] == given
    cloudtrail.put_event_configuration(TrailName=name, AggregationConfigurations=[])
    assert cloudtrail.get_event_configuration(TrailName=name)["AggregationConfigurations"] == []
    code, _ = error_of(cloudtrail.put_event_configuration, TrailName=name, MaxEventSize="Large")
    assert code == "InvalidParameterException"
    store = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:eventdatastore/11111111-2222-3333-4444-555555555555"
    code, _ = error_of(cloudtrail.get_event_configuration, TrailName=name, EventDataStore=store)
    assert code == "InvalidParameterCombinationException"


def test_public_keys_are_listed_by_time(cloudtrail):
    code, _ = error_of(cloudtrail.list_public_keys, StartTime=2_000_000_000, EndTime=1_900_000_000)
    assert code == "InvalidTimeRangeException"
    assert error_of(cloudtrail.list_public_keys, NextToken="x")[0] == "InvalidTokenException"
    assert cloudtrail.list_public_keys(StartTime=1_000_000_000, EndTime=1_000_000_001)["PublicKeyList"] == []


def test_rights_are_those_of_iam(quick, cloudtrail, bucket):
    arn = cloudtrail.create_trail(Name=unique(), S3BucketName=bucket)["TrailARN"]
    user = unique("user")
    quick.towpath("iam", "user", "create", user)
    statement = {"Effect": "Allow", "Action": ["cloudtrail:GetTrail*"], "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    quick.towpath("iam", "policy", "put", "--user", user, "--name", "p", "--document", "-", stdin=document)
    made = json.loads(quick.towpath("iam", "key", "create", "--user", user, "--output", "json").stdout)
    client = quick.client(key=(made["AccessKeyId"], made["SecretAccessKey"]))
    assert client.get_trail(Name=arn)["Trail"]["TrailARN"] == arn
    assert client.get_trail_status(Name=arn)["IsLogging"] is False
    code, message = error_of(client.stop_logging, Name=arn)
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: cloudtrail:StopLogging on resource: {arn}" in message
    assert error_of(client.get_trail, Name=f"{arn}-other")[0] == "AccessDeniedException"
    assert error_of(client.create_trail, Name="trail", S3BucketName=bucket)[0] == "AccessDeniedException"
    assert error_of(client.describe_trails)[0] == "AccessDeniedException"


def test_calls_on_trails_are_recorded_in_cloudtrails_own_form(quick, cloudtrail, bucket):
    name = unique()
    arn = cloudtrail.create_trail(Name=name, S3BucketName=bucket)["TrailARN"]
    cloudtrail.start_logging(Name=name)
    cloudtrail.delete_trail(Name=name)
    found = {}
    for event in cloudtrail.lookup_events(MaxResults=50)["Events"]:
        record = json.loads(event["CloudTrailEvent"])
        if (record["requestParameters"] or {}).get("name") == name:
            found[record["eventName"]] = record
    assert found.keys() == {"CreateTrail", "StartLogging", "DeleteTrail"}
    created = found["CreateTrail"]
    assert created["eventSource"] == "cloudtrail.amazonaws.com" and created["readOnly"] is False
    assert created["requestParameters"] == {"name": name, "s3BucketName": bucket}
    assert created["responseElements"]["trailARN"] == arn
    assert created["resources"] == [{"accountId": ACCOUNT, "type": "AWS::CloudTrail::Trail", "ARN": arn}]
    assert found["StartLogging"]["responseElements"] is None and found["DeleteTrail"]["responseElements"] is None
