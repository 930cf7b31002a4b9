"""What a gateway says of settings that cannot be meant, and how it goes on where that is possible."""

import os
import signal
import subprocess
import time

import pytest

from conftest import BINARY, free_port
from gateway.alone import Alone, RecordServer
from gateway.server import KEY, write_config
from gateway.upstream import moto as moto
from trails import wait_for

pytestmark = pytest.mark.timeout(120)


def environment(**more):
    given = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TOWPATH_"))}
    return {**given, "TOWPATH_LOG": "warn", **more}


def started(tmp_path, *arguments, upstream, **settings):
    """What a server says until it is ready or gives up, and its process."""
    write_config(tmp_path / "t.toml", [upstream], {"listen": f"127.0.0.1:{free_port()}", **settings})
    command = [BINARY, "serve", "--config", "t.toml", "--data-dir", "data", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("towpath ready"):
            break
    return "".join(lines), process


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    return process.wait(20)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("dynamo", 'no known service is signed for what this upstream names upstream="dynamo" service=dynamo'),
        ("marketplace-catalog", "its calls are signed for aws-marketplace"),
        ("dynamodb", None),
    ],
)
def test_a_service_that_nobody_has_heard_of_is_told_at_the_start(tmp_path, service, said):
    output, process = started(tmp_path, "--gateway", upstream={"service": service, "url": "http://127.0.0.1:9"})
    assert stop(process) == 0
    if said is None:
        assert "no known service" not in output
    else:
        assert said in output


def test_upstreams_without_a_gateway_are_told_at_the_start(tmp_path):
    output, process = started(tmp_path, upstream={"service": "*", "url": "http://127.0.0.1:9"})
    assert stop(process) == 0
    assert "the settings name upstreams of a gateway, and none runs; say --gateway" in output


def test_settings_that_cannot_be_used_are_named_with_what_would_do(tmp_path):
    upstream = {"name": "m", "service": "*", "url": "http://127.0.0.1:9"}
    for changes, settings, said in [
        ({}, {"listne": "127.0.0.1:1"}, "unknown setting gateway.listne in t.toml; did you mean gateway.listen?"),
        ({"ulr": "x"}, {}, "unknown setting gateway.upstream.0.ulr in t.toml"),
        ({"url": "127.0.0.1:9000"}, {}, "url is 127.0.0.1:9000; it must be an address such as https://host.example.org:8443"),
        ({"url": "http://h/path"}, {}, "it must be an address without a path"),
        ({"policy": "open"}, {}, "expected"),
        ({"connect_timeout": "soon"}, {}, 'write a number and a unit, such as "500ms"'),
        ({}, {"models": "nowhere"}, "setting gateway.models is nowhere, which cannot be used"),
        ({}, {"profiles": "nowhere"}, "setting gateway.profiles is nowhere, which cannot be used"),
        ({"openapi": "nowhere.toml"}, {}, "setting openapi of gateway.upstream m cannot be used"),
        ({"ca": "nowhere.pem", "url": "https://127.0.0.1:9"}, {}, "cannot read the authorities in nowhere.pem"),
    ]:
        output, process = started(tmp_path, "--gateway", upstream={**upstream, **changes}, **settings)
        assert process.wait(20) == 1 and said in output, output


def test_a_log_that_nobody_reads_any_more_does_not_end_the_server(tmp_path, moto):
    reader, writer = os.pipe()
    config, gateway = tmp_path / "t.toml", f"127.0.0.1:{free_port()}"
    write_config(config, [{"name": "m", "service": "*", "url": moto.url}], {"listen": gateway})
    command = [BINARY, "serve", "--gateway", "--config", config, "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]
    root = {"TOWPATH_ROOT_ACCESS_KEY_ID": KEY[0], "TOWPATH_ROOT_SECRET_ACCESS_KEY": KEY[1], "TOWPATH_LOG": "debug"}
    process = subprocess.Popen(command, env=environment(**root), stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    try:
        assert process.stdout.readline().startswith("towpath ready on ")
        assert process.stdout.readline().startswith("towpath gateway on ")
        time.sleep(0.2)
        assert process.poll() is None
        assert stop(process) == 0
    finally:
        process.kill()


def test_a_key_that_the_server_refuses_is_told_in_one_line(tmp_path, moto):
    server = RecordServer(tmp_path / "data").start()
    alone = Alone(tmp_path, server, [{"name": "m", "service": "*", "url": moto.url}])
    alone.key = (KEY[0], "another secret")
    try:
        alone.start()
        assert alone.call("one") == 200
        wait_for("the refusal", lambda: "InvalidSignatureException" in alone.log.read_text())
        lines = [line for line in alone.log.read_text().splitlines() if line]
        assert all(line.startswith("20") and "WARN" in line for line in lines), lines
    finally:
        alone.end()
        assert server.stop() == 0
