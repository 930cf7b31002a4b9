"""What clients see on the wire: signatures, errors, limits, hostile requests."""

import datetime
import http.client
import json
import socket
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from conftest import REGION, error_of

TARGET = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."


def request(server, operation="ListChannels", body=b"{}", key=None, token=None, sign=True, service="cloudtrail",
            headers=None, change=None, shift=None, method="POST", path="/"):
    """Sends one request, signed by botocore unless told otherwise; returns status, headers and parsed body."""
    access_key, secret = key or server.root_key
    url = server.endpoint + path
    all_headers = {"X-Amz-Target": TARGET + operation, "Content-Type": "application/x-amz-json-1.1", **(headers or {})}
    prepared = botocore.awsrequest.AWSRequest(method=method, url=url, data=body, headers=all_headers)
    if sign:
        auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(access_key, secret, token), service, REGION)
        if shift:
            now = datetime.datetime.now(datetime.timezone.utc) + shift
            botocore.auth.get_current_datetime, original = (lambda *a, **k: now.replace(tzinfo=None)), botocore.auth.get_current_datetime
            try:
                auth.add_auth(prepared)
            finally:
                botocore.auth.get_current_datetime = original
        else:
            auth.add_auth(prepared)
    sent = dict(prepared.headers.items())
    if change:
        body = change(sent) or body
    address = urllib.parse.urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request(method, path, body=body, headers=sent)
    response = connection.getresponse()
    text = response.read()
    parsed = json.loads(text) if text[:1] == b"{" else text
    return response.status, dict(response.getheaders()), parsed


def code(answer):
    return answer[2]["__type"].split("#")[-1]


def test_a_signed_request_is_answered(server):
    status, headers, body = request(server)
    assert status == 200 and "Channels" in body
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["content-type"] == "application/x-amz-json-1.1"
    assert len(lower["x-amzn-requestid"]) == 36


def test_both_target_prefixes_work(server):
    answer = request(server, headers={"X-Amz-Target": "CloudTrail_20131101.ListChannels"})
    assert answer[0] == 200


@pytest.mark.parametrize(
    "name, arguments, expected",
    [
        ("no signature", {"sign": False}, "MissingAuthenticationTokenException"),
        ("unknown key", {"key": ("AKIAAAAAAAAAAAAAAAAA", "secret")}, "UnrecognizedClientException"),
        ("wrong secret", {"key": (None, "wrong")}, "InvalidSignatureException"),
        ("wrong service", {"service": "s3"}, "InvalidSignatureException"),
        ("six minutes late", {"shift": datetime.timedelta(minutes=-6)}, "InvalidSignatureException"),
        ("six minutes early", {"shift": datetime.timedelta(minutes=6)}, "InvalidSignatureException"),
        ("changed body", {"change": lambda headers: b'{"MaxResults":1}'}, "InvalidSignatureException"),
        ("cut header", {"change": lambda headers: headers.update(Authorization="AWS4-HMAC-SHA256 Credential=x")},
         "IncompleteSignatureException"),
        ("other header", {"change": lambda headers: headers.update({"X-Amz-Target": TARGET + "ListImports"})},
         "InvalidSignatureException"),
        ("unsigned amz header", {"change": lambda headers: headers.update({"X-Amz-Extra": "1"})}, "InvalidSignatureException"),
        ("unknown operation", {"operation": "Nothing"}, "UnknownOperationException"),
        ("not json", {"body": b"{"}, "SerializationException"),
        ("not an object", {"body": b"[]"}, "SerializationException"),
    ],
)
def test_each_failure_has_its_error(server, name, arguments, expected):
    if arguments.get("key") and arguments["key"][0] is None:
        arguments = {**arguments, "key": (server.root_key[0], arguments["key"][1])}
    answer = request(server, **arguments)
    assert answer[0] in (400, 403, 404)
    assert code(answer) == expected
    assert answer[2]["Message"]
    assert server.root_key[1] not in json.dumps(answer[2])


def test_four_minutes_of_skew_are_fine(server):
    for minutes in (-4, 4):
        assert request(server, shift=datetime.timedelta(minutes=minutes))[0] == 200


