"""Signatures that the gateway checks itself: of bodies that are signed in chunks, written out here as S3 documents them, of
uploads from forms, and of bodies that their head says nothing of."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import socket
import time

import boto3
import botocore.config
import pytest
import urllib3

from gateway.client import REGION, Calls
from gateway.server import KEY, GatewayServer
from gateway.upstream import moto as moto

pytestmark = pytest.mark.timeout(200)
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
NOTHING = hashlib.sha256(b"").hexdigest()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, moto):
    upstream = {"name": "moto", "service": "*", "url": moto.url, "verify_signatures": True}
    server = GatewayServer(tmp_path_factory.mktemp("signatures") / "data", [upstream]).start()
    server.all = server.store()
    Calls(server.gateway, KEY)("s3", "CreateBucket", Bucket="chunks")
    yield server
    assert server.stop() == 0, server.errors()


class Upload:
    """A PUT of an object in signed chunks."""

    def __init__(self, gateway, path, chunks, trailers=None, secret=KEY[1]):
        self.host = gateway.gateway.split("//")[1]
        self.path, self.chunks, self.trailers = path, [*chunks, b""], trailers
        self.date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.date[:8]}/{REGION}/s3/aws4_request"
        self.key = f"AWS4{secret}".encode()
        for part in (self.date[:8], REGION, "s3", "aws4_request"):
            self.key = hmac.digest(self.key, part.encode(), "sha256")

    def sign(self, kind, *lines):
        text = "\n".join([kind, self.date, self.scope, *lines])
        return hmac.new(self.key, text.encode(), "sha256").hexdigest()

    def headers(self, mark):
        signed = {
            "host": self.host, "x-amz-content-sha256": STREAMING + ("-TRAILER" if self.trailers else ""), "x-amz-date": self.date,
            "x-amz-decoded-content-length": str(sum(map(len, self.chunks))),
        }
        names = ";".join(sorted(signed))
        canonical = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = f"PUT\n{self.path}\n\n{canonical}\n{names}\n{signed['x-amz-content-sha256']}"
        self.seed = self.sign("AWS4-HMAC-SHA256", hashlib.sha256(request.encode()).hexdigest())
        authorization = f"AWS4-HMAC-SHA256 Credential={KEY[0]}/{self.scope}, SignedHeaders={names}, Signature={self.seed}"
        return {**signed, "authorization": authorization, "content-encoding": "aws-chunked", "user-agent": f"call/{mark}"}

    def body(self):
        """The parts of the body in their coding, each with the chunk that it is."""
        previous = self.seed
        for chunk in self.chunks:
            previous = self.sign("AWS4-HMAC-SHA256-PAYLOAD", previous, NOTHING, hashlib.sha256(chunk).hexdigest())
            end = b"\r\n" if chunk or not self.trailers else b""
            yield f"{len(chunk):x};chunk-signature={previous}\r\n".encode(), chunk, end
        if self.trailers:
            lines = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            last = self.sign("AWS4-HMAC-SHA256-TRAILER", previous, hashlib.sha256(lines.encode()).hexdigest())
            yield f"{lines}x-amz-trailer-signature:{last}\n".replace("\n", "\r\n").encode(), b"", b"\r\n"

    def send(self, mark, change=lambda number, chunk: chunk):
        """Sends it, chunks changed on their way; returns the status."""
        headers = self.headers(mark)
        parts = [head + change(number, chunk) + end for number, (head, chunk, end) in enumerate(self.body())]
        headers["content-length"] = str(sum(map(len, parts)))
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.putrequest("PUT", self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            try:
                for part in parts:
                    connection.send(part)
            except OSError:
                pass  # The answer came before the body was sent.
            return connection.getresponse().status
        finally:
            connection.close()


def record_of(gateway, mark):
    [record] = gateway.records(gateway.all, f"useragent LIKE '%call/{mark}%'")
    return record


def test_a_body_in_signed_chunks_passes_and_is_stored(gateway, moto):
    chunks = [os.urandom(65_536), os.urandom(65_536), b"the end"]
    assert Upload(gateway, "/chunks/whole", chunks).send("whole") == 200
    stored = Calls(moto.url, KEY)("s3", "GetObject", Bucket="chunks", Key="whole")["Body"].read()
    assert stored == b"".join(chunks)
    record = record_of(gateway, "whole")
    assert record["eventName"] == "PutObject" and "errorCode" not in record
    assert record["userIdentity"]["accessKeyId"] == KEY[0]
    assert record["requestParameters"]["key"] == "whole"


def test_signed_trailers_pass_with_their_body(gateway):
    upload = Upload(gateway, "/chunks/trailers", [b"x" * 65_536, b"y"], {"x-amz-checksum-crc32": "AAAAAA=="})
    # Whatever the service makes of the checksum: the gateway has let it pass.
    upload.send("trailers")
    assert record_of(gateway, "trailers").get("errorCode") != "AccessDenied"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_changed_chunk_is_refused_and_nothing_is_stored(gateway, moto, place):
    def change(number, chunk):
        return chunk[:-1] + bytes([chunk[-1] ^ 1]) if number == place else chunk

    mark = f"changed{place}"
    upload = Upload(gateway, f"/chunks/{mark}", [os.urandom(65_536), os.urandom(300_000), b"short"])
    assert upload.send(mark, change) == 403
    record = record_of(gateway, mark)
    assert (record["errorCode"], record["eventName"]) == ("AccessDenied", "PutObject")
    listed = Calls(moto.url, KEY)("s3", "ListObjectsV2", Bucket="chunks")
    assert mark not in [entry["Key"] for entry in listed.get("Contents", [])]


def test_a_chunk_that_is_left_out_is_missed(gateway):
    upload = Upload(gateway, "/chunks/missing", [b"a" * 65_536, b"b" * 65_536])
    whole = upload.body
    upload.body = lambda: [part for number, part in enumerate(whole()) if number != 1]
    assert upload.send("missing") == 403


def test_chunks_signed_with_another_secret_are_refused_at_once(gateway, moto):
    assert Upload(gateway, "/chunks/guessed", [b"a"], secret="a-guess").send("guessed") == 403
    assert "guessed" not in moto.seen


def form(gateway, version="s3v4", secret=KEY[1], expires=60, **more):
    s3 = boto3.client(
        "s3", endpoint_url=gateway.gateway, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=secret,
        config=botocore.config.Config(signature_version=version, s3={"addressing_style": "path"}),
    )
    conditions = [{"acl": "private"}, ["content-length-range", 1, 10_000_000]]
    return s3.generate_presigned_post("chunks", "form/${filename}", {"acl": "private"}, conditions, expires, **more)


def post(form, mark, content=b"what a person chose", url=None, **changed):
    fields = {**form["fields"], **changed, "file": (f"{mark}.txt", content, "text/plain")}
    answer = urllib3.PoolManager().request("POST", url or form["url"], fields=fields, headers={"User-Agent": f"m/call/{mark}"}, redirect=False)
    return answer.status


def stored(moto, key):
    listed = Calls(moto.url, KEY)("s3", "ListObjectsV2", Bucket="chunks")
    return key in [entry["Key"] for entry in listed.get("Contents", [])]


def test_an_upload_from_a_form_that_was_signed_for_it_passes_and_has_a_caller(gateway, moto):
    content = os.urandom(3_000_000)
    assert post(form(gateway), "formright", content) == 204
    kept = Calls(moto.url, KEY)("s3", "GetObject", Bucket="chunks", Key="form/formright.txt")["Body"].read()
    assert kept == content
    record = record_of(gateway, "formright")
    assert record["eventName"] == "PostObject" and "errorCode" not in record
    assert record["userIdentity"]["type"] == "Root" and record["userIdentity"]["accessKeyId"] == KEY[0]


@pytest.mark.parametrize("what", ["secret", "expired", "signature", "policy", "key", "acl", "bucket", "older", "more"])
def test_an_upload_from_another_form_is_refused_and_nothing_of_it_reaches_the_upstream(gateway, moto, what):
    mark = f"form{what}"
    signed = form(gateway)
    zeros = "0" * 64
    cases = {
        "secret": lambda: post(form(gateway, secret="a-guess"), mark),
        "expired": lambda: post(form(gateway, expires=-10), mark),
        "signature": lambda: post(signed, mark, **{"x-amz-signature": zeros}),
        "policy": lambda: post(signed, mark, policy=form(gateway, expires=3600)["fields"]["policy"]),
        "key": lambda: post(signed, mark, key="elsewhere/${filename}"),
        "acl": lambda: post(signed, mark, acl="public-read"),
        "bucket": lambda: post(signed, mark, url=signed["url"].replace("chunks", "others")),
        "older": lambda: post(form(gateway, version="s3"), mark),
        "more": lambda: post(signed, mark, **{"x-amz-meta-of": "nobody"}),
    }
    assert cases[what]() == 403
    record = record_of(gateway, mark)
    assert (record["errorCode"], record["eventName"]) == ("AccessDenied", "PostObject")
    assert record["userIdentity"]["type"] == "Unknown" and record["userIdentity"]["accessKeyId"] == KEY[0]
    assert mark not in moto.seen and not stored(moto, f"form/{mark}.txt")
    text = json.dumps(record)
    assert signed["fields"]["policy"] not in text and signed["fields"]["x-amz-signature"] not in text


def test_a_form_without_a_signature_is_nobodys_and_its_upstream_decides(gateway):
    unsigned = {"url": form(gateway)["url"], "fields": {"key": "form/unsigned.txt"}}
    post(unsigned, "unsigned")
    assert record_of(gateway, "unsigned")["userIdentity"]["accountId"] == "ANONYMOUS_PRINCIPAL"


def test_a_head_that_its_body_would_have_to_prove_is_not_carried_out_before(gateway, moto):
    """moto deletes when it has the head; it does not wait for a body."""
    Calls(moto.url, KEY)("s3", "PutObject", Bucket="chunks", Key="stays", Body=b"x")
    host = gateway.gateway.split("//")[1]
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    lines = [
        "DELETE /chunks/stays HTTP/1.1", f"Host: {host}", f"X-Amz-Date: {date}", "User-Agent: call/unfinished",
        f"Authorization: AWS4-HMAC-SHA256 Credential={KEY[0]}/{date[:8]}/{REGION}/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
        "Transfer-Encoding: chunked", "", "1", "x", "",
    ]
    with socket.create_connection(tuple(host.split(":")), timeout=10) as stream:
        stream.sendall("\r\n".join(lines).encode())
        time.sleep(0.5)
        assert "unfinished" not in moto.seen and stored(moto, "stays")
        stream.sendall(b"0\r\n\r\n")
        assert stream.recv(64).startswith(b"HTTP/1.1 403 ")
    record = record_of(gateway, "unfinished")
    assert record["errorCode"] == "AccessDenied" and record["userIdentity"]["type"] == "Unknown"
    assert stored(moto, "stays")
