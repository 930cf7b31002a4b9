#!/usr/bin/env python3
"""Writes crates/towpath-wire/testdata/sigv4.json: requests signed by botocore, for the signature tests.

The requests are ours, the keys are the well-known documentation examples. Running it again gives the same file as long
as botocore signs as it did.

    tools/generate_signatures.py
"""

import datetime
import json
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TARGET = Path(__file__).resolve().parent.parent / "crates/towpath-wire/testdata/sigv4.json"
NOW = datetime.datetime(2026, 11, 20, 9, 30, 0)
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE+token/with=signs+and/slashes=="
ARN = "arn:aws:cloudtrail:eu-central-1:123456789012:channel/11111111-2222-3333-4444-555555555555"
TARGET_HEADER = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."

JSON = {"Content-Type": "application/x-amz-json-1.1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def case(name, service, method="POST", path="/", params=None, headers=None, body="", token=None, expires=None):
    return dict(
        name=name,
        service=service,
        method=method,
        path=path,
        params=params,
        headers=headers or [],
        body=body,
        token=token,
        expires=expires,
    )


def target(operation):
    return [*JSON.items(), ("X-Amz-Target", TARGET_HEADER + operation)]


CASES = [
    case("an empty AWS JSON call", "cloudtrail", headers=target("ListTrails"), body="{}"),
    case("a call with a session token", "cloudtrail", headers=target("ListTrails"), body="{}", token=TOKEN),
    case("a call with text beyond ASCII", "cloudtrail", headers=target("StartQuery"), body='{"QueryStatement":"é 🙂"}'),
    case(
        "audit events for a channel",
        "cloudtrail-data",
        path="/PutAuditEvents",
        params={"channelArn": ARN, "externalId": "a+b=c,d@e:/f-g_h"},
        headers=[("Content-Type", "application/json")],
        body='{"auditEvents":[{"id":"1","eventData":"{}"}]}',
    ),
    case(
        "a body hash in a header",
        "cloudtrail-data",
        path="/PutAuditEvents",
        params={"channelArn": ARN},
        headers=[("X-Amz-Content-SHA256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")],
        body="{}",
    ),
    case("a form", "sts", headers=[*FORM.items()], body="Action=GetCallerIdentity&Version=2011-06-15"),
    case("a query", "sts", method="GET", path="/?Action=GetCallerIdentity&Version=2011-06-15"),
    case("an operation of Towpath's own", "towpath", headers=[("X-Amz-Target", "Towpath_20261120.Tail")], body="{}"),
    case("a query with awkward values", "towpath", method="GET", path="/q",
         params={"b": "x y", "a": "", "é": "ü/🙂", "a-b": "~._-", "A": "1", "c": "x+y&z=%41"}),
    case("a query with repeated names", "towpath", method="GET", path="/q?b=2&a=2&a=1&a=&a=10"),
    case("a path with dots and doubled slashes", "towpath", method="GET", path="/a//b/./c/../d/"),
    case("a path with encoded characters", "towpath", method="GET", path="/a%20b/%C3%BC/c+d:e@f"),
    case("headers with blanks and commas", "towpath", method="GET",
         headers=[("X-Amz-Meta-A", "  two   blanks  "), ("X-Amz-Meta-B", "x,y"), ("Accept", "*/*")]),
    case("a header given twice", "towpath", method="GET", headers=[("X-Amz-Meta-A", "2"), ("X-Amz-Meta-A", "1")]),
    case("a presigned query", "sts", method="GET", path="/?Action=GetCallerIdentity&Version=2011-06-15", expires=60),
    case("a presigned query with a session token", "sts", method="GET", path="/?Action=GetCallerIdentity&Version=2011-06-15",
         token=TOKEN, expires=900),
    case("a presigned query with a header", "towpath", method="GET", path="/q?z=1&a=2", expires=604800,
         headers=[("X-Amz-Meta-A", "1")]),
]


def signed(entry):
    url = "http://127.0.0.1:4747" + entry["path"]
    request = AWSRequest(method=entry["method"], url=url, params=entry["params"] or {}, data=entry["body"].encode())
    for name, value in entry["headers"]:
        request.headers.add_header(name, value)
    credentials = Credentials(KEY, SECRET, entry["token"])
    region = "eu-central-1"
    if entry["expires"] is None:
        auth = botocore.auth.SigV4Auth(credentials, entry["service"], region)
    else:
        auth = botocore.auth.SigV4QueryAuth(credentials, entry["service"], region, expires=entry["expires"])
    canonical = []
    original = auth.canonical_request

    def remember(request):
        canonical.append(original(request))
        return canonical[-1]

    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        with mock.patch.object(auth, "canonical_request", remember):
            auth.add_auth(request)
    wire = request.prepare()
    parts = urlsplit(wire.url)
    return {
        "name": entry["name"],
        "time": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "access_key_id": KEY,
        "secret": SECRET,
        "session_token": entry["token"],
        "region": region,
        "service": entry["service"],
        "method": entry["method"],
        "uri": parts.path + ("?" + parts.query if parts.query else ""),
        "headers": [["host", parts.netloc]] + [[n.lower(), v] for n, v in request.headers.items()],
        "body": entry["body"],
        "presigned": entry["expires"] is not None,
        "canonical_request": canonical[0],
    }


def main():
    text = json.dumps([signed(entry) for entry in CASES], indent=1, ensure_ascii=False) + "\n"
    TARGET.write_text(text)
    print(f"{len(CASES)} requests")


if __name__ == "__main__":
    main()
