"""How clients reach a service through the gateway: by its real name, by a bucket's name, by a presigned address."""

import json

import boto3
import botocore.config
import pytest
import urllib3
import urllib3.util.connection

from gateway.client import REGION, Calls
from gateway.server import ACCOUNT, KEY, GatewayServer
from gateway.upstream import Moto, moto as moto

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def other():
    """A second moto, to see which of the two a call reached."""
    moto = Moto()
    yield moto
    moto.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, moto, other):
    folder = tmp_path_factory.mktemp("addresses")
    upstreams = [
        {"name": "sqs", "service": "sqs", "url": other.url, "regions": ["eu-west-1"]},
        {
            "name": "store", "hosts": ["*.store.example.org", "store.example.org"], "service": "s3", "url": other.url,
            "bucket_domain": "store.example.org",
        },
        {"name": "all", "service": "*", "url": moto.url},
    ]
    server = GatewayServer(folder / "data", upstreams, **{"tls.development_ca": str(folder / "ca")}).start()
    server.bundle = str(folder / "ca/ca.pem")
    server.all = server.store()
    yield server
    assert server.stop() == 0, server.errors()


@pytest.fixture
def names(gateway, monkeypatch):
    """Every name leads to the gateway, whatever the port, as a DNS of one's own would have it."""
    connect = urllib3.util.connection.create_connection
    asked = []

    def to_gateway(address, *arguments, **keywords):
        if address == ("127.0.0.1", gateway.endpoint_port):
            return connect(address, *arguments, **keywords)
        asked.append(address[0])
        return connect(("127.0.0.1", gateway.gateway_port), *arguments, **keywords)

    gateway.endpoint_port = int(gateway.endpoint.rsplit(":", 1)[1])
    monkeypatch.setattr(urllib3.util.connection, "create_connection", to_gateway)
    return asked


def client(gateway, service, mark, region=REGION, **config):
    """A client that has no address at all: it goes to AWS's own."""
    config = botocore.config.Config(user_agent=f"m/{mark}", retries={"total_max_attempts": 1}, **config)
    return boto3.client(
        service, region_name=region, verify=gateway.bundle, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1], config=config,
    )


def record_of(gateway, mark, name=None):
    found = [record for record in gateway.records(gateway.all) if record.get("userAgent", "").strip("[]").startswith(f"m/{mark}")]
    [record] = [record for record in found if name in (None, record["eventName"])]
    return record


def test_real_names_of_services_are_routed_and_recorded_with_their_region(gateway, names):
    for service, region, host, call in [
        ("dynamodb", "us-west-2", ".us-west-2.amazonaws.com", lambda it: it.list_tables()),
        ("sts", "eu-central-1", "sts.eu-central-1.amazonaws.com", lambda it: it.get_caller_identity()),
        ("iam", "eu-central-1", "iam.amazonaws.com", lambda it: it.list_users()),
        ("ec2", "ap-southeast-2", "ec2.ap-southeast-2.amazonaws.com", lambda it: it.describe_vpcs()),
        ("kms", "us-east-2", "kms.us-east-2.amazonaws.com", lambda it: it.list_keys()),
    ]:
        call(client(gateway, service, f"real-{service}", region))
        record = record_of(gateway, f"real-{service}")
        assert record["tlsDetails"]["clientProvidedHostHeader"].endswith(host), record["tlsDetails"]
        assert record["tlsDetails"]["clientProvidedHostHeader"] in names
        assert record["awsRegion"] == ("us-east-1" if service == "iam" else region)
        assert record["eventSource"] == f"{service}.amazonaws.com"


def test_an_upstream_of_a_region_takes_that_regions_calls(gateway, names, moto, other):
    client(gateway, "sqs", "there call/there", "eu-west-1").list_queues()
    client(gateway, "sqs", "here call/here", "us-east-1").list_queues()
    assert "there" in other.seen and "there" not in moto.seen
    assert "here" in moto.seen and "here" not in other.seen
    assert record_of(gateway, "there")["awsRegion"] == "eu-west-1"


def test_buckets_are_reached_by_their_own_host_names(gateway, names):
    s3 = client(gateway, "s3", "virtual", s3={"addressing_style": "virtual"})
    s3.create_bucket(Bucket="by.name")
    s3.create_bucket(Bucket="plain-name")
    s3.put_object(Bucket="plain-name", Key="dir/a b.txt", Body=b"by host name")
    assert s3.get_object(Bucket="plain-name", Key="dir/a b.txt")["Body"].read() == b"by host name"
    assert s3.list_objects_v2(Bucket="plain-name", Prefix="dir/")["KeyCount"] == 1
    assert "plain-name.s3.amazonaws.com" in names
    for name, parameters in [
        ("PutObject", {"bucketName": "plain-name", "key": "dir/a b.txt"}),
        ("GetObject", {"bucketName": "plain-name", "key": "dir/a b.txt"}),
        ("ListObjects", {"bucketName": "plain-name", "prefix": "dir/", "list-type": "2"}),
    ]:
        record = record_of(gateway, "virtual", name)
        assert record["requestParameters"]["Host"] == "plain-name.s3.amazonaws.com"
        assert {key: record["requestParameters"][key] for key in parameters} == parameters
        arns = {entry.get("ARN") for entry in record["resources"]}
        assert "arn:aws:s3:::plain-name" in arns
        if name != "ListObjects":
            assert "arn:aws:s3:::plain-name/dir/a b.txt" in arns
    created = [record for record in gateway.records(gateway.all, "eventname = 'CreateBucket'")]
    assert {record["requestParameters"]["bucketName"] for record in created} >= {"by.name", "plain-name"}


