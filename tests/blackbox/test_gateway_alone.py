"""A gateway that is a process of its own: what becomes of calls while its server is away, and when it is killed."""

import concurrent.futures
import json
import re
import time
import urllib.error
import urllib.request

import pytest

from gateway.alone import Alone, RecordServer
from gateway.client import Calls
from gateway.gaps import gaps
from gateway.server import ACCOUNT, KEY
from gateway.slow import Slow
from gateway.upstream import moto as moto
from trails import wait_for

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def server(tmp_path):
    server = RecordServer(tmp_path / "data").start()
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, server.errors()


@pytest.fixture
def alone(tmp_path, server, moto):
    """Starts a gateway with an upstream that is fail-open (SNS) and one that is fail-closed (all others)."""
    started = []

    def start(**settings):
        upstreams = [
            {"name": "open", "service": "sns", "url": moto.url, "policy": "fail-open"},
            {"name": "closed", "service": "*", "url": moto.url, "policy": "fail-closed"},
        ]
        started.append(Alone(tmp_path, server, upstreams, **settings).start())
        return started[0]

    yield start
    for gateway in started:
        gateway.end()


def marked(server, store):
    """The marks of the calls that have a record, in order of their events' times; one for each record."""
    found = [record for record in server.records(store) if record.get("userAgent", "").startswith("m/")]
    return sorted(record["userAgent"].split()[0].removeprefix("m/") for record in found)


def test_records_go_to_the_server_and_callers_are_known_from_it(server, alone):
    gateway, store = alone(), server.store()
    calls = Calls(gateway.address, KEY)
    calls("sqs", "CreateQueue", QueueName="alone")
    [record] = server.records(store, "eventname = 'CreateQueue'")
    assert record["userIdentity"]["type"] == "Root" and record["userIdentity"]["accountId"] == ACCOUNT
    assert record["requestParameters"] == {"queueName": "alone"}
    assert gateway.stop() == 0
    assert not gaps(server, store, "closed")


def test_calls_pass_while_the_server_is_away_and_their_records_follow(server, alone):
    gateway, store = alone(), server.store()
    assert gateway.call("before") == 200
    assert server.stop() == 0
    closed = [f"closed{number}" for number in range(5)]
    opened = [f"open{number}" for number in range(5)]
    # Their records are on disk before the answer, so that calls of both policies pass.
    assert [gateway.call(mark) for mark in closed] == [200] * 5
    assert [gateway.call(mark, "sns", "list_topics") for mark in opened] == [200] * 5
    assert gateway.waiting() > 0
    server.start()
    expected = sorted(["before", *closed, *opened])
    wait_for("the records", lambda: marked(server, store) == expected)
    assert gateway.call("after") == 200
    assert marked(server, store) == sorted([*expected, "after"])
    assert not gaps(server, store, "open") and not gaps(server, store, "closed")


def test_without_disk_calls_are_refused_or_told_in_a_gap_as_the_policy_says(server, alone, moto):
    gateway = alone(**{"recording.spill_size": "0B", "recording.queue_calls": 4})
    store = server.store()
    assert gateway.call("before") == 200 and gateway.call("before-open", "sns", "list_topics") == 200
    assert server.stop() == 0
    opened = [f"open{number}" for number in range(10)]
    assert [gateway.call(mark, "sns", "list_topics") for mark in opened] == [200] * 10
    # What waits in memory is full: no further call of an upstream that is fail-closed reaches it.
    assert gateway.call("refused") == 503
    server.start()
    wait_for("calls to pass again", lambda: gateway.call("after") == 200)

    def told():
        lost = sum(gap["atLeast"] for gap in gaps(server, store, "open"))
        recorded = [mark for mark in marked(server, store) if mark in opened]
        return lost and lost + len(recorded) == 10 and (lost, recorded)

    lost, recorded = wait_for("the gap record", told)
    assert lost >= 6 and len(recorded) == len(set(recorded)) == 10 - lost
    assert {"before", "before-open", "after"} <= set(marked(server, store))
    assert "refused" not in marked(server, store)


