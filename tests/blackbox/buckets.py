"""Buckets of the data directory for tests: one to use, and clients of users with certain rights."""

import json

import pytest
from conftest import REGION, unique


@pytest.fixture(scope="module")
def s3(server):
    return server.client("s3")


@pytest.fixture
def bucket(s3):
    name = unique("bucket")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


def user_client(server, *statements, account=None):
    """A client of a new user with a policy of these statements."""
    name = unique("user")
    about = [] if account is None else ["--account-id", account]
    server.towpath("iam", "user", "create", name, *about)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        server.towpath("iam", "policy", "put", "--user", name, "--name", "p", "--document", "-", *about, stdin=document)
    made = json.loads(server.towpath("iam", "key", "create", "--user", name, "--output", "json", *about).stdout)
    made = made[0] if isinstance(made, list) else made
    lowered = {key.lower().replace("_", "").replace(" ", ""): value for key, value in made.items()}
    return server.client("s3", key=(lowered["accesskeyid"], lowered["secretaccesskey"]))


def allow(actions, resource):
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
