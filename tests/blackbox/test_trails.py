"""Trails: operations, delivery, and what the stock AWS CLI says of it."""

import gzip
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import boto3
import pytest

from conftest import REGION, Server, error_of, new_activity_store, query, store_id, unique
from trails import (
    ACCOUNT,
    QUICK,
    account_with_key,
    assert_valid,
    counts,
    delivery_policy,
    keys,
    named,
    new_bucket,
    new_trail,
    read,
    records,
    stop,
    validate,
    wait_for,
    wait_for_record,
)

pytestmark = pytest.mark.timeout(300)
OTHER = "us-east-1"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A server that delivers every second and makes digests every two."""
    environment = {**QUICK, "TOWPATH_QUOTAS__TRAILS": "1000", "TOWPATH_QUOTAS__EVENT_DATA_STORES": "1000"}
    server = Server(tmp_path_factory.mktemp("trails") / "data", environment).start()
    yield server
    assert server.stop() == 0, server.errors()


@pytest.fixture(scope="module")
def cloudtrail(quick):
    return quick.client()


@pytest.fixture(scope="module")
def bucket(quick):
    """A bucket for trails that deliver nothing."""
    return new_bucket(quick)


# The operations.


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


# Delivery.


@pytest.fixture(scope="module")
def delivered(quick):
    """A stopped trail with digests, log files in several of them, and the name of a call that it took."""
    trail = new_trail(quick, EnableLogFileValidation=True)
    cloudtrail = quick.client()
    for _ in range(3):
        tag = unique("call")
        error_of(cloudtrail.get_trail, Name=tag)
        wait_for_record(quick, trail["S3BucketName"], named("GetTrail", name=tag))
        time.sleep(2)
    stop(quick, trail)
    return trail


def test_log_files_are_where_and_what_readers_expect(quick, delivered):
    bucket, cloudtrail = delivered["S3BucketName"], quick.client()
    files = keys(quick, bucket, "CloudTrail")
    place = rf"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/\d{{4}}/\d\d/\d\d/{ACCOUNT}_CloudTrail_{REGION}_\d{{8}}T\d{{4}}Z_[A-Za-z0-9]{{16}}\.json\.gz"
    assert len(files) >= 3 and all(re.fullmatch(place, key) for key in files)
    for key in files:
        text = read(quick, bucket, key)
        assert text.startswith(b'{"Records":[') and text.endswith(b"]}")
        for record in json.loads(text)["Records"]:
            assert (record["awsRegion"], record["recipientAccountId"]) == (REGION, ACCOUNT)
            assert "eventContext" not in record
        head = quick.client("s3").head_object(Bucket=bucket, Key=key)
        assert (head["ContentType"], head["ContentEncoding"]) == ("application/json", "gzip")
    status = cloudtrail.get_trail_status(Name=delivered["TrailARN"])
    assert status["LatestDeliveryTime"] and status["LatestDigestDeliveryTime"] and not status["IsLogging"]
    assert "LatestDeliveryError" not in status and "LatestDigestDeliveryError" not in status
    assert status["LatestDeliveryAttemptSucceeded"] == status["LatestDeliveryAttemptTime"] != ""


def test_a_trail_delivers_each_event_of_history_once_from_start_to_stop(quick, delivered):
    arn = delivered["TrailARN"]
    taken = records(quick, delivered["S3BucketName"])
    ids = [record["eventID"] for record in taken]
    assert len(ids) == len(set(ids))
    # The call that stops a trail is the last of its events; the one that started it may be its first.
    assert [r["requestParameters"]["name"] for r in taken if r["eventName"] == "StopLogging"].count(arn) == 1
    history = {}
    for page in quick.client().get_paginator("lookup_events").paginate():
        history.update((event["EventId"], event["CloudTrailEvent"]) for event in page["Events"])
    for record in taken:
        assert json.loads(history[record["eventID"]]) == record
    times = sorted(record["eventTime"] for record in taken)
    own = lambda name: next(json.loads(text) for text in history.values() if json.loads(text)["eventName"] == name
                            and (json.loads(text)["requestParameters"] or {}).get("name") == arn)
    begin, end = own("StartLogging")["eventTime"], own("StopLogging")["eventTime"]
    assert times[-1] <= end
    between = {i for i, text in history.items() if begin < json.loads(text)["eventTime"] < end}
    assert between and between <= set(ids)


def test_the_stock_cli_says_that_a_clean_bucket_is_valid(quick, delivered):
    digests, files = assert_valid(validate(quick, delivered))
    assert digests >= 3 and files == len(keys(quick, delivered["S3BucketName"], "CloudTrail"))


def altered(text):
    place = text.index(b"eventID") + 12
    return text[:place] + bytes([text[place] ^ 1]) + text[place + 1:]


class Tampering:
    """Changes objects of a bucket and puts them back."""

    def __init__(self, server, bucket):
        self.s3, self.bucket, self.kept = server.client("s3"), bucket, {}

    def get(self, key):
        found = self.s3.get_object(Bucket=self.bucket, Key=key)
        kept = {"Body": found["Body"].read(), "Metadata": found["Metadata"]}
        kept.update(ContentType=found["ContentType"], ContentEncoding=found["ContentEncoding"])
        self.kept.setdefault(key, kept)
        return dict(kept)

    def put(self, key, **changes):
        self.s3.put_object(Bucket=self.bucket, Key=key, **{**self.get(key), **changes})

    def delete(self, key):
        self.get(key)
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def undo(self):
        for key, kept in self.kept.items():
            self.s3.put_object(Bucket=self.bucket, Key=key, **kept)
        self.kept.clear()


@pytest.fixture
def tampering(quick, delivered):
    tampering = Tampering(quick, delivered["S3BucketName"])
    yield tampering
    tampering.undo()


@pytest.mark.parametrize("how", ["changed", "replaced", "deleted"])
def test_the_stock_cli_names_a_log_file_that_was(quick, delivered, tampering, how):
    bucket = delivered["S3BucketName"]
    key, other = keys(quick, bucket, "CloudTrail")[:2]
    match how:
        case "changed":
            tampering.put(key, Body=gzip.compress(altered(read(quick, bucket, key))))
        case "replaced":
            tampering.put(key, Body=tampering.get(other)["Body"])
        case "deleted":
            tampering.delete(key)
    report = validate(quick, delivered)
    told = report.stdout + report.stderr
    assert report.returncode == 1, told
    what = "not found" if how == "deleted" else "hash value doesn't match"
    assert f"s3://{bucket}/{key}\tINVALID: {what}" in told
    digests, files = counts(report)
    assert digests[0] == digests[1] and files[0] == files[1] - 1


@pytest.mark.parametrize("how", ["changed", "deleted", "moved", "unsigned", "signed by an unknown key"])
def test_the_stock_cli_names_a_digest_that_was(quick, delivered, tampering, how):
    bucket = delivered["S3BucketName"]
    digests = keys(quick, bucket, "CloudTrail-Digest")
    key, other = digests[1], digests[0]
    body = json.loads(read(quick, bucket, key))
    match how:
        case "changed":
            tampering.put(key, Body=gzip.compress(json.dumps({**body, "logFiles": []}).encode()))
            what = "signature verification failed"
        case "deleted":
            tampering.delete(key)
            what = "not found"
        case "moved":
            tampering.put(key, **tampering.get(other))
            what = "has been moved from its original location"
        case "unsigned":
            tampering.put(key, Metadata={})
            what = "signature verification failed"
        case "signed by an unknown key":
            body["digestPublicKeyFingerprint"] = "0" * 32
            tampering.put(key, Body=gzip.compress(json.dumps(body).encode()))
            what = f"public key not found in region {REGION} for fingerprint {'0' * 32}"
    report = validate(quick, delivered)
    told = report.stdout + report.stderr
    assert report.returncode == 1, told
    assert f"s3://{bucket}/{key}\tINVALID: {what}" in told
    valid, total = counts(report)[0]
    assert valid == total - 1


def test_after_the_tampering_everything_is_valid_again(quick, delivered):
    assert_valid(validate(quick, delivered))


def test_selectors_decide_what_is_delivered(quick):
    cloudtrail, s3 = quick.client(), quick.client("s3")
    data = unique("data")
    s3.create_bucket(Bucket=data, CreateBucketConfiguration={"LocationConstraint": REGION})
    trails = {
        "writes": {"EventSelectors": [{"ReadWriteType": "WriteOnly"}]},
        "reads": {"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT, {"Field": "readOnly", "Equals": ["true"]}]}]},
        "objects": {
            "EventSelectors": [
                {
                    "IncludeManagementEvents": False,
                    "DataResources": [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{data}/a"]}],
                }
            ]
        },
        "deletions": {
            "AdvancedEventSelectors": [
                {
                    "FieldSelectors": [
                        DATA,
                        {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                        {"Field": "resources.ARN", "StartsWith": [f"arn:aws:s3:::{data}/"]},
                        {"Field": "eventName", "Equals": ["DeleteObject"]},
                    ]
                }
            ]
        },
    }
    made = {}
    for name, selectors in trails.items():
        made[name] = new_trail(quick, start=False)
        cloudtrail.put_event_selectors(TrailName=made[name]["TrailARN"], **selectors)
        cloudtrail.start_logging(Name=made[name]["TrailARN"])
    for key in ("a1", "b1"):
        s3.put_object(Bucket=data, Key=key, Body=b"x")
        s3.delete_object(Bucket=data, Key=key)
    tag = unique("mark")
    error_of(cloudtrail.get_trail, Name=tag)
    store = new_activity_store(cloudtrail)
    for name in made:
        # All four stop, and StopLogging is a write that each of them looks at.
        cloudtrail.stop_logging(Name=made[name]["TrailARN"])
    taken = lambda name: records(quick, made[name]["S3BucketName"])
    wait_for_record(quick, made["writes"]["S3BucketName"], named("StopLogging", name=made["writes"]["TrailARN"]))
    wait_for_record(quick, made["reads"]["S3BucketName"], named("GetTrail", name=tag))
    wait_for("the deletion", lambda: len(taken("deletions")) == 2)
    wait_for("both object calls", lambda: len(taken("objects")) == 2)
    writes = taken("writes")
    assert not any(record["readOnly"] for record in writes)
    assert any((record["responseElements"] or {}).get("eventDataStoreArn") == store for record in writes)
    assert all(record["readOnly"] and record["eventCategory"] == "Management" for record in taken("reads"))
    assert {(r["eventName"], r["requestParameters"]["key"]) for r in taken("objects")} == {("PutObject", "a1"), ("DeleteObject", "a1")}
    assert {(r["eventName"], r["requestParameters"]["key"]) for r in taken("deletions")} == {("DeleteObject", "a1"), ("DeleteObject", "b1")}


def test_a_multi_region_trail_delivers_and_validates_each_region(quick):
    trail = new_trail(quick, IsMultiRegionTrail=True, EnableLogFileValidation=True)
    bucket, tag = trail["S3BucketName"], unique("mark")
    error_of(quick.client(region=OTHER).get_trail, Name=tag)
    error_of(quick.client().get_trail, Name=tag)
    wait_for("both regions", lambda: len([r for r in records(quick, bucket) if named("GetTrail", name=tag)(r)]) == 2)
    stop(quick, trail)
    regions = {key.split("/")[3] for key in keys(quick, bucket, "CloudTrail")}
    assert {REGION, OTHER} <= regions
    for region in (REGION, OTHER):
        files = [key for key in keys(quick, bucket, "CloudTrail") if f"/{region}/" in key]
        assert {record["awsRegion"] for key in files for record in json.loads(read(quick, bucket, key))["Records"]} == {region}
        assert assert_valid(validate(quick, trail, region=region))[1] == len(files)


def test_a_bucket_that_refuses_is_told_and_waited_for(quick):
    trail = new_trail(quick, EnableLogFileValidation=True)
    bucket, cloudtrail, s3 = trail["S3BucketName"], quick.client(), quick.client("s3")
    status = lambda: cloudtrail.get_trail_status(Name=trail["TrailARN"])
    wait_for("a delivery", lambda: "LatestDeliveryTime" in status())
    s3.delete_bucket_policy(Bucket=bucket)
    wait_for("the refusal", lambda: status().get("LatestDeliveryError") == "AccessDenied")
    tag = unique("mark")
    error_of(cloudtrail.get_trail, Name=tag)
    time.sleep(2)
    assert not any(named("GetTrail", name=tag)(record) for record in records(quick, bucket))
    s3.put_bucket_policy(Bucket=bucket, Policy=delivery_policy(bucket, ACCOUNT))
    wait_for_record(quick, bucket, named("GetTrail", name=tag), timeout=90)
    wait_for("the recovery", lambda: "LatestDeliveryError" not in status())
    stop(quick, trail)
    assert_valid(validate(quick, trail))


def test_a_trail_outlives_restarts_and_a_prefix_is_in_front(new_server):
    server = new_server(environment=QUICK)
    bucket = new_bucket(server, prefix="audit/eu/")
    trail = new_trail(server, S3BucketName=bucket, S3KeyPrefix="audit/eu", EnableLogFileValidation=True)
    for restart in (server.stop, server.kill):
        tag = unique("mark")
        error_of(server.client().get_trail, Name=tag)
        restart()
        server.start()
        assert server.client().get_trail_status(Name=trail["TrailARN"])["IsLogging"]
        wait_for_record(server, bucket, named("GetTrail", name=tag))
    stop(server, trail)
    assert all(key.startswith(f"audit/eu/AWSLogs/{ACCOUNT}/CloudTrail") for key in keys(server, bucket))
    assert_valid(validate(server, trail))


def test_the_chain_of_digests_goes_on_in_another_bucket(quick):
    trail = new_trail(quick, EnableLogFileValidation=True)
    first, cloudtrail = trail["S3BucketName"], quick.client()
    wait_for("a digest", lambda: keys(quick, first, "CloudTrail-Digest"))
    second = new_bucket(quick)
    assert cloudtrail.update_trail(Name=trail["TrailARN"], S3BucketName=second)["S3BucketName"] == second
    tag = unique("mark")
    error_of(cloudtrail.get_trail, Name=tag)
    wait_for_record(quick, second, named("GetTrail", name=tag))
    cloudtrail.stop_logging(Name=trail["TrailARN"])
    wait_for_record(quick, second, named("StopLogging", name=trail["TrailARN"]))
    delivered = len(keys(quick, first, "CloudTrail")) + len(keys(quick, second, "CloudTrail"))
    wait_for("all files in digests", lambda: counts(validate(quick, trail))[1] == (delivered, delivered))
    digests = len(keys(quick, first, "CloudTrail-Digest")) + len(keys(quick, second, "CloudTrail-Digest"))
    assert assert_valid(validate(quick, trail)) == (digests, delivered)
    ids = [record["eventID"] for bucket in (first, second) for record in records(quick, bucket)]
    assert len(ids) == len(set(ids))


def test_a_deleted_trail_still_delivers_what_it_took(quick):
    trail = new_trail(quick, EnableLogFileValidation=True)
    bucket, arn = trail["S3BucketName"], trail["TrailARN"]
    quick.client().delete_trail(Name=arn)
    wait_for_record(quick, bucket, named("DeleteTrail", name=arn))
    wait_for("the last digest", lambda: keys(quick, bucket, "CloudTrail-Digest"))
    time.sleep(3)
    tag = unique("mark")
    error_of(quick.client().get_trail, Name=tag)
    time.sleep(3)
    assert not any(named("GetTrail", name=tag)(record) for record in records(quick, bucket))


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    """A server whose trails deliver to moto's S3, and a client of that."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = pathlib.Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen([script, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    wait_for("moto", lambda: answers(client.list_buckets))
    folder = tmp_path_factory.mktemp("endpoint")
    config = folder / "towpath.toml"
    config.write_text(
        f'[[import.endpoint]]\nname = "moto"\nendpoint = "{endpoint}"\nregion = "{REGION}"\npath_style = true\n'
        'allow_http = true\naccess_key_id = "test"\nsecret_access_key = "test"\n'
    )
    server = Server(folder / "data", QUICK, ["--config", config]).start()
    yield server, client
    server.stop()
    process.terminate()
    process.wait()


