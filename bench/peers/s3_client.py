"""A stock S3 client, boto3: how long one long upload and one long download take, straight and through the gateway.

    s3_client.py MEGABYTES DIRECT GATEWAY

DIRECT and GATEWAY are the addresses of one S3 server and of the gateway before it; the key comes from the environment.
Prints seconds, the best of three, taken in turn.
"""

import json
import os
import sys
import tempfile
import time

import boto3
from botocore.config import Config

BUCKET, KEY = "bench-bodies", "long"
PIECE = 1 << 20


def client(address):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, read_timeout=300)
    return boto3.client("s3", endpoint_url=address, region_name="us-east-1", config=config)


def upload(s3, path):
    began = time.monotonic()
    with open(path, "rb") as body:
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)
    return time.monotonic() - began


def download(s3, length):
    began = time.monotonic()
    body = s3.get_object(Bucket=BUCKET, Key=KEY)["Body"]
    got = sum(len(piece) for piece in body.iter_chunks(PIECE))
    if got != length:
        sys.exit(f"{got} bytes came of {length}")
    return time.monotonic() - began


def main():
    megabytes, direct, gateway = int(sys.argv[1]), client(sys.argv[2]), client(sys.argv[3])
    direct.create_bucket(Bucket=BUCKET)
    best = {}
    with tempfile.NamedTemporaryFile(dir=os.environ.get("TOWPATH_BENCH_DATA")) as file:
        for _ in range(megabytes):
            file.write(os.urandom(PIECE))
        file.flush()
        for _ in range(3):
            for name, s3 in (("_direct", direct), ("", gateway)):
                for way, seconds in (
                    ("upload", upload(s3, file.name)),
                    ("download", download(s3, megabytes * PIECE)),
                ):
                    best[way + name] = min(best.get(way + name, seconds), seconds)
    print(json.dumps({"boto3": boto3.__version__, **best}))


main()
