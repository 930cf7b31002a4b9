"""What passes is what the other side sent, byte for byte, in forms of HTTP that SDKs for Python do not use.

Upstream and client are sockets here, so that nothing between them tidies anything up."""

import base64
import gzip
import hashlib
import json
import socket
import zlib

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from gateway.client import REGION
from gateway.scripted import Scripted, exchange
from gateway.server import ACCOUNT, KEY, GatewayServer, free_port

pytestmark = pytest.mark.timeout(120)


def answer(status, *headers, body=b""):
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", body])


def chunks(*parts, trailers=b""):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


QUEUE = gzip.compress(b'{"QueueUrl":"http://queue.test/1/q"}', mtime=0)
# Answers that pass without the change of a byte.
SAME = {
    "/order": answer(b"200 OK", b"X-CaSe: a", b"Content-Length: 5", b"server: me", b"X-Odd: \xe9\xff", b"Date: then", body=b"hello"),
    "/reason": answer(b"299 Very Odd Reason", b"Content-Length: 0"),
    "/last-status": answer(b"999 Beyond", b"Content-Length: 2", body=b"ok"),
    "/no-content": answer(b"204 No Content", b'ETag: "x"'),
    "/not-modified": answer(b"304 Not Modified", b'ETag: "x"'),
    "/reset": answer(b"205 Reset Content", b"Content-Length: 0"),
    "/chunked": answer(b"200 OK", b"Transfer-Encoding: chunked", body=chunks(b"hello", b"world")),
    "/trailers": answer(b"200 OK", b"Transfer-Encoding: chunked", b"Trailer: x-t", body=chunks(b"hello", trailers=b"x-t: v\r\n")),
    "/large-header": answer(b"200 OK", b"X-Large: " + b"a" * 60_000, b"Content-Length: 2", body=b"ok"),
    "/many-headers": answer(b"200 OK", *(b"X-%d: v" % number for number in range(150)), b"Content-Length: 2", body=b"ok"),
    "/queue": answer(b"200 OK", b"Content-Encoding: gzip", b"Content-Length: %d" % len(QUEUE), body=QUEUE),
}
# Answers that come out in another form, and in which.
OTHER = {
    "/until-close": (answer(b"200 OK", b"X: y", body=b"until close"), answer(b"200 OK", b"X: y", b"transfer-encoding: chunked", body=b"B\r\nuntil close\r\n0\r\n\r\n")),
    # The length is a lie; the coding counts.
    "/both": (
        answer(b"200 OK", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"X: y", body=chunks(b"hello")),
        answer(b"200 OK", b"Transfer-Encoding: chunked", b"X: y", body=chunks(b"hello")),
    ),
    "/twice": (answer(b"200 OK", b"Content-Length: 2", b"Content-Length: 2", body=b"ok"), answer(b"200 OK", b"Content-Length: 2", body=b"ok")),
    "/interim": (answer(b"100 Continue") + answer(b"200 OK", b"Content-Length: 2", body=b"ok"), answer(b"200 OK", b"Content-Length: 2", body=b"ok")),
}
# Answers that are cut, with what the client has of them.
CUT = {
    "/short": answer(b"200 OK", b"Content-Length: 10", body=b"hello"),
    "/short-chunks": answer(b"200 OK", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
}


def echo(head, body):
    return answer(b"200 OK", b"Content-Length: %d" % len(head + body), body=head + body)


@pytest.fixture(scope="module")
def upstream():
    answers = {**SAME, **{path: sent for path, (sent, _) in OTHER.items()}, **CUT, "/echo": echo, "/": echo}
    scripted = Scripted(answers, closing=["/until-close", *CUT])
    yield scripted
    scripted.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, upstream):
    own = free_port()
    upstreams = [
        {"name": "own", "hosts": ["own.test"], "url": f"http://127.0.0.1:{own}"},
        {"name": "scripted", "hosts": ["h.test"], "url": upstream.url},
    ]
    server = GatewayServer(tmp_path_factory.mktemp("wire") / "data", upstreams)
    server.arguments += ["--s3-listen", f"127.0.0.1:{own}"]
    server.start()
    server.address, server.s3_endpoint = ("127.0.0.1", server.gateway_port), f"http://127.0.0.1:{own}"
    server.everything = server.store()
    yield server
    assert server.stop() == 0, server.errors()