def answers(call):
    try:
        return call()
    except Exception:  # not yet
        return None


def test_a_trail_delivers_to_a_bucket_behind_an_endpoint(moto):
    server, s3 = moto
    cloudtrail, bucket = server.client(), unique("endpoint")
    code, _ = error_of(cloudtrail.create_trail, Name="elsewhere", S3BucketName=bucket)
    assert code == "S3BucketDoesNotExistException"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    arn = cloudtrail.create_trail(Name="elsewhere", S3BucketName=bucket, EnableLogFileValidation=True)["TrailARN"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0, "the probe is gone"
    cloudtrail.start_logging(Name=arn)
    tag = unique("mark")
    error_of(cloudtrail.get_trail, Name=tag)

    def delivered():
        found = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []) if "/CloudTrail/" in item["Key"]]
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


# Organizations.


def test_an_organization_trail_takes_the_events_of_all_members(new_server):
    server = new_server(environment=QUICK)
    member, admin, stranger = "000000000001", "000000000002", "000000000003"
    clients = {account: server.client(key=account_with_key(server, account)) for account in (member, admin, stranger)}
    root = server.client()
    code, _ = error_of(root.register_organization_delegated_admin, MemberAccountId=admin)
    assert code == "OrganizationsNotInUseException"
    organizations = server.client("organizations")
    assert error_of(organizations.describe_organization)[0] == "AWSOrganizationsNotInUseException"

    made = json.loads(server.towpath("organization", "create", "--consolidated-billing", "--output", "json").stdout)
    organization = made["OrganizationId"]
    for account in (member, admin):
        server.towpath("organization", "add-account", account)
    bucket = new_bucket(server, ACCOUNT, organization=organization)
    wanted = {"Name": unique(), "S3BucketName": bucket, "IsOrganizationTrail": True, "EnableLogFileValidation": True}
    assert error_of(root.create_trail, **wanted)[0] == "OrganizationNotInAllFeaturesModeException"
    server.towpath("organization", "enable-all-features")
    server.towpath("organization", "disable-trusted-access")
    assert error_of(root.create_trail, **wanted)[0] == "CloudTrailAccessNotEnabledException"
    server.towpath("organization", "enable-trusted-access")
    assert error_of(clients[member].create_trail, **wanted)[0] == "NotOrganizationMasterAccountException"
    assert error_of(clients[stranger].create_trail, **wanted)[0] == "OrganizationsNotInUseException"
    bare = new_bucket(server, ACCOUNT)
    assert error_of(root.create_trail, **{**wanted, "S3BucketName": bare})[0] == "InsufficientS3BucketPolicyException"

    # A delegated administrator makes the management account's trail.
    register = root.register_organization_delegated_admin
    assert error_of(register, MemberAccountId=ACCOUNT)[0] == "CannotDelegateManagementAccountException"
    assert error_of(register, MemberAccountId=stranger)[0] == "AccountNotFoundException"
    code, _ = error_of(clients[member].register_organization_delegated_admin, MemberAccountId=admin)
    assert code == "NotOrganizationManagementAccountException"
    register(MemberAccountId=admin)
    assert error_of(register, MemberAccountId=admin)[0] == "AccountRegisteredException"
    trail = clients[admin].create_trail(**wanted)
    arn = trail["TrailARN"]
    assert arn == f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{wanted['Name']}" and trail["IsOrganizationTrail"]
    clients[admin].start_logging(Name=arn)

    # Members see it and cannot change it; strangers do not see it.
    for account in (member, admin):
        [seen] = clients[account].describe_trails()["trailList"]
        assert seen["TrailARN"] == arn and clients[account].get_trail_status(Name=arn)["IsLogging"]
        assert clients[account].describe_trails(includeShadowTrails=False)["trailList"] == []
    for call in ("update_trail", "stop_logging", "delete_trail"):
        assert error_of(getattr(clients[member], call), Name=arn)[0] == "NotOrganizationMasterAccountException"
    code, _ = error_of(clients[member].add_tags, ResourceId=arn, TagsList=[{"Key": "k"}])
    assert code == "NotOrganizationMasterAccountException"
    assert clients[stranger].describe_trails()["trailList"] == []
    assert error_of(clients[stranger].get_trail, Name=arn)[0] == "TrailNotFoundException"

    tag = unique("mark")
    for client in (root, *clients.values()):
        error_of(client.get_trail, Name=tag)
    marks = lambda: [r["recipientAccountId"] for r in records(server, bucket) if named("GetTrail", name=tag)(r)]
    wait_for("all three accounts", lambda: len(marks()) == 3)
    assert sorted(marks()) == [ACCOUNT, member, admin]
    places = {key.split("/")[1:3][0] + "/" + key.split("/")[2] for key in keys(server, bucket)}
    assert places == {f"{organization}/{account}" for account in (ACCOUNT, member, admin)}

    # An account that leaves is heard no more, and stays in what was delivered.
    server.towpath("organization", "remove-account", member)
    assert clients[member].describe_trails()["trailList"] == []
    late = unique("late")
    error_of(clients[member].get_trail, Name=late)
    root.deregister_organization_delegated_admin(DelegatedAdminAccountId=admin)
    code, _ = error_of(root.deregister_organization_delegated_admin, DelegatedAdminAccountId=admin)
    assert code == "AccountNotRegisteredException"
    assert error_of(clients[admin].stop_logging, Name=arn)[0] == "NotOrganizationMasterAccountException"
    stop(server, trail)
    assert not any(named("GetTrail", name=late)(record) for record in records(server, bucket))

    described = organizations.describe_organization()["Organization"]
    assert (described["Id"], described["MasterAccountId"], described["FeatureSet"]) == (organization, ACCOUNT, "ALL")
    for account in (ACCOUNT, member, admin):
        digests, files = assert_valid(validate(server, trail, "--account-id", account))
        assert digests and files

    # Dissolving the organization leaves the management account an ordinary trail.
    server.towpath("organization", "delete")
    assert root.get_trail(Name=arn)["Trail"]["IsOrganizationTrail"] is False


