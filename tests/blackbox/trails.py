"""Trails for tests: buckets with the policy that CloudTrail asks for, what was delivered, and the stock validation."""

import gzip
import json
import pathlib
import re
import subprocess
import sys
import time

from conftest import REGION, Server, unique

ACCOUNT = "000000000000"
QUICK = {"TOWPATH_TRAIL_DELIVERY_INTERVAL": "1s", "TOWPATH_TRAIL_DIGEST_INTERVAL": "2s"}


def quick_server(folder, **more):
    """A server for a module's tests: it delivers every second, makes digests every two and has room for many trails."""
    environment = {**QUICK, "TOWPATH_QUOTAS__TRAILS": "1000", "TOWPATH_QUOTAS__EVENT_DATA_STORES": "1000", **more}
    server = Server(folder / "data", environment).start()
    yield server
    assert server.stop() == 0, server.errors()


def delivery_policy(bucket, *accounts, organization=None, prefix="", condition=None):
    """The bucket policy of the CloudTrail user guide."""
    places = [f"{prefix}AWSLogs/{account}/*" for account in accounts]
    if organization:
        places.append(f"{prefix}AWSLogs/{organization}/*")
    service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    asked = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", **(condition or {})}}
    check = {"Sid": "AWSCloudTrailAclCheck20150319", "Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{bucket}"}
    if condition:
        check["Condition"] = {"StringEquals": condition}
    write = {
        "Sid": "AWSCloudTrailWrite20150319",
        "Action": "s3:PutObject",
        "Resource": [f"arn:aws:s3:::{bucket}/{place}" for place in places],
        "Condition": asked,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [{**service, **check}, {**service, **write}]})


def new_bucket(server, *accounts, key=None, **policy):
    """A bucket that CloudTrail may deliver to."""
    s3, name = server.client("s3", key=key), unique("trail")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_policy(Bucket=name, Policy=delivery_policy(name, *(accounts or (ACCOUNT,)), **policy))
    return name


def new_trail(server, start=True, region=REGION, key=None, **arguments):
    """A trail that is logging; returns what CreateTrail answered."""
    arguments.setdefault("S3BucketName", None)
    if arguments["S3BucketName"] is None:
        arguments["S3BucketName"] = new_bucket(server)
    client = server.client(region=region, key=key)
    trail = client.create_trail(Name=unique("trail"), **arguments)
    if start:
        client.start_logging(Name=trail["TrailARN"])
    return trail


def keys(server, bucket, folder=None):
    """The keys of a bucket, those below a folder of the account alone if it is given."""
    pages = server.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [key for key in found if folder is None or f"/{folder}/" in f"/{key}"]


def read(server, bucket, key):
    """An object's text before compression."""
    return gzip.decompress(server.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def records(server, bucket):
    """Every record in the log files of a bucket, in no particular order."""
    return [record for key in keys(server, bucket, "CloudTrail") for record in json.loads(read(server, bucket, key))["Records"]]


def wait_for(what, condition, timeout=40):
    """Waits for a condition and returns what it found."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.2)


def wait_for_record(server, bucket, wanted, timeout=40):
    """Waits for a record that `wanted` holds for."""
    return wait_for("the record", lambda: next((record for record in records(server, bucket) if wanted(record)), None), timeout)


def named(event_name, **members):
    """True for records of this name whose request has these members."""

    def wanted(record):
        request = record.get("requestParameters") or {}
        return record["eventName"] == event_name and all(request.get(name) == value for name, value in members.items())

    return wanted


def stop(server, trail, key=None):
    """Stops a trail and waits until its last log file is in its last digest."""
    arn, bucket = trail["TrailARN"], trail["S3BucketName"]
    client = server.client(region=arn.split(":")[3], key=key)
    client.stop_logging(Name=arn)
    own = named("StopLogging", name=arn)
    wait_for_record(server, bucket, own)

    def complete():
        digests = keys(server, bucket, "CloudTrail-Digest")
        listed = {file["s3Object"] for digest in digests for file in json.loads(read(server, bucket, digest))["logFiles"]}
        return listed == set(keys(server, bucket, "CloudTrail"))

    wait_for("the last digest", complete)


def validate(server, trail, *arguments, region=None, since=3600):
    """Runs `aws cloudtrail validate-logs` for a region, the trail's home if none is given; returns what it did."""
    script = pathlib.Path(sys.executable).with_name("aws")
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - since))
    command = [script, "cloudtrail", "validate-logs", "--trail-arn", trail["TrailARN"], "--start-time", start, "--verbose"]
    # Without a region the one of the trail is meant; the environment's does not count.
    about = ["--region", region] if region else []
    environment = server.cli_environment()
    return subprocess.run([*command, *about, *arguments], env=environment, capture_output=True, text=True, timeout=300)


def counts(report):
    """The valid and all digests and log files of a report: (valid, all), (valid, all)."""
    digests = re.search(r"(\d+)/(\d+) digest files valid", report.stdout)
    files = re.search(r"(\d+)/(\d+) log files valid", report.stdout)
    pair = lambda match: tuple(map(int, match.groups())) if match else (0, 0)
    return pair(digests), pair(files)


def assert_valid(report):
    """Everything is valid, and there is something."""
    assert report.returncode == 0, report.stdout + report.stderr
    digests, files = counts(report)
    assert digests[0] == digests[1] > 0, report.stdout
    assert files[0] == files[1], report.stdout
    return digests[1], files[1]


def account_with_key(server, account):
    """Makes an account and a key of its root; returns the key."""
    server.towpath("iam", "account", "create", account)
    made = json.loads(server.towpath("iam", "key", "create", "--account-id", account, "--output", "json").stdout)
    return made["AccessKeyId"], made["SecretAccessKey"]

def answers(call):
    """What a call answers; nothing while it fails."""
    try:
        return call()
    except Exception:  # not yet
        return None


def verify(server, *arguments):
    """Runs `towpath verify` and returns its exit status and report."""
    done = server.towpath("verify", *arguments, "--output", "json", check=False)
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout)


def findings(report):
    """What a report of a trail names, with the words about it."""
    return {(item["key"], item["message"]) for part in report["reports"] for item in part["findings"]}


def sync(server, bucket, folder):
    """Copies a bucket with the stock client."""
    script = pathlib.Path(sys.executable).with_name("aws")
    command = [script, "s3", "sync", "--only-show-errors", f"s3://{bucket}", folder]
    subprocess.run(command, env=server.cli_environment(), check=True, capture_output=True, timeout=120)


def save_keys(server, trail, path):
    """Writes what verifying a copy without a server needs into a file."""
    path.write_text(server.towpath("verify", "public-keys", trail["TrailARN"]).stdout)
    return path