def ask(path, *headers, method=b"GET", body=b"", version=b"1.1", mark=b"wire"):
    lines = [method + b" " + path.encode() + b" HTTP/" + version, b"Host: h.test", b"User-Agent: " + mark, *headers, b"", body]
    return b"\r\n".join(lines)


def without_closing(received):
    return received.replace(b"connection: close\r\n", b"")


def test_answers_pass_byte_for_byte(gateway, upstream):
    for path, sent in SAME.items():
        request = ask(path, b"Connection: close", b"TE: trailers")
        assert without_closing(exchange(gateway.address, request)) == sent, path
    for path, (_, expected) in OTHER.items():
        assert without_closing(exchange(gateway.address, ask(path, b"Connection: close"))) == expected, path


def test_requests_pass_byte_for_byte(gateway, upstream):
    for headers, body in [
        ([b"x-FIRST: 1", b"X-Empty:", b"Content-Length: 3", b"X-Utf: \xc3\xbc"], b"abc"),
        ([b"Transfer-Encoding: chunked"], chunks(b"hello", b"world")),
        ([b"Transfer-Encoding: chunked", b"Trailer: x-t"], chunks(b"hello", trailers=b"x-t: v\r\n")),
        ([b"Range: bytes=0-1", b"If-None-Match: \"a\""], b""),
    ]:
        sent = ask("/echo?a=%41&b=+%2F&c", *headers, method=b"PUT", body=body)
        got = exchange(gateway.address, sent, until=body or b"\r\n\r\n")
        assert got.endswith(sent), (sent, got)


def test_one_connection_takes_request_after_request_also_unanswered_ones(gateway):
    sent = b"".join(ask(f"/echo?{number}") for number in range(20))
    got = exchange(gateway.address, sent, until=b"/echo?19 HTTP/1.1\r\nHost: h.test\r\nUser-Agent: wire\r\n\r\n")
    assert [got.index(b"/echo?%d HTTP" % number) for number in range(20)] == sorted(got.index(b"/echo?%d HTTP" % number) for number in range(20))


def test_clients_of_http_1_0_have_whole_answers(gateway):
    got = exchange(gateway.address, ask("/chunked", version=b"1.0"))
    assert got.startswith(b"HTTP/1.0 200 OK\r\n") and got.endswith(b"\r\n\r\nhelloworld") and b"ransfer-" not in got
    got = exchange(gateway.address, ask("/until-close", version=b"1.0"))
    assert got == b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nuntil close"


