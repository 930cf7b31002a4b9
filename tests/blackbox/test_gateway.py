"""Calls through the gateway to moto's server: they pass unchanged, and each has its record."""

import collections
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request

import pytest

from conftest import BINARY, REPOSITORY, query
from gateway import table
from gateway.client import REGION, Calls
from gateway.expected import differences
from gateway.server import ACCOUNT, KEY, GatewayServer
from gateway.upstream import moto as moto
from trails import QUICK, new_trail, records as delivered, wait_for

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, moto):
    upstream = {"name": "moto", "service": "*", "url": moto.url}
    server = GatewayServer(tmp_path_factory.mktemp("gateway") / "data", [upstream], QUICK).start()
    yield server
    assert server.stop() == 0, server.errors()


@pytest.fixture(scope="module")
def store(gateway):
    return gateway.store()


@pytest.fixture(scope="module")
def trail(gateway):
    trail = new_trail(gateway, IsMultiRegionTrail=True)
    advanced = [
        {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]},
        {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]},
    ]
    gateway.client().put_event_selectors(TrailName=trail["TrailARN"], AdvancedEventSelectors=advanced)
    return trail


@pytest.fixture(scope="module")
def calls(gateway, store, trail):
    """Every call of the table, made once through the gateway."""
    calls = Calls(gateway.gateway, KEY)
    for service in table.SERVICES:
        service(calls)
    return calls


@pytest.fixture(scope="module")
def found(gateway, store, calls):
    """The records of the store by the mark of their call."""
    marked = collections.defaultdict(list)
    for record in gateway.records(store, "useragent LIKE '%call/%'"):
        marked[record["userAgent"].rsplit("call/", 1)[1].strip("[]")].append(record)
    return marked


def test_the_table_covers_what_it_must(calls):
    operations = {(made.service, made.operation.name) for made in calls.made}
    protocols = {made.operation.service_model.resolved_protocol for made in calls.made}
    assert len(operations) >= 150 and len({service for service, _ in operations}) >= 12
    assert protocols == {"json", "rest-json", "query", "ec2", "rest-xml"}


def test_requests_and_answers_pass_unchanged(calls, moto):
    hop = {"connection", "date", "server", "keep-alive"}
    for made in calls.made:
        seen = moto.seen[made.mark]
        sent = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in made.sent.headers.items()}
        sent.pop("expect", None)
        for name, value in sent.items():
            if name not in ("content-length", "content-type", "transfer-encoding"):
                assert seen.headers.get(name) == value, f"{made.service} {made.operation.name}: {name}"
        assert seen.headers["host"] == made.sent.url.split("/")[2]
        assert seen.status == made.status
        if made.content is not None:
            assert seen.answer_body == made.content or made.sent.method == "HEAD"
        answered = {(name.lower(), value) for name, value in seen.answer_headers} - {(name, value) for name, value in seen.answer_headers if name.lower() in hop}
        received = {(name.lower(), value) for name, value in made.headers.items()}
        missing = {pair for pair in answered - received if pair[0] not in hop}
        assert not missing, f"{made.service} {made.operation.name}: {missing}"


def test_each_call_has_one_record_that_says_what_it_was(calls, found):
    wrong = []
    for made in calls.made:
        records = found.get(made.mark, [])
        if len(records) != 1:
            wrong.append(f"{made.service} {made.operation.name} ({made.mark}): {len(records)} records")
            continue
        problems = differences(made, records[0], KEY[0], ACCOUNT)
        wrong += [f"{made.service} {made.operation.name} ({made.mark}): {problem}" for problem in problems]
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong)


def test_reads_and_writes_are_told_apart(calls, found):
    for made in calls.made:
        [record] = found[made.mark]
        name = made.operation.name
        if name.startswith(("Describe", "List")) or (name.startswith("Get") and made.service not in ("sts",)):
            assert record["readOnly"] is True, f"{made.service} {name}"
            assert record["responseElements"] is None, f"{made.service} {name}"
        if name.startswith(("Create", "Delete", "Put", "Update", "Terminate", "Authorize")):
            assert record["readOnly"] is False, f"{made.service} {name}"


