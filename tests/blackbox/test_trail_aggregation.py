"""Aggregated events: what a trail counts of its data events, and how its files are read and verified."""

import json
import re

import pytest

from conftest import REGION, unique
from trails import ACCOUNT, assert_valid, keys, new_trail, quick_server, read, records, validate, verify, wait_for

pytestmark = pytest.mark.timeout(300)
TEMPLATES = ["API_ACTIVITY", "RESOURCE_ACCESS", "USER_ACTIONS"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    yield from quick_server(tmp_path_factory.mktemp("aggregation"))


def aggregated(server, bucket):
    """The aggregated events of a bucket."""
    files = keys(server, bucket, "CloudTrail-Aggregated")
    return [record for key in files for record in json.loads(read(server, bucket, key))["Records"]]


def totals(found, dimension):
    """How often each name stands for a primary dimension, over all five minutes."""
    sums = {}
    for record in found:
        primary = record["summary"]["primaryDimension"]
        if primary["dimension"] == dimension:
            (statistic,) = primary["statistics"]
            sums[statistic["name"]] = sums.get(statistic["name"], 0) + statistic["value"]
    return sums


def test_data_events_are_counted_delivered_and_verified(quick):
    cloudtrail, s3, data = quick.client(), quick.client("s3"), unique("data")
    s3.create_bucket(Bucket=data, CreateBucketConfiguration={"LocationConstraint": REGION})
    trail = new_trail(quick, start=False, EnableLogFileValidation=True)
    arn, bucket = trail["TrailARN"], trail["S3BucketName"]
    objects = {"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{data}/"]}
    selector = {"IncludeManagementEvents": False, "DataResources": [objects]}
    cloudtrail.put_event_selectors(TrailName=arn, EventSelectors=[selector])
    configuration = [{"Templates": TEMPLATES, "EventCategory": "Data"}]
    cloudtrail.put_event_configuration(TrailName=arn, AggregationConfigurations=configuration)
    cloudtrail.start_logging(Name=arn)
    for key in ("a", "b"):
        s3.put_object(Bucket=data, Key=key, Body=b"x")
    for _ in range(3):
        s3.get_object(Bucket=data, Key="a")
    with pytest.raises(s3.exceptions.ClientError):
        s3.get_object(Bucket=data, Key="missing")
    wait_for("the data events", lambda: len(records(quick, bucket)) == 6)
    # What is counted when a trail stops is not waited for.
    cloudtrail.stop_logging(Name=arn)
    found = wait_for("the counts", lambda: aggregated(quick, bucket))

    prefix = f"arn:aws:s3:::{data}"
    assert totals(found, "eventName") == {"PutObject": 2, "GetObject": 4}
    assert totals(found, "resourceARN") == {prefix: 6, f"{prefix}/a": 4, f"{prefix}/b": 1, f"{prefix}/missing": 1}
    assert totals(found, "userIdentity") == {f"arn:aws:iam::{ACCOUNT}:root": 6}
    for record in found:
        order = ["eventVersion", "accountId", "eventId", "eventCategory", "eventType", "awsRegion", "eventSource"]
        assert list(record)[:9] == [*order, "timeWindow", "summary"]
        assert (record["eventVersion"], record["accountId"], record["awsRegion"]) == ("1.0", ACCOUNT, REGION)
        assert (record["eventCategory"], record["eventType"]) == ("Aggregated", "AwsAggregatedEvent")
        assert record["eventSource"] == "s3.amazonaws.com"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d[05]:00Z", record["timeWindow"]["windowStart"])
        assert record["timeWindow"]["windowSize"] == "PT5M"
    reads = [r for r in found if r["summary"]["primaryDimension"]["statistics"][0]["name"] == "GetObject"]
    errors = [d for r in reads for d in r["summary"]["details"] if d["dimension"] == "errorCodes"]
    expected = {"dimension": "errorCodes", "statistics": [{"name": "NoSuchKey", "value": 1}], "aggregationType": "Count"}
    assert errors == [expected]
    assert len({record["eventId"] for record in found}) == len(found)

    # The files are log files like others: named by digests, and found by who looks for what no digest names.
    files = keys(quick, bucket, "CloudTrail") + keys(quick, bucket, "CloudTrail-Aggregated")

    def named():
        digests = keys(quick, bucket, "CloudTrail-Digest")
        return {file["s3Object"] for key in digests for file in json.loads(read(quick, bucket, key))["logFiles"]}

    wait_for("the last digest", lambda: named() == set(files))
    assert assert_valid(validate(quick, trail))[1] == len(files)
    status, report = verify(quick, "trail", arn)
    assert status == 0, report
    # Event history and SQL have the events themselves and no counts.
    history = cloudtrail.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "GetObject"}])
    assert history["Events"] == []
