"""Results of queries in buckets: their files, their signatures, and what becomes of a delivery that cannot be made."""

import csv
import gzip
import hashlib
import io
import json
import time

import boto3
import pytest
import rsa
from moto.server import ThreadedMotoServer

from conftest import REGION, Server, error_of, new_store, query, store_id, unique
from fake_s3 import FakeS3
from trails import ACCOUNT, QUICK, keys, read, sync, verify, wait_for

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A server whose result files are small."""
    environment = {**QUICK, "TOWPATH_QUERY_RESULT_FILE_SIZE": "64KiB"}
    server = Server(tmp_path_factory.mktemp("results") / "data", environment).start()
    yield server
    assert server.stop() == 0, server.errors()


def result_policy(bucket, **condition):
    service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    asked = {"StringLike": {"aws:sourceArn": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:eventdatastore/*", **condition}}
    grants = {"Action": ["s3:PutObject*", "s3:Abort*"], "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
    acl = {"Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{bucket}"}
    statements = [{**service, **what, "Condition": asked} for what in (grants, acl)]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture
def results_bucket(quick):
    s3, name = quick.client("s3"), unique("results")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_policy(Bucket=name, Policy=result_policy(name))
    return name


def delivered(server, statement, uri, expected="SUCCESS"):
    client = server.client()
    query_id = client.start_query(QueryStatement=statement, DeliveryS3Uri=uri)["QueryId"]

    def ended():
        described = client.describe_query(QueryId=query_id)
        assert described["DeliveryS3Uri"] == uri
        return described if described["DeliveryStatus"] != "PENDING" else None

    described = wait_for("the delivery", ended)
    assert described["DeliveryStatus"] == expected, described
    return query_id


def test_results_are_delivered_signed_and_verified(quick, results_bucket, tmp_path):
    client, s3 = quick.client(), quick.client("s3")
    table = store_id(new_store(client))
    for _ in range(5):
        client.list_trails()
    statement = f"SELECT eventname, eventid, eventjson FROM {table} ORDER BY eventid"
    query_id = delivered(quick, statement, f"s3://{results_bucket}/some/prefix")
    day = time.strftime("%Y/%m/%d", time.gmtime())
    folder = f"some/prefix/AWSLogs/{ACCOUNT}/CloudTrail-Lake/Query/{day}/{query_id}/"
    found = {key.removeprefix(folder) for key in keys(quick, results_bucket)}
    assert found == {"result_1.csv.gz", "result_sign.json"}, found

    body = s3.get_object(Bucket=results_bucket, Key=folder + "result_1.csv.gz")["Body"].read()
    rows = list(csv.reader(io.StringIO(gzip.decompress(body).decode(), newline="")))
    answered = client.get_query_results(QueryId=query_id)["QueryResultRows"]
    assert rows[0] == ["eventname", "eventid", "eventjson"]
    assert rows[1:] == [[next(iter(cell.values())) for cell in row] for row in answered] and len(rows) > 5

    # The signature, checked with another implementation.
    text = s3.get_object(Bucket=results_bucket, Key=folder + "result_sign.json")["Body"].read()
    sign = json.loads(text)
    assert list(sign) == [
        "version", "region", "files", "hashAlgorithm", "signatureAlgorithm", "queryCompleteTime", "hashSignature",
        "publicKeyFingerprint",
    ]
    assert sign["files"] == [{"fileHashValue": hashlib.sha256(body).hexdigest(), "fileName": "result_1.csv.gz"}]
    listed = client.list_public_keys(StartTime=sign["queryCompleteTime"], EndTime=time.time() + 20 * 86400)
    [key] = [key for key in listed["PublicKeyList"] if key["Fingerprint"] == sign["publicKeyFingerprint"]]
    assert hashlib.md5(key["Value"]).hexdigest() == key["Fingerprint"]
    message = " ".join(file["fileHashValue"] for file in sign["files"]).encode()
    public = rsa.PublicKey.load_pkcs1(key["Value"], "DER")
    assert rsa.verify(message, bytes.fromhex(sign["hashSignature"]), public) == "SHA-256"

    place = f"s3://{results_bucket}/{folder}"
    status, report = verify(quick, "query-results", place)
    assert (status, report["valid"]) == (0, True), report
    sync(quick, results_bucket, tmp_path)
    local = tmp_path / folder
    assert verify(quick, "query-results", local)[0] == 0
    (local / "result_1.csv.gz").write_bytes(gzip.compress(gzip.decompress(body) + b"more"))
    status, report = verify(quick, "query-results", local)
    assert status == 1
    assert {"file": "result_1.csv.gz", "verdict": "INVALID: hash value doesn't match"} in report["files"]
    s3.put_object(Bucket=results_bucket, Key=folder + "result_sign.json", Body=text.replace(b'"hashSignature":"', b'"hashSignature":"00'))
    assert verify(quick, "query-results", place)[0] == 1


def test_a_query_without_rows_delivers_a_file(quick, results_bucket):
    table = store_id(new_store(quick.client()))
    query_id = delivered(quick, f"SELECT eventid FROM {table} WHERE eventname = 'none such'", f"s3://{results_bucket}")
    [key] = [key for key in keys(quick, results_bucket) if key.endswith(f"{query_id}/result_1.csv.gz")]
    assert read(quick, results_bucket, key) == b"eventid\r\n"


def test_results_of_many_pages_are_whole(quick, results_bucket):
    table = store_id(new_store(quick.client()))
    quick.client().list_trails()
    statement = f"SELECT n FROM UNNEST(sequence(1, 2500)) AS t(n) WHERE EXISTS (SELECT 1 FROM {table} LIMIT 1) ORDER BY n"
    try:
        query_id = delivered(quick, statement, f"s3://{results_bucket}")
    except quick.client().exceptions.InvalidQueryStatementException as error:
        pytest.fail(str(error))
    [key] = [key for key in keys(quick, results_bucket) if key.endswith(f"{query_id}/result_1.csv.gz")]
    assert read(quick, results_bucket, key).decode().split("\r\n")[1:-1] == [str(n) for n in range(1, 2501)]


def test_a_bucket_that_takes_no_results_is_refused_before_the_query_runs(quick, results_bucket):
    client, s3 = quick.client(), quick.client("s3")
    table = store_id(new_store(client))
    start = lambda uri: error_of(client.start_query, QueryStatement=f"SELECT eventid FROM {table}", DeliveryS3Uri=uri)[0]
    assert start(f"s3://{unique('absent')}") == "S3BucketDoesNotExistException"
    assert start(f"s3://{results_bucket}/AWSLogs") == "InvalidS3PrefixException"
    closed = unique("closed")
    s3.create_bucket(Bucket=closed, CreateBucketConfiguration={"LocationConstraint": REGION})
    assert start(f"s3://{closed}") == "InsufficientS3BucketPolicyException"
    s3.put_bucket_policy(Bucket=closed, Policy=result_policy(closed).replace(ACCOUNT, "000000000009"))
    assert start(f"s3://{closed}") == "InsufficientS3BucketPolicyException"
    assert start(f"s3://{'a..b' + unique()}") in ("InvalidS3BucketNameException", "InvalidParameterException", "ValidationException")


@pytest.mark.parametrize(
    "name, status", [("result_1.csv.gz", "ACCESS_DENIED"), ("result_sign.json", "ACCESS_DENIED_SIGNING_FILE")]
)
def test_a_policy_that_denies_a_file_shows_in_the_status(quick, results_bucket, name, status):
    table = store_id(new_store(quick.client()))
    policy = json.loads(result_policy(results_bucket))
    denied = f"arn:aws:s3:::{results_bucket}/*/{name}"
    policy["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": denied})
    quick.client("s3").put_bucket_policy(Bucket=results_bucket, Policy=json.dumps(policy))
    delivered(quick, f"SELECT eventid FROM {table}", f"s3://{results_bucket}", status)
    assert not [key for key in keys(quick, results_bucket) if key.endswith(name)]


def test_results_go_to_a_bucket_behind_an_endpoint_and_are_verified_there(tmp_path):
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    endpoint, bucket = f"http://{host}:{port}", unique("outside")
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="k", aws_secret_access_key="s")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    config = tmp_path / "towpath.toml"
    config.write_text(
        f'[[import.endpoint]]\nname = "moto"\nendpoint = "{endpoint}"\nregion = "{REGION}"\nallow_http = true\n'
        'access_key_id = "k"\nsecret_access_key = "s"\n'
    )
    server = Server(tmp_path / "data", QUICK, ["--config", config]).start()
    try:
        table = store_id(new_store(server.client()))
        query_id = delivered(server, f"SELECT eventid FROM {table}", f"s3://{bucket}")
        [first, second] = sorted(item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"])
        assert first.endswith(f"{query_id}/result_1.csv.gz") and second.endswith("result_sign.json")
        place = f"s3://{bucket}/{second.rsplit('/', 1)[0]}"
        assert verify(server, "query-results", place, "--s3-endpoint", endpoint)[0] == 0
        s3.delete_object(Bucket=bucket, Key=first)
        status, report = verify(server, "query-results", place, "--s3-endpoint", endpoint)
        assert status == 1 and {"file": "result_1.csv.gz", "verdict": "INVALID: not found"} in report["files"]
    finally:
        server.stop()
        moto.stop()


@pytest.mark.parametrize("pause", [0, 0.02, 0.2])
def test_a_delivery_that_kill_9_interrupts_is_finished_or_failed_after_the_restart(tmp_path, pause):
    server = Server(tmp_path / "data", QUICK).start()
    s3, bucket = server.client("s3"), unique("results")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_policy(Bucket=bucket, Policy=result_policy(bucket))
    table = store_id(new_store(server.client()))
    statement = f"SELECT n FROM UNNEST(sequence(1, 9000)) AS t(n) WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE eventname = 'x')"
    query_id = server.client().start_query(QueryStatement=statement, DeliveryS3Uri=f"s3://{bucket}")["QueryId"]
    time.sleep(pause)
    server.kill()
    server.start()
    try:
        describe = lambda: server.client().describe_query(QueryId=query_id)
        described = wait_for("the end", lambda: describe() if describe()["DeliveryStatus"] != "PENDING" else None)
        finished = described["QueryStatus"] == "FINISHED"
        assert described["DeliveryStatus"] == ("SUCCESS" if finished else "FAILED"), described
        found = keys(server, bucket)
        assert bool([key for key in found if key.endswith("result_sign.json")]) == finished
        if finished:
            assert verify(server, "query-results", f"s3://{bucket}/{found[0].rsplit('/', 1)[0]}")[0] == 0
    finally:
        server.stop()


def test_a_cancelled_query_delivers_nothing(quick, results_bucket):
    client = quick.client()
    table = store_id(new_store(client))
    client.list_trails()
    long = " CROSS JOIN ".join(f"UNNEST(sequence(1, 10000)) AS t{n}(n{n})" for n in range(3))
    statement = f"SELECT max(n0 * n1 + n2) FROM {long} WHERE EXISTS (SELECT 1 FROM {table} LIMIT 1)"
    query_id = client.start_query(QueryStatement=statement, DeliveryS3Uri=f"s3://{results_bucket}")["QueryId"]
    client.cancel_query(QueryId=query_id)
    status = lambda: client.describe_query(QueryId=query_id)["DeliveryStatus"]
    assert wait_for("the status", lambda: status() if status() != "PENDING" else None) == "CANCELLED"
    assert keys(quick, results_bucket) == []


def test_results_that_are_large_are_several_files(quick, results_bucket):
    table = store_id(new_store(quick.client()))
    quick.client().list_trails()
    statement = (
        f"SELECT n, to_hex(sha256(to_utf8(CAST(n AS varchar)))) AS h FROM UNNEST(sequence(1, 9000)) AS t(n) "
        f"WHERE EXISTS (SELECT 1 FROM {table} LIMIT 1) ORDER BY n"
    )
    query_id = delivered(quick, statement, f"s3://{results_bucket}")
    found = [key for key in keys(quick, results_bucket) if f"/{query_id}/" in key]
    [sign] = [key for key in found if key.endswith("result_sign.json")]
    listed = json.loads(quick.client("s3").get_object(Bucket=results_bucket, Key=sign)["Body"].read())["files"]
    names = [file["fileName"] for file in listed]
    assert len(names) >= 3 and names == [f"result_{n}.csv.gz" for n in range(1, len(names) + 1)]
    folder = sign.removesuffix("result_sign.json")
    assert {key.removeprefix(folder) for key in found} == {*names, "result_sign.json"}
    rows = []
    for file in listed:
        body = quick.client("s3").get_object(Bucket=results_bucket, Key=folder + file["fileName"])["Body"].read()
        assert hashlib.sha256(body).hexdigest() == file["fileHashValue"]
        header, *lines = gzip.decompress(body).decode().split("\r\n")[:-1]
        assert header == "n,h", "every file names its columns"
        rows += lines
    assert rows == [f"{n},{hashlib.sha256(str(n).encode()).hexdigest().upper()}" for n in range(1, 9001)]
    status, report = verify(quick, "query-results", f"s3://{results_bucket}/{folder}")
    assert (status, len(report["files"])) == (0, len(names) + 1), report
    quick.client("s3").delete_object(Bucket=results_bucket, Key=f"{folder}result_2.csv.gz")
    assert verify(quick, "query-results", f"s3://{results_bucket}/{folder}")[0] == 1


LONG = " CROSS JOIN ".join(f"UNNEST(sequence(1, 4000)) AS t{n}(n{n})" for n in range(2))


def test_a_bucket_that_is_gone_when_the_query_ends_is_not_found(quick, results_bucket):
    client = quick.client()
    table = store_id(new_store(client))
    client.list_trails()
    statement = f"SELECT count(*) FROM {table} AS e CROSS JOIN {LONG} WHERE n0 * n1 > 7"
    query_id = client.start_query(QueryStatement=statement, DeliveryS3Uri=f"s3://{results_bucket}")["QueryId"]
    assert client.describe_query(QueryId=query_id)["DeliveryStatus"] == "PENDING"
    quick.client("s3").delete_bucket(Bucket=results_bucket)
    status = lambda: client.describe_query(QueryId=query_id)["DeliveryStatus"]
    assert wait_for("the status", lambda: status() if status() != "PENDING" else None, timeout=120) == "RESOURCE_NOT_FOUND"
    assert client.describe_query(QueryId=query_id)["QueryStatus"] == "FINISHED", "the query itself is not touched"


@pytest.mark.parametrize("broken, status", [("result_1.csv.gz", "FAILED"), ("result_sign.json", "FAILED_SIGNING_FILE")])
def test_an_endpoint_that_fails_shows_in_the_status(tmp_path, broken, status):
    fake = FakeS3()
    fake.mood = lambda bucket, key: 500 if key.endswith(broken) else None
    config = tmp_path / "towpath.toml"
    config.write_text(fake.config(REGION))
    server = Server(tmp_path / "data", QUICK, ["--config", config]).start()
    try:
        table = store_id(new_store(server.client()))
        query_id = delivered(server, f"SELECT eventid FROM {table}", f"s3://{unique('fake')}", status)
        there = {key.rsplit("/", 1)[1] for _, key in fake.objects if f"/{query_id}/" in key}
        assert there == ({"result_1.csv.gz"} if status == "FAILED_SIGNING_FILE" else set())
        tried = [key for method, key, _ in fake.requests if method == "PUT" and key.endswith(broken)]
        assert len(tried) > 1, "what may pass is tried again"
    finally:
        server.stop()
        fake.stop()
