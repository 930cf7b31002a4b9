"""Certificates: of an STS with an authority of its own, and of a gateway whose certificate changes while it runs."""

import signal
import socket
import ssl
import time
import types

import pytest
import urllib3
from cryptography import x509

from conftest import free_port
from gateway.alone import Alone, RecordServer
from gateway.client import Calls
from gateway.server import ACCOUNT, KEY, GatewayServer
from gateway.upstream import Moto, moto as moto
from test_serve import Authority, authority as authority, serial_of

pytestmark = pytest.mark.timeout(200)


def encrypting(moto, certificate, key):
    """The same moto, which speaks TLS from now on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    moto.server.socket = context.wrap_socket(moto.server.socket, server_side=True)
    moto.url = moto.url.replace("http://", "https://")
    return moto


def test_an_sts_over_tls_is_asked_if_its_certificate_is_of_the_given_authority(tmp_path, moto, authority):
    certificate, key, _ = authority.write_pair("sts")
    secure = encrypting(Moto(), certificate, key)
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    direct = Calls(moto.url, KEY)
    direct("iam", "CreateUser", UserName="of-another-account")
    made = direct("iam", "CreateAccessKey", UserName="of-another-account")["AccessKey"]
    sts = {"endpoint": secure.url, "access_key_id": KEY[0], "secret_access_key": KEY[1]}
    upstreams = [
        {"name": "trusted", "service": "sqs", "url": moto.url, "sts": sts, "sts_ca": str(authority.bundle)},
        # One whose authority is another, and one that knows those of the public web alone.
        {"name": "other", "service": "sns", "url": moto.url, "account": "111122223333", "sts": sts, "sts_ca": str(other.bundle)},
        {"name": "public", "service": "kms", "url": moto.url, "account": "444455556666", "sts": sts},
    ]
    server = GatewayServer(tmp_path / "data", upstreams)
    server.start()
    try:
        for account in ("111122223333", "444455556666"):
            server.towpath("iam", "account", "create", account)
        calls = Calls(server.gateway, (made["AccessKeyId"], made["SecretAccessKey"]))
        store = server.store()
        calls("sqs", "ListQueues")
        [record] = server.records(store, "eventname = 'ListQueues'")
        # moto keeps users in the account 123456789012, which only its STS tells.
        assert record["userIdentity"]["accountId"] == "123456789012" and record["recipientAccountId"] == ACCOUNT
        calls("sns", "ListTopics")
        calls("kms", "ListKeys")
        deadline = time.monotonic() + 20
        while server.errors().count("certificate") < 2:
            assert time.monotonic() < deadline, server.errors()[-2000:]
            time.sleep(0.05)
    finally:
        assert server.stop() == 0
        secure.stop()


@pytest.fixture(params=["within the server", "by itself"])
def encrypted(request, tmp_path, moto, authority):
    """A gateway with a certificate of a file, and what it said."""
    certificate, key, serial = authority.write_pair()
    settings = {"tls.certificate": str(certificate), "tls.key": str(key)}
    upstreams = [{"name": "moto", "service": "*", "url": moto.url}]
    if request.param == "within the server":
        server = GatewayServer(tmp_path / "data", upstreams, **settings).start()
        yield types.SimpleNamespace(endpoint=server.gateway, process=server.process, said=server.errors, serial=serial, server=server)
    else:
        server = RecordServer(tmp_path / "data").start()
        alone = Alone(tmp_path, server, upstreams, listen=f"127.0.0.1:{free_port()}", **settings).start()
        said = lambda: alone.log.read_text()
        yield types.SimpleNamespace(endpoint=alone.address, process=alone.process, said=said, serial=serial, server=server)
        assert alone.stop() == 0
    assert server.stop() == 0, server.errors()


def test_a_gateway_takes_a_new_certificate_at_sighup_and_keeps_the_old_one_if_that_is_broken(encrypted, authority):
    store = encrypted.server.store()
    assert encrypted.endpoint.startswith("https://")
    assert serial_of(encrypted, authority.bundle) == encrypted.serial
    calls = Calls(encrypted.endpoint, KEY, verify=str(authority.bundle))
    calls("sqs", "CreateQueue", QueueName="before")
    # A conversation under the old certificate goes on.
    host, port = encrypted.endpoint.removeprefix("https://").rsplit(":", 1)
    context = ssl.create_default_context(cafile=str(authority.bundle))
    with socket.create_connection((host, int(port)), timeout=10) as plain, context.wrap_socket(plain, server_hostname=host) as open_one:
        certificate, _, second = authority.write_pair()
        assert second != encrypted.serial
        encrypted.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while serial_of(encrypted, authority.bundle) != second:
            assert time.monotonic() < deadline, f"the certificate was not read anew: {encrypted.said()[-2000:]}"
            time.sleep(0.02)
        assert x509.load_der_x509_certificate(open_one.getpeercert(binary_form=True)).serial_number == encrypted.serial
        open_one.sendall(f"GET /missing-bucket HTTP/1.1\r\nHost: {host}\r\nUser-Agent: call/open\r\nConnection: close\r\n\r\n".encode())
        assert open_one.recv(64).startswith(b"HTTP/1.1 ")
    calls = Calls(encrypted.endpoint, KEY, verify=str(authority.bundle))
    calls("sqs", "CreateQueue", QueueName="after")
    certificate.write_text("broken")
    encrypted.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while "the certificate stays the old one" not in encrypted.said():
        assert time.monotonic() < deadline, encrypted.said()[-2000:]
        time.sleep(0.02)
    assert serial_of(encrypted, authority.bundle) == second
    assert urllib3.PoolManager(ca_certs=str(authority.bundle)).request("GET", encrypted.endpoint + "/x", retries=False).status < 600
    calls("sqs", "CreateQueue", QueueName="at-the-end")

    def names():
        records = encrypted.server.records(store, "eventname = 'CreateQueue'")
        assert all(record["tlsDetails"]["tlsVersion"] == "TLSv1.3" for record in records)
        return sorted(record["requestParameters"]["queueName"] for record in records)

    while names() != ["after", "at-the-end", "before"]:
        assert time.monotonic() < deadline + 20, names()
        time.sleep(0.1)
