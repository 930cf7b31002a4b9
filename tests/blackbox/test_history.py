"""Towpath audits itself: every call is in event history and in management stores, in the form of a CloudTrail record."""

import datetime
import json
import re

import pytest

from conftest import audit_event, error_of, new_activity_store, new_channel, new_store, query, scalar, store_id, unique

ORDER = [
    "eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent",
    "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData", "requestID", "eventID",
    "readOnly", "resources", "eventType", "apiVersion", "managementEvent", "recipientAccountId", "sharedEventID",
    "serviceEventDetails", "vpcEndpointId", "vpcEndpointAccountId", "eventCategory", "tlsDetails",
]


def lookup(client, key, value, **arguments):
    attributes = [{"AttributeKey": key, "AttributeValue": value}]
    return client.lookup_events(LookupAttributes=attributes, **arguments)["Events"]


def test_a_call_becomes_a_record(server, cloudtrail):
    name = unique()
    arn = new_store(cloudtrail, Name=name)
    event = next(event for event in lookup(cloudtrail, "EventName", "CreateEventDataStore") if arn in event["CloudTrailEvent"])
    record = json.loads(event["CloudTrailEvent"])
    assert [key for key in ORDER if key in record] == list(record)
    assert record["eventVersion"] == "1.11"
    assert record["userIdentity"] == {
        "type": "Root", "principalId": "000000000000", "arn": "arn:aws:iam::000000000000:root",
        "accountId": "000000000000", "accessKeyId": server.root_key[0],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["eventTime"])
    assert (record["eventSource"], record["awsRegion"]) == ("cloudtrail.amazonaws.com", "eu-central-1")
    assert record["sourceIPAddress"] == "127.0.0.1" and "Boto3" in record["userAgent"]
    assert record["requestParameters"]["name"] == name
    assert record["responseElements"]["eventDataStoreArn"] == arn
    assert (record["readOnly"], record["managementEvent"], record["eventType"]) == (False, True, "AwsApiCall")
    assert (record["recipientAccountId"], record["eventCategory"]) == ("000000000000", "Management")
    assert record["resources"] == [{"accountId": "000000000000", "type": "AWS::CloudTrail::EventDataStore", "ARN": arn}]

    assert event["EventId"] == record["eventID"]
    assert (event["EventName"], event["EventSource"]) == ("CreateEventDataStore", "cloudtrail.amazonaws.com")
    assert (event["ReadOnly"], event["Username"], event["AccessKeyId"]) == ("false", "root", server.root_key[0])
    assert {"ResourceType": "AWS::CloudTrail::EventDataStore", "ResourceName": arn} in event["Resources"]


def test_reads_have_no_response_and_failures_say_why(cloudtrail):
    missing = "11111111-2222-3333-4444-" + unique("").strip("-")
    error_of(cloudtrail.get_event_data_store, EventDataStore=missing)
    event = next(event for event in lookup(cloudtrail, "EventName", "GetEventDataStore") if missing in event["CloudTrailEvent"])
    record = json.loads(event["CloudTrailEvent"])
    assert record["errorCode"] == "EventDataStoreNotFoundException"
    assert missing in record["errorMessage"]
    assert record["responseElements"] is None and record["readOnly"] is True


def test_denied_calls_are_recorded(server):
    name = unique("user")
    server.towpath("iam", "user", "create", name)
    key = json.loads(server.towpath("iam", "key", "create", "--user", name, "--output", "json").stdout)
    client = server.client(key=(key["AccessKeyId"], key["SecretAccessKey"]))
    error_of(client.list_channels)
    [event] = lookup(server.client(), "AccessKeyId", key["AccessKeyId"])
    record = json.loads(event["CloudTrailEvent"])
    assert record["errorCode"] == "AccessDenied" or record["errorCode"] == "AccessDeniedException"
    assert record["userIdentity"]["userName"] == name and event["Username"] == name
    # Making the key is recorded too; its secret is not.
    everything = json.dumps(server.client().lookup_events()["Events"], default=str)
    assert key["SecretAccessKey"] not in everything


