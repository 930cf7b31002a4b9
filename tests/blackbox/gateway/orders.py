"""The example service of the tower layer, as a process beside a server."""

import http.client
import os
import re
import signal
import subprocess
import threading
import time

from conftest import BINARY
from gateway.server import ACCOUNT, KEY

PROGRAM = BINARY.parent / "examples/orders"


class Orders:
    """The example, which sends its events to `server`. What must outlive it is in `folder`."""

    def __init__(self, folder, server, queue=None):
        self.folder, self.log = folder / "orders-state", folder / "orders.stderr"
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TOWPATH_"))}
        self.environment.update(
            AWS_ENDPOINT_URL=server.url, AWS_ACCESS_KEY_ID=KEY[0], AWS_SECRET_ACCESS_KEY=KEY[1], ORDERS_ACCOUNT=ACCOUNT,
            ORDERS_LISTEN="127.0.0.1:0", ORDERS_STATE=str(self.folder),
        )
        if queue:
            self.environment["ORDERS_QUEUE"] = str(queue)
        self.process = self.address = self.key = None

    def spawn(self):
        with self.log.open("ab") as log:
            return subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, stderr=log, env=self.environment, text=True)

    def start(self):
        self.process = self.spawn()
        ready, self.address, self.key = threading.Event(), None, []
        threading.Thread(target=self._read, args=(self.process.stdout, ready), daemon=True).start()
        assert ready.wait(30) and self.address, self.log.read_text()
        return self

    def _read(self, output, ready):
        for line in output:
            match = re.match(r"orders are taken on http://(\S+)", line)
            if match:
                self.address = match.group(1)
            elif line.startswith("-----END"):
                ready.set()
            elif not line.startswith("-----BEGIN"):
                self.key.append(line.strip())
        ready.set()

    def request(self, method="POST", path="/orders/book", key="key-of-alice", agent="shopper/1"):
        """Makes a request; returns its status, and how long it took in seconds."""
        host, port = self.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        headers = {"User-Agent": agent, **({"Authorization": f"Bearer {key}"} if key else {})}
        began = time.monotonic()
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status, time.monotonic() - began
        finally:
            connection.close()

    def stop(self, timeout=30):
        """Stops with SIGTERM and returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()
