"""What trails deliver, and what the stock AWS CLI says of it."""

import gzip
import json
import re
import threading
import time

import pytest

from conftest import REGION, error_of, new_activity_store, unique
from trails import (
    ACCOUNT,
    QUICK,
    assert_valid,
    counts,
    delivery_policy,
    keys,
    named,
    new_bucket,
    new_trail,
    quick_server,
    read,
    records,
    stop,
    validate,
    wait_for,
    wait_for_record,
)

pytestmark = pytest.mark.timeout(300)
OTHER = "us-east-1"
MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}
DATA = {"Field": "eventCategory", "Equals": ["Data"]}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    yield from quick_server(tmp_path_factory.mktemp("trails"))


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
