"""Services that moto lacks, behind the gateway: a stub upstream that speaks by the services' models."""

import copy
import json
import zlib

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest
import urllib3

from conftest import SHARED
from gateway.client import Calls
from gateway.expected import differences
from gateway.server import ACCOUNT, KEY, GatewayServer
from gateway.stub import Stub, message, value
from trails import wait_for

pytestmark = pytest.mark.timeout(200)
SERVICES = ["partnercentral-account", "marketplace-catalog", "repostspace", "support-app", "trustedadvisor"]
CBOR = "smithy-rpc-v2-cbor"


@pytest.fixture(scope="module")
def stub():
    stub = Stub(*SERVICES, "support", "kinesis", "bedrock-runtime", ("cloudwatch", CBOR))
    yield stub
    stub.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, stub):
    upstream = {"name": "stub", "service": list(stub.services), "url": stub.url}
    server = GatewayServer(tmp_path_factory.mktemp("stub") / "data", [upstream]).start()
    yield server
    assert server.stop() == 0, server.errors()


@pytest.fixture(scope="module")
def store(gateway):
    return gateway.store()


def sample(name):
    """A published sample event."""
    read = json.loads((SHARED / "data/samples" / f"{name}.json").read_text())
    read = read[0] if isinstance(read, list) else read
    return read["Records"][0] if "Records" in read else read


def record_of(gateway, store, made):
    [record] = gateway.records(store, f"useragent LIKE '%call/{made.mark}'")
    return record


def assert_as_published(record, published):
    """Everything but ids, times, addresses and the caller is as in the published event."""
    for name in ("eventSource", "eventName", "awsRegion", "requestParameters", "responseElements", "eventType"):
        assert record[name] == published[name], name
    if "readOnly" in published:
        assert record["readOnly"] == published["readOnly"]
    assert record.get("resources") == published.get("resources")
    for member in ("requestParameters", "responseElements"):
        if published[member]:
            assert sorted(record[member]) == sorted(published[member])


def test_a_created_partner_is_recorded_as_published(gateway, stub, store):
    published = sample("partnercentral-account-CreatePartner")
    answer = copy.deepcopy(published["responseElements"])
    upper = lambda name: name[0].upper() + name[1:]
    raise_ = lambda node: {upper(name): raise_(inner) if isinstance(inner, dict) else inner for name, inner in node.items()}
    stub.set("CreatePartner", AwsTrainingCertificationEmailDomains=None, **raise_(answer))
    request = raise_(published["requestParameters"])
    request["Tags"] = [{"Key": "office", "Value": "1"}]
    calls = Calls(gateway.gateway, KEY)
    calls("partnercentral-account", "CreatePartner", **request)
    assert_as_published(record_of(gateway, store, calls.made[-1]), published)


def test_listed_entities_are_recorded_as_published(gateway, store):
    calls = Calls(gateway.gateway, KEY)
    calls(
        "marketplace-catalog", "ListEntities", Catalog="AWSMarketplace", EntityType="EntityProduct",
        Sort={"SortBy": "LastUpdateTimeInMillis", "SortOrder": "DESC"}, MaxResults=20,
    )
    assert_as_published(record_of(gateway, store, calls.made[-1]), sample("marketplacecatalog-ListEntities"))


def test_calls_to_support_are_recorded_as_published(gateway, stub, store):
    published = sample("support-CreateCase")
    stub.set("CreateCase", **published["responseElements"])
    calls = Calls(gateway.gateway, KEY)
    private = {"subject": "private", "communicationBody": "private", "ccEmailAddresses": ["private@example.com"]}
    calls("support", "CreateCase", **private, **published["requestParameters"])
    record = record_of(gateway, store, calls.made[-1])
    assert_as_published(record, published)
    assert "private" not in json.dumps(record)
    calls("support", "RefreshTrustedAdvisorCheck", checkId="Pfx0RwqBli")
    assert_as_published(record_of(gateway, store, calls.made[-1]), sample("support-RefreshTrustedAdvisorCheck"))
    published = sample("support-ResolveCase")
    stub.set("ResolveCase", **published["responseElements"])
    west = Calls(gateway.gateway, KEY, region="us-west-2")
    west("support", "ResolveCase", **published["requestParameters"])
    assert_as_published(record_of(gateway, store, west.made[-1]), published)


def test_calls_to_repost_private_are_recorded_as_published(gateway, stub, store):
    calls = Calls(gateway.gateway, KEY, region="us-west-2")
    published = sample("repostspace-CreateSpace")
    stub.set("CreateSpace", spaceId=published["responseElements"]["spaceId"])
    calls("repostspace", "CreateSpace", name="Test space name", subdomain="customsubdomain", tier="2000", description="Test space description")
    assert_as_published(record_of(gateway, store, calls.made[-1]), published)
    published = sample("repostspace-RegisterAdmin")
    calls("repostspace", "RegisterAdmin", **published["requestParameters"])
    assert_as_published(record_of(gateway, store, calls.made[-1]), published)
    calls("repostspace", "ListSpaces")
    assert_as_published(record_of(gateway, store, calls.made[-1]), sample("repostspace-ListSpaces"))