def test_a_body_waits_for_the_upstreams_word(gateway):
    with socket.create_connection(gateway.address, timeout=10) as connection:
        connection.sendall(ask("/echo", b"Expect: 100-continue", b"Content-Length: 5", method=b"PUT"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_answer_that_was_cut_is_no_success_in_the_record(gateway):
    for path, sent in CUT.items():
        mark = f"cut{path}"
        got = exchange(gateway.address, ask(path, b"Connection: close", mark=mark.encode()))
        assert without_closing(got) == sent, path
        [record] = gateway.records(gateway.everything, f"useragent = '{mark}'")
        assert (record["errorCode"], record["responseElements"]) == ("ConnectionBroken", None)


def test_bytes_beyond_ascii_keep_nothing_out_of_a_record(gateway):
    exchange(gateway.address, ask("/queue", b"Connection: close", mark="agent-ü-1".encode()))
    exchange(gateway.address, ask("/queue", b"Connection: close", mark=b"agent-\xfc-2"))
    agents = {record["userAgent"] for record in gateway.records(gateway.everything, "useragent LIKE 'agent-%'")}
    assert agents == {"agent-ü-1", "agent-\N{REPLACEMENT CHARACTER}-2"}


def test_a_call_that_names_two_operations_is_refused_and_recorded(gateway, upstream):
    before = len(upstream.received)
    request = ask("/", b"X-Amz-Target: AmazonSQS.ListQueues", b"x-amz-target: AmazonSQS.DeleteQueue", b"Content-Length: 2", method=b"POST", body=b"{}", mark=b"two-targets")
    got = exchange(gateway.address, request)
    assert got.startswith(b"HTTP/1.1 400 ") and b"more than one header X-Amz-Target" in got
    assert len(upstream.received) == before
    [record] = gateway.records(gateway.everything, "useragent = 'two-targets'")
    assert record["errorCode"] == "BadRequestException"


def test_a_compressed_answer_is_read_for_the_record(gateway):
    headers = [b"X-Amz-Target: AmazonSQS.CreateQueue", b"Content-Type: application/x-amz-json-1.0", b"Content-Length: 17", b"Connection: close"]
    got = exchange(gateway.address, ask("/queue", *headers, method=b"POST", body=b'{"QueueName":"q"}', mark=b"compressed"))
    assert without_closing(got) == SAME["/queue"]
    [record] = gateway.records(gateway.everything, "useragent = 'compressed'")
    assert record["eventName"] == "CreateQueue" and record["responseElements"] == {"queueUrl": "http://queue.test/1/q"}


def test_a_data_event_with_a_body_beyond_what_is_read_along_is_not_lost(gateway):
    item = {"PutRequest": {"Item": {"id": {"S": "x" * 10_000}}}}
    body = json.dumps({"RequestItems": {"orders": [item] * 30}}).encode()
    headers = [b"X-Amz-Target: DynamoDB_20120810.BatchWriteItem", b"Content-Type: application/x-amz-json-1.0", b"Content-Length: %d" % len(body), b"Connection: close"]
    got = exchange(gateway.address, ask("/", *headers, method=b"POST", body=body, mark=b"long-batch"))
    assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(body)
    [record] = gateway.records(gateway.everything, "useragent = 'long-batch'")
    assert record["eventName"] == "BatchWriteItem" and record["managementEvent"] is False
    assert record["requestParameters"] == {"reason": "requestParameters too large", "omitted": True, "originalSize": len(body)}
    assert record["resources"] == [{"accountId": ACCOUNT, "type": "AWS::DynamoDB::Table"}]


def upload(key, framed, *, length):
    """An upload in chunks with a checksum behind them, as SDKs for JavaScript and Go send it; signed, as bytes."""
    headers = {
        "Host": "own.test", "User-Agent": "trailing", "X-Amz-Decoded-Content-Length": str(length),
        "Content-Encoding": "aws-chunked", "X-Amz-Trailer": "x-amz-checksum-crc32",
    }
    request = botocore.awsrequest.AWSRequest("PUT", f"http://own.test/trailing/{key}", headers=headers, data=b"")
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    request.context["payload_signing_enabled"] = False
    credentials = botocore.credentials.Credentials(*KEY)
    botocore.auth.S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    assert request.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"PUT /trailing/{key} HTTP/1.1\r\n{head}".encode() + framed


def test_uploads_with_checksums_behind_them_reach_a_bucket_of_towpath(gateway):
    s3 = gateway.client("s3", region=REGION)
    s3.create_bucket(Bucket="trailing")
    content = b"a" * 70_000 + b"b" * 70_000
    checksum = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    body = chunks(content[:65_536], content[65_536:], trailers=f"x-amz-checksum-crc32:{checksum}\r\n".encode())
    for key, framing in [
        ("length", b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body),
        ("chunked", b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(body[:1000], body[1000:])),
    ]:
        got = exchange(gateway.address, upload(key, framing, length=len(content)))
        assert got.startswith(b"HTTP/1.1 200 "), got
        stored = s3.get_object(Bucket="trailing", Key=key, ChecksumMode="ENABLED")
        assert hashlib.sha256(stored["Body"].read()).digest() == hashlib.sha256(content).digest()
        assert stored["ChecksumCRC32"] == checksum
    where = "useragent = '[trailing]' AND eventname = 'PutObject'"
    found = {record["requestParameters"]["key"]: record for record in gateway.records(gateway.everything, where) if record.get("additionalEventData")}
    assert set(found) == {"length", "chunked"}
    for record in found.values():
        assert record["additionalEventData"]["bytesTransferredIn"] == len(body)
        assert record["userIdentity"]["type"] == "Root" and "errorCode" not in record
