"""A Towpath server with a gateway in its process, and how records are read back."""

import json
import pathlib
import socket
import time

import botocore

from conftest import Server, free_port, query

KEY = ("AKIAGATEWAYROOTKEY00", "the-secret-of-the-root-key-of-the-gateway-tests")
ACCOUNT = "000000000000"
DATA_TYPES = ["AWS::S3::Object", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::Lambda::Function"]


def equals(field, *values):
    return {"Field": field, "Equals": list(values)}


def selectors():
    """Management events, and the data events that the calls of the table are."""
    data = {"FieldSelectors": [equals("eventCategory", "Data"), equals("resources.type", *DATA_TYPES)]}
    return [{"FieldSelectors": [equals("eventCategory", "Management")]}, data]


def write_config(file, upstreams, settings):
    """Writes a configuration file. `upstreams` are tables, in order; `settings` those of the gateway by dotted name."""
    # The models of the clients that the tests use, not of a botocore that the system's Python has.
    settings.setdefault("models", str(pathlib.Path(botocore.__file__).with_name("data")))
    lines = ["[gateway]", *(f"{name} = {json.dumps(value)}" for name, value in settings.items())]
    for upstream in upstreams:
        lines += ["[[gateway.upstream]]", *(f"{name} = {toml(value)}" for name, value in upstream.items())]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(member)}" for name, member in value.items()) + "}"
    return json.dumps(value)


class GatewayServer(Server):
    """`towpath serve` with a gateway. `upstreams` are tables of the configuration, in order."""

    def __init__(self, data_dir, upstreams, environment=None, **settings):
        self.gateway_port = free_port()
        scheme = "https" if any(name.startswith("tls.") for name in settings) else "http"
        self.gateway = f"{scheme}://127.0.0.1:{self.gateway_port}"
        config = data_dir.parent / f"{data_dir.name}.toml"
        settings = {"enabled": True, "listen": f"127.0.0.1:{self.gateway_port}", **settings}
        write_config(config, upstreams, settings)
        root = {"TOWPATH_ROOT_ACCESS_KEY_ID": KEY[0], "TOWPATH_ROOT_SECRET_ACCESS_KEY": KEY[1]}
        super().__init__(data_dir, {**root, **(environment or {})}, ["--config", config])

    def start(self, timeout=60):
        super().start(timeout)
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.gateway_port)) == 0:
                    return self
            assert time.monotonic() < deadline, f"the gateway takes no connections:\n{self.errors()[-4000:]}"
            time.sleep(0.05)

    def store(self, advanced=None):
        """A new event data store for what the gateway records."""
        made = self.client().create_event_data_store(
            Name=f"store-{time.monotonic_ns()}", AdvancedEventSelectors=advanced or selectors(),
            MultiRegionEnabled=True, TerminationProtectionEnabled=False,
        )
        return made["EventDataStoreArn"].rsplit("/", 1)[1]

    def records(self, store, where="true"):
        """The records of a store that hold."""
        rows = query(self.client(), f"SELECT eventjson FROM {store} WHERE {where}")
        return [json.loads(text) for [(_, text)] in rows]