def test_an_organization_store_takes_the_events_of_members(new_server):
    server = new_server()
    member = server.client(key=account_with_key(server, "000000000001"))
    root = server.client()
    assert error_of(root.create_event_data_store, Name="all", OrganizationEnabled=True)[0] == "OrganizationsNotInUseException"
    server.towpath("organization", "create")
    server.towpath("organization", "add-account", "000000000001")
    code, _ = error_of(member.create_event_data_store, Name="all", OrganizationEnabled=True)
    assert code == "NotOrganizationMasterAccountException"
    created = root.create_event_data_store(Name="all", OrganizationEnabled=True)
    assert created["OrganizationEnabled"]
    tag = unique("mark")
    error_of(member.get_trail, Name=tag)
    store = store_id(created["EventDataStoreArn"])
    rows = query(root, f"SELECT recipientaccountid FROM {store} WHERE eventname = 'GetTrail' AND eventjson LIKE '%{tag}%'")
    assert [row[0][1] for row in rows] == ["000000000001"]


# Crashes.


class Caller(threading.Thread):
    """Makes calls that are recorded, and remembers those that were answered."""

    def __init__(self, server, number):
        super().__init__(daemon=True)
        self.server, self.number, self.answered, self.running = server, number, [], True

    def run(self):
        count = 0
        while self.running:
            tag = f"call-{self.number}-{count}"
            count += 1
            try:
                client = self.server.client(connect_timeout=2, read_timeout=10)
                client.get_trail(Name=tag)
            except client.exceptions.TrailNotFoundException:
                self.answered.append(tag)
            except Exception:  # the server was killed
                time.sleep(0.05)


def test_kill_9_during_delivery_loses_no_event_and_delivers_none_twice(new_server):
    server = new_server(environment=QUICK)
    trail = new_trail(server, EnableLogFileValidation=True)
    callers = [Caller(server, number) for number in range(3)]
    for caller in callers:
        caller.start()
    for pause in (0.3, 1.1, 0.7, 1.9, 1.3, 0.5):
        time.sleep(pause)
        server.kill()
        server.start()
    time.sleep(1)
    for caller in callers:
        caller.running = False
    for caller in callers:
        caller.join(30)
    stop(server, trail)
    taken = records(server, trail["S3BucketName"])
    ids = [record["eventID"] for record in taken]
    assert len(ids) == len(set(ids)), "an event was delivered twice"
    found = {(record["requestParameters"] or {}).get("name") for record in taken if record["eventName"] == "GetTrail"}
    answered = {tag for caller in callers for tag in caller.answered}
    assert len(answered) > 50
    assert answered - found == set(), "an event that was answered for was not delivered"
    assert_valid(validate(server, trail))
