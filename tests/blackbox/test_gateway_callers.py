"""Who called, where neither Towpath nor what passed by knows it: an IAM and an STS are asked. And callers of other accounts."""

import json
import threading
import time

import pytest
import urllib3

from gateway.alone import Alone, RecordServer
from gateway.client import REGION, Calls
from gateway.listening import Handler, Listening
from gateway.server import ACCOUNT, KEY, GatewayServer
from gateway.upstream import moto as moto
from trails import account_with_key

pytestmark = pytest.mark.timeout(200)
OTHER = "111122223333"
# moto keeps what it makes in this account.
MOTO = "123456789012"


def made_directly(moto, name):
    """A user with a key that the gateway has not seen made."""
    direct = Calls(moto.url, KEY)
    direct("iam", "CreateUser", UserName=name, Path="/team/")
    made = direct("iam", "CreateAccessKey", UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def id_of(moto, name):
    return Calls(moto.url, KEY)("iam", "GetUser", UserName=name)["User"]["UserId"]


def assumed_directly(moto, name):
    direct = Calls(moto.url, KEY)
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = direct("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=policy)["Role"]
    session = direct("sts", "AssumeRole", RoleArn=role["Arn"], RoleSessionName="night")["Credentials"]
    return role, session


def test_iam_tells_the_user_of_a_key_and_an_sts_that_believes_everybody_tells_sessions_too(tmp_path, moto):
    asked = {"endpoint": moto.url, "access_key_id": KEY[0], "secret_access_key": KEY[1]}
    upstreams = [
        {"name": "by-iam", "service": "sqs", "url": moto.url, "iam": asked, "sts": asked},
        {"name": "by-sts", "service": "sns", "url": moto.url, "sts": moto.url, "sts_verifies": False},
        {"name": "silent", "service": "kms", "url": moto.url},
    ]
    key = made_directly(moto, "dora")
    user_id = id_of(moto, "dora")
    role, session = assumed_directly(moto, "Nightly")
    server = GatewayServer(tmp_path / "data", upstreams).start()
    try:
        store = server.store()
        calls = Calls(server.gateway, key)
        for service, operation in [("sqs", "ListQueues"), ("sns", "ListTopics"), ("kms", "ListKeys")]:
            calls(service, operation)
        [by_iam] = server.records(store, "eventname = 'ListQueues'")
        [by_sts] = server.records(store, "eventname = 'ListTopics'")
        for record in (by_iam, by_sts):
            identity = dict(record["userIdentity"])
            assert identity.pop("principalId") == user_id
            assert identity == {
                "type": "IAMUser", "arn": f"arn:aws:iam::{MOTO}:user/team/dora", "accountId": MOTO, "accessKeyId": key[0], "userName": "dora",
            }
            # Towpath does not keep that account, and an upstream's word would not do.
            assert record["recipientAccountId"] == ACCOUNT and "sharedEventID" not in record
        [silent] = server.records(store, "eventname = 'ListKeys'")
        assert silent["userIdentity"] == {"type": "Unknown", "accountId": ACCOUNT, "accessKeyId": key[0]}

        in_session = Calls(server.gateway, (session["AccessKeyId"], session["SecretAccessKey"]), session["SessionToken"])
        in_session("sns", "CreateTopic", Name="of-a-session")
        [record] = server.records(store, "eventname = 'CreateTopic'")
        identity = record["userIdentity"]
        assert identity["type"] == "AssumedRole" and identity["arn"].endswith(":assumed-role/Nightly/night")
        assert identity["principalId"] == f"{role['RoleId']}:night"
        assert identity["sessionContext"] == {"sessionIssuer": {
            "type": "Role", "principalId": role["RoleId"], "arn": role["Arn"], "accountId": MOTO, "userName": "Nightly",
        }}
        # moto takes who it does not know for somebody: the gateway does not.
        stranger = Calls(server.gateway, ("AKIANOBODYKNOWSME000", "a-secret"))
        stranger("sns", "DeleteTopic", TopicArn=f"arn:aws:sns:us-east-1:{MOTO}:of-a-session")
        [record] = server.records(store, "eventname = 'DeleteTopic'")
        assert record["userIdentity"]["type"] == "Unknown" and "userName" not in record["userIdentity"]
        everything = json.dumps(server.records(store)) + server.errors()
        for secret in (session["SessionToken"], session["SecretAccessKey"], key[1]):
            assert secret not in everything
    finally:
        assert server.stop() == 0


def answer(arn=f"arn:aws:iam::{MOTO}:root", account=MOTO, user_id=MOTO):
    return (
        f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{user_id}</UserId>"
        f"<Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    ).encode()


HOSTILE = {
    "sqs": lambda sts: sts.send(200, b"<x>" * 1_000_000),
    "sns": lambda sts: sts.send(200, answer()[:-60]),
    "kms": lambda sts: sts.send(200, answer(account=OTHER)),
    "ssm": lambda sts: sts.send(200, answer(arn=f"arn:aws:s3:::{MOTO}:root")),
    "events": lambda sts: sts.send(307, b"", location="/elsewhere"),
    "logs": lambda sts: sts.send(200, b"\xff\x00" + answer()),
    "ecr": lambda sts: sts.wait(),
    # The one that is not hostile, so that it is seen that the others would be believed.
    "kinesis": lambda sts: sts.send(200, answer()),
}
READS = {
    "sqs": "ListQueues", "sns": "ListTopics", "kms": "ListKeys", "ssm": "DescribeParameters", "events": "ListRules",
    "logs": "DescribeLogGroups", "ecr": "DescribeRepositories", "kinesis": "ListStreams",
}


class Sts(Handler):
    """An STS that answers by how it is called; a redirection leads to one that knows everybody."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        HOSTILE[self.server.behaviour](self)

    def do_GET(self):
        self.send(200, answer())

    def send(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def wait(self):
        self.server.leave.wait(60)
        self.close_connection = True


def test_a_hostile_sts_leaves_the_caller_unknown_and_holds_no_call_up_for_long(tmp_path, moto):
    asked = {}
    for service in HOSTILE:
        asked[service] = Listening(Sts)
        asked[service].server.behaviour, asked[service].server.asked = service, 0
        asked[service].server.leave = threading.Event()
    upstreams = [
        {"name": service, "service": service, "url": moto.url, "realm": service, "sts": sts.url, "sts_verifies": False}
        for service, sts in asked.items()
    ]
    server = GatewayServer(tmp_path / "data", upstreams).start()
    try:
        store, took = server.store(), {}
        key = ("AKIANOBODYKNOWSME000", "a-secret")
        for service, operation in READS.items():
            began = time.monotonic()
            Calls(server.gateway, key)(service, operation)
            took[service] = time.monotonic() - began
        # Who does not answer is waited for once, and not for the next caller.
        began = time.monotonic()
        Calls(server.gateway, key)("ecr", READS["ecr"])
        Calls(server.gateway, ("AKIANOBODYKNOWSME111", "a-secret"))("ecr", READS["ecr"])
        assert time.monotonic() - began < 2
        assert 2.5 < took.pop("ecr") < 8 and sum(took.values()) < 8, took
        kinds = {record["eventSource"].split(".")[0]: record["userIdentity"] for record in server.records(store, f"useridentity.accesskeyid LIKE 'AKIANOBODY%'")}
        root = kinds.pop("kinesis")
        assert root["type"] == "Root" and root["accountId"] == MOTO
        assert len(kinds) == len(HOSTILE) - 1
        for service, identity in kinds.items():
            assert identity["type"] == "Unknown" and identity["accountId"] == ACCOUNT, (service, identity)
        assert {service: sts.server.asked for service, sts in asked.items()} == dict.fromkeys(HOSTILE, 1)
    finally:
        for sts in asked.values():
            sts.server.leave.set()
        assert server.stop() == 0
        for sts in asked.values():
            sts.stop()


def history(server, key, name):
    """The records of a name in the history of the account that a key is of."""
    attributes = [{"AttributeKey": "EventName", "AttributeValue": name}]
    found = server.client(key=key, region=REGION).lookup_events(LookupAttributes=attributes)["Events"]
    return [json.loads(event["CloudTrailEvent"]) for event in found]


def check_copies(server, other, name, expected):
    """One record in the upstream's account, and the caller's copy."""
    [theirs], [own] = history(server, other, name), history(server, KEY, name)
    assert theirs["sharedEventID"] == own["sharedEventID"] and theirs["eventID"] != own["eventID"]
    assert (theirs["recipientAccountId"], own["recipientAccountId"]) == (OTHER, ACCOUNT)
    assert theirs["userIdentity"] == {"type": "AWSAccount", "principalId": expected["principalId"], "accountId": ACCOUNT}
    assert {member: own["userIdentity"][member] for member in expected} == expected
    particular = ("sharedEventID", "eventID", "recipientAccountId", "userIdentity")
    rest = lambda record: {member: value for member, value in record.items() if member not in particular}
    assert rest(theirs) == rest(own)


@pytest.mark.parametrize("place", ["within the server", "by itself"])
def test_a_caller_of_another_account_of_towpath_has_a_copy_of_the_record(tmp_path, moto, place):
    upstreams = [
        {"name": "theirs", "service": "sqs", "url": moto.url, "account": OTHER},
        {"name": "ours", "service": "sns", "url": moto.url},
    ]
    if place == "within the server":
        server = gateway = GatewayServer(tmp_path / "data", upstreams).start()
        address = server.gateway
    else:
        server = RecordServer(tmp_path / "data").start()
        gateway = Alone(tmp_path, server, upstreams)
    try:
        other = account_with_key(server, OTHER)
        server.towpath("iam", "user", "create", "erin")
        made = json.loads(server.towpath("iam", "key", "create", "--user", "erin", "--output", "json").stdout)
        if place == "by itself":
            address = gateway.start().address
        root = Calls(address, KEY)
        root("sqs", "CreateQueue", QueueName="across")
        check_copies(server, other, "CreateQueue", {"type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT})
        erin = Calls(address, (made["AccessKeyId"], made["SecretAccessKey"]))
        erin("sqs", "ListQueues")
        [record] = history(server, other, "ListQueues")
        check_copies(server, other, "ListQueues", {"type": "IAMUser", "userName": "erin", "principalId": record["userIdentity"]["principalId"]})
        # Within one account there is one record, and strangers have no account here.
        root("sns", "CreateTopic", Name="within")
        [record] = history(server, KEY, "CreateTopic")
        assert record["userIdentity"]["type"] == "Root" and "sharedEventID" not in record
        Calls(address, made_directly(moto, f"stranger-{place.split()[0]}"))("sqs", "DeleteQueue", QueueUrl=f"{moto.url}/{MOTO}/across")
        [record] = history(server, other, "DeleteQueue")
        assert record["userIdentity"]["type"] == "Unknown" and "sharedEventID" not in record
        assert history(server, KEY, "DeleteQueue") == []
    finally:
        if gateway is not server:
            gateway.end()
        assert server.stop() == 0, server.errors()


def test_a_key_that_an_upstream_knows_is_not_that_of_another_upstream(tmp_path, moto):
    """A caller asks who it is at one service; another service, which knows other keys, has not said so."""
    key = made_directly(moto, "frank")
    upstreams = [
        {"name": "asked", "service": "sts", "url": moto.url},
        {"name": "same", "service": "sns", "url": moto.url},
        # The same machine by another name is another service, unless it is told that it is not.
        {"name": "other", "service": "sqs", "url": moto.url.replace("127.0.0.1", "localhost")},
        {"name": "told", "service": "kms", "url": moto.url.replace("127.0.0.1", "localhost"), "realm": moto.url},
    ]
    server = GatewayServer(tmp_path / "data", upstreams).start()
    try:
        store, calls = server.store(), Calls(server.gateway, key)
        calls("sts", "GetCallerIdentity")
        for service in ("sns", "sqs", "kms"):
            calls(service, READS[service])
        kinds = {record["eventName"]: record["userIdentity"].get("userName") for record in server.records(store, f"useridentity.accesskeyid = '{key[0]}'")}
        # The record of the question itself has its answer.
        assert kinds == {"GetCallerIdentity": "frank", "ListTopics": "frank", "ListQueues": None, "ListKeys": "frank"}
    finally:
        assert server.stop() == 0


class Echo(Handler):
    """A service that answers with what it was sent, and does not look at what that was signed for."""

    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers["content-length"])))

    def do_GET(self):
        self.reply(answer())

    def reply(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_content_that_looks_like_an_answer_of_sts_makes_nobody_the_root(tmp_path):
    echo = Listening(Echo)
    server = GatewayServer(tmp_path / "data", [{"name": "echo", "service": "*", "url": echo.url}]).start()
    try:
        store, pool = server.store(), urllib3.PoolManager()
        scope = "AWS4-HMAC-SHA256 Credential=AKIAMALLORY/20261121/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=" + "0" * 64
        question, plain = "/?Action=GetCallerIdentity", answer()
        both = plain.replace(b">", b" a='&Action=GetCallerIdentity&'>", 1)
        behind = plain + b"&Action=GetCallerIdentity"
        for path, body in [(question, None), (f"/evil.xml{question[1:]}", None), (question, plain), ("/bucket", both), ("/", both), ("/", behind)]:
            headers = {"Authorization": scope.format("sts"), "Content-Type": "application/x-www-form-urlencoded"}
            answered = pool.request("POST" if body else "GET", server.gateway + path, body=body, headers=headers)
            assert answered.data == (body or plain)
        pool.request("GET", server.gateway + "/", headers={"Authorization": scope.format("sqs"), "User-Agent": "call/after"})
        [record] = server.records(store, "useragent LIKE '%call/after%'")
        assert record["userIdentity"] == {"type": "Unknown", "accountId": ACCOUNT, "accessKeyId": "AKIAMALLORY"}
    finally:
        assert server.stop() == 0
        echo.stop()
