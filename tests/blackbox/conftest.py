"""Starts real Towpath servers on loopback and hands out real clients for them."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import boto3
import botocore.config
import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("TOWPATH_BIN", REPOSITORY / "target/debug/towpath"))
SHARED = pathlib.Path(os.environ.get("TOWPATH_SHARED", REPOSITORY.parent / "shared"))
REGION = "eu-central-1"
ACTIVITY = [{"Name": "integration", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["ActivityAuditLog"]}]}]


def pytest_configure(config):
    if os.environ.get("CI") and not (SHARED / "data").is_dir():
        raise pytest.UsageError(f"the shared data folder {SHARED} is missing; CI needs it")


class Server:
    """One `towpath serve` process over one data directory."""

    def __init__(self, data_dir, environment=None, arguments=()):
        self.data_dir = pathlib.Path(data_dir)
        self.environment = environment or {}
        self.arguments = list(arguments)
        self.process = None
        self.endpoint = None
        self.s3_endpoint = None
        self.stderr = None

    def start(self, timeout=60):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TOWPATH_"))}
        env.update(TOWPATH_LOG="warn", **self.environment)
        command = [BINARY, "serve", "--data-dir", self.data_dir, *self.arguments]
        if "--listen" not in self.arguments:
            command += ["--listen", "127.0.0.1:0"]
        if "--s3-listen" not in self.arguments:
            # The ready line names one address, so this one is chosen here.
            s3_address = f"127.0.0.1:{free_port()}"
            command += ["--s3-listen", s3_address]
            self.s3_endpoint = f"http://{s3_address}"
        self.stderr = open(self.data_dir.parent / f"{self.data_dir.name}.stderr", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.stderr, env=env, text=True)
        self.endpoint, ready = None, threading.Event()
        threading.Thread(target=self._read_output, args=(self.process.stdout, ready), daemon=True).start()
        if not ready.wait(timeout) or self.endpoint is None:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not become ready:\n{self.errors()[-4000:]}")
        return self

    def _read_output(self, output, ready):
        for line in output:  # to the end, so that the pipe never fills
            match = re.match(r"towpath ready on (https?://\S+)", line)
            if match:
                self.endpoint = match.group(1)
                ready.set()
        ready.set()

    def errors(self):
        return (self.data_dir.parent / f"{self.data_dir.name}.stderr").read_text(errors="replace")

    def stop(self, timeout=15):
        """Stops with SIGTERM and returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not stop within its time") from None
        finally:
            self.stderr.close()

    def kill(self):
        """Stops with SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()
        self.stderr.close()

    @property
    def root_key(self):
        text = (self.data_dir / "credentials").read_text()
        values = dict(re.findall(r"^(aws_\w+)\s*=\s*(\S+)$", text, re.M))
        return values["aws_access_key_id"], values["aws_secret_access_key"]

    def client(self, service="cloudtrail", key=None, region=REGION, token=None, **config):
        access_key, secret = key or self.root_key
        config.setdefault("retries", {"total_max_attempts": 1})
        return boto3.client(
            service,
            endpoint_url=self.s3_endpoint if service == "s3" else self.endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=botocore.config.Config(**config),
        )

    def cli_environment(self, region=REGION):
        access_key, secret = self.root_key
        env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TOWPATH_"))}
        env.update(
            AWS_ENDPOINT_URL=self.endpoint,
            AWS_ENDPOINT_URL_S3=self.s3_endpoint or "",
            AWS_ACCESS_KEY_ID=access_key,
            AWS_SECRET_ACCESS_KEY=secret,
            AWS_REGION=region,
            AWS_DEFAULT_REGION=region,
            AWS_PAGER="",
        )
        return env

    def aws(self, *arguments, check=True):
        """Runs the stock AWS CLI; returns its parsed output."""
        script = pathlib.Path(sys.executable).with_name("aws")
        done = subprocess.run([script, *arguments], env=self.cli_environment(), capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout) if check and done.stdout.strip() else done

    def towpath(self, *arguments, check=True, stdin=None, timeout=120, **environment):
        """Runs the towpath command line against this server."""
        env = self.cli_environment()
        env.update(environment)
        done = subprocess.run([BINARY, *map(str, arguments)], env=env, capture_output=True, text=True, input=stdin, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.stderr}\n{done.stdout}")
        return done


def free_port():
    """A port that nothing listens at, most likely still so a moment later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that most tests share; each uses names of its own."""
    quotas = {"TOWPATH_QUOTAS__EVENT_DATA_STORES": "1000", "TOWPATH_QUOTAS__CHANNELS": "1000"}
    server = Server(tmp_path_factory.mktemp("shared") / "data", quotas).start()
    yield server
    assert server.stop() == 0, server.errors()


@pytest.fixture
def new_server(tmp_path):
    """Starts servers of the test's own; all are stopped at its end."""
    servers = []

    def start(name="data", environment=None, arguments=()):
        server = Server(tmp_path / name, environment, arguments).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def cloudtrail(server):
    return server.client("cloudtrail")


def unique(prefix="test"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def store_id(arn):
    return arn.rsplit("/", 1)[1]


def new_store(client, **arguments):
    arguments.setdefault("Name", unique("store"))
    arguments.setdefault("TerminationProtectionEnabled", False)
    return client.create_event_data_store(**arguments)["EventDataStoreArn"]


def new_activity_store(client, **arguments):
    return new_store(client, AdvancedEventSelectors=ACTIVITY, **arguments)


def new_channel(client, *stores, source="Custom"):
    destinations = [{"Type": "EVENT_DATA_STORE", "Location": store} for store in stores]
    return client.create_channel(Name=unique("channel"), Source=source, Destinations=destinations)["ChannelArn"]


def audit_event(event_id=None, **changes):
    """A valid entry for PutAuditEvents; `changes` replace members of its eventData, None removes one."""
    data = {
        "version": "1.0",
        "userIdentity": {"type": "CustomUser", "principalId": "user-1", "details": {"team": "blue"}},
        "eventSource": "app.example.com",
        "eventName": "Login",
        "eventTime": "2026-11-19T10:20:30Z",
        "UID": str(uuid.uuid4()),
        "recipientAccountId": "000000000000",
        "sourceIPAddress": "192.0.2.7",
        "requestParameters": {"page": "/", "n": 20},
    }
    for name, value in changes.items():
        if value is None:
            data.pop(name, None)
        else:
            data[name] = value
    return {"id": event_id or uuid.uuid4().hex, "eventData": json.dumps(data)}


def query(client, statement, timeout=60):
    """Runs a statement to its end; returns the rows as lists of (name, text)."""
    query_id = client.start_query(QueryStatement=statement)["QueryId"]
    deadline = time.monotonic() + timeout
    while True:
        described = client.describe_query(QueryId=query_id)
        if described["QueryStatus"] not in ("QUEUED", "RUNNING"):
            break
        assert time.monotonic() < deadline, "the query takes too long"
        time.sleep(0.02)
    assert described["QueryStatus"] == "FINISHED", described
    rows, token = [], {}
    while True:
        page = client.get_query_results(QueryId=query_id, **token)
        rows += [[next(iter(cell.items())) for cell in row] for row in page["QueryResultRows"]]
        if "NextToken" not in page:
            return rows
        token = {"NextToken": page["NextToken"]}


def scalar(client, statement):
    [[(_, value)]] = query(client, statement)
    return value


def error_of(callable_, *arguments, **keywords):
    """Calls and returns the code and message of the error that must come."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        callable_(*arguments, **keywords)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@contextlib.contextmanager
def directory():
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)
