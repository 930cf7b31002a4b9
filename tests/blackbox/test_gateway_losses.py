"""What a gateway cannot keep: who is refused, who is told, what is counted, and that whatever was kept arrives once and in order."""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import pytest

from conftest import REPOSITORY
from first_party import ok, send
from gateway.alone import Alone, RecordServer
from gateway.client import REGION
from gateway.gaps import gaps
from gateway.server import KEY, GatewayServer
from gateway.upstream import moto as moto
from test_full_disk import SmallDisk
from trails import wait_for

pytestmark = pytest.mark.timeout(200)

REASONS = {"QUEUE_FULL", "CALL_GIVEN_UP", "RECORD_REFUSED", "STOPPED", "UNCLEAN_STOP", "SPILL_DAMAGED"}


@pytest.fixture
def server(tmp_path):
    server = RecordServer(tmp_path / "data").start()
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, server.errors()


@pytest.fixture
def alone(tmp_path, server, moto):
    """Starts gateways, each with a folder of its own unless told otherwise."""
    started = []

    def start(name="one", **settings):
        upstreams = [
            {"name": "open", "service": "sns", "url": moto.url, "policy": "fail-open"},
            {"name": "closed", "service": "*", "url": moto.url, "policy": "fail-closed"},
        ]
        gateway = Alone(tmp_path / name, server, upstreams, **settings)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.end()


def in_order(server, store):
    """The marks of the recorded calls, in the order in which their events entered the log."""
    marks, position = [], 0
    while True:
        asked = {"EventDataStore": store, "AfterPosition": position, "MaxResults": 1000, "WaitSeconds": 0}
        answer = ok(send(server, "TailEvents", asked))
        records = [json.loads(event["EventJson"]) for event in answer["Events"]]
        marks += [record["userAgent"].split()[0][2:] for record in records if record.get("userAgent", "").startswith("m/")]
        # Each look is an event of the store itself.
        if len(records) < 1000:
            return marks
        position = answer["NextPosition"]


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def verifies(record, folder):
    """True if the commands of the documentation verify a gap record."""
    page = (REPOSITORY / "docs/gateway.md").read_text()
    [commands] = re.findall(r"To verify a record in `record.json`:\n\n```sh\n(.*?)```", page, re.S)
    (folder / "record.json").write_text(json.dumps(record))
    done = subprocess.run(["bash", "-c", commands], cwd=folder, capture_output=True, text=True, timeout=30)
    return done.returncode == 0 and "Verified Successfully" in done.stdout


def is_ready(gateway):
    """True while the gateway can make records durable somewhere."""
    try:
        with urllib.request.urlopen(f"{gateway.metrics}/readyz", timeout=20) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def exhaust(gateway, server, store, tmp_path, free):
    """Fills the place where records wait while the server is away; checks who is refused, who passes, and what is told."""
    assert gateway.call("before") == 200 and gateway.call("before-open", "sns", "list_topics") == 200
    wait_for("the first records", lambda: sorted(in_order(server, store)) == ["before", "before-open"])
    assert server.stop() == 0
    closed = [f"closed{number}" for number in range(3)]
    assert [gateway.call(mark) for mark in closed] == [200] * 3
    opened, began = [], int(time.time())
    while is_ready(gateway):
        assert len(opened) < 1000, "the place for records has no bound"
        opened.append(f"open{len(opened):03}")
        assert gateway.call(opened[-1], "sns", "list_topics") == 200
    spilled = closed + opened[:-4]
    # From here on nothing is kept: who must be recorded is refused, the others pass.
    for _ in range(8):
        opened.append(f"open{len(opened):03}")
        assert gateway.call(opened[-1], "sns", "list_topics") == 200
    ended = time.time()
    client = boto3.client(
        "sqs", endpoint_url=gateway.address, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
        config=botocore.config.Config(user_agent="m/refused", retries={"total_max_attempts": 1}),
    )
    # What somebody sees who uses boto3.
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.list_queues()
    error, answer = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    assert answer["HTTPStatusCode"] == 503 and error["Code"] == "ServiceUnavailable"
    assert "cannot be recorded" in error["Message"] and "try again" in error["Message"]
    assert answer["HTTPHeaders"]["retry-after"] == "1"

    free()
    server.start()
    wait_for("calls to pass again", lambda: gateway.call("after") == 200)

    def told():
        found = gaps(server, store, "open")
        arrived = [mark for mark in in_order(server, store) if mark in opened]
        return found and sum(gap["atLeast"] for gap in found) + len(arrived) == len(opened) and found

    [gap] = wait_for("the gap record", told)
    # Four calls had room in memory.
    assert (gap["reason"], gap["atLeast"] >= 5) == ("QUEUE_FULL", True)
    assert stamp(began) <= gap["from"] <= gap["to"] <= stamp(ended + 1)
    marks = [mark for mark in in_order(server, store) if mark != "after"]
    assert len(marks) == len(set(marks)) and "refused" not in marks
    # What waited on disk follows whole, and in the order of the calls. The four that waited in memory have no place in it.
    assert [mark for mark in marks if mark in spilled] == spilled and len(spilled) > 10
    [record] = [it for it in server.records(store, "eventname = 'RecordingGap'") if it["serviceEventDetails"]["upstream"] == "open"]
    if shutil.which("openssl"):
        assert verifies(record, tmp_path)
        record["serviceEventDetails"]["atLeast"] += 1
        assert not verifies(record, tmp_path)
    assert gateway.stop() == 0


