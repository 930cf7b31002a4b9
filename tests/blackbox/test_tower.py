"""The tower layer: a service that records its own requests (crates/towpath-tower/examples/orders.rs)."""

import base64
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from conftest import BINARY, REPOSITORY, free_port
from gateway.alone import RecordServer
from gateway.gaps import gaps
from gateway.orders import PROGRAM, Orders
from gateway.server import ACCOUNT
from test_documentation import script
from test_history import ORDER
from trails import wait_for

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.skipif(not PROGRAM.exists() and not os.environ.get("CI"), reason=f"{PROGRAM} is not built: cargo build -p towpath-tower --example orders"),
]
SERVICE = "orders.example.org"


@pytest.fixture
def server(tmp_path):
    server = RecordServer(tmp_path / "data").start()
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, server.errors()


@pytest.fixture
def orders(tmp_path, server):
    """Starts the service, once or again after it has ended."""
    made = []

    def start(**how):
        if not made:
            made.append(Orders(tmp_path / "service", server, **how))
        return made[0].start()

    yield start
    for service in made:
        if service.process and service.process.poll() is None:
            service.kill()


def agents(server, store):
    """Who asked for orders, by user agent, of all records of the service; one for each record."""
    found = server.records(store, f"eventsource = '{SERVICE}' AND eventname = 'CreateOrder'")
    return sorted(record["userAgent"] for record in found)


def told(server, store):
    """Reason and count of the gaps of the service, whose signatures are right."""
    return sorted((gap["reason"], gap["atLeast"]) for gap in gaps(server, store, SERVICE))


def test_requests_become_events(server, orders):
    service, store = orders(), server.store()
    assert service.request()[0] == 201
    assert service.request("GET", "/orders", key="key-of-bob")[0] == 200
    assert service.request("POST", "/orders/pen", key="guessed")[0] == 403
    assert service.request("DELETE", "/orders")[0] == 404
    assert service.request("GET", "/health")[0] == 200
    client = server.client(region="us-east-1")

    def looked_up():
        attributes = [{"AttributeKey": "EventSource", "AttributeValue": SERVICE}]
        events = client.lookup_events(LookupAttributes=attributes)["Events"]
        return len(events) >= 4 and [json.loads(event["CloudTrailEvent"]) for event in events]

    found = wait_for("the events", looked_up)
    assert len(found) == 4 and not any("health" in json.dumps(record) for record in found)
    by_sql = server.records(store, f"eventsource = '{SERVICE}'")
    key = lambda record: record["eventID"]
    assert sorted(by_sql, key=key) == sorted(found, key=key)
    assert all([name for name in ORDER if name in record] == list(record) for record in found)

    [made] = [record for record in found if record["eventName"] == "CreateOrder" and "errorCode" not in record]
    assert made["userIdentity"] == {"type": "Unknown", "principalId": "customer:alice", "userName": "alice"}
    assert made["requestParameters"] == {"item": "book"} and made["responseElements"]["orderId"] >= 1
    arn = f"arn:aws:orders:us-east-1:{ACCOUNT}:order/{made['responseElements']['orderId']}"
    assert made["resources"] == [{"accountId": ACCOUNT, "type": "Example::Shop::Order", "ARN": arn}]
    assert (made["eventType"], made["readOnly"], made["recipientAccountId"]) == ("AwsApiCall", False, ACCOUNT)
    assert made["userAgent"] == "shopper/1"
    [listed] = [record for record in found if record["eventName"] == "ListOrders"]
    assert listed["readOnly"] is True and listed["userIdentity"]["userName"] == "bob"
    failed = sorted(record["errorCode"] for record in found if "errorCode" in record)
    assert failed == ["404", "AccessDenied"]
    assert "key-of-alice" not in json.dumps(found) and "guessed" not in json.dumps(found)
    assert service.stop() == 0
    assert told(server, store) == []


def test_while_the_server_is_away_no_request_waits_and_what_is_dropped_is_told(server, orders):
    service, store = orders(queue=20), server.store()
    assert service.request(agent="before")[0] == 201
    wait_for("the first event", lambda: agents(server, store) == ["before"])
    assert server.stop() == 0
    began = int(time.time())
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda number: service.request(agent=f"away{number:02}"), range(50)))
    ended = time.time()
    assert {status for status, _ in answers} == {201}
    assert max(seconds for _, seconds in answers) < 2
    server.start()
    # The queue's twenty arrive once each; of the others it is told how many, since when and until when.
    kept = wait_for("the events", lambda: (found := agents(server, store)) and len(found) >= 21 and found)
    assert len(kept) == len(set(kept)) == 21 and set(kept) <= {"before", *(f"away{number:02}" for number in range(50))}
    [gap] = wait_for("the gap record", lambda: gaps(server, store, SERVICE))
    assert (gap["reason"], gap["atLeast"], gap["gateway"]) == ("QUEUE_FULL", 30, SERVICE)
    stamp = lambda at: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    assert stamp(began) <= gap["from"] <= gap["to"] <= stamp(ended + 1)
    # Signed with the key that the service shows at its start.
    assert base64.b64decode(service.key[0])[-32:] == base64.b64decode(gap["publicKey"])
    assert service.request(agent="zz-after")[0] == 201
    wait_for("the last event", lambda: agents(server, store)[-1] == "zz-after")
    assert service.stop() == 0
    assert len(gaps(server, store, SERVICE)) == 1


