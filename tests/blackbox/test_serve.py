"""The server as a process: encryption of its port, settings that are refused, and the ten seconds it has to stop."""

import datetime
import ipaddress
import json
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

import botocore.config
import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conftest import BINARY, REGION, error_of, new_store, query, store_id, unique


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._signed(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.bundle = folder / "authority.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.serial = 0

    def _signed(self, name, key, *extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def write_pair(self, name="server"):
        """Writes a certificate for 127.0.0.1 and its key; returns both paths and the certificate's serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
        certificate = self._signed(subject, key.public_key(), names)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        paths[1].write_bytes(key.private_bytes(*encoding))
        return *paths, certificate.serial_number


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def encrypted(new_server, certificate, key):
    return new_server(environment={"TOWPATH_TLS__CERTIFICATE": str(certificate), "TOWPATH_TLS__KEY": str(key)})


def client(server, bundle, service="cloudtrail"):
    access_key, secret = server.root_key
    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        verify=str(bundle),
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def serial_of(server, bundle):
    host, port = server.endpoint.removeprefix("https://").rsplit(":", 1)
    context = ssl.create_default_context(cafile=str(bundle))
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as stream:
            return x509.load_der_x509_certificate(stream.getpeercert(binary_form=True)).serial_number


def test_boto3_speaks_to_an_encrypted_port_and_records_say_so(new_server, authority):
    certificate, key, _ = authority.write_pair()
    server = encrypted(new_server, certificate, key)
    assert server.endpoint.startswith("https://")
    cloudtrail = client(server, authority.bundle)
    store = new_store(cloudtrail)
    assert client(server, authority.bundle, "sts").get_caller_identity()["Account"] == "000000000000"

    condition = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "cloudtrail:ListChannels", "Resource": "*",
         "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
    ]}
    environment = {"AWS_CA_BUNDLE": str(authority.bundle)}
    server.towpath("iam", "user", "create", "u", **environment)
    server.towpath("iam", "policy", "put", "--user", "u", "--name", "p", "--document", "-", stdin=json.dumps(condition), **environment)
    made = json.loads(server.towpath("iam", "key", "create", "--user", "u", "--output", "json", **environment).stdout)
    user = boto3.client(
        "cloudtrail", endpoint_url=server.endpoint, region_name=REGION, verify=str(authority.bundle),
        aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"],
    )
    user.list_channels()

    rows = query(cloudtrail, f"SELECT tlsdetails.tlsversion, tlsdetails.ciphersuite, tlsdetails.clientprovidedhostheader "
                             f"FROM {store_id(store)} WHERE eventname = 'ListChannels'")
    [[version, suite, host]] = [[value for _, value in row] for row in rows]
    assert version in ("TLSv1.2", "TLSv1.3") and suite
    assert host == server.endpoint.removeprefix("https://")

    # Who does not know the authority does not trust the server, and nobody is served in the clear.
    with pytest.raises(Exception, match="(?i)certificate|ssl"):
        server.client().list_channels()
    done = server.towpath("stores", "list", check=False)
    assert done.returncode != 0 and "cannot reach" in done.stderr
    with pytest.raises(Exception):
        urllib.request.urlopen(server.endpoint.replace("https://", "http://") + "/healthz", timeout=10)
    context = ssl.create_default_context(cafile=str(authority.bundle))
    assert urllib.request.urlopen(server.endpoint + "/healthz", timeout=10, context=context).status == 200
    assert server.stop() == 0


def test_a_new_certificate_is_served_after_sighup_and_a_broken_one_is_not(new_server, authority):
    certificate, key, first = authority.write_pair()
    server = encrypted(new_server, certificate, key)
    assert serial_of(server, authority.bundle) == first
    _, _, second = authority.write_pair()
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while serial_of(server, authority.bundle) != second:
        assert time.monotonic() < deadline, "the certificate was not read anew"
        time.sleep(0.02)
    certificate.write_text("broken")
    server.process.send_signal(signal.SIGHUP)
    while "the certificate stays the old one" not in server.errors():
        assert time.monotonic() < deadline + 10
        time.sleep(0.02)
    assert serial_of(server, authority.bundle) == second


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tls.certificate": "CERTIFICATE"}, "setting tls.key is missing"),
        ({"tls.certificate": "absent.pem", "tls.key": "KEY"}, "setting tls.certificate names absent.pem, which cannot be read"),
        ({"tls.certificate": "CERTIFICATE", "tls.key": "CERTIFICATE"}, "holds no private key in PEM form"),
        ({"throttles.operations.LookupEvent": "3"}, "did you mean LookupEvents?"),
        ({"throttles.operations.Nothing": "3"}, "must be named after an operation"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(tmp_path, authority, settings, told):
    certificate, key, _ = authority.write_pair()
    given = [value.replace("CERTIFICATE", str(certificate)).replace("KEY", str(key)) for value in settings.values()]
    arguments = [f"--set={name}={value}" for name, value in zip(settings, given)]
    command = [BINARY, "serve", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and told in done.stderr, done.stderr


def test_a_server_stops_in_ten_seconds_though_a_query_runs_and_an_upload_hangs(new_server):
    server = new_server()
    cloudtrail = server.client()
    store = new_store(cloudtrail)
    for _ in range(200):
        cloudtrail.list_channels()
    table = store_id(store)
    # Millions of pairs of pairs: no machine is done with this while the test runs.
    endless = f"SELECT count(*) FROM {table} a CROSS JOIN {table} b CROSS JOIN {table} c CROSS JOIN {table} d WHERE a.eventid || b.eventid < c.eventid || d.eventid"
    running = cloudtrail.start_query(QueryStatement=endless)["QueryId"]
    deadline = time.monotonic() + 30
    while cloudtrail.describe_query(QueryId=running)["QueryStatus"] != "RUNNING":
        assert time.monotonic() < deadline, cloudtrail.describe_query(QueryId=running)
        time.sleep(0.02)

    host, port = server.endpoint.removeprefix("http://").rsplit(":", 1)
    upload = socket.create_connection((host, int(port)))
    head = "POST /towpath/v1/imports/00000000-0000-4000-8000-000000000000/files?name=f HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n"
    upload.sendall(head.encode() + b"x" * 1000)
    silent = socket.create_connection((host, int(port)))
    follower = threading.Thread(target=lambda: server.towpath("tail", check=False), daemon=True)
    follower.start()
    time.sleep(0.5)

    started = time.monotonic()
    assert server.stop(timeout=15) == 0, server.errors()
    took = time.monotonic() - started
    assert took < 10, f"the server took {took:.1f} s to stop"
    upload.close()
    silent.close()
    follower.join(30)

    # What was acknowledged is there afterwards, and the query is over.
    again = new_server()
    cloudtrail = again.client()
    assert int(query(cloudtrail, f"SELECT count(*) FROM {table} WHERE eventname = 'ListChannels'")[0][0][1]) == 200
    assert cloudtrail.describe_query(QueryId=running)["QueryStatus"] in ("CANCELLED", "FAILED", "TIMED_OUT")
    assert error_of(cloudtrail.get_event_data_store, EventDataStore=unique())[0] == "EventDataStoreARNInvalidException"
