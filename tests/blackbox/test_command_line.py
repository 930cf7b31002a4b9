"""The towpath command line, as a person uses it."""

import csv
import io
import json
import subprocess

import pytest

from conftest import BINARY, audit_event, new_activity_store, new_channel, new_store, scalar, store_id, unique


@pytest.fixture(scope="module")
def filled(server):
    cloudtrail = server.client()
    name = unique("cli")
    store = new_activity_store(cloudtrail, Name=name)
    channel = new_channel(cloudtrail, store)
    entries = [audit_event(f"e{n}", eventName=f"Event{n}") for n in range(3)]
    server.client("cloudtrail-data").put_audit_events(channelArn=channel, auditEvents=entries)
    return name, store_id(store), channel


def test_query_prints_a_table_json_or_csv(server, filled):
    _, table, _ = filled
    statement = f"SELECT eventData.eventName AS Name, count(*) AS n FROM {table} GROUP BY 1 ORDER BY 1"
    shown = server.towpath("query", statement)
    assert "Name" in shown.stdout and "Event1" in shown.stdout
    rows = list(csv.reader(io.StringIO(server.towpath("query", statement, "--output", "csv").stdout)))
    assert rows == [["Name", "n"], ["Event0", "1"], ["Event1", "1"], ["Event2", "1"]]
    parsed = json.loads(server.towpath("query", statement, "--output", "json").stdout)
    assert "Event2" in json.dumps(parsed)


def test_a_wrong_query_says_where(server, filled):
    _, table, _ = filled
    done = server.towpath("query", f"SELECT evntid FROM {table}", check=False)
    assert done.returncode != 0 and done.stdout == ""
    assert "eventid" in done.stderr.lower() and "1:8" in done.stderr


def test_stores_are_shown(server, filled):
    name, table, _ = filled
    assert name in server.towpath("stores").stdout
    listed = json.loads(server.towpath("stores", "--output", "json").stdout)
    assert table in json.dumps(listed)


def test_lookup_shows_calls(server):
    new_store(server.client(), Name=unique())
    done = server.towpath("lookup", "--event-name", "CreateEventDataStore")
    assert "CreateEventDataStore" in done.stdout


def test_send_retries_only_what_failed_and_reports_the_rest(server):
    cloudtrail = server.client()
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    lines = [audit_event()["eventData"] for _ in range(250)]
    lines[17] = "not json"
    lines[99] = json.dumps({"version": "1"})
    done = server.towpath("send", "--channel", channel, "-", stdin="\n".join(lines), check=False)
    assert done.returncode != 0
    report = done.stdout + done.stderr
    assert "18" in report and "100" in report
    assert scalar(cloudtrail, f"SELECT count(*) FROM {store_id(store)}") == "248"
    # Sending the same file again adds nothing: ids are stable.
    server.towpath("send", "--channel", channel, "-", stdin="\n".join(lines), check=False)
    assert scalar(cloudtrail, f"SELECT count(*) FROM {store_id(store)}") == "248"


def test_tail_follows_a_store(server):
    cloudtrail = server.client()
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    tail = subprocess.Popen([BINARY, "tail", "--event-data-store", store, "--output", "json"], env=server.cli_environment(),
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        import time

        time.sleep(1.5)
        server.client("cloudtrail-data").put_audit_events(channelArn=channel, auditEvents=[audit_event(eventName="Followed")])
        assert "Followed" in tail.stdout.readline()
    finally:
        tail.kill()
        tail.wait()


@pytest.mark.parametrize("arguments", [["--help"], ["query", "--help"], ["completions", "bash"], ["--version"]])
def test_help_and_completions(server, arguments):
    assert server.towpath(*arguments).stdout.strip()


def test_errors_say_the_next_step(server, tmp_path):
    done = server.towpath("import", tmp_path / "nothing", "--event-data-store", "nowhere", check=False)
    assert done.returncode != 0 and done.stderr.strip()
    done = server.towpath("query", "SELECT 1", check=False, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert done.returncode != 0 and "127.0.0.1:9" in done.stderr
