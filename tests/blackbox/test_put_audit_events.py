"""PutAuditEvents: limits, verdicts, checksums, retries, senders of other accounts."""

import base64
import hashlib
import json
import uuid

import botocore.exceptions
import pytest

from conftest import audit_event, error_of, new_activity_store, new_channel, query, scalar, store_id, unique


@pytest.fixture(scope="module")
def integration(server):
    """A store, a channel into it and a client that sends."""
    cloudtrail = server.client()
    store = new_activity_store(cloudtrail)
    return store, new_channel(cloudtrail, store), server.client("cloudtrail-data")


def put(integration, *entries, **arguments):
    _, channel, data = integration
    return data.put_audit_events(channelArn=channel, auditEvents=list(entries), **arguments)


def checksum(entry):
    digest = hashlib.sha256(entry["eventData"].encode()).digest()
    return {**entry, "eventDataChecksum": base64.b64encode(digest).decode()}


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"eventName": None}, "FieldNotFound"),
        ({"version": None}, "FieldNotFound"),
        ({"UID": None}, "FieldNotFound"),
        ({"recipientAccountId": None}, "FieldNotFound"),
        ({"userIdentity": {"type": "User"}}, "FieldNotFound"),
        ({"userIdentity": {"principalId": "p"}}, "FieldNotFound"),
        ({"eventName": "x" * 1025}, "FieldTooLong"),
        ({"errorCode": "x" * 257}, "FieldTooLong"),
        ({"userIdentity": {"type": "x" * 129, "principalId": "p"}}, "FieldTooLong"),
        ({"requestParameters": {"a": "x" * 102_401}}, "FieldTooLong"),
        ({"additionalEventData": {"a": "x" * 29_000}}, "FieldTooLong"),
        ({"eventTime": "yesterday"}, "InvalidData"),
        ({"eventTime": "2026-13-01T00:00:00Z"}, "InvalidData"),
        ({"eventName": 7}, "InvalidData"),
        ({"userIdentity": "me"}, "InvalidData"),
        ({"requestParameters": "text"}, "InvalidData"),
        ({"sourceIPAddress": "not an address"}, "InvalidData"),
        ({"recipientAccountId": "111111111111"}, "InvalidRecipient"),
        ({"eventSource": "s3.amazonaws.com"}, "InvalidEventSource"),
    ],
)
def test_a_refused_entry_has_its_code(integration, changes, code):
    answer = put(integration, audit_event("bad", **changes))
    assert answer["successful"] == []
    [failed] = answer["failed"]
    assert (failed["id"], failed["errorCode"]) == ("bad", code)
    assert failed["errorMessage"]


def test_good_and_bad_entries_share_a_call_in_request_order(integration):
    entries = [audit_event(f"e{n}", **({"eventName": None} if n % 3 == 0 else {})) for n in range(12)]
    answer = put(integration, *entries)
    assert [entry["id"] for entry in answer["failed"]] == ["e0", "e3", "e6", "e9"]
    assert [entry["id"] for entry in answer["successful"]] == [f"e{n}" for n in range(12) if n % 3]
    for entry in answer["successful"]:
        assert uuid.UUID(entry["eventID"])


@pytest.mark.parametrize("text", ["", "text", "[1]", "{", '{"version":"1"}}', "null", "{'a':1}", "[" * 5000])
def test_event_data_that_is_no_json_object_is_invalid_data(integration, text):
    [failed] = put(integration, {"id": "x", "eventData": text})["failed"]
    assert failed["errorCode"] == "InvalidData"


def test_checksums_are_of_the_exact_bytes(integration):
    right = checksum(audit_event("right", eventName="Grüße ✓"))
    wrong = {**audit_event("wrong"), "eventDataChecksum": right["eventDataChecksum"]}
    answer = put(integration, right, wrong)
    assert [entry["id"] for entry in answer["successful"]] == ["right"]
    assert [(entry["id"], entry["errorCode"]) for entry in answer["failed"]] == [("wrong", "InvalidChecksum")]


def test_a_retried_entry_is_the_same_event(server, integration):
    store, _, _ = integration
    entry = audit_event()
    count = lambda: scalar(
        server.client(), f"SELECT count(*) FROM {store_id(store)} WHERE eventdata.uid = '{json.loads(entry['eventData'])['UID']}'"
    )
    first = put(integration, entry)["successful"]
    assert put(integration, entry, audit_event())["successful"][0] == first[0]
    assert count() == "1"
    # The same id with other content is another event: senders number entries per batch.
    other = {**audit_event(), "id": entry["id"]}
    assert put(integration, other)["successful"][0]["eventID"] != first[0]["eventID"]


