"""Towpath's own operations, called as other software would: HTTP, signed by botocore."""

import http.client
import json
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from conftest import REGION


def send(server, operation, given, key=None, sign=True, service="towpath", region=REGION):
    """Calls an operation with an object, or with bytes as they are; returns status and parsed answer."""
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    headers = {"X-Amz-Target": f"Towpath_20261120.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    request = botocore.awsrequest.AWSRequest(method="POST", url=f"{server.endpoint}/", data=body, headers=headers)
    if sign:
        credentials = botocore.credentials.Credentials(*(key or server.root_key))
        botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    address = urllib.parse.urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    try:
        connection.request("POST", "/", body=body, headers=dict(request.headers.items()))
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    return response.status, json.loads(text) if text else {}


def ok(answer):
    """What was answered by a call that must not fail."""
    status, body = answer
    assert status == 200, body
    return body


def refused(answer):
    """Code and message of a call that must fail."""
    status, body = answer
    assert 400 <= status < 500, (status, body)
    return body["__type"].rpartition("#")[2], body.get("message", body.get("Message"))