def test_answers_of_writes_are_recorded_without_their_secrets(calls, found):
    def answer(service, operation):
        made = next(made for made in calls.made if (made.service, made.operation.name) == (service, operation))
        return made.output, found[made.mark][0]["responseElements"]

    given, printed = answer("iam", "CreateAccessKey")
    assert printed["accessKey"]["accessKeyId"] == given["AccessKey"]["AccessKeyId"]
    assert given["AccessKey"]["SecretAccessKey"] not in json.dumps(printed)
    given, printed = answer("sts", "AssumeRole")
    assert printed["credentials"]["accessKeyId"] == given["Credentials"]["AccessKeyId"]
    assert given["Credentials"]["SecretAccessKey"] not in json.dumps(printed)
    given, printed = answer("ec2", "RunInstances")
    assert printed["instancesSet"]["items"][0]["instanceId"] == given["Instances"][0]["InstanceId"]
    given, printed = answer("support", "CreateCase")
    assert printed == {"caseId": given["caseId"]}
    given, printed = answer("dynamodb", "CreateTable")
    assert printed["tableDescription"]["tableArn"] == given["TableDescription"]["TableArn"]


def test_the_event_history_has_the_management_events_and_no_others(gateway, calls, found):
    client = gateway.client(region=REGION)
    seen = {}
    for page in client.get_paginator("lookup_events").paginate(PaginationConfig={"PageSize": 50}):
        for event in page["Events"]:
            record = json.loads(event["CloudTrailEvent"])
            if "call/" in record.get("userAgent", ""):
                seen[record["userAgent"].rsplit("call/", 1)[1].strip("[]")] = (event, record)
    management = {made.mark for made in calls.made if made.expected.get("managementEvent", True)}
    assert set(seen) == management
    for mark, (event, record) in seen.items():
        assert record == found[mark][0]
        assert event["EventName"] == record["eventName"] and event["AccessKeyId"] == KEY[0]
    by_name = client.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateCase"}])
    assert [event["EventSource"] for event in by_name["Events"]] == ["support.amazonaws.com"]
    by_resource = client.lookup_events(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": "photos"}])
    assert by_resource["Events"] == [] or all("photos" in event["CloudTrailEvent"] for event in by_resource["Events"])


def test_sql_counts_calls_by_service(gateway, store, calls):
    rows = query(gateway.client(), f"SELECT eventsource, count(*) FROM {store} WHERE useragent LIKE '%call/%' GROUP BY eventsource")
    counts = {row[0][1]: int(row[1][1]) for row in rows}
    assert sum(counts.values()) == len(calls.made)
    assert counts["dynamodb.amazonaws.com"] == sum(made.service == "dynamodb" for made in calls.made)


def test_a_trail_delivers_the_calls(gateway, trail, calls, found):
    objects = {made.mark for made in calls.made if any(kind == "AWS::S3::Object" for kind, _ in made.expected.get("resources", []))}
    management = {made.mark for made in calls.made if made.expected.get("managementEvent", True)}
    assert objects and management

    def marks():
        texts = [record.get("userAgent", "") for record in delivered(gateway, trail["S3BucketName"])]
        got = {text.rsplit("call/", 1)[1].strip("[]") for text in texts if "call/" in text}
        return got if objects | management <= got else None

    got = wait_for("the delivery of all calls", marks)
    s3 = {made.mark for made in calls.made if made.service == "s3"}
    assert got <= management | s3


def test_the_stock_cli_works_through_the_gateway(gateway, moto, store, tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TOWPATH_"))}
    environment.update(
        AWS_ENDPOINT_URL=gateway.gateway, AWS_ACCESS_KEY_ID=KEY[0], AWS_SECRET_ACCESS_KEY=KEY[1],
        AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION, AWS_PAGER="", AWS_EXECUTION_ENV="blackbox-cli",
    )
    script = pathlib.Path(sys.executable).with_name("aws")

    def aws(*arguments):
        done = subprocess.run([script, *arguments], env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    (tmp_path / "a.txt").write_text("through the gateway")
    aws("s3", "mb", "s3://from-the-cli")
    aws("s3", "cp", "a.txt", "s3://from-the-cli/dir/a.txt")
    assert aws("s3", "cp", "s3://from-the-cli/dir/a.txt", "-") == "through the gateway"
    aws("dynamodb", "list-tables")
    aws("iam", "create-user", "--user-name", "from-the-cli")
    aws("ec2", "describe-vpcs")
    aws("ssm", "put-parameter", "--name", "cli", "--type", "String", "--value", "from-the-cli-secret")
    aws("lambda", "list-functions")
    aws("sns", "create-topic", "--name", "from-the-cli")
    named = {record["eventName"] for record in gateway.records(store, "useragent LIKE '%aws-cli%'")}
    assert {
        "CreateBucket", "PutObject", "GetObject", "ListTables", "CreateUser", "DescribeVpcs", "PutParameter",
        "ListFunctions20150331", "CreateTopic",
    } <= named


def test_the_commands_of_the_guide_work(tmp_path, moto):
    guide = (REPOSITORY / "docs/gateway.md").read_text()
    settings = tomllib.loads(re.search(r"<!-- config -->\n```toml\n(.*?)```", guide, re.S).group(1))["gateway"]
    [upstream] = settings["upstream"]
    server = GatewayServer(tmp_path / "data", [{**upstream, "url": moto.url}]).start()
    blocks = re.findall(r"<!-- test -->\n```sh\n(.*?)```", guide, re.S)
    assert len(blocks) == 2
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "towpath").symlink_to(BINARY.resolve())
    environment = server.cli_environment(region=REGION)
    # What goes to the gateway names it in the command; everything else goes to Towpath.
    environment.pop("AWS_ENDPOINT_URL_S3")
    environment["PATH"] = f"{programs}:{pathlib.Path(sys.executable).parent}:{environment['PATH']}"
    text = "set -euo pipefail\n" + "\n".join(blocks).replace("http://127.0.0.1:4749", server.gateway)
    done = subprocess.run(["bash", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert server.stop() == 0
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert '"eventName":"CreateTable"' in done.stdout and "hello.txt" in done.stdout


def test_a_session_of_a_role_is_named_by_role_and_session(gateway, store, calls):
    session = calls("sts", "AssumeRole", RoleArn="arn:aws:iam::123456789012:role/worker", RoleSessionName="night-shift")["Credentials"]
    inner = Calls(gateway.gateway, (session["AccessKeyId"], session["SecretAccessKey"]), token=session["SessionToken"])
    inner("sqs", "ListQueues")
    [record] = gateway.records(store, f"useridentity.accesskeyid = '{session['AccessKeyId']}'")
    identity = record["userIdentity"]
    assert identity["type"] == "AssumedRole" and identity["principalId"].endswith(":night-shift")
    assert identity["arn"] == "arn:aws:sts::123456789012:assumed-role/worker/night-shift"
    assert session["SessionToken"] not in json.dumps(record)


def test_no_secret_is_in_a_record_or_in_the_data_directory(gateway, store, calls, trail):
    """Credentials in every position of a call, of every protocol: looked for in what is stored."""
    number = iter(range(1000))
    corpus = {}

    def secret(where):
        corpus[where] = f"Zq9-{next(number):03}-canary-{where.replace(' ', '-')}"
        return corpus[where]

    session = calls("sts", "GetSessionToken")["Credentials"]
    corpus["answer of STS"] = session["SecretAccessKey"]
    made = calls("iam", "CreateUser", UserName="canary") and calls("iam", "CreateAccessKey", UserName="canary")["AccessKey"]
    corpus["answer of IAM"] = made["SecretAccessKey"]
    calls("iam", "CreateLoginProfile", UserName="canary", Password=secret("password over query"))
    calls("rds", "CreateDBInstance", DBInstanceIdentifier="canary", DBInstanceClass="db.t3.micro", Engine="postgres", MasterUsername="a", MasterUserPassword=secret("master over query"), AllocatedStorage=20)
    calls("ssm", "PutParameter", Name="canary", Value=secret("parameter over json"), Type="SecureString")
    calls("secretsmanager", "CreateSecret", Name="canary", SecretString=secret("secret over json"))
    calls("secretsmanager", "PutSecretValue", SecretId="canary", SecretBinary=secret("secret as bytes").encode())
    calls("kms", "CreateKey")
    key = calls.made[-1].output["KeyMetadata"]["KeyId"]
    calls("kms", "Encrypt", KeyId=key, Plaintext=secret("plaintext over json").encode())
    calls("ec2", "RunInstances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1, UserData=secret("user data over ec2"))
    calls("s3", "CreateBucket", Bucket="canary")
    calls("s3", "PutObject", Bucket="canary", Key="k", Body=secret("object over rest xml").encode(), SSECustomerAlgorithm="AES256", SSECustomerKey=secret("customer key in a header")[:32].ljust(32, "x"))
    corpus["customer key in a header"] = corpus["customer key in a header"][:32]
    url = calls("sqs", "CreateQueue", QueueName="canary")["QueueUrl"]
    calls("sqs", "SendMessage", QueueUrl=url, MessageBody=secret("message over json"))
    calls("sns", "CreateTopic", Name="canary")
    calls("sns", "Publish", TopicArn=calls.made[-1].output["TopicArn"], Message=secret("message over query"))
    calls("dynamodb", "CreateTable", TableName="canary", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST")
    calls("dynamodb", "PutItem", TableName="canary", Item={"id": {"S": "1"}, "v": {"S": secret("item over json")}})
    environment = {"Variables": {"TOKEN": secret("environment over rest json")}}
    calls("lambda", "UpdateFunctionConfiguration", error="ResourceNotFoundException", FunctionName="canary", Environment=environment)
    calls("support", "CreateCase", subject=secret("subject"), communicationBody=secret("text"), ccEmailAddresses=[secret("address")])
    inner = Calls(gateway.gateway, (session["AccessKeyId"], session["SecretAccessKey"]), token=session["SessionToken"])
    inner("sqs", "ListQueues")
    presigned = inner.client("s3").generate_presigned_url("get_object", Params={"Bucket": "canary", "Key": "k"})
    odd = {"Cookie": f"session={secret('cookie')}", "X-Api-Key": secret("key in a header"), "User-Agent": "canary"}
    for address in (presigned, f"{gateway.gateway}/canary/k?token={secret('unknown parameter')}"):
        request = urllib.request.Request(address, headers=odd)
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=20).read()
    corpus["signature of a presigned address"] = re.search(r"Signature=([^&]+)", presigned).group(1)
    corpus["signature of a call"] = re.search(r"Signature=(\w+)", _text(calls.made[-1].sent.headers["Authorization"])).group(1)
    corpus["session token in a header"] = session["SessionToken"]
    corpus["secret of the caller"] = KEY[1]

    records = json.dumps(gateway.records(store))
    assert "canary" in records and len(records) > 100_000
    # Answers of STS hold the session's token, as CloudTrail's own records do; calls with it must not.
    shown = [record for record in gateway.records(store) if record["eventName"] != "GetSessionToken"]
    leaked = [where for where, text in corpus.items() if where != "session token in a header" and text in records]
    leaked += ["session token"] if session["SessionToken"] in json.dumps(shown) else []
    assert not leaked
    in_files = [
        (where, file.name)
        for file in gateway.data_dir.rglob("*") if file.is_file() and file.name != "credentials"
        for where, text in corpus.items()
        if where != "session token in a header" and text.encode() in file.read_bytes()
    ]
    assert not in_files
    for record in delivered(gateway, trail["S3BucketName"]):
        assert not [where for where, text in corpus.items() if where != "session token in a header" and text in json.dumps(record)]


def _text(value):
    return value.decode() if isinstance(value, bytes) else value