def test_a_retry_is_recognized_after_a_crash(new_server):
    server = new_server()
    cloudtrail = server.client()
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    entry = audit_event()
    send = lambda: server.client("cloudtrail-data").put_audit_events(channelArn=channel, auditEvents=[entry])["successful"]
    first = send()
    server.kill()
    server.start()
    assert send() == first
    assert scalar(server.client(), f"SELECT count(*) FROM {store_id(store)}") == "1"


def test_whole_call_errors(server, integration):
    store, channel, data = integration
    twice = audit_event("same")
    assert error_of(put, integration, twice, {**audit_event(), "id": "same"})[0] == "DuplicatedAuditEventId"
    unknown = channel[: -len(store_id(channel))] + str(uuid.uuid4())
    assert error_of(data.put_audit_events, channelArn=unknown, auditEvents=[audit_event()])[0] == "ChannelNotFound"
    bad = "arn:aws:cloudtrail:eu-central-1:000000000000:trail/x"
    assert error_of(data.put_audit_events, channelArn=bad, auditEvents=[audit_event()])[0] == "InvalidChannelARN"
    data = server.client("cloudtrail-data", parameter_validation=False)
    many = [audit_event() for _ in range(101)]
    assert error_of(data.put_audit_events, channelArn=channel, auditEvents=many)[0] == "ValidationException"
    assert error_of(data.put_audit_events, channelArn=channel, auditEvents=[])[0] == "ValidationException"
    bad_id = {**audit_event(), "id": "not allowed!"}
    assert error_of(data.put_audit_events, channelArn=channel, auditEvents=[bad_id])[0] == "ValidationException"


def test_a_call_over_a_megabyte_is_refused(integration):
    entries = [audit_event(requestParameters={"a": "x" * 90_000}) for _ in range(13)]
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        put(integration, *entries)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 413)


def test_an_event_over_256_kb_is_refused_alone(integration):
    big = audit_event("big", userIdentity={"type": "t", "principalId": "p", "details": {"a": "x" * 263_000}})
    answer = put(integration, big, audit_event("small"))
    assert [(entry["id"], entry["errorCode"]) for entry in answer["failed"]] == [("big", "InvalidData")]
    assert [entry["id"] for entry in answer["successful"]] == ["small"]


def test_every_destination_gets_the_event_under_one_id(server):
    cloudtrail = server.client()
    stores = [new_activity_store(cloudtrail) for _ in range(3)]
    channel = new_channel(cloudtrail, *stores)
    data = server.client("cloudtrail-data")
    [stored] = data.put_audit_events(channelArn=channel, auditEvents=[audit_event()])["successful"]
    for store in stores:
        assert scalar(cloudtrail, f"SELECT eventid FROM {store_id(store)}") == stored["eventID"]


def test_the_ingestion_status_is_true(server, integration):
    _, channel, _ = integration
    cloudtrail = server.client()
    [stored] = put(integration, audit_event())["successful"]
    status = cloudtrail.get_channel(Channel=channel)["IngestionStatus"]
    assert status["LatestIngestionSuccessEventID"] == stored["eventID"]
    assert status["LatestIngestionAttemptEventID"] == stored["eventID"]
    assert "LatestIngestionErrorCode" not in status
    put(integration, audit_event(eventTime="no"))
    status = cloudtrail.get_channel(Channel=channel)["IngestionStatus"]
    assert status["LatestIngestionErrorCode"] == "InvalidData"
    assert status["LatestIngestionSuccessEventID"] == stored["eventID"]