def test_a_server_that_does_not_answer_holds_up_no_request(server, orders):
    service, store = orders(), server.store()
    server.process.send_signal(signal.SIGSTOP)
    try:
        answers = [service.request(agent=f"stopped{number}") for number in range(20)]
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert {status for status, _ in answers} == {201} and max(seconds for _, seconds in answers) < 2
    wait_for("the events", lambda: agents(server, store) == sorted(f"stopped{number}" for number in range(20)))
    assert service.stop() == 0 and told(server, store) == []


def test_told_to_stop_the_service_sends_what_waits_first(server, orders):
    service, store = orders(), server.store()
    asked = [f"last{number:02}" for number in range(30)]
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        assert {status for status, _ in pool.map(lambda agent: service.request(agent=agent), asked)} == {201}
    assert service.stop() == 0
    assert agents(server, store) == asked
    # It stopped in order: the next start has nothing to tell.
    orders()
    assert service.stop() == 0 and told(server, store) == []


def test_stopped_without_a_server_the_next_start_tells_what_is_missing(server, orders):
    service, store = orders(), server.store()
    assert server.stop() == 0
    for number in range(10):
        assert service.request(agent=f"lost{number}")[0] == 201
    assert service.stop() == 0
    assert "does not have all events" in service.log.read_text()
    server.start()
    orders()
    wait_for("the gap record", lambda: told(server, store))
    assert told(server, store) == [("STOPPED", 10)]
    assert agents(server, store) == []
    assert service.stop() == 0 and len(told(server, store)) == 1


def test_killed_without_a_server_the_next_start_tells_how_many_events_are_gone(server, orders):
    service, store = orders(queue=8), server.store()
    assert service.request(agent="before")[0] == 201
    wait_for("the first event", lambda: agents(server, store) == ["before"])
    assert server.stop() == 0
    for number in range(12):
        assert service.request(agent=f"gone{number}")[0] == 201
    # What has begun is noted twice a second, and so is what was dropped.
    time.sleep(1.5)
    service.kill()
    killed = time.time()
    server.start()
    orders()
    wait_for("the gap records", lambda: len(told(server, store)) == 2)
    assert told(server, store) == [("QUEUE_FULL", 4), ("UNCLEAN_STOP", 8)]
    [unclean] = [gap for gap in gaps(server, store, SERVICE) if gap["reason"] == "UNCLEAN_STOP"]
    assert unclean["from"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(killed)) <= unclean["to"]
    assert agents(server, store) == ["before"]
    # Killed a second time without events, it has a time to tell of and no count.
    service.kill()
    orders()
    wait_for("the gap record", lambda: len(told(server, store)) == 3)
    assert told(server, store)[1:] == [("UNCLEAN_STOP", 0), ("UNCLEAN_STOP", 8)]
    assert service.stop() == 0


def test_killed_under_load_no_more_is_claimed_than_is_missing(server, orders):
    service, store = orders(), server.store()
    answered = []

    def ask(worker):
        for number in range(10_000):
            agent = f"w{worker}-{number}"
            try:
                if service.request(agent=agent)[0] == 201:
                    answered.append(agent)
            except OSError:
                return

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(ask, worker) for worker in range(4)]
        wait_for("some answers", lambda: len(answered) > 300)
        service.kill()
        [worker.result() for worker in workers]
    orders()
    [gap] = wait_for("the gap record", lambda: gaps(server, store, SERVICE))
    found = agents(server, store)
    assert len(found) == len(set(found))
    # A request that was answered to nobody may have an event, too.
    missing = len(set(answered) - set(found))
    assert gap["reason"] == "UNCLEAN_STOP" and gap["atLeast"] <= missing + 4
    assert len(found) > 0
    assert service.stop() == 0


def test_a_folder_belongs_to_one_process(server, orders):
    service = orders()
    second = service.spawn()
    assert second.wait(20) != 0
    said = service.log.read_text()
    assert str(service.folder) in said and str(service.process.pid) in said
    assert service.request()[0] == 201
    service.kill()
    orders()
    assert service.request()[0] == 201
    assert service.stop() == 0


def test_documented_commands_work(tmp_path, server):
    text = script("docs/tower.md").replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}")
    assert text.count("curl ") >= 3
    programs = tmp_path / "target/debug/examples"
    programs.mkdir(parents=True)
    (programs / "orders").symlink_to(PROGRAM.resolve())
    (tmp_path / "towpath").symlink_to(BINARY.resolve())
    # As in the first session of the README.
    environment = {**server.cli_environment(), "AWS_PROFILE": "towpath"}
    environment["AWS_SHARED_CREDENTIALS_FILE"] = str(server.data_dir / "credentials")
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    environment["PATH"] = f"{tmp_path}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "CreateOrder" in done.stdout and "customer:alice" in done.stdout and "AccessDenied" in done.stdout
    assert (REPOSITORY / "crates/towpath-tower/examples/orders.rs").exists()
