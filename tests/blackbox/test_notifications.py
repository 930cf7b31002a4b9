"""Notifications of delivered log files: a topic and a log group at moto's server, a webhook at a server of the test."""

import hashlib
import hmac
import http.server
import json
import threading

import boto3
import pytest
from moto.server import ThreadedMotoServer

from conftest import REGION, Server, unique
from trails import ACCOUNT, QUICK, keys, new_trail, records, wait_for

pytestmark = pytest.mark.timeout(300)
SECRET = "a secret that both sides know"


class Hook:
    """An HTTP server that remembers what was posted and answers as it is told."""

    def __init__(self):
        self.status, self.posts = 200, []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.posts.append((hook.status, dict((name.lower(), value) for name, value in self.headers.items()), body))
                self.send_response(hook.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self, bucket):
        """The bodies about a bucket that were answered with success."""
        bodies = [json.loads(body) for status, _, body in self.posts if status == 200]
        return [body for body in bodies if body["s3Bucket"] == bucket]


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def hook():
    hook = Hook()
    yield hook
    hook.server.shutdown()


@pytest.fixture(scope="module")
def told(tmp_path_factory, moto, hook):
    folder = tmp_path_factory.mktemp("told")
    (folder / "secret").write_text(SECRET + "\n")
    environment = {**QUICK, "TOWPATH_QUOTAS__TRAILS": "1000", "OUTSIDE_SECRET": "testing"}
    for section in ("TOPICS", "LOG_GROUPS"):
        environment[f"TOWPATH_NOTIFY_{section}_ENDPOINT"] = moto
        environment[f"TOWPATH_NOTIFY_{section}_ACCESS_KEY_ID"] = "testing"
        environment[f"TOWPATH_NOTIFY_{section}_SECRET_ACCESS_KEY_ENV"] = "OUTSIDE_SECRET"
    environment["TOWPATH_NOTIFY_WEBHOOK_URL"] = hook.url
    environment["TOWPATH_NOTIFY_WEBHOOK_SECRET_FILE"] = str(folder / "secret")
    server = Server(folder / "data", environment).start()
    yield server
    assert server.stop() == 0, server.errors()


def outside(moto, service):
    return boto3.client(service, endpoint_url=moto, region_name=REGION, aws_access_key_id="k", aws_secret_access_key="s")


def new_topic(sns):
    """A topic that lets CloudTrail publish."""
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    publish = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "SNS:Publish", "Resource": topic}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [publish]})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    return topic


def test_a_topic_hears_of_every_delivered_file(told, moto):
    sns, sqs = outside(moto, "sns"), outside(moto, "sqs")
    topic = new_topic(sns)
    queue = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    trail = new_trail(told, SnsTopicName=topic)
    bucket, heard = trail["S3BucketName"], set()

    def all_heard():
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            text = json.loads(message["Body"])["Message"]
            if text != "CloudTrail validation message.":
                body = json.loads(text)
                assert body["s3Bucket"] == bucket
                heard.update(body["s3ObjectKey"])
        delivered = set(keys(told, bucket, "CloudTrail"))
        return delivered and delivered <= heard

    wait_for("the messages", all_heard)
    status = wait_for("the status", lambda: told.client().get_trail_status(Name=trail["TrailARN"]))
    assert "LatestNotificationTime" in status and "LatestNotificationError" not in status, status


def test_a_topic_that_is_gone_shows_in_the_status_of_the_trail(told, moto):
    sns = outside(moto, "sns")
    topic = new_topic(sns)
    trail = new_trail(told, SnsTopicName=topic)
    sns.delete_topic(TopicArn=topic)
    status = lambda: told.client().get_trail_status(Name=trail["TrailARN"]).get("LatestNotificationError")
    assert wait_for("the error", status)
    assert keys(told, trail["S3BucketName"], "CloudTrail"), "log files are delivered all the same"


def test_a_log_group_gets_every_event_as_it_is(told, moto):
    logs, group = outside(moto, "logs"), unique("group")
    logs.create_log_group(logGroupName=group)
    trail = new_trail(
        told,
        CloudWatchLogsLogGroupArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*",
        CloudWatchLogsRoleArn=f"arn:aws:iam::{ACCOUNT}:role/delivery",
    )
    bucket, stream = trail["S3BucketName"], f"{ACCOUNT}_CloudTrail_{REGION}"

    def same():
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        if not streams:
            return False
        assert [item["logStreamName"] for item in streams] == [stream]
        delivered = {record["eventID"] for record in records(told, bucket)}
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, limit=10000)
        written = {json.loads(event["message"])["eventID"] for event in page["events"]}
        return delivered and delivered <= written

    wait_for("the events", same)
    assert "LatestCloudWatchLogsDeliveryTime" in told.client().get_trail_status(Name=trail["TrailARN"])


def test_a_webhook_is_signed_and_failures_are_tried_again(told, hook):
    hook.status = 503
    trail = new_trail(told)
    bucket = trail["S3BucketName"]
    about = lambda: [post for post in hook.posts if json.loads(post[2])["s3Bucket"] == bucket]
    wait_for("refused posts", lambda: len(about()) >= 2)
    hook.status = 200
    wait_for("the post", lambda: hook.taken(bucket))
    for _, headers, body in about():
        expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["x-towpath-signature"] == expected
    body = hook.taken(bucket)[0]
    assert (body["type"], body["trailArn"], body["accountId"]) == ("LogFileDelivered", trail["TrailARN"], ACCOUNT)
    assert body["s3ObjectKey"] in keys(told, bucket, "CloudTrail")


def test_what_is_refused_for_good_is_a_dead_letter_that_can_be_sent_again(told, hook):
    hook.status = 410
    trail = new_trail(told)
    bucket = trail["S3BucketName"]

    def letters():
        found = json.loads(told.towpath("trails", "dead-letters", "--output", "json").stdout)
        return [letter for letter in found if letter["S3BucketName"] == bucket]

    [letter, *_] = wait_for("the dead letter", letters)
    told.client().stop_logging(Name=trail["TrailARN"])
    assert letter["Target"] == "webhook" and letter["TrailARN"] == trail["TrailARN"]
    assert letter["Reason"] == "the webhook answered 410 Gone" and letter["Attempts"] == 1
    assert letter["S3ObjectKey"] in told.towpath("trails", "dead-letters", "--output", "csv").stdout
    assert hook.taken(bucket) == []
    hook.status = 200
    told.towpath("trails", "retry-dead-letter", letter["DeadLetterId"])
    wait_for("the post", lambda: letter["S3ObjectKey"] in {body["s3ObjectKey"] for body in hook.taken(bucket)})
    assert letter["DeadLetterId"] not in {item["DeadLetterId"] for item in letters()}
    again = told.towpath("trails", "retry-dead-letter", letter["DeadLetterId"], check=False)
    assert again.returncode == 1 and "there is no dead letter" in again.stderr
    told.towpath("trails", "retry-dead-letter", "--all")
    assert wait_for("no letters", lambda: not letters())