def policy(channel, principal, external_id=None):
    statement = {
        "Sid": "senders",
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "cloudtrail-data:PutAuditEvents",
        "Resource": channel,
    }
    if external_id:
        statement["Condition"] = {"StringEquals": {"cloudtrail:ExternalId": external_id}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_sender_of_another_account_needs_the_policy_and_the_external_id(server):
    cloudtrail = server.client()
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    account = f"{uuid.uuid4().int % 10**12:012d}"
    server.towpath("iam", "account", "create", account)
    key = json.loads(server.towpath("iam", "key", "create", "--account-id", account, "--output", "json").stdout)
    partner = server.client("cloudtrail-data", key=(key["AccessKeyId"], key["SecretAccessKey"]))
    send = lambda **arguments: partner.put_audit_events(channelArn=channel, auditEvents=[audit_event()], **arguments)

    assert error_of(send)[0] == "ChannelInsufficientPermission"
    cloudtrail.put_resource_policy(ResourceArn=channel, ResourcePolicy=policy(channel, f"arn:aws:iam::{account}:root", "ext-1"))
    assert error_of(send)[0] == "ChannelInsufficientPermission"
    assert error_of(send, externalId="wrong")[0] == "ChannelInsufficientPermission"
    assert len(send(externalId="ext-1")["successful"]) == 1
    # With an external id in the policy every call needs it, the owner's too.
    owner = server.client("cloudtrail-data")
    assert error_of(owner.put_audit_events, channelArn=channel, auditEvents=[audit_event()])[0] == (
        "ChannelInsufficientPermission"
    )
    cloudtrail.delete_resource_policy(ResourceArn=channel)
    assert error_of(send, externalId="ext-1")[0] == "ChannelInsufficientPermission"


def test_channel_policies_are_checked_when_put(server, integration):
    _, channel, _ = integration
    cloudtrail = server.client()
    put_policy = lambda text: cloudtrail.put_resource_policy(ResourceArn=channel, ResourcePolicy=text)
    root = "arn:aws:iam::000000000000:root"
    good = policy(channel, root)
    for text in [
        "not json",
        "{}",
        good.replace("cloudtrail-data:PutAuditEvents", "s3:GetObject"),
        good.replace(channel, channel[:-1] + "x"),
        good.replace("Allow", "Perhaps"),
        good.replace('"Sid"', '"Sidney"'),
        json.dumps({"Version": "2012-10-17", "Statement": [json.loads(good)["Statement"][0]] * 21}),
    ]:
        assert error_of(put_policy, text)[0] == "ResourcePolicyNotValidException", text
    put_policy(good)
    assert json.loads(cloudtrail.get_resource_policy(ResourceArn=channel)["ResourcePolicy"]) == json.loads(good)
    cloudtrail.delete_resource_policy(ResourceArn=channel)
    assert error_of(cloudtrail.get_resource_policy, ResourceArn=channel)[0] == "ResourcePolicyNotFoundException"


def test_channels_have_their_rules(server):
    cloudtrail = server.client()
    store = new_activity_store(cloudtrail)
    management = cloudtrail.create_event_data_store(Name=unique())["EventDataStoreArn"]
    assert error_of(new_channel, cloudtrail, management)[0] == "InvalidEventDataStoreCategoryException"
    assert error_of(new_channel, cloudtrail, store, source="Nobody")[0] == "InvalidSourceException"
    channel = new_channel(cloudtrail, store)
    renamed = cloudtrail.update_channel(Channel=channel, Name=unique("renamed"))
    assert renamed["Name"].startswith("renamed") and renamed["Source"] == "Custom"
    other = new_activity_store(cloudtrail)
    updated = cloudtrail.update_channel(Channel=channel, Destinations=[{"Type": "EVENT_DATA_STORE", "Location": store_id(other)}])
    assert updated["Destinations"] == [{"Type": "EVENT_DATA_STORE", "Location": other}]
    taken = cloudtrail.get_channel(Channel=new_channel(cloudtrail, store))["Name"]
    assert error_of(cloudtrail.update_channel, Channel=channel, Name=taken)[0] == "ChannelAlreadyExistsException"
    listed = {item["ChannelArn"] for page in cloudtrail.get_paginator("list_channels").paginate() for item in page["Channels"]} \
        if cloudtrail.can_paginate("list_channels") else {item["ChannelArn"] for item in cloudtrail.list_channels()["Channels"]}
    assert channel in listed
    cloudtrail.delete_channel(Channel=channel)
    assert error_of(cloudtrail.get_channel, Channel=channel)[0] == "ChannelNotFoundException"
    data = server.client("cloudtrail-data")
    assert error_of(data.put_audit_events, channelArn=channel, auditEvents=[audit_event()])[0] == "ChannelNotFound"
    assert error_of(cloudtrail.get_channel, Channel="nonsense")[0] == "ChannelARNInvalidException"


def test_real_partner_events_are_stored_byte_for_byte(server, integration):
    from conftest import SHARED

    store, _, _ = integration
    sent = {}
    for file in sorted((SHARED / "data" / "partners").glob("*.ndjson")):
        lines = [line for line in file.read_text().splitlines() if line.strip()]
        entries = [
            audit_event(eventSource=f"{file.stem}.example.com", additionalEventData={"raw": json.loads(line)})
            for line in lines
            if len(line) < 20_000
        ]
        for start in range(0, len(entries), 50):
            batch = entries[start : start + 50]
            answer = put(integration, *batch)
            assert answer["failed"] == []
            sent.update(zip((item["eventID"] for item in answer["successful"]), (entry["eventData"] for entry in batch)))
    rows = query(
        server.client(), f"SELECT eventid, eventjson FROM {store_id(store)} WHERE eventdata.eventsource LIKE '%.example.com'"
    )
    stored = {row[0][1]: row[1][1] for row in rows}
    for event_id, text in sent.items():
        assert stored[event_id].endswith(f'"eventData":{text}}}')
    assert len(sent) > 300
