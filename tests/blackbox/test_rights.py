"""Accounts, users, roles, keys and policies, managed by `towpath iam`."""

import json
import uuid

import pytest

from conftest import audit_event, error_of, new_activity_store, new_channel, new_store, store_id, unique


def iam(server, *arguments, **keywords):
    done = server.towpath("iam", *arguments, "--output", "json", **keywords)
    return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture
def user(server):
    name = unique("user")
    iam(server, "user", "create", name)
    key = iam(server, "key", "create", "--user", name)
    return name, (key["AccessKeyId"], key["SecretAccessKey"])


def allow(*actions, resource="*", effect="Allow", **more):
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def put_policy(server, user, document, name="p"):
    return server.towpath("iam", "policy", "put", "--user", user, "--name", name, "--document", "-", stdin=json.dumps(document), check=False)


def test_who_am_i(server, user):
    name, key = user
    root = server.client("sts").get_caller_identity()
    assert (root["Account"], root["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")
    me = server.client("sts", key=key).get_caller_identity()
    assert me["Arn"] == f"arn:aws:iam::000000000000:user/{name}" and me["UserId"].startswith("AIDA")


def test_a_user_may_do_what_its_policies_say(server, user):
    name, key = user
    client = server.client(key=key)
    code, message = error_of(client.list_channels)
    assert code == "AccessDeniedException"
    assert f"user/{name} is not authorized to perform: cloudtrail:ListChannels" in message

    assert put_policy(server, name, allow("cloudtrail:List*")).returncode == 0
    client.list_channels()
    assert error_of(client.create_event_data_store, Name=unique())[0] == "AccessDeniedException"

    deny = allow("cloudtrail:ListChannels", effect="Deny")
    assert put_policy(server, name, deny, name="deny").returncode == 0
    code, message = error_of(client.list_channels)
    assert code == "AccessDeniedException" and "explicit deny" in message
    client.list_event_data_stores()


def test_rights_can_be_given_on_one_store(server, user):
    name, key = user
    mine, other = new_store(server.client()), new_store(server.client())
    put_policy(server, name, allow("cloudtrail:GetEventDataStore", "cloudtrail:StartQuery", resource=mine))
    client = server.client(key=key)
    client.get_event_data_store(EventDataStore=mine)
    client.start_query(QueryStatement=f"SELECT 1 FROM {store_id(mine)} LIMIT 1")
    assert error_of(client.get_event_data_store, EventDataStore=other)[0] == "AccessDeniedException"
    both = f"SELECT a.eventid FROM {store_id(mine)} a JOIN {store_id(other)} b ON a.eventid = b.eventid"
    assert error_of(client.start_query, QueryStatement=both)[0] == "AccessDeniedException"


def test_conditions_count(server, user):
    name, key = user
    client = server.client(key=key)
    here = allow("cloudtrail:ListChannels", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    put_policy(server, name, here)
    client.list_channels()
    there = allow("cloudtrail:ListChannels", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})
    put_policy(server, name, there)
    assert error_of(client.list_channels)[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    "document",
    [
        "nonsense",
        {"Version": "2012-10-17"},
        allow("cloudtrail:*", effect="Maybe"),
        allow("cloudtrail:*", Condition={"StringSortOf": {"a": "b"}}),
        allow("cloudtrail:*", Extra=1),
    ],
)
def test_a_policy_that_cannot_be_parsed_is_refused(server, user, document):
    done = put_policy(server, user[0], document)
    assert done.returncode != 0
    assert done.stderr.strip()


def test_keys_can_be_switched_off(server, user):
    name, key = user
    put_policy(server, name, allow("cloudtrail:*"))
    client = server.client(key=key)
    client.list_channels()
    iam(server, "key", "deactivate", key[0])
    assert error_of(client.list_channels)[0] in ("UnrecognizedClientException", "InvalidClientTokenId")
    iam(server, "key", "activate", key[0])
    client.list_channels()
    iam(server, "key", "delete", key[0])
    assert error_of(client.list_channels)[0] == "UnrecognizedClientException"


def test_a_role_is_assumed(server, user):
    name, key = user
    role = unique("role")
    arn = f"arn:aws:iam::000000000000:role/{role}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::000000000000:user/{name}"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "e-1"}},
            }
        ],
    }
    server.towpath("iam", "role", "create", role, "--trust", "-", stdin=json.dumps(trust))
    server.towpath("iam", "policy", "put", "--role", role, "--name", "p", "--document", "-",
                   stdin=json.dumps(allow("cloudtrail:ListChannels")))
    sts = server.client("sts", key=key)
    assert error_of(sts.assume_role, RoleArn=arn, RoleSessionName="me")[0] == "AccessDenied"
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="me", ExternalId="e-1", DurationSeconds=900)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{role}/me"
    session = answer["Credentials"]
    session_key = (session["AccessKeyId"], session["SecretAccessKey"])
    client = server.client(key=session_key, token=session["SessionToken"])
    client.list_channels()
    assert error_of(client.list_event_data_stores)[0] == "AccessDeniedException"
    assert error_of(server.client(key=session_key).list_channels)[0] == "UnrecognizedClientException"
    assert error_of(server.client(key=session_key, token="wrong").list_channels)[0] == "UnrecognizedClientException"
    server.towpath("iam", "policy", "delete", "--role", role, "--name", "p")
    server.towpath("iam", "role", "delete", role)
    assert error_of(client.list_channels)[0] == "UnrecognizedClientException"


