"""`towpath gateway`: a gateway that is a process of its own, beside the server that takes its records."""

import os
import re
import signal
import subprocess
import threading

import boto3
import botocore.config
import botocore.exceptions

from conftest import BINARY, Server, free_port
from gateway.client import REGION
from gateway.server import KEY, GatewayServer, write_config


class RecordServer(GatewayServer):
    """A server without a gateway, at an address that stays the same over restarts."""

    def __init__(self, data_dir):
        root = {"TOWPATH_ROOT_ACCESS_KEY_ID": KEY[0], "TOWPATH_ROOT_SECRET_ACCESS_KEY": KEY[1]}
        address = f"127.0.0.1:{free_port()}"
        Server.__init__(self, data_dir, root, ["--listen", address])
        self.url = f"http://{address}"

    def start(self, timeout=60):
        return Server.start(self, timeout)


class Alone:
    """A gateway in front of `upstreams` that sends records to `server`. What must outlive it is in `folder`."""

    def __init__(self, folder, server, upstreams, **settings):
        self.folder, self.server = folder / "gateway", server
        self.config, self.log = folder / "gateway.toml", folder / "gateway.stderr"
        settings = {"listen": f"127.0.0.1:{free_port()}", "recording.folder": str(self.folder), **settings}
        write_config(self.config, upstreams, settings)
        self.process = self.address = self.metrics = None
        self.key = KEY

    def start(self, timeout=60):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TOWPATH_"))}
        environment.update(
            TOWPATH_LOG="warn", AWS_ENDPOINT_URL=self.server.url, AWS_ACCESS_KEY_ID=self.key[0],
            AWS_SECRET_ACCESS_KEY=self.key[1], AWS_REGION=REGION,
        )
        command = [BINARY, "gateway", "--config", self.config]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        ready = threading.Event()
        threading.Thread(target=self._read, args=(self.process.stdout, ready), daemon=True).start()
        if not ready.wait(timeout) or self.address is None:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not become ready:\n{self.log.read_text()[-4000:]}")
        return self

    def _read(self, output, ready):
        for line in output:
            metrics = re.match(r"towpath gateway metrics on (\S+)/metrics", line)
            if metrics:
                self.metrics = metrics.group(1)
            match = re.match(r"towpath gateway ready on (\S+)", line)
            if match:
                self.address = match.group(1)
                ready.set()
        ready.set()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Stops with SIGTERM and returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def call(self, mark, service="sqs", operation="list_queues"):
        """One call, with a mark in its user agent; returns its HTTP status."""
        config = botocore.config.Config(user_agent=f"m/{mark}", retries={"total_max_attempts": 1}, read_timeout=30)
        client = boto3.client(
            service, endpoint_url=self.address, region_name=REGION, aws_access_key_id=KEY[0],
            aws_secret_access_key=KEY[1], config=config,
        )
        try:
            return getattr(client, operation)()["ResponseMetadata"]["HTTPStatusCode"]
        except botocore.exceptions.ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    def waiting(self):
        """Bytes that wait on disk."""
        return sum(file.stat().st_size for file in (self.folder / "spill").glob("**/*") if file.is_file())