def test_every_operation_of_the_five_services_is_recorded_under_its_name(gateway, stub, store):
    calls = Calls(gateway.gateway, KEY)
    for service in SERVICES:
        model = calls.client(service).meta.service_model
        for name in model.operation_names:
            shape = model.operation_model(name).input_shape
            required = {key: shape.members[key] for key in shape.required_members} if shape else {}
            calls(service, name, **{key: value(member, (key,)) for key, member in required.items()})
            assert stub.calls[-1][0] == name
    assert len(calls.made) >= 80
    marks = {record["userAgent"].rsplit("/", 1)[1]: record for record in gateway.records(store, "useragent LIKE '%call/%'")}
    wrong = []
    for made in calls.made:
        record = marks[made.mark]
        if (record["eventName"], record.get("errorCode")) != (made.operation.name, None):
            wrong.append((made.service, made.operation.name, record["eventName"], record.get("errorCode")))
        if made.operation.name.startswith(("List", "Get", "Describe", "BatchDescribe")) and not record["readOnly"]:
            wrong.append((made.service, made.operation.name, "not read-only"))
    assert not wrong


def test_an_error_of_the_service_is_the_error_of_the_record(gateway, stub, store):
    stub.fail("GetSpace", 404, "ResourceNotFoundException", "there is no such space")
    calls = Calls(gateway.gateway, KEY)
    calls("repostspace", "GetSpace", error="ResourceNotFoundException", spaceId="SP1")
    stub.errors.clear()
    record = record_of(gateway, store, calls.made[-1])
    assert (record["errorCode"], record["errorMessage"]) == ("ResourceNotFoundException", "there is no such space")
    assert record["requestParameters"] == {"spaceId": "SP1"} and record["responseElements"] is None


def test_rpc_with_cbor_is_decoded(gateway, stub, store):
    session = boto3.Session()
    loader = session._session.get_component("data_loader")
    original = loader.load_service_model

    def only_cbor(name, kind, api_version=None):
        model = original(name, kind, api_version)
        if (name, kind) == ("cloudwatch", "service-2"):
            model["metadata"]["protocols"] = [CBOR]
        return model

    loader.load_service_model = only_cbor
    client = session.client(
        "cloudwatch", endpoint_url=gateway.gateway, region_name="us-east-1", aws_access_key_id=KEY[0],
        aws_secret_access_key=KEY[1], config=botocore.config.Config(user_agent="cbor-client", retries={"total_max_attempts": 1}),
    )
    assert client.meta.service_model.resolved_protocol == CBOR
    alarm = dict(
        AlarmName="high", MetricName="CPU", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1.5,
        ComparisonOperator="GreaterThanThreshold", Statistic="Average", Dimensions=[{"Name": "Host", "Value": "a"}],
    )
    client.put_metric_alarm(**alarm)
    assert client.describe_alarms(AlarmNames=["high"])["MetricAlarms"]
    stub.fail("DeleteAlarms", 400, "ResourceNotFound", "no such alarm")
    with pytest.raises(client.exceptions.ClientError):
        client.delete_alarms(AlarmNames=["high"])
    records = {record["eventName"]: record for record in gateway.records(store, "eventsource = 'monitoring.amazonaws.com'")}
    parameters = records["PutMetricAlarm"]["requestParameters"]
    assert parameters["alarmName"] == "high" and parameters["threshold"] == 1.5
    assert parameters["dimensions"] == [{"name": "Host", "value": "a"}]
    assert records["DescribeAlarms"]["requestParameters"] == {"alarmNames": ["high"]}
    assert records["DeleteAlarms"]["errorCode"] == "ResourceNotFound"


def test_a_service_that_no_upstream_takes_is_refused_and_recorded(gateway, store):
    calls = Calls(gateway.gateway, KEY)
    with pytest.raises(AssertionError):
        calls("sqs", "ListQueues")
    [made] = calls.made
    assert made.error and 400 <= made.status < 600
    record = record_of(gateway, store, made)
    assert record["eventName"] == "ListQueues" and record["errorCode"] == made.error[0]
    assert record["recipientAccountId"] == ACCOUNT


def test_the_comparison_notices_differences(gateway, store):
    """What the other tests rely on fails when a record is wrong."""
    calls = Calls(gateway.gateway, KEY)
    calls("support-app", "ListSlackChannelConfigurations", nextToken="page-2")
    made = calls.made[-1]
    record = record_of(gateway, store, made)
    assert differences(made, record, KEY[0], ACCOUNT) == []
    for name, wrong in [("eventName", "X"), ("requestParameters", {}), ("awsRegion", "x"), ("userAgent", ""), ("errorCode", "E")]:
        assert differences(made, {**record, name: wrong}, KEY[0], ACCOUNT)


def streamed(calls, service, operation, member, **parameters):
    """The events of a stream, and the code of the exception that ended it, as boto3 has them."""
    events = []
    try:
        for event in calls(service, operation, **parameters)[member]:
            events.append(event)
    except botocore.exceptions.EventStreamError as error:
        return events, error.response["Error"]["Code"]
    return events, None