def test_records_that_fill_their_share_of_the_disk(server, alone, tmp_path):
    gateway = alone(metrics_listen="127.0.0.1:0", **{"recording.spill_size": "48KB", "recording.queue_calls": 4}).start()
    exhaust(gateway, server, server.store(), tmp_path, lambda: None)


def test_records_that_fill_the_disk(server, alone, tmp_path):
    gateway = alone(metrics_listen="127.0.0.1:0", **{"recording.queue_calls": 4})
    disk = SmallDisk(gateway.folder, "2m")
    try:
        gateway.start()
        disk.fill()
        # A little room, so that some records wait on disk and the others do not.
        with open(disk.ballast, "r+b") as file:
            file.truncate(file.seek(0, 2) - (200 << 10))
        exhaust(gateway, server, server.store(), tmp_path, disk.empty)
    finally:
        gateway.end()
        disk.remove()


def test_a_call_that_was_passed_on_and_cannot_be_recorded_is_told_to_its_caller(server, alone):
    gateway, store = alone(**{"recording.spill_size": "0B", "recording.queue_calls": 4}).start(), server.store()
    assert server.stop() == 0
    client = boto3.client(
        "sqs", endpoint_url=gateway.address, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
        config=botocore.config.Config(user_agent="m/passed-on", retries={"total_max_attempts": 1}),
    )
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.list_queues()
    error = caught.value.response["Error"]
    assert error["Code"] == "InternalFailure" and "may have taken effect" in error["Message"]
    # It waits in memory all the same, and further calls are refused at once.
    assert gateway.call("refused") == 503
    server.start()
    wait_for("its record", lambda: in_order(server, store) == ["passed-on"])
    assert gateway.stop() == 0 and not gaps(server, store, "closed")


def test_what_was_counted_outlives_a_kill_with_its_reason(server, alone):
    gateway = alone(**{"recording.spill_size": "0B", "recording.queue_calls": 4}).start()
    store = server.store()
    assert gateway.call("before-open", "sns", "list_topics") == 200
    wait_for("its record", lambda: in_order(server, store) == ["before-open"])
    assert server.stop() == 0
    began = int(time.time())
    assert [gateway.call(f"open{number}", "sns", "list_topics") for number in range(10)] == [200] * 10
    ended = time.time()
    # Noted twice a second.
    time.sleep(1.5)
    gateway.kill()
    server.start()
    gateway.start()
    found = wait_for("the gap records", lambda: len(told := gaps(server, store, "open")) == 2 and told)
    full, killed = sorted(found, key=lambda gap: gap["reason"])
    assert (full["reason"], full["atLeast"], killed["reason"]) == ("QUEUE_FULL", 6, "UNCLEAN_STOP")
    assert stamp(began) <= full["from"] <= full["to"] <= stamp(ended + 1)
    # Of the four that waited some had been sent to a server that was not there; no more is claimed than is known.
    assert killed["atLeast"] <= 4 and killed["from"] <= full["from"] and full["to"] <= killed["to"]
    assert gateway.stop() == 0
    assert len(gaps(server, store, "open")) == 2


