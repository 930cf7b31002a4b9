"""Verification of trails in buckets and copies, and imports of what trails delivered."""

import gzip
import json
import time

import pytest

from conftest import REGION, Server, error_of, query, store_id, unique
from trails import (
    QUICK,
    account_with_key,
    findings,
    keys,
    new_trail,
    quick_server,
    read,
    save_keys,
    stop,
    sync,
    verify,
    wait_for,
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    yield from quick_server(tmp_path_factory.mktemp("verify"))


@pytest.fixture
def trail(quick):
    """A trail with several digests that has been stopped."""
    trail = new_trail(quick, EnableLogFileValidation=True)
    for _ in range(3):
        quick.client().describe_trails()
        time.sleep(2.1)
    stop(quick, trail)
    return trail


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
    # In the minute of its name: the next digest might name it, but of a trail that was stopped none comes.
    [part] = [part for part in report_of(quick, arn)["reports"] if part["region"] == REGION]
    assert part["next_digest"] == {"expected": "ended"}, part
    s3.put_object(Bucket=bucket, Key=stray, Body=s3.get_object(Bucket=bucket, Key=log_file)["Body"].read())
    status, report = verify(quick, "trail", arn)
    assert status == 1 and (stray, "INVALID: is not named by any digest") in findings(report), report
    s3.delete_object(Bucket=bucket, Key=stray)


def report_of(server, arn):
    """The report of a valid trail whose end the server knows."""

    def ended():
        status, report = verify(server, "trail", arn)
        assert status == 0, report
        return report if all(part["next_digest"]["expected"] == "ended" for part in report["reports"]) else None

    return wait_for("the end of the trail", ended)


def test_a_strange_log_file_in_a_copy_of_a_stopped_trail_is_named(quick, trail, tmp_path):
    copy = tmp_path / "copy"
    report_of(quick, trail["TrailARN"])
    saved = save_keys(quick, trail, tmp_path / "keys.json")
    sync(quick, trail["S3BucketName"], copy)
    victim = next(path for path in copy.rglob("*.json.gz") if "/CloudTrail/" in str(path))
    minute = time.strftime("%Y%m%dT%H%MZ", time.gmtime())
    stray = victim.with_name("_".join([*victim.name.split("_")[:3], minute, "AAAAAAAAAAAAAAAA.json.gz"]))
    stray.write_bytes(victim.read_bytes())
    status, report = verify(quick, "trail", "--folder", copy, "--public-keys", saved)
    assert status == 1 and (str(stray.relative_to(copy)), "INVALID: is not named by any digest") in findings(report), report

    # Without the server's record the clock decides, and the report says what was assumed.
    plain = {"PublicKeyList": json.loads(saved.read_text())["PublicKeyList"]}
    saved.write_text(json.dumps(plain))
    status, report = verify(quick, "trail", "--folder", copy, "--public-keys", saved, "--allow-unchecked")
    [part] = [part for part in report["reports"] if part["region"] == REGION]
    assert (status, part["pending_log_files"], part["next_digest"]["expected"]) == (0, 1, "due"), report


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


def test_an_import_that_asks_for_digests_takes_what_they_vouch_for(tmp_path):
    server = Server(tmp_path / "data", {**QUICK, "TOWPATH_IMPORT_VERIFY_DIGESTS": "true"}).start()
    try:
        trail = new_trail(server, EnableLogFileValidation=True)
        for _ in range(3):
            server.client().describe_trails()
            time.sleep(2.1)
        stop(server, trail)
        bucket, client, s3 = trail["S3BucketName"], server.client(), server.client("s3")
        expected, files = texts(server, bucket), keys(server, bucket, "CloudTrail")
        source = {"S3": {
            "S3LocationUri": f"s3://{bucket}",
            "S3BucketRegion": REGION,
            "S3BucketAccessRoleArn": "arn:aws:iam::000000000000:role/import",
        }}

        def imported():
            name, table = new_history_store(server)
            run = client.start_import(Destinations=[client.get_event_data_store(EventDataStore=table)["EventDataStoreArn"]], ImportSource=source)
            state = lambda: client.get_import(ImportId=run["ImportId"])
            ended = wait_for("the import", lambda: state() if state()["ImportStatus"] not in ("INITIALIZING", "IN_PROGRESS") else None)
            failures = client.list_import_failures(ImportId=run["ImportId"])["Failures"]
            return ended["ImportStatus"], {item["Location"]: (item["ErrorType"], item["ErrorMessage"]) for item in failures}, imported_rows(server, table)

        assert imported() == ("COMPLETED", {}, expected)

        # Of three files one is changed and one is a stranger: they fail, and nothing else does.
        changed, stray = files[0], files[0].rsplit("_", 1)[0] + "_AAAAAAAAAAAAAAAA.json.gz"
        body = s3.get_object(Bucket=bucket, Key=changed)["Body"].read()
        s3.put_object(Bucket=bucket, Key=stray, Body=body)
        s3.put_object(Bucket=bucket, Key=changed, Body=gzip.compress(gzip.decompress(body).replace(b"eventName", b"eventNome", 1)))
        lost = {record["eventID"] for record in json.loads(gzip.decompress(body))["Records"]}
        status, failures, rows = imported()
        assert status == "FAILED" and failures.keys() == {f"s3://{bucket}/{changed}", f"s3://{bucket}/{stray}"}, failures
        assert failures[f"s3://{bucket}/{changed}"] == ("Unverified", "the log file is not what its digest says: its hash is another")
        assert failures[f"s3://{bucket}/{stray}"] == ("Unverified", "no valid digest names the log file")
        assert rows == {event: text for event, text in expected.items() if event not in lost}

        # A digest that cannot be believed vouches for nothing.
        s3.delete_object(Bucket=bucket, Key=stray)
        s3.put_object(Bucket=bucket, Key=changed, Body=body)
        for digest in keys(server, bucket, "CloudTrail-Digest"):
            s3.put_object(Bucket=bucket, Key=digest, Body=s3.get_object(Bucket=bucket, Key=digest)["Body"].read())
        status, failures, rows = imported()
        assert status == "FAILED" and rows == {} and len(failures) == len(files)
        assert all("signature verification failed" in message for _, message in failures.values()), failures
    finally:
        server.stop()


def test_newest_digests_that_are_gone_are_missed_by_the_servers_record(quick, trail, tmp_path):
    s3, bucket, arn = quick.client("s3"), trail["S3BucketName"], trail["TrailARN"]
    saved = save_keys(quick, trail, tmp_path / "keys.json")
    digests = keys(quick, bucket, "CloudTrail-Digest")
    for key in digests[-2:]:
        s3.delete_object(Bucket=bucket, Key=key)
    status, report = verify(quick, "trail", arn)
    assert (status, report["serverRecord"]) == (1, True)
    assert (digests[-1], "INVALID: not found") in findings(report), report
    [missing] = [item for part in report["reports"] for item in part["missing"]]
    assert missing["digests"] >= 1 and missing["from"] == json.loads(read(quick, bucket, digests[-3]))["digestEndTime"]
    # A copy is compared with the record in the file of keys.
    sync(quick, bucket, tmp_path / "copy")
    status, report = verify(quick, "trail", "--folder", tmp_path / "copy", "--public-keys", saved)
    assert status == 1 and (digests[-1], "INVALID: not found") in findings(report), report


def test_the_record_of_digests_is_for_those_who_see_the_trail(quick, trail):
    stranger = account_with_key(quick, "000000000078")
    environment = {"AWS_ACCESS_KEY_ID": stranger[0], "AWS_SECRET_ACCESS_KEY": stranger[1]}
    done = quick.towpath("verify", "public-keys", trail["TrailARN"], "--bucket", trail["S3BucketName"], check=False, **environment)
    assert done.returncode == 1 and "DigestChains" not in done.stdout