def test_what_waits_on_disk_outlives_a_kill_of_the_gateway(server, alone):
    gateway, store = alone(), server.store()
    assert gateway.call("before") == 200 and gateway.call("before-open", "sns", "list_topics") == 200
    assert server.stop() == 0
    marks = [f"spilled{number}" for number in range(8)]
    assert [gateway.call(mark) for mark in marks] == [200] * 8
    gateway.kill()
    # The gateway starts without its server, and takes calls.
    gateway.start()
    assert gateway.call("later") == 200
    server.start()
    expected = sorted(["before", "before-open", *marks, "later"])
    wait_for("the records", lambda: marked(server, store) == expected)
    # The unclean stop is told, of both upstreams, and is not told again.
    for name in ("open", "closed"):
        [gap] = wait_for("the gap record", lambda name=name: gaps(server, store, name))
        assert gap["reason"] == "UNCLEAN_STOP" and gap["from"] <= gap["to"]
    assert gateway.stop() == 0
    gateway.start()
    assert gateway.call("at-the-end") == 200
    assert len(gaps(server, store, "closed")) == 1
    assert marked(server, store) == sorted([*expected, "at-the-end"])


def test_the_gap_of_a_kill_says_how_many_calls_were_under_way_at_least(server, tmp_path):
    slow, store = Slow(), server.store()
    gateway = Alone(tmp_path, server, [{"name": "slow", "service": "sqs", "url": slow.url, "policy": "fail-open"}]).start()
    try:
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            calls = [pool.submit(gateway.call, f"under-way{number}") for number in range(5)]
            wait_for("all calls", lambda: slow.waiting == 5)
            # What has begun is noted twice a second.
            time.sleep(1.5)
            gateway.kill()
            slow.open.set()
            assert all(call.exception() for call in calls)
        gateway.start()
        [gap] = wait_for("the gap record", lambda: gaps(server, store, "slow"))
        assert (gap["reason"], gap["atLeast"]) == ("UNCLEAN_STOP", 5)
        assert gateway.call("afterwards") == 200
        wait_for("its record", lambda: marked(server, store) == ["afterwards"])
    finally:
        gateway.end()
        slow.stop()


def get(address):
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_health_readiness_and_metrics_are_served_at_an_address_of_their_own(server, alone):
    gateway = alone(metrics_listen="127.0.0.1:0", **{"recording.spill_size": "0B", "recording.queue_calls": 4})
    assert gateway.call("counted") == 200
    assert get(f"{gateway.metrics}/healthz") == (200, "ok\n") and get(f"{gateway.metrics}/readyz") == (200, "ready\n")
    status, text = get(f"{gateway.metrics}/metrics")
    recorded = re.search(r"^towpath_gateway_records_total (\d+)", text, re.M)
    assert status == 200 and int(recorded.group(1)) >= 1
    assert 'upstream="closed"' in text
    assert get(f"{gateway.metrics}/anything")[0] == 404
    # Its records have nowhere to go: it is not ready, and still healthy.
    assert server.stop() == 0
    gateway.call("waits", "sns", "list_topics")
    wait_for("the end of readiness", lambda: get(f"{gateway.metrics}/readyz")[0] == 503)
    assert get(f"{gateway.metrics}/healthz")[0] == 200
    server.start()
    wait_for("readiness", lambda: get(f"{gateway.metrics}/readyz")[0] == 200)
    assert gateway.stop() == 0


def test_a_gateway_without_rights_at_its_server_keeps_records_until_it_has_them(server, tmp_path, moto):
    store = server.store()
    server.towpath("iam", "user", "create", "gateway")
    key = json.loads(server.towpath("iam", "key", "create", "--user", "gateway", "--output", "json").stdout)
    gateway = Alone(tmp_path, server, [{"name": "closed", "service": "*", "url": moto.url}])
    gateway.key = (key["AccessKeyId"], key["SecretAccessKey"])
    gateway.start()
    try:
        assert gateway.call("without-rights") == 200
        assert gateway.waiting() > 0 and marked(server, store) == []
        allow = {"Effect": "Allow", "Action": ["towpath:PutRecords", "towpath:ResolveCaller"], "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        server.towpath("iam", "policy", "put", "--user", "gateway", "--name", "records", "--document", "-", stdin=document)
        wait_for("the record", lambda: marked(server, store) == ["without-rights"])
    finally:
        gateway.end()