def test_a_domain_of_ones_own_leads_to_its_upstream_and_names_buckets(gateway, names, moto, other):
    s3 = boto3.client(
        "s3", endpoint_url="https://store.example.org", region_name=REGION, verify=gateway.bundle, aws_access_key_id=KEY[0],
        aws_secret_access_key=KEY[1],
        config=botocore.config.Config(user_agent="m/own call/own", s3={"addressing_style": "virtual"}),
    )
    s3.create_bucket(Bucket="owned")
    s3.put_object(Bucket="owned", Key="k", Body=b"")
    assert "owned.store.example.org" in names
    assert "own" in other.seen and "own" not in moto.seen
    record = record_of(gateway, "own", "PutObject")
    assert record["tlsDetails"]["clientProvidedHostHeader"] == "owned.store.example.org"
    assert (record["requestParameters"]["bucketName"], record["requestParameters"]["key"]) == ("owned", "k")


def test_presigned_addresses_read_and_write(gateway, names, moto):
    calls = Calls(gateway.gateway, KEY, verify=gateway.bundle)
    calls("s3", "CreateBucket", Bucket="presigned")
    s3 = boto3.client(
        "s3", endpoint_url=gateway.gateway, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
        config=botocore.config.Config(signature_version="s3v4"),
    )
    pool = urllib3.PoolManager(ca_certs=gateway.bundle)
    write = s3.generate_presigned_url("put_object", Params={"Bucket": "presigned", "Key": "a/b c", "ContentType": "text/x"}, ExpiresIn=60)
    agent = {"User-Agent": "m/presigned-write"}
    answer = pool.request("PUT", write, body=b"presigned", headers={**agent, "Content-Type": "text/x"})
    assert answer.status == 200, answer.data
    read = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "a/b c"}, ExpiresIn=60)
    answer = pool.request("GET", read, headers={"User-Agent": "m/presigned-read"})
    assert (answer.status, answer.data) == (200, b"presigned")
    listed = s3.generate_presigned_url("list_objects_v2", Params={"Bucket": "presigned"}, ExpiresIn=60)
    assert pool.request("GET", listed, headers={"User-Agent": "m/presigned-list"}).status == 200
    for mark, name, read_only in [("write", "PutObject", False), ("read", "GetObject", True)]:
        record = record_of(gateway, f"presigned-{mark}")
        assert record["eventName"] == name and record["readOnly"] is read_only
        assert record["userIdentity"]["type"] == "Root" and record["userIdentity"]["accessKeyId"] == KEY[0]
        assert record["additionalEventData"]["AuthenticationMethod"] == "QueryString"
        assert record["additionalEventData"]["SignatureVersion"] == "SigV4"
        assert record["requestParameters"]["bucketName"] == "presigned" and record["requestParameters"]["key"] == "a/b c"
        text = json.dumps(record)
        assert "X-Amz-Expires" in text and "X-Amz-Signature" not in record["requestParameters"]
        for address in (write, read):
            assert address.split("X-Amz-Signature=")[1] not in text
    assert record_of(gateway, "presigned-write")["additionalEventData"]["bytesTransferredIn"] == 9
    assert record_of(gateway, "presigned-list")["eventName"] == "ListObjects"


