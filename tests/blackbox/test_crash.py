"""Kill -9 under load, again and again: what was acknowledged is there exactly once, what was refused is not.

TOWPATH_CRASHES sets how often the server is killed; the default keeps the run short.
"""

import os
import random
import threading
import time
import uuid

import pytest

from conftest import audit_event, new_activity_store, new_channel, query, store_id

CRASHES = int(os.environ.get("TOWPATH_CRASHES", "8"))


class Sender(threading.Thread):
    """Sends batches, some entries of which are bad, and remembers what it was told."""

    def __init__(self, server, channel, seed):
        super().__init__(daemon=True)
        self.server, self.channel = server, channel
        self.random = random.Random(seed)
        self.acknowledged, self.refused, self.unknown = set(), set(), set()
        self.running = True

    def run(self):
        client = None
        while self.running:
            entries = []
            for _ in range(self.random.randint(1, 40)):
                uid = uuid.UUID(int=self.random.getrandbits(128)).hex
                bad = self.random.random() < 0.1
                entries.append((uid, audit_event(uid, UID=uid, **({"eventName": None} if bad else {}))))
            try:
                client = client or self.server.client("cloudtrail-data", connect_timeout=2, read_timeout=10)
                answer = client.put_audit_events(channelArn=self.channel, auditEvents=[entry for _, entry in entries])
            except Exception:  # the server was killed: nobody knows what became of the batch
                self.unknown.update(uid for uid, _ in entries)
                client = None
                time.sleep(0.05)
                continue
            self.acknowledged.update(entry["id"] for entry in answer["successful"])
            self.refused.update(entry["id"] for entry in answer["failed"])


@pytest.mark.timeout(900)
def test_kill_9_loses_nothing_and_repeats_nothing(new_server):
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    # Small thresholds, so that crashes meet flushes and compactions as well.
    server = new_server(environment={"TOWPATH_LAKE__FLUSH_INTERVAL": "500ms"})
    cloudtrail = server.client()
    store = store_id(new_activity_store(cloudtrail))
    channel = new_channel(cloudtrail, store)
    senders = [Sender(server, channel, dice.getrandbits(64)) for _ in range(3)]
    for sender in senders:
        sender.start()
    for _ in range(CRASHES):
        time.sleep(dice.uniform(0.05, 1.5))
        server.kill()
        server.start()
    time.sleep(0.5)
    for sender in senders:
        sender.running = False
    for sender in senders:
        sender.join(30)

    rows = query(server.client(), f"SELECT eventdata.uid, count(*) FROM {store} GROUP BY 1")
    found = {row[0][1]: int(row[1][1]) for row in rows}
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    refused = set().union(*(sender.refused for sender in senders))
    unknown = set().union(*(sender.unknown for sender in senders))
    assert acknowledged, "the senders got nothing through"
    assert acknowledged - found.keys() == set(), "acknowledged events are lost"
    assert refused & found.keys() == set(), "refused events appeared"
    assert found.keys() <= acknowledged | unknown
    assert set(found.values()) == {1}, "events are there more than once"


def test_a_second_process_is_kept_out(new_server):
    import subprocess
    from conftest import BINARY

    server = new_server()
    second = subprocess.run([BINARY, "serve", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=30)
    assert second.returncode != 0
    assert str(server.process.pid) in second.stderr or "lock" in second.stderr.lower() or "in use" in second.stderr.lower()


@pytest.mark.parametrize("content", ["", "towpath 999\n", "\x00\x01garbage"])
def test_an_unknown_or_damaged_data_directory_is_refused(new_server, content):
    import subprocess
    from conftest import BINARY

    server = new_server()
    server.stop()
    (server.data_dir / "FORMAT").write_text(content)
    done = subprocess.run([BINARY, "serve", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "FORMAT" in done.stderr or "format" in done.stderr


def test_a_lost_secret_key_is_asked_for_and_not_replaced(new_server):
    import subprocess
    from conftest import BINARY

    server = new_server()
    server.stop()
    key = server.data_dir / "secret.key"
    kept = key.read_bytes()
    key.unlink()
    before = sorted(path.name for path in server.data_dir.iterdir())

    done = subprocess.run([BINARY, "serve", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=30)

    assert done.returncode != 0
    assert str(key) in done.stderr and "restore" in done.stderr and "TOWPATH_SECRET_KEY" in done.stderr
    assert not [name for name in (path.name for path in server.data_dir.iterdir()) if name not in before]
    key.touch(mode=0o600)
    key.write_bytes(kept)
    server.start()


def test_a_query_that_wants_all_memory_fails_alone(new_server):
    server = new_server(environment={"TOWPATH_QUERY__MEMORY": "64MB", "TOWPATH_QUERY__SPILL": "16MB"})
    cloudtrail = server.client()
    store = store_id(new_activity_store(cloudtrail))
    channel = new_channel(cloudtrail, store)
    data = server.client("cloudtrail-data")
    for _ in range(20):
        entries = [audit_event(additionalEventData={"pad": uuid.uuid4().hex * 40}) for _ in range(100)]
        data.put_audit_events(channelArn=channel, auditEvents=entries)
    greedy = f"SELECT array_agg(a.eventjson), array_agg(b.eventjson) FROM {store} a, {store} b"
    query_id = cloudtrail.start_query(QueryStatement=greedy)["QueryId"]
    deadline = time.monotonic() + 120
    while (status := cloudtrail.describe_query(QueryId=query_id))["QueryStatus"] in ("QUEUED", "RUNNING"):
        assert data.put_audit_events(channelArn=channel, auditEvents=[audit_event()])["failed"] == []
        assert time.monotonic() < deadline
    assert status["QueryStatus"] == "FAILED", status
    assert status["ErrorMessage"]
    [[(_, count)]] = query(cloudtrail, f"SELECT count(*) FROM {store}")
    assert int(count) >= 2000


def test_stop_finishes_what_was_begun(new_server):
    server = new_server()
    cloudtrail = server.client()
    store = store_id(new_activity_store(cloudtrail))
    channel = new_channel(cloudtrail, store)
    sender = Sender(server, channel, 7)
    sender.start()
    time.sleep(1)
    assert server.stop(timeout=10) == 0
    sender.running = False
    sender.join(30)
    server.start()
    rows = query(server.client(), f"SELECT eventdata.uid FROM {store}")
    assert sender.acknowledged <= {row[0][1] for row in rows}