@pytest.mark.parametrize("key", ["EventId", "EventName", "EventSource", "ReadOnly", "AccessKeyId", "Username", "ResourceName", "ResourceType"])
def test_each_attribute_finds_the_event(cloudtrail, key):
    arn = new_store(cloudtrail)
    event = next(event for event in cloudtrail.lookup_events()["Events"] if arn in event["CloudTrailEvent"])
    value = {
        "ResourceName": arn,
        "ResourceType": "AWS::CloudTrail::EventDataStore",
    }.get(key) or event[key]
    found = lookup(cloudtrail, key, value)
    assert event["EventId"] in [other["EventId"] for other in found]
    assert lookup(cloudtrail, key, "no-such-value") == []


def test_pages_are_newest_first_and_complete(new_server):
    client = new_server().client()
    for _ in range(130):
        client.list_channels()
    pages = client.get_paginator("lookup_events").paginate(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "ListChannels"}])
    sizes, ids, times = [], [], []
    for page in pages:
        sizes.append(len(page["Events"]))
        ids += [event["EventId"] for event in page["Events"]]
        times += [event["EventTime"] for event in page["Events"]]
    assert len(ids) == len(set(ids)) == 130
    assert times == sorted(times, reverse=True)
    assert max(sizes) <= 50


def test_time_ranges_and_wrong_requests(cloudtrail):
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    cloudtrail.list_channels()
    assert cloudtrail.lookup_events(StartTime=now - hour, EndTime=now + hour)["Events"]
    assert cloudtrail.lookup_events(StartTime=now - 3 * hour, EndTime=now - 2 * hour)["Events"] == []
    assert error_of(cloudtrail.lookup_events, StartTime=now, EndTime=now - hour)[0] == "InvalidTimeRangeException"
    assert error_of(cloudtrail.lookup_events, NextToken="nonsense")[0] == "InvalidNextTokenException"
    two = [{"AttributeKey": "EventName", "AttributeValue": "a"}] * 2
    assert error_of(cloudtrail.lookup_events, LookupAttributes=two)[0] == "InvalidLookupAttributesException"


def test_history_is_of_one_region(server):
    server.client(region="us-west-2").list_channels()
    regions = {json.loads(event["CloudTrailEvent"])["awsRegion"] for event in server.client(region="us-west-2").lookup_events()["Events"]}
    assert regions == {"us-west-2"}


def test_a_management_store_takes_the_calls(cloudtrail):
    store = new_store(cloudtrail)
    cloudtrail.list_channels()
    rows = query(cloudtrail, f"SELECT eventName FROM {store_id(store)} WHERE eventname = 'ListChannels'")
    assert len(rows) == 1
    reads = new_store(
        cloudtrail,
        AdvancedEventSelectors=[{"FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Management"]}, {"Field": "readOnly", "Equals": ["false"]},
        ]}],
    )
    cloudtrail.list_channels()
    assert scalar(cloudtrail, f"SELECT count(*) FROM {store_id(reads)} WHERE readonly") == "0"


def test_a_data_store_takes_put_audit_events(server, cloudtrail):
    data_store = new_store(
        cloudtrail,
        AdvancedEventSelectors=[{"FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::CloudTrail::Channel"]},
        ]}],
    )
    channel = new_channel(cloudtrail, new_activity_store(cloudtrail))
    entry = audit_event("e-1", requestParameters={"password": "do-not-record-me"})
    server.client("cloudtrail-data").put_audit_events(channelArn=channel, auditEvents=[entry])
    text = scalar(
        cloudtrail, f"SELECT eventjson FROM {store_id(data_store)} WHERE element_at(resources, 1).arn = '{channel}'"
    )
    record = json.loads(text)
    assert (record["eventName"], record["eventCategory"], record["managementEvent"]) == ("PutAuditEvents", "Data", False)
    assert record["eventSource"] == "cloudtrail-data.amazonaws.com"
    assert record["resources"] == [{"accountId": "000000000000", "type": "AWS::CloudTrail::Channel", "ARN": channel}]
    assert "do-not-record-me" not in text