def test_a_presigned_address_that_the_upstream_refuses_names_nobody(gateway):
    pool = urllib3.PoolManager(ca_certs=gateway.bundle)
    address = f"{gateway.gateway}/missing-bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY[0]}%2F20261121%2Fus-east-1%2Fs3%2Faws4_request"
    address += "&X-Amz-Date=20261121T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64
    answer = pool.request("GET", address, headers={"User-Agent": "m/presigned-forged"})
    assert answer.status >= 400
    record = record_of(gateway, "presigned-forged")
    assert record["eventName"] == "GetObject" and record["errorCode"]
    assert "000000000000000000000000" not in json.dumps(record["requestParameters"])


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_an_upload_from_a_browsers_form_is_recorded_with_its_bucket_key_and_signer(gateway, version):
    calls = Calls(gateway.gateway, KEY, verify=gateway.bundle)
    calls("s3", "CreateBucket", Bucket=f"forms-{version}")
    s3 = boto3.client(
        "s3", endpoint_url=gateway.gateway, region_name=REGION, aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
        config=botocore.config.Config(signature_version=version, s3={"addressing_style": "path"}),
    )
    form = s3.generate_presigned_post(f"forms-{version}", "up/${filename}", Fields={"acl": "private"}, Conditions=[{"acl": "private"}])
    fields = {**form["fields"], "file": ("photo 1.txt", b"what a person chose", "text/plain")}
    pool = urllib3.PoolManager(ca_certs=gateway.bundle)
    answer = pool.request("POST", form["url"], fields=fields, headers={"User-Agent": f"m/form-{version}-"}, redirect=False)
    assert answer.status in (200, 201, 204), answer.data
    record = record_of(gateway, f"form-{version}-")
    assert record["eventName"] == "PostObject" and record["eventSource"] == "s3.amazonaws.com"
    assert record["readOnly"] is False and record["eventCategory"] == "Data"
    assert record["requestParameters"]["bucketName"] == f"forms-{version}"
    assert record["requestParameters"]["key"] == "up/photo 1.txt" and record["requestParameters"]["acl"] == "private"
    assert record["userIdentity"]["type"] == "Root" and record["userIdentity"]["accessKeyId"] == KEY[0]
    assert record["additionalEventData"]["AuthenticationMethod"] == "PostForm"
    assert record["additionalEventData"]["SignatureVersion"] == {"s3v4": "SigV4", "s3": "SigV2"}[version]
    arns = [entry.get("ARN") for entry in record["resources"]]
    assert arns == [f"arn:aws:s3:::forms-{version}/up/photo 1.txt", f"arn:aws:s3:::forms-{version}"]
    text = json.dumps(record)
    secrets = [form["fields"][name] for name in ("policy", "x-amz-signature", "signature") if name in form["fields"]]
    assert len(secrets) == 2 and not [secret for secret in secrets if secret in text]
    assert "what a person chose" not in text


def test_a_call_without_a_signature_is_routed_by_its_target(tmp_path, moto, other):
    """Upstreams that name their services and nothing else; the models say what the target is of."""
    upstreams = [
        {"name": "tables", "service": "dynamodb", "url": moto.url},
        {"name": "queues", "service": ["sqs", "sns"], "url": other.url},
    ]
    server = GatewayServer(tmp_path / "data", upstreams).start()
    try:
        store, pool = server.store(), urllib3.PoolManager()
        for target, mark in [("DynamoDB_20120810.ListTables", "tables"), ("AmazonSQS.ListQueues", "queues"), ("Strange_1.List", "strange")]:
            headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0", "User-Agent": f"call/un{mark}"}
            status = pool.request("POST", server.gateway, body=b"{}", headers=headers).status
            assert (mark == "strange") == (status >= 400), (mark, status)
        assert "untables" in moto.seen and "unqueues" in other.seen and "unstrange" not in moto.seen
        found = {record["eventName"]: record for record in server.records(store, "useragent LIKE 'call/un%'")}
        assert found["ListTables"]["eventSource"] == "dynamodb.amazonaws.com"
        assert found["ListQueues"]["eventSource"] == "sqs.amazonaws.com"
        assert found["ListQueues"]["userIdentity"]["accountId"] == "ANONYMOUS_PRINCIPAL"
        assert found["List"]["errorCode"] == "UnknownUpstreamException"
    finally:
        assert server.stop() == 0


def test_the_key_of_a_stranger_has_the_account_that_sts_tells(tmp_path, moto):
    """An upstream whose keys the gateway has not seen made: its STS is asked."""
    direct = Calls(moto.url, KEY)
    direct("iam", "CreateUser", UserName="stranger")
    made = direct("iam", "CreateAccessKey", UserName="stranger")["AccessKey"]
    stranger = (made["AccessKeyId"], made["SecretAccessKey"])
    sts = {"endpoint": moto.url, "access_key_id": KEY[0], "secret_access_key": KEY[1]}
    upstreams = [
        {"name": "asked", "service": "sqs", "url": moto.url, "sts": sts},
        {"name": "silent", "service": "*", "url": moto.url},
    ]
    server = GatewayServer(tmp_path / "data", upstreams).start()
    try:
        store = server.store()
        calls = Calls(server.gateway, stranger)
        calls("sns", "ListTopics")
        [record] = server.records(store, "eventname = 'ListTopics'")
        assert record["userIdentity"]["accountId"] == ACCOUNT and record["userIdentity"]["type"] == "Unknown"
        calls("sqs", "ListQueues")
        [record] = server.records(store, "eventname = 'ListQueues'")
        assert record["userIdentity"]["accountId"] == "123456789012", record["userIdentity"]
        assert record["userIdentity"]["accessKeyId"] == stranger[0]
        # Once the caller has asked who it is, its later calls have its name.
        calls("sts", "GetCallerIdentity")
        calls("sns", "CreateTopic", Name="named")
        [record] = server.records(store, "eventname = 'CreateTopic'")
        assert record["userIdentity"]["type"] == "IAMUser" and record["userIdentity"]["userName"] == "stranger"
    finally:
        assert server.stop() == 0
