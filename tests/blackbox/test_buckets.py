"""Buckets of the data directory, as boto3 and the stock AWS CLI see them."""

import concurrent.futures
import datetime
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys

import boto3
import boto3.s3.transfer
import botocore.compat
import botocore.config
import botocore.exceptions
import pytest
from buckets import bucket, s3  # noqa: F401  fixtures
from conftest import REGION, error_of, query, unique
from test_serve import authority, encrypted  # noqa: F401  a fixture and a starter

MEGABYTE = 1 << 20


def aws(server, *arguments, check=True):
    """Runs the stock AWS CLI and returns what it did."""
    script = pathlib.Path(sys.executable).with_name("aws")
    done = subprocess.run([script, *map(str, arguments)], env=server.cli_environment(), capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done


class TestBuckets:
    def test_a_bucket_is_made_found_and_deleted(self, s3):
        name = unique("bucket")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        assert name in [found["Name"] for found in s3.list_buckets()["Buckets"]]
        assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
        assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-west-1"
        assert "Status" not in s3.get_bucket_versioning(Bucket=name)
        acl = s3.get_bucket_acl(Bucket=name)
        assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
        assert acl["Grants"][0]["Grantee"]["ID"] == acl["Owner"]["ID"]
        assert error_of(s3.create_bucket, Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})[0] == "BucketAlreadyOwnedByYou"
        s3.put_object(Bucket=name, Key="k")
        assert error_of(s3.delete_bucket, Bucket=name)[0] == "BucketNotEmpty"
        s3.delete_object(Bucket=name, Key="k")
        s3.delete_bucket(Bucket=name)
        assert error_of(s3.list_objects_v2, Bucket=name)[0] == "NoSuchBucket"

    def test_only_the_owner_has_it_and_acls_that_share_are_refused(self, s3, bucket):
        assert error_of(s3.put_bucket_acl, Bucket=bucket, ACL="public-read")[0] == "AccessControlListNotSupported"
        assert error_of(s3.put_object, Bucket=bucket, Key="k", ACL="public-read")[0] == "AccessControlListNotSupported"
        s3.put_object(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
        s3.put_bucket_acl(Bucket=bucket, ACL="private")

    def test_tags_of_buckets_and_objects_come_back(self, s3, bucket):
        assert error_of(s3.get_bucket_tagging, Bucket=bucket)[0] == "NoSuchTagSet"
        tags = [{"Key": "team", "Value": "blue & green"}]
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
        assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
        s3.put_object(Bucket=bucket, Key="k", Tagging="a=1&b=2")
        assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
        assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags

    def test_what_is_not_served_says_so(self, s3, bucket):
        versioning = {"Status": "Enabled"}
        assert error_of(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=versioning)[0] == "NotImplemented"
        assert error_of(s3.put_object, Bucket=bucket, Key="k", ServerSideEncryption="aws:kms")[0] == "NotImplemented"
        assert error_of(s3.get_object, Bucket=bucket, Key="k", VersionId="abc")[0] == "NoSuchVersion"


class TestObjects:
    def test_an_object_is_read_as_it_was_stored(self, s3, bucket):
        stored = s3.put_object(
            Bucket=bucket,
            Key="dir/k.json.gz",
            Body=b"hello",
            ContentType="application/json",
            ContentEncoding="gzip",
            CacheControl="no-cache",
            Metadata={"Purpose": "test", "signature": "0" * 512},
        )
        assert stored["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
        found = s3.get_object(Bucket=bucket, Key="dir/k.json.gz")
        assert found["Body"].read() == b"hello"
        assert found["Metadata"] == {"purpose": "test", "signature": "0" * 512}
        assert (found["ContentType"], found["ContentEncoding"], found["CacheControl"]) == ("application/json", "gzip", "no-cache")
        head = s3.head_object(Bucket=bucket, Key="dir/k.json.gz")
        assert (head["ContentLength"], head["ETag"]) == (5, stored["ETag"])
        attributes = s3.get_object_attributes(Bucket=bucket, Key="dir/k.json.gz", ObjectAttributes=["ETag", "ObjectSize", "Checksum"])
        assert attributes["ObjectSize"] == 5
        assert error_of(s3.get_object, Bucket=bucket, Key="none")[0] == "NoSuchKey"
        assert error_of(s3.head_object, Bucket=bucket, Key="none")[0] == "404"

    def test_ranges_are_parts_of_the_whole(self, s3, bucket):
        body = bytes(range(256)) * 4096
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        for header, expected in [("bytes=0-0", body[:1]), ("bytes=100-", body[100:]), ("bytes=-7", body[-7:]), ("bytes=5-99999999", body[5:])]:
            part = s3.get_object(Bucket=bucket, Key="k", Range=header)
            assert part["Body"].read() == expected
            assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert error_of(s3.get_object, Bucket=bucket, Key="k", Range=f"bytes={len(body)}-")[0] == "InvalidRange"

    def test_conditions_of_reads_and_writes_hold(self, s3, bucket):
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
        assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")[0] == "PreconditionFailed"
        second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
        assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"3", IfMatch=first)[0] == "PreconditionFailed"
        assert error_of(s3.get_object, Bucket=bucket, Key="k", IfMatch=first)[0] == "PreconditionFailed"
        assert error_of(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=second)[0] == "304"
        modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
        assert error_of(s3.get_object, Bucket=bucket, Key="k", IfModifiedSince=modified)[0] == "304"
        assert s3.get_object(Bucket=bucket, Key="k", IfUnmodifiedSince=modified)["Body"].read() == b"2"

    @pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"])
    def test_checksums_are_computed_kept_and_compared(self, s3, bucket, algorithm):
        if algorithm in ("CRC32C", "CRC64NVME") and not botocore_has_crt():
            # Without its native library botocore cannot compute these; given ones are compared all the same.
            value = {"CRC32C": "4waSgw==", "CRC64NVME": "rosUhgp5mIg="}[algorithm]
            stored = s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", **{f"Checksum{algorithm}": value})
        else:
            stored = s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", ChecksumAlgorithm=algorithm)
        name = f"Checksum{algorithm}"
        assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name] == stored[name]
        wrong = {"CRC32": "AAAAAA==", "CRC32C": "AAAAAA==", "CRC64NVME": "A" * 11 + "=", "SHA1": "A" * 27 + "=", "SHA256": "A" * 43 + "="}
        assert error_of(s3.put_object, Bucket=bucket, Key="w", Body=b"x", **{name: wrong[algorithm]})[0] == "BadDigest"
        assert error_of(s3.put_object, Bucket=bucket, Key="w", Body=b"x", ContentMD5="A" * 22 + "==")[0] == "BadDigest"

    def test_hostile_keys_are_only_keys(self, server, s3, bucket):
        keys = [
            "../../../etc/passwd", "a/../../b", "/leading", "a//b", "trailing/", ".", "..", "%2e%2e/x", "a b+c&d=e?f#g", "back\\slash",
            "quote'\"<>", "ключ/鍵/😀", "k" * 1024, "😀" * 256, "tab\tline\nend", "\u007f", "~", "*",
        ]
        before = {path for path in server.data_dir.parent.rglob("*") if not path.is_relative_to(server.data_dir)}
        for index, key in enumerate(keys):
            s3.put_object(Bucket=bucket, Key=key, Body=str(index))
        for index, key in enumerate(keys):
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == str(index).encode(), key
        for operation in ("list_objects", "list_objects_v2"):
            pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
            assert [found["Key"] for page in pages for found in page["Contents"]] == sorted(keys, key=lambda key: key.encode())
        assert before == {path for path in server.data_dir.parent.rglob("*") if not path.is_relative_to(server.data_dir)}
        assert error_of(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"x")[0] == "KeyTooLongError"
        deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        assert {entry["Key"] for entry in deleted["Deleted"]} == set(keys)
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    def test_copies_take_what_is_asked_for(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="a b", Body=b"text", ContentType="text/plain", Metadata={"m": "1"})
        source = {"Bucket": bucket, "Key": "a b"}
        s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
        assert s3.get_object(Bucket=bucket, Key="same")["Metadata"] == {"m": "1"}
        s3.copy_object(Bucket=bucket, Key="other", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "2"})
        other = s3.get_object(Bucket=bucket, Key="other")
        assert (other["Metadata"], other["Body"].read()) == ({"m": "2"}, b"text")
        assert error_of(s3.copy_object, Bucket=bucket, Key="a b", CopySource=source)[0] == "InvalidRequest"

    def test_of_many_who_write_one_key_each_reads_a_whole_object(self, s3, bucket):
        bodies = [bytes([number]) * 200_000 for number in range(20)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            writes = [pool.submit(s3.put_object, Bucket=bucket, Key="k", Body=body) for body in bodies]
            reads = []
            while not all(write.done() for write in writes):
                try:
                    reads.append(s3.get_object(Bucket=bucket, Key="k")["Body"].read())
                except s3.exceptions.NoSuchKey:
                    continue
        assert all(read in bodies for read in reads)


class TestListing:
    def test_versions_one_and_two_page_alike_through_prefixes(self, s3, bucket):
        keys = [f"{folder}/{number}" for folder in "abc" for number in range(5)] + ["top", "a"]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key)
        for size in (1, 2, 3, 100):
            for operation in ("list_objects", "list_objects_v2"):
                pages = list(s3.get_paginator(operation).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}))
                assert [found["Key"] for page in pages for found in page.get("Contents", [])] == ["a", "top"]
                assert [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])] == ["a/", "b/", "c/"]
        page = s3.list_objects(Bucket=bucket, Prefix="b/", Marker="b/2")
        assert [found["Key"] for found in page["Contents"]] == ["b/3", "b/4"]
        assert not page["IsTruncated"]
        page = s3.list_objects(Bucket=bucket, MaxKeys=2)
        assert page["IsTruncated"] and "NextMarker" not in page
        page = s3.list_objects_v2(Bucket=bucket, StartAfter="c/3")
        assert [found["Key"] for found in page["Contents"]] == ["c/4", "top"]
        assert error_of(s3.list_objects_v2, Bucket=bucket, ContinuationToken="!")[0] == "InvalidArgument"
        versions = s3.list_object_versions(Bucket=bucket)["Versions"]
        assert len(versions) == len(keys) and {version["VersionId"] for version in versions} == {"null"}


