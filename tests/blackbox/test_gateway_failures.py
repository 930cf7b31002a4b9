"""What the gateway promises when something goes wrong, and how it speaks: TLS, HTTP/2, large bodies."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import boto3
import botocore.config
import botocore.exceptions
import pytest
from boto3.s3.transfer import TransferConfig

from gateway.client import REGION, Calls
from gateway.gaps import gaps
from gateway.server import KEY, GatewayServer
from gateway.slow import Slow
from gateway.upstream import moto as moto
from trails import wait_for

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def slow():
    slow = Slow()
    yield slow
    slow.stop()


@contextlib.contextmanager
def running(server):
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            assert server.stop() == 0, server.errors()


def list_queues(gateway, mark="x"):
    """One call; returns its HTTP status."""
    client = boto3.client(
        "sqs", endpoint_url=gateway.gateway, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
        config=botocore.config.Config(user_agent=f"m/{mark}", retries={"total_max_attempts": 1}, read_timeout=30),
    )
    try:
        return client.list_queues()["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def recorded(server, store, mark):
    """The records of calls whose user agent holds a mark."""
    return [record for record in server.records(store) if mark in record.get("userAgent", "")]


def test_without_room_a_call_is_refused_if_the_policy_is_fail_closed(tmp_path, slow):
    upstream = {"name": "slow", "service": "sqs", "url": slow.url, "policy": "fail-closed"}
    with running(GatewayServer(tmp_path / "data", [upstream], **{"recording.queue_calls": 1})) as server:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = pool.submit(list_queues, server)
            wait_for("the first call", lambda: slow.waiting)
            assert list_queues(server) >= 500
            slow.open.set()
            assert first.result() == 200
        assert slow.served == 1
        assert list_queues(server) == 200


def test_without_room_a_call_passes_and_is_told_in_a_gap_record_if_the_policy_is_fail_open(tmp_path, slow):
    upstream = {"name": "slow", "service": "sqs", "url": slow.url, "policy": "fail-open"}
    with running(GatewayServer(tmp_path / "data", [upstream], **{"recording.queue_calls": 1})) as server:
        store = server.store()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(list_queues, server, f"open{number}") for number in range(4)]
            wait_for("all calls", lambda: slow.waiting == 4)
            slow.open.set()
            assert [call.result() for call in calls] == [200] * 4
        wait_for("the record of the call that had room", lambda: recorded(server, store, "m/open"))
        list_queues(server, "after")
        assert len(recorded(server, store, "m/open")) == 1
        # The room of a call is free once its record is durable, which may be after its answer: then the last one had none.
        unrecorded = lambda: 5 - len(recorded(server, store, "m/open")) - len(recorded(server, store, "m/after"))
        told = lambda: sum(gap["atLeast"] for gap in gaps(server, store, "slow")) == unrecorded() and gaps(server, store, "slow")
        for gap in wait_for("the gap record", told):
            assert gap["from"] <= gap["to"]


def test_a_kill_loses_no_answered_call_and_leaves_nothing_unsaid(tmp_path, moto):
    upstreams = [
        {"name": "open", "service": "sns", "url": moto.url, "policy": "fail-open"},
        {"name": "closed", "service": "*", "url": moto.url, "policy": "fail-closed"},
    ]
    server = GatewayServer(tmp_path / "data", upstreams)
    answered, stop = [], threading.Event()
    with running(server):
        store = server.store()

        Calls(server.gateway, KEY)("sns", "ListTopics")

        def run(worker):
            for number in range(10_000):
                if stop.is_set():
                    return
                mark = f"w{worker}-{number}-"
                try:
                    if list_queues(server, mark) == 200:
                        answered.append(mark)
                except botocore.exceptions.BotoCoreError:
                    return

        workers = [threading.Thread(target=run, args=(worker,)) for worker in range(3)]
        for worker in workers:
            worker.start()
        wait_for("some answers", lambda: len(answered) >= 40)
        server.kill()
        stop.set()
        for worker in workers:
            worker.join(30)
        server.start()
        texts = json.dumps(server.records(store))
        lost = [mark for mark in answered if f"m/{mark}" not in texts]
        assert len(answered) >= 40 and not lost
        assert list_queues(server, "after-the-restart") == 200
        # Of an upstream that is fail-open nobody knows what passed unrecorded before the end, and that is told.
        Calls(server.gateway, KEY)("sns", "ListTopics")
        unknown = wait_for("the gap record", lambda: gaps(server, store, "open"))
        assert all(gap["from"] <= gap["to"] for gap in unknown)


def test_tls_with_the_development_authority(tmp_path, moto):
    upstream = {"name": "moto", "service": "*", "url": moto.url}
    settings = {"tls.development_ca": str(tmp_path / "ca")}
    with running(GatewayServer(tmp_path / "data", [upstream], **settings)) as server:
        store = server.store()
        bundle = tmp_path / "ca/ca.pem"
        assert "PRIVATE" not in bundle.read_text()
        calls = Calls(server.gateway, KEY, verify=str(bundle))
        calls("sts", "GetCallerIdentity")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        environment.update(
            AWS_CA_BUNDLE=str(bundle), AWS_ENDPOINT_URL=server.gateway, AWS_ACCESS_KEY_ID=KEY[0],
            AWS_SECRET_ACCESS_KEY=KEY[1], AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION,
        )
        script = pathlib.Path(sys.executable).with_name("aws")
        done = subprocess.run([script, "iam", "list-users"], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        stranger = Calls(server.gateway, KEY)
        with pytest.raises(botocore.exceptions.SSLError):
            stranger("sts", "GetCallerIdentity")
        for record in server.records(store, "eventname in ('GetCallerIdentity', 'ListUsers')"):
            assert record["tlsDetails"]["tlsVersion"] == "TLSv1.3"
            assert record["tlsDetails"]["cipherSuite"].startswith("TLS_")
            assert record["tlsDetails"]["clientProvidedHostHeader"] == server.gateway.split("//")[1]
            assert record["tlsDetails"]["keyExchange"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory, moto):
    upstream = {"name": "moto", "service": "*", "url": moto.url}
    with running(GatewayServer(tmp_path_factory.mktemp("plain") / "data", [upstream])) as server:
        server.all = server.store()
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl speaks HTTP/2")
def test_http_2_is_spoken(plain):
    command = [
        "curl", "-sS", "--http2-prior-knowledge", "--aws-sigv4", f"aws:amz:{REGION}:sqs", "--user", ":".join(KEY),
        "-H", "x-amz-target: AmazonSQS.ListQueues", "-H", "content-type: application/x-amz-json-1.0", "-A", "curl-with-http-2",
        "-d", '{"QueueNamePrefix":"h2"}', "-w", "\n%{http_version} %{http_code}", plain.gateway + "/",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "2 200", done.stdout + done.stderr
    [record] = plain.records(plain.all, "useragent = 'curl-with-http-2'")
    assert record["requestParameters"] == {"queueNamePrefix": "h2"}


def test_a_large_object_passes_unchanged_in_both_directions(plain, tmp_path):
    size, part = 100 << 20, 16 << 20
    source, copy = tmp_path / "source", tmp_path / "copy"
    block = os.urandom(1 << 20)
    with source.open("wb") as file:
        for number in range(size >> 20):
            file.write(number.to_bytes(8, "big") + block[8:])
    calls = Calls(plain.gateway, KEY)
    s3 = boto3.client(
        "s3", endpoint_url=plain.gateway, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
        config=botocore.config.Config(user_agent="large", retries={"total_max_attempts": 1}),
    )
    calls("s3", "CreateBucket", Bucket="large")
    settings = TransferConfig(multipart_threshold=part, multipart_chunksize=part, max_concurrency=2)
    s3.upload_file(str(source), "large", "object", Config=settings)
    s3.download_file("large", "object", str(copy), Config=settings)

    def digest(path):
        return hashlib.file_digest(path.open("rb"), "sha256").hexdigest()

    assert digest(source) == digest(copy)
    names = [record["eventName"] for record in plain.records(plain.all, "useragent LIKE '%large%'")]
    assert names.count("UploadPart") == size / part + 1 or names.count("UploadPart") == -(-size // part)
    assert names.count("CompleteMultipartUpload") == 1 and names.count("GetObject") >= 1
    moved = [record for record in plain.records(plain.all, "useragent LIKE '%large%'") if record["eventName"] == "UploadPart"]
    assert sum(record["additionalEventData"]["bytesTransferredIn"] for record in moved) >= size


def test_an_upstream_that_is_not_there_is_said_to_be(tmp_path):
    upstream = {"name": "gone", "service": "sqs", "url": "http://127.0.0.1:9"}
    with running(GatewayServer(tmp_path / "data", [upstream])) as server:
        store = server.store()
        assert list_queues(server, "gone") in (502, 503)
        [record] = server.records(store, "useragent LIKE 'm/gone%'")
        assert record["eventName"] == "ListQueues" and record["errorCode"]