def test_accounts_do_not_see_each_other(server):
    account = f"{uuid.uuid4().int % 10**12:012d}"
    server.towpath("iam", "account", "create", account)
    key = iam(server, "key", "create", "--account-id", account)
    other = server.client(key=(key["AccessKeyId"], key["SecretAccessKey"]))
    mine = new_store(server.client())
    assert other.list_event_data_stores()["EventDataStores"] == []
    assert error_of(other.get_event_data_store, EventDataStore=mine)[0] in (
        "AccessDeniedException", "EventDataStoreNotFoundException"
    )
    assert error_of(other.start_query, QueryStatement=f"SELECT 1 FROM {store_id(mine)}")[0] == (
        "EventDataStoreNotFoundException"
    )
    assert other.lookup_events()["Events"]
    for event in other.lookup_events()["Events"]:
        assert json.loads(event["CloudTrailEvent"])["recipientAccountId"] == account


def test_secrets_are_nowhere_in_the_clear(new_server):
    server = new_server()
    name = unique("user")
    iam(server, "user", "create", name)
    key = iam(server, "key", "create", "--user", name)
    secrets = [key["SecretAccessKey"].encode(), server.root_key[1].encode()]
    server.client(key=(key["AccessKeyId"], key["SecretAccessKey"]), retries={"max_attempts": 1})
    server.stop()
    for path in server.data_dir.rglob("*"):
        if path.is_file() and path.name != "credentials":
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path.name
    # The root key is printed once, at the first start; nothing else ever is.
    assert key["SecretAccessKey"] not in server.errors()
    assert server.errors().count(server.root_key[1]) == 1


def test_a_policy_of_a_channel_is_not_about_a_user_made_anew(server):
    cloudtrail = server.client()
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    name = unique("sender")
    arn = f"arn:aws:iam::000000000000:user/{name}"
    statement = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "cloudtrail-data:PutAuditEvents", "Resource": channel}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    code, message = error_of(cloudtrail.put_resource_policy, ResourceArn=channel, ResourcePolicy=policy)
    assert code == "ResourcePolicyNotValidException" and arn in message

    def sender():
        iam(server, "user", "create", name)
        key = iam(server, "key", "create", "--user", name)
        return key["AccessKeyId"], server.client("cloudtrail-data", key=(key["AccessKeyId"], key["SecretAccessKey"]))

    first, data = sender()
    cloudtrail.put_resource_policy(ResourceArn=channel, ResourcePolicy=policy)
    assert data.put_audit_events(channelArn=channel, auditEvents=[audit_event()])["failed"] == []
    shown = lambda: json.loads(cloudtrail.get_resource_policy(ResourceArn=channel)["ResourcePolicy"])
    assert shown() == json.loads(policy)
    server.towpath("iam", "key", "delete", first)
    server.towpath("iam", "user", "delete", name)
    _, data = sender()
    assert error_of(data.put_audit_events, channelArn=channel, auditEvents=[audit_event()])[0] == "AccessDeniedException"
    assert shown()["Statement"][0]["Principal"]["AWS"].startswith("AIDA")


def test_tags_of_a_session_decide_and_are_recorded(server, user):
    name, key = user
    role = unique("role")
    arn = f"arn:aws:iam::000000000000:role/{role}"
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::000000000000:user/{name}"},
         "Action": ["sts:AssumeRole", "sts:TagSession"]},
    ]}
    server.towpath("iam", "role", "create", role, "--trust", "-", stdin=json.dumps(trust))
    rights = allow("cloudtrail:ListChannels", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}})
    server.towpath("iam", "policy", "put", "--role", role, "--name", "p", "--document", "-", stdin=json.dumps(rights))
    sts = server.client("sts", key=key)

    def session(**arguments):
        made = sts.assume_role(RoleArn=arn, RoleSessionName="me", **arguments)["Credentials"]
        return server.client(key=(made["AccessKeyId"], made["SecretAccessKey"]), token=made["SessionToken"])

    assert error_of(session().list_channels)[0] == "AccessDeniedException"
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "cost centre", "Value": "7"}]
    session(Tags=tags, TransitiveTagKeys=["team"]).list_channels()
    code, message = error_of(sts.assume_role, RoleArn=arn, RoleSessionName="me", SerialNumber="arn:aws:iam::0:mfa/x", TokenCode="123456")
    assert code == "ValidationError" and "MFA" in message
    code, message = error_of(sts.assume_role, RoleArn=arn, RoleSessionName="me", PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}])
    assert code == "ValidationError" and "PolicyArns" in message

    found = server.client().lookup_events(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": arn}])["Events"]
    requests = [json.loads(event["CloudTrailEvent"])["requestParameters"] for event in found if event["EventName"] == "AssumeRole"]
    assert {"key": "team", "value": "blue"} in next(request["tags"] for request in requests if "tags" in request)