@pytest.mark.parametrize(("service", "call", "next_step"), [
    ("iam", lambda iam: iam.list_users(), "towpath iam"),
    ("s3", lambda s3: s3.list_buckets(), "s3_listen"),
    ("s3", lambda s3: s3.get_object(Bucket="logs", Key="a/b"), "s3_listen"),
    ("ec2", lambda ec2: ec2.describe_instances(), "gateway"),
])
def test_calls_of_other_services_are_told_where_they_belong(server, service, call, next_step):
    import boto3

    access_key, secret = server.root_key
    client = boto3.client(service, endpoint_url=server.endpoint, region_name=REGION, aws_access_key_id=access_key,
                          aws_secret_access_key=secret)
    code, message = error_of(lambda: call(client))
    assert code == "InvalidAction" and f"{service} is not answered at this address" in message and next_step in message


def test_presigned_requests_work_until_they_expire(server):
    import time
    import boto3
    import botocore.config

    access_key, secret = server.root_key
    sts = boto3.client("sts", endpoint_url=server.endpoint, region_name=REGION, aws_access_key_id=access_key,
                       aws_secret_access_key=secret)
    get = lambda url: _get(url)
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    status, body = get(url)
    assert status == 200 and b"<Account>000000000000</Account>" in body
    status, body = get(url.replace("GetCallerIdentity", "AssumeRole"))
    assert status == 403 and b"SignatureDoesNotMatch" in body
    expired = sts.generate_presigned_url("get_caller_identity", ExpiresIn=1, HttpMethod="GET")
    time.sleep(2.5)
    status, body = get(expired)
    assert status in (400, 403) and b"xpired" in body


def _get(url):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("GET", f"{parts.path or '/'}?{parts.query}")
    response = connection.getresponse()
    return response.status, response.read()


def test_input_is_held_against_the_model(server):
    client = server.client(parameter_validation=False)
    code_, message = error_of(client.create_event_data_store, Name="x")
    assert code_ == "InvalidParameterException" and "length" in message.lower()
    assert error_of(client.list_event_data_stores, MaxResults=0)[0] == "InvalidMaxResultsException"
    assert error_of(client.get_event_data_store)[0] == "EventDataStoreARNInvalidException"
    answer = request(server, "CreateEventDataStore", body=b'{"Name": 7}')
    assert code(answer) == "SerializationException"
    answer = request(server, body=b'{"Unknown": 1, "MaxResults": 5}')
    assert answer[0] == 200


def test_operations_that_are_not_there_yet_say_so(server):
    client = server.client()
    assert error_of(client.list_dashboards)[0] == "UnsupportedOperationException"
    assert error_of(client.get_insight_selectors, TrailName="trail")[0] == "UnsupportedOperationException"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"POST /PutAuditEvents?channelArn=%ff%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"H%d: v\r\n" % n for n in range(2000)) + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 " + b"," * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_hostile_bytes_get_a_4xx_or_a_closed_connection(server, raw):
    address = urllib.parse.urlsplit(server.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except OSError:  # the server closed the connection first
            answer = b""
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 501"))
    assert request(server)[0] == 200


def test_a_body_that_never_ends_is_cut(server):
    body = b'{"Name":"' + b"a" * 3_000_000 + b'"}'
    try:
        answer = request(server, "CreateEventDataStore", body=body)
        assert answer[0] == 413
    except (OSError, http.client.HTTPException):
        pass
    assert request(server)[0] == 200


def test_health_and_metrics(server):
    for path, expected in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200)]:
        status, body = _get(server.endpoint + path)
        assert status == expected, path
    assert b"# TYPE" in body
    assert server.root_key[1].encode() not in body


def test_throttles_are_a_setting(new_server):
    server = new_server(environment={"TOWPATH_THROTTLES__PRESET": "aws"})
    client = server.client(retries={"total_max_attempts": 1})
    codes = set()
    for _ in range(6):
        try:
            client.lookup_events()
        except client.exceptions.ClientError as error:
            codes.add(error.response["Error"]["Code"])
    assert codes == {"ThrottlingException"}