class TestMultipart:
    def test_twenty_megabytes_in_parts_come_back_whole(self, s3, bucket, tmp_path):
        body = random.Random(4748).randbytes(20 * MEGABYTE)
        (tmp_path / "up").write_bytes(body)
        config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * MEGABYTE, multipart_chunksize=5 * MEGABYTE, max_concurrency=4)
        s3.upload_file(str(tmp_path / "up"), bucket, "big", Config=config)
        head = s3.head_object(Bucket=bucket, Key="big")
        parts = [hashlib.md5(body[at : at + 5 * MEGABYTE]).digest() for at in range(0, len(body), 5 * MEGABYTE)]
        assert head["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}-4"'
        s3.download_file(bucket, "big", str(tmp_path / "down"), Config=config)
        assert (tmp_path / "down").read_bytes() == body
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)

    def test_parts_are_listed_checked_and_given_up(self, s3, bucket):
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ContentType="text/plain")["UploadId"]
        about = {"Bucket": bucket, "Key": "k", "UploadId": upload}
        etags = [s3.upload_part(**about, PartNumber=number, Body=b"x")["ETag"] for number in (1, 2, 3)]
        listed = [part for page in s3.get_paginator("list_parts").paginate(**about, PaginationConfig={"PageSize": 2}) for part in page["Parts"]]
        assert [(part["PartNumber"], part["ETag"]) for part in listed] == list(zip((1, 2, 3), etags))
        assert [found["UploadId"] for found in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]

        def complete(*parts):
            named = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
            return error_of(s3.complete_multipart_upload, **about, MultipartUpload={"Parts": named})[0]

        assert complete((1, etags[0]), (2, etags[1])) == "EntityTooSmall"
        assert complete((2, etags[1]), (1, etags[0])) == "InvalidPartOrder"
        assert complete((1, '"0"'),) == "InvalidPart"
        s3.abort_multipart_upload(**about)
        assert error_of(s3.list_parts, **about)[0] == "NoSuchUpload"
        assert error_of(s3.upload_part, **about, PartNumber=1, Body=b"x")[0] == "NoSuchUpload"

    def test_a_part_is_copied_from_a_range(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        about = {"Bucket": bucket, "Key": "k", "UploadId": upload}
        part = s3.upload_part_copy(**about, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange="bytes=2-5")
        named = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
        s3.complete_multipart_upload(**about, MultipartUpload={"Parts": named})
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2345"


class TestCommandLine:
    def test_the_stock_cli_makes_fills_and_removes_a_bucket(self, server, tmp_path):
        name = unique("cli")
        aws(server, "s3", "mb", f"s3://{name}")
        (tmp_path / "one.txt").write_text("one")
        aws(server, "s3", "cp", tmp_path / "one.txt", f"s3://{name}/dir/one.txt")
        assert "one.txt" in aws(server, "s3", "ls", f"s3://{name}/dir/").stdout
        assert aws(server, "s3", "cp", f"s3://{name}/dir/one.txt", "-").stdout == "one"
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{name}"}]}
        aws(server, "s3api", "put-bucket-policy", "--bucket", name, "--policy", json.dumps(policy))
        assert json.loads(json.loads(aws(server, "s3api", "get-bucket-policy", "--bucket", name).stdout)["Policy"]) == policy
        foreign = json.dumps(policy).replace(name, "another-bucket")
        refused = aws(server, "s3api", "put-bucket-policy", "--bucket", name, "--policy", foreign, check=False)
        assert "MalformedPolicy" in refused.stderr
        assert aws(server, "s3", "rb", f"s3://{name}", check=False).returncode != 0
        aws(server, "s3", "rm", f"s3://{name}", "--recursive")
        aws(server, "s3", "rb", f"s3://{name}")

    def test_a_thousand_objects_survive_a_round_trip_of_sync(self, server, s3, bucket, tmp_path):
        chance = random.Random(1000)
        source, back = tmp_path / "source", tmp_path / "back"
        for number in range(1000):
            path = source / f"{number % 7}/{number % 13}/file {number:04}.json.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(chance.randbytes(chance.choice([0, 1, 100, 5000])))
        aws(server, "s3", "sync", "--only-show-errors", source, f"s3://{bucket}/prefix")
        pages = s3.get_paginator("list_objects").paginate(Bucket=bucket, Prefix="prefix/")
        assert sum(len(page["Contents"]) for page in pages) == 1000
        aws(server, "s3", "sync", "--only-show-errors", f"s3://{bucket}/prefix", back)
        names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
        assert names == sorted(path.relative_to(back) for path in back.rglob("*") if path.is_file())
        assert all((source / name).read_bytes() == (back / name).read_bytes() for name in names)
        assert aws(server, "s3", "sync", f"s3://{bucket}/prefix", back).stdout == ""


class TestRecords:
    def test_operations_on_buckets_are_in_event_history_and_those_on_objects_are_not(self, server, s3):
        name = unique("recorded")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        error_of(s3.get_bucket_policy, Bucket=name)
        trail = server.client("cloudtrail")
        found = trail.lookup_events(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": f"arn:aws:s3:::{name}"}])["Events"]
        if not found:
            found = trail.lookup_events(LookupAttributes=[{"AttributeKey": "EventSource", "AttributeValue": "s3.amazonaws.com"}])["Events"]
            found = [event for event in found if name in event["CloudTrailEvent"]]
        records = {event["EventName"]: json.loads(event["CloudTrailEvent"]) for event in found}
        assert set(records) == {"CreateBucket", "GetBucketPolicy"}
        assert records["CreateBucket"]["requestParameters"]["bucketName"] == name
        assert records["CreateBucket"]["userIdentity"]["type"] == "Root"
        assert records["GetBucketPolicy"]["errorCode"] == "NoSuchBucketPolicy"

    def test_data_events_of_objects_go_where_they_are_asked_for(self, server, s3, bucket):
        trail = server.client("cloudtrail")
        fields = [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]
        store = trail.create_event_data_store(
            Name=unique("objects"), TerminationProtectionEnabled=False, AdvancedEventSelectors=[{"Name": "objects", "FieldSelectors": fields}]
        )["EventDataStoreArn"]
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        rows = query(trail, f"SELECT eventName FROM {store.rsplit('/', 1)[1]} WHERE eventSource = 's3.amazonaws.com'")
        assert [value for [(_, value)] in rows] == ["PutObject"]


class TestCrashes:
    def test_what_was_acknowledged_survives_kill_and_what_was_not_is_whole_or_absent(self, new_server):
        server = new_server()
        s3 = server.client("s3")
        s3.create_bucket(Bucket="crash-test", CreateBucketConfiguration={"LocationConstraint": REGION})
        acknowledged = {}
        for attempt in range(3):
            client = server.client("s3", retries={"total_max_attempts": 1}, read_timeout=5)

            def put(number):
                key, body = f"k{number % 40}", os.urandom(1) * 100_000
                try:
                    client.put_object(Bucket="crash-test", Key=key, Body=body)
                    return key
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    return None

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                writes = [pool.submit(put, number) for number in range(400)]
                while sum(write.done() for write in writes) < 60 + 40 * attempt:
                    pass
                server.kill()
            acknowledged.update({key: True for key in (write.result() for write in writes) if key})
            server.start()
            s3 = server.client("s3")
            listed = {found["Key"] for found in s3.list_objects_v2(Bucket="crash-test").get("Contents", [])}
            assert set(acknowledged) <= listed
            for key in listed:
                body = s3.get_object(Bucket="crash-test", Key=key)["Body"].read()
                assert len(body) == 100_000 and len(set(body)) == 1
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=10)
        folder = server.data_dir / "buckets" / "crash-test"
        while len([path for path in folder.rglob("*") if path.is_file()]) != len(listed):
            assert datetime.datetime.now() < deadline, "files without an object stay"


class TestEncryption:
    def test_the_port_of_the_buckets_is_encrypted_with_the_servers_certificate(self, new_server, authority):  # noqa: F811
        certificate, key, _ = authority.write_pair()
        server = encrypted(new_server, certificate, key)
        access_key, secret = server.root_key
        s3 = boto3.client(
            "s3",
            endpoint_url=server.s3_endpoint.replace("http://", "https://"),
            region_name=REGION,
            verify=str(authority.bundle),
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        s3.create_bucket(Bucket="encrypted", CreateBucketConfiguration={"LocationConstraint": REGION})
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::encrypted/*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
        s3.put_bucket_policy(Bucket="encrypted", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
        s3.put_object(Bucket="encrypted", Key="k", Body=b"x" * MEGABYTE)
        assert s3.get_object(Bucket="encrypted", Key="k")["Body"].read() == b"x" * MEGABYTE
        with pytest.raises(botocore.exceptions.BotoCoreError):
            server.client("s3").list_buckets()


def botocore_has_crt():
    return botocore.compat.HAS_CRT