def record_at_the_end(gateway, store, made):
    """The record of a call whose client does not wait for the end of the answer."""
    return wait_for("the record", lambda: gateway.records(store, f"useragent LIKE '%call/{made.mark}'"))[0]


def test_a_stream_of_events_passes_and_the_exception_that_ends_it_is_recorded(gateway, stub, store):
    calls = Calls(gateway.gateway, KEY)
    event = lambda kind, payload: message(json.dumps(payload).encode(), message_type="event", event_type=kind, content_type="application/json")
    failed = lambda kind, payload: message(json.dumps(payload).encode(), message_type="exception", exception_type=kind, content_type="application/json")
    first = event("initial-response", {})
    records = event("SubscribeToShardEvent", {"Records": [], "ContinuationSequenceNumber": "s3cr3t-1", "MillisBehindLatest": 0})
    shard = dict(ConsumerARN="arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1", ShardId="s", StartingPosition={"Type": "LATEST"})

    stub.stream("SubscribeToShard", first, records)
    assert streamed(calls, "kinesis", "SubscribeToShard", "EventStream", **shard)[1] is None
    passed = record_at_the_end(gateway, store, calls.made[-1])
    assert passed["eventName"] == "SubscribeToShard" and passed["requestParameters"]["shardId"] == "s"
    assert "errorCode" not in passed and passed["responseElements"] is None

    # More than is kept of an answer, so that only who reads along knows of its end.
    long = [records] * 5000
    stub.stream("SubscribeToShard", first, *long, failed("KMSAccessDeniedException", {"message": "not with this key"}))
    events, code = streamed(calls, "kinesis", "SubscribeToShard", "EventStream", **shard)
    assert (len(events), code) == (5000, "KMSAccessDeniedException")
    record = record_at_the_end(gateway, store, calls.made[-1])
    assert (record["errorCode"], record["errorMessage"]) == ("KMSAccessDeniedException", "not with this key")
    assert record["responseElements"] is None and "s3cr3t" not in json.dumps(record)

    stub.stream("ConverseStream", event("messageStart", {"role": "assistant"}), failed("throttlingException", {"message": "slow down"}))
    events, code = streamed(calls, "bedrock-runtime", "ConverseStream", "stream", modelId="m")
    assert (len(events), code) == (1, "throttlingException")
    record = record_at_the_end(gateway, store, calls.made[-1])
    assert (record["errorCode"], record["errorMessage"]) == ("ThrottlingException", "slow down")


def test_what_is_no_stream_of_events_passes_as_it_is(gateway, stub, store):
    whole = message(b"{}", message_type="exception", exception_type="throttlingException")
    broken = bytearray(whole)
    broken[-1] ^= 1
    endless = b"\xff" * 8 + zlib.crc32(b"\xff" * 8).to_bytes(4, "big") + b"x" * 1000
    for number, sent in enumerate([bytes(broken), endless, whole[:-3], b"no stream"]):
        stub.stream("ConverseStream", sent)
        mark = f"call/broken{number}-"
        assert signed(gateway, "bedrock", "POST", "/model/m/converse-stream", b"{}", mark) == sent
        [record] = gateway.records(store, f"useragent = '{mark}'")
        assert record["eventName"] == "ConverseStream" and "errorCode" not in record


def signed(gateway, service, method, path, body, mark):
    """The bytes of the answer to a call that no SDK reads."""
    request = botocore.awsrequest.AWSRequest(method, gateway.gateway + path, data=body, headers={"user-agent": mark})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(*KEY), service, "us-east-1").add_auth(request)
    return urllib3.PoolManager().request(method, request.url, body=body, headers=dict(request.headers)).data


def test_an_unsigned_call_of_rpc_v2_goes_to_the_service_in_its_path(gateway, stub, store):
    headers = {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor", "user-agent": "call/rpc-unsigned"}
    path = "/service/GraniteServiceVersion20100801/operation/ListDashboards"
    urllib3.PoolManager().request("POST", gateway.gateway + path, body=b"\xa0", headers=headers)
    [record] = gateway.records(store, "useragent = 'call/rpc-unsigned'")
    assert record["eventSource"] == "monitoring.amazonaws.com" and record["eventName"] == "ListDashboards"
    # It reached the upstream, which knows services by their signatures alone.
    assert record["errorCode"] == "UnknownOperationException"


def test_records_say_which_vpc_endpoint_calls_came_through(tmp_path, stub):
    upstream = {"name": "stub", "service": "support", "url": stub.url, "vpc_endpoint_id": "vpce-0a1b2c3d", "vpc_endpoint_account_id": "444455556666"}
    server = GatewayServer(tmp_path / "data", [upstream]).start()
    try:
        own = server.store()
        Calls(server.gateway, KEY)("support", "DescribeCases")
        [record] = server.records(own, "vpcendpointid = 'vpce-0a1b2c3d'")
        assert record["eventName"] == "DescribeCases" and record["vpcEndpointAccountId"] == "444455556666"
    finally:
        assert server.stop() == 0
