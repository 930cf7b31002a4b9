"""Verification of trails in buckets and copies, imports of what trails delivered, and signed results of queries."""

import csv
import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import time

import boto3
import pytest
import rsa
from moto.server import ThreadedMotoServer

from conftest import REGION, Server, error_of, new_store, query, store_id, unique
from trails import ACCOUNT, QUICK, account_with_key, keys, new_trail, read, stop, wait_for

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A server that delivers every second and makes digests every two."""
    server = Server(tmp_path_factory.mktemp("verify") / "data", {**QUICK, "TOWPATH_QUOTAS__TRAILS": "1000"}).start()
    yield server
    assert server.stop() == 0, server.errors()


@pytest.fixture
def trail(quick):
    """A trail with several digests that has been stopped."""
    trail = new_trail(quick, EnableLogFileValidation=True)
    for _ in range(3):
        quick.client().describe_trails()
        time.sleep(2.1)
    stop(quick, trail)
    return trail


def verify(server, *arguments):
    """Runs `towpath verify` and returns its exit status and report."""
    done = server.towpath("verify", *arguments, "--output", "json", check=False)
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout)


def findings(report):
    return {(item["key"], item["message"]) for part in report["reports"] for item in part["findings"]}


def sync(server, bucket, folder):
    """Copies a bucket with the stock client."""
    script = pathlib.Path(sys.executable).with_name("aws")
    command = [script, "s3", "sync", "--only-show-errors", f"s3://{bucket}", folder]
    subprocess.run(command, env=server.cli_environment(), check=True, capture_output=True, timeout=120)


def save_keys(server, trail, path):
    path.write_text(server.towpath("verify", "public-keys", trail["TrailARN"]).stdout)
    return path


# Trails.


def test_a_clean_trail_is_valid(quick, trail):
    status, report = verify(quick, "trail", trail["TrailARN"])
    assert (status, report["valid"]) == (0, True), report
    [part] = [part for part in report["reports"] if part["region"] == REGION]
    assert part["digests"]["valid"] >= 2 and part["log_files"]["valid"] >= 1, part
    assert part["digests"]["valid"] == len(keys(quick, trail["S3BucketName"], "CloudTrail-Digest"))
    table = quick.towpath("verify", "trail", trail["TrailARN"]).stdout
    assert table.strip().endswith("valid") and "NOT" not in table


def test_each_kind_of_tampering_names_the_object(quick, trail):
    s3, bucket, arn = quick.client("s3"), trail["S3BucketName"], trail["TrailARN"]
    log_file = keys(quick, bucket, "CloudTrail")[0]
    digests = keys(quick, bucket, "CloudTrail-Digest")
    digest = digests[len(digests) // 2]

    def tampered(key, change, message):
        before = s3.get_object(Bucket=bucket, Key=key)
        body, metadata = before["Body"].read(), before["Metadata"]
        change(key, body)
        status, report = verify(quick, "trail", arn)
        assert (status, report["valid"]) == (1, False)
        assert (key, message) in findings(report), report
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)

    def changed(key, body):
        text = gzip.decompress(body).replace(b"eventName", b"eventNome", 1)
        s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(text))

    def deleted(key, _):
        s3.delete_object(Bucket=bucket, Key=key)

    def unsigned(key, body):
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    tampered(log_file, changed, "INVALID: hash value doesn't match")
    tampered(log_file, deleted, "INVALID: not found")
    tampered(digest, deleted, "INVALID: not found")
    tampered(digest, unsigned, "INVALID: signature verification failed")
    assert verify(quick, "trail", arn)[0] == 0
    stray = log_file.rsplit("_", 1)[0] + "_AAAAAAAAAAAAAAAA.json.gz"
    s3.put_object(Bucket=bucket, Key=stray, Body=s3.get_object(Bucket=bucket, Key=log_file)["Body"].read())
    status, report = verify(quick, "trail", arn)
    assert status == 1 and (stray, "INVALID: is not named by any digest") in findings(report), report
    s3.delete_object(Bucket=bucket, Key=stray)


def test_neighbouring_digests_that_are_gone_are_missed(quick, trail):
    s3, bucket = quick.client("s3"), trail["S3BucketName"]
    digests = keys(quick, bucket, "CloudTrail-Digest")
    assert len(digests) >= 4, digests
    ends = json.loads(read(quick, bucket, digests[0]))["digestEndTime"], json.loads(read(quick, bucket, digests[3]))["digestStartTime"]
    for key in digests[1:3]:
        s3.delete_object(Bucket=bucket, Key=key)
    status, report = verify(quick, "trail", trail["TrailARN"])
    assert status == 1
    assert (digests[2], "INVALID: not found") in findings(report)
    [missing] = [item for part in report["reports"] for item in part["missing"]]
    assert (missing["from"], missing["to"]) == ends, report


def test_a_copy_is_verified_without_a_server(quick, trail, tmp_path):
    copy = tmp_path / "copy"
    sync(quick, trail["S3BucketName"], copy)
    saved = save_keys(quick, trail, tmp_path / "keys.json")
    # No address and no key: nothing is asked.
    alone = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}
    run = lambda *more, check=False: quick.towpath(
        "verify", "trail", "--folder", copy, "--public-keys", saved, "--output", "json", *more, check=check, **alone
    )
    done = run(trail["TrailARN"])
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["bucket"] == trail["S3BucketName"] and report["reports"][0]["digests"]["unchecked"] == 0
    assert run().returncode == 0, "without the ARN all that is there is verified"

    # Keys as the stock client prints them hold no signatures: the newest digest cannot be checked, which is not valid.
    plain = {"PublicKeyList": json.loads(saved.read_text())["PublicKeyList"]}
    whole = saved.read_text()
    saved.write_text(json.dumps(plain))
    done = run()
    assert done.returncode == 1 and json.loads(done.stdout)["reports"][0]["digests"]["unchecked"] == 1, done.stdout
    assert run("--allow-unchecked").returncode == 0
    saved.write_text(whole)

    victim = next(path for path in copy.rglob("*.json.gz") if "/CloudTrail/" in str(path))
    victim.write_bytes(gzip.compress(gzip.decompress(victim.read_bytes())[:-2] + b"]}\n"))
    done = run()
    assert done.returncode == 1
    assert (str(victim.relative_to(copy)), "INVALID: hash value doesn't match") in findings(json.loads(done.stdout))


# Imports.


def imported_rows(server, store):
    return {row[0][1]: row[1][1] for row in query(server.client(), f"SELECT eventid, eventjson FROM {store}")}


def new_history_store(server):
    name = unique("import")
    arn = server.client().create_event_data_store(Name=name, StartIngestion=False)["EventDataStoreArn"]
    return name, store_id(arn)


def texts(server, bucket):
    """Every record of a bucket's log files as it is written there, by event id."""
    found = {}
    for key in keys(server, bucket, "CloudTrail"):
        text = read(server, bucket, key).decode()
        at = len('{"Records":[')
        while text[at] != "]":
            record, end = json.JSONDecoder().raw_decode(text, at)
            found[record["eventID"]] = text[at:end]
            at = end + (text[end] == ",")
    return found