def metrics(address):
    """The counters at an address, by name and labels."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
    found = {}
    for line in lines:
        name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
        found[name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels or ""))] = float(value)
    return found


def assert_shown(found, upstreams):
    """Every counter of losses and failures is there."""
    of = lambda name, **labels: found[f"towpath_gateway_{name}_total", frozenset(labels.items())]
    for name in ("log_failures", "spill_failures", "gap_records_refused"):
        assert of(name) == 0
    for upstream in upstreams:
        assert of("calls_refused", upstream=upstream) == 0 and of("turned_away", upstream=upstream) == 0
        assert of("calls", upstream=upstream, status="5xx") == 0
        for reason in REASONS:
            assert of("calls_lost", upstream=upstream, reason=reason) == 0


def test_losses_are_counted_from_zero(server, alone):
    gateway = alone(metrics_listen="127.0.0.1:0", **{"recording.spill_size": "0B", "recording.queue_calls": 2}).start()
    # Before the first call; the alarm of the first loss needs a zero before it.
    found = metrics(gateway.metrics)
    unknown = {dict(labels)["upstream"] for name, labels in found if name == "towpath_gateway_turned_away_total"}
    assert {"open", "closed"} < unknown and len(unknown) == 3
    assert_shown(found, unknown)
    assert found["towpath_gateway_calls_lost_total", frozenset({"upstream": "spill", "reason": "SPILL_DAMAGED"}.items())] == 0
    assert gateway.call("before-open", "sns", "list_topics") == 200
    assert server.stop() == 0
    for number in range(6):
        assert gateway.call(f"open{number}", "sns", "list_topics") == 200
    assert gateway.call("refused") == 503
    lost = ("towpath_gateway_calls_lost_total", frozenset({"upstream": "open", "reason": "QUEUE_FULL"}.items()))
    found = metrics(gateway.metrics)
    assert found[lost] >= 4
    assert found["towpath_gateway_calls_refused_total", frozenset({("upstream", "closed")})] == 1
    assert found["towpath_gateway_log_failures_total", frozenset()] >= 1
    server.start()
    wait_for("calls to pass again", lambda: gateway.call("after") == 200)
    assert gateway.stop() == 0


def test_losses_of_a_gateway_within_the_server_are_counted_from_zero(tmp_path, moto):
    upstreams = [{"name": "moto", "service": "*", "url": moto.url}, {"name": "gone", "service": "sqs", "url": "http://127.0.0.1:9"}]
    server = GatewayServer(tmp_path / "data", upstreams).start()
    try:
        assert_shown(metrics(server.endpoint), {"moto", "gone"})
    finally:
        assert server.stop() == 0, server.errors()


def test_a_folder_of_a_recording_belongs_to_one_gateway(server, alone):
    first = alone("first").start()
    second = alone("second", **{"recording.folder": str(first.folder)})
    with pytest.raises(AssertionError):
        second.start()
    assert second.process.returncode != 0
    said = second.log.read_text()
    assert str(first.folder) in said and f"process {first.process.pid}" in said
    # And what to do.
    assert "stop that process, or set gateway.recording.folder to another folder" in said
    assert first.call("still-there") == 200
    # The folder is free as soon as its owner is gone, however that was.
    first.kill()
    began = time.monotonic()
    second.start()
    assert time.monotonic() - began < 20
    assert second.call("taken-over") == 200
    store = server.store()
    wait_for("the gap record", lambda: gaps(server, store, "closed") or answers_gap(server))
    assert second.stop() == 0


def answers_gap(server):
    """A gap record in event history: it may be older than any store."""
    attributes = [{"AttributeKey": "EventName", "AttributeValue": "RecordingGap"}]
    events = server.client(region=REGION).lookup_events(LookupAttributes=attributes)["Events"]
    return [json.loads(event["CloudTrailEvent"])["serviceEventDetails"] for event in events]
