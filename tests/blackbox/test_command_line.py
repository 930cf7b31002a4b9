"""The towpath command line, as a person uses it."""

import csv
import io
import json
import subprocess

import pytest

from conftest import BINARY, SHARED, audit_event, new_activity_store, new_channel, new_store, scalar, store_id, unique
from terminal import on_terminal


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


def test_a_store_is_named_in_sql_as_it_is_called_and_the_place_of_an_error_is_marked(server, filled):
    name, _, _ = filled
    assert "-" in name
    done = server.towpath("query", f"SELECT count(*) AS n FROM {name}", "--output", "csv")
    assert done.stdout.split() == ["n", "3"]
    statement = f"SELECT 1 FROM {name} WHERE evntid = ''"
    done = server.towpath("query", statement, check=False)
    column = statement.index("evntid") + 1
    assert f"line 1:{column}: unknown column" in done.stderr
    marked = done.stderr.splitlines()
    line = next(index for index, text in enumerate(marked) if text.endswith(statement))
    assert marked[line + 1].index("^") == marked[line].index("evntid")


def test_a_narrow_terminal_shows_a_list_of_cells_instead_of_shreds(server, filled):
    name, table, _ = filled
    for columns, listed in [(220, False), (70, True)]:
        status, lines = on_terminal([BINARY, "stores"], columns, server.cli_environment())
        assert status == 0 and all(len(line) <= columns for line in lines), lines
        assert lines[0].startswith("─ 1 ──") == listed, lines
    assert any(line.split() == ["name", name] for line in lines), lines
    assert any(line.split() == ["id", table] for line in lines), lines


def test_a_terminal_shows_how_far_an_import_is(server):
    if not (SHARED / "data/cloudtrail").is_dir():
        pytest.skip("the shared data folder is missing")
    store = unique("history")
    server.towpath("stores", "create", store, "--retention", "3653")
    command = [BINARY, "import", SHARED / "data/cloudtrail/sans504-s3-ransomware.json.gz", "--event-data-store", store]
    status, lines = on_terminal(command, 90, server.cli_environment())
    assert status == 0 and "23,981 events imported" in lines[-1], lines
    # How long it takes is told once it is known, and never as nothing.
    assert any("iB" in line and "B/s" in line for line in lines[:-1]), lines
    assert not any(" 0s left" in line for line in lines), lines


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
    (tmp_path / "file").write_text("{}")
    done = server.towpath("import", tmp_path, "--event-data-store", "nowhere", check=False)
    assert "there is no event data store nowhere in" in done.stderr and "towpath stores create" in done.stderr
    done = server.towpath("query", "SELECT 1", check=False, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert done.returncode != 0 and "127.0.0.1:9" in done.stderr
    assert done.stderr.count("because:") == 1 and "towpath serve" in done.stderr
    done = server.towpath("stores", check=False, AWS_ENDPOINT_URL=server.endpoint.replace("http:", "https:"))
    assert done.returncode != 0 and "TLS" in done.stderr
    done = server.towpath("lookup", "--event-name", "NoSuchEventName")
    assert "no such event" in done.stderr
    done = server.towpath("iam", "account", "create", "12", check=False)
    assert done.returncode != 0 and "twelve digits" in done.stderr and "line 1" not in done.stderr