def test_what_a_trail_delivered_is_imported_from_the_bucket_byte_for_byte(quick, trail):
    bucket, (name, table) = trail["S3BucketName"], new_history_store(quick)
    expected = texts(quick, bucket)
    assert expected
    done = quick.towpath("import", f"s3://{bucket}", "--event-data-store", name, "--verify", "--output", "json")
    assert json.loads(done.stdout)["status"] == "COMPLETED", done.stdout
    assert imported_rows(quick, table) == expected


def test_a_copy_is_imported_byte_for_byte_and_not_at_all_if_it_was_changed(quick, trail, tmp_path):
    bucket, (name, table) = trail["S3BucketName"], new_history_store(quick)
    copy = tmp_path / "copy"
    sync(quick, bucket, copy)
    saved = save_keys(quick, trail, tmp_path / "keys.json")
    victim = next(path for path in copy.rglob("*.json.gz") if "/CloudTrail/" in str(path))
    good = victim.read_bytes()
    victim.write_bytes(gzip.compress(gzip.decompress(good).replace(b"eventName", b"eventNome", 1)))
    line = ["import", copy, "--event-data-store", name, "--verify", "--public-keys", saved]
    done = quick.towpath(*line, check=False)
    assert done.returncode == 1 and "nothing was imported" in done.stderr and victim.name in done.stderr, done.stderr
    assert imported_rows(quick, table) == {}
    victim.write_bytes(good)
    quick.towpath(*line)
    assert imported_rows(quick, table) == texts(quick, bucket)


# Query results.


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


def test_another_account_cannot_import_from_a_bucket_that_it_may_not_read(quick, trail):
    stranger = account_with_key(quick, "000000000077")
    client = quick.client(key=stranger)
    store = client.create_event_data_store(Name=unique("import"), StartIngestion=False)["EventDataStoreArn"]
    source = {
        "S3LocationUri": f"s3://{trail['S3BucketName']}",
        "S3BucketRegion": REGION,
        "S3BucketAccessRoleArn": "arn:aws:iam::000000000077:role/import",
    }
    code, message = error_of(client.start_import, Destinations=[store], ImportSource={"S3": source})
    assert code == "InvalidImportSourceException" and "not authorized" in message, (code, message)
