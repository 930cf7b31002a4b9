"""Credentials in every position of a call and its answer: looked for in all bytes that are stored on the way.

The server is away at first, so that records wait on disk; then they go to its log, its lake and a trail's files. Services
repeat what they were sent, in the form that they had it in: so does the upstream here, in the messages of its errors.
"""

import base64
import gzip
import json
import urllib.error
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape

import boto3
import botocore.config
import botocore.exceptions
import pytest

from gateway.alone import Alone, RecordServer
from gateway.client import REGION
from gateway.listening import Handler, Listening
from gateway.server import KEY, selectors
from trails import QUICK, records as delivered, new_trail, wait_for

pytestmark = pytest.mark.timeout(120)

MARK = "corpus-of-secrets"
# Headers that the upstream's errors repeat.
REPEATED = ["authorization", "cookie", "x-amz-security-token", "x-api-key", "x-amz-server-side-encryption-customer-key"]


class Corpus:
    """Secrets by where they stood. Those of bodies have signs that every form of writing writes differently."""

    def __init__(self):
        self.texts = {}

    def __call__(self, where, plain=False):
        number = f"{len(self.texts):02}"
        self.texts[where] = f"Zq9-{number}-canary-{number}" if plain else f"Zq9 {number}&\"c<a'n/ary\\ü+{number}%"
        return self.texts[where]

    def found_in(self, stored):
        """Where the secrets stood that these bytes hold, in whatever form."""
        return [where for where, text in self.texts.items() if any(form in stored for form in forms(text))]


def forms(text):
    """The ways in which a text may stand in stored bytes."""
    data = text.encode()
    xml = escape(text)
    written = [
        text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(json.dumps(text)[1:-1])[1:-1],
        xml, escape(text, {'"': "&quot;", "'": "&apos;"}), escape(text, {'"': "&quot;", "'": "&#39;"}),
        urllib.parse.quote(text, ""), urllib.parse.quote(text), urllib.parse.quote_plus(text), urllib.parse.quote(text, "").lower(),
        data.hex(), data.hex().upper(),
    ]
    # In base64 a text looks differently at each of three places; what is next to it changes its ends.
    shifted = [base64.b64encode(b"x" * shift + data)[4 * bool(shift) : -4] for shift in range(3)]
    return [form.encode() for form in written] + shifted + [piece.replace(b"+", b"-").replace(b"/", b"_") for piece in shifted]


class Repeating(Listening):
    """Answers errors that repeat what was sent, decoded and as it came; and successes where the query says so."""

    def __init__(self, corpus):
        self.answered = []
        repeating = self

        class Repeats(Handler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                kind = self.headers.get("content-type") or ""
                # Contents of objects and payloads are nothing that a service understands.
                body = b"" if kind == "" else body
                plain = [text for text in corpus.texts.values() if any(form in body for form in forms(text))]
                heads = [self.headers[name] for name in REPEATED if name in self.headers]
                said = " ".join([body.decode("utf-8", "replace"), "is not", *plain, *heads, self.path])
                if "json" in kind or self.path.startswith("/2015-03-31"):
                    content, kind = json.dumps({"__type": "ValidationException", "message": said}), "application/json"
                elif "form" in kind:
                    content, kind = f"<ErrorResponse><Error><Code>ValidationError</Code><Message>{escape(said)}</Message></Error></ErrorResponse>", "text/xml"
                else:
                    content, kind = f"<Error><Code>InvalidRequest</Code><Message>{escape(said)}</Message></Error>", "application/xml"
                repeating.answered.append(content)
                content = content.encode()
                self.send_response(400)
                self.send_header("content-type", kind)
                self.send_header("set-cookie", f"session={corpus.texts['cookie that is set']}")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        super().__init__(Repeats)


def calls(address, secret):
    """Makes the calls; each is refused by the upstream."""
    config = botocore.config.Config(user_agent=MARK, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})

    def client(service, token=None):
        return boto3.client(
            service, endpoint_url=address, region_name=REGION, aws_access_key_id="AKIAOFTHECORPUS00000",
            aws_secret_access_key=secret.texts["secret key"], aws_session_token=token, config=config,
        )

    def call(service, operation, token=None, **parameters):
        with pytest.raises(botocore.exceptions.ClientError):
            client(service, token)._make_api_call(operation, parameters)

    secret("cookie that is set", plain=True)
    secret("secret key", plain=True)
    call("ssm", "PutParameter", Name="n", Type="SecureString", Value=secret("member of JSON"))
    call("secretsmanager", "CreateSecret", Name="n", SecretString=json.dumps({"password": secret("JSON within JSON")}))
    call("secretsmanager", "PutSecretValue", SecretId="n", SecretBinary=secret("blob of JSON").encode())
    call("kms", "Encrypt", KeyId="k", Plaintext=secret("plain text to encrypt").encode())
    call("dynamodb", "PutItem", TableName="t", Item={"id": {"S": secret("key of an item")}, "b": {"B": secret("blob of an item").encode()}})
    call("sqs", "SendMessage", QueueUrl=f"{address}/1/q", MessageBody=secret("message"))
    call("support", "CreateCase", subject=secret("subject"), communicationBody=secret("letter"), serviceCode="s")
    call("iam", "CreateLoginProfile", UserName="u", Password=secret("parameter of a form"))
    call("sns", "Publish", TopicArn="arn:aws:sns:us-east-1:000000000000:t", Message=secret("message of a form"))
    call("sts", "AssumeRole", RoleArn="arn:aws:iam::000000000000:role/r", RoleSessionName="session", ExternalId=secret("external id", plain=True), TokenCode="123456")
    call("ec2", "RunInstances", ImageId="ami-1", MinCount=1, MaxCount=1, UserData=secret("user data"))
    call("lambda", "UpdateFunctionConfiguration", FunctionName="f", Environment={"Variables": {"TOKEN": secret("environment")}})
    call("lambda", "Invoke", FunctionName="f", Payload=secret("payload").encode(), ClientContext="eyJ9")
    call("s3", "PutObject", Bucket="b", Key="k", Body=secret("object").encode())
    key = secret("customer's key in a header", plain=True).ljust(32, "x")
    call("s3", "GetObject", Bucket="b", Key="k", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    call("s3", "PutObject", Bucket="b", Key="k", Metadata={"password": secret("metadata", plain=True)})
    call("sqs", "ListQueues", token=secret("session token", plain=True))
    presigned = client("s3", secret("session token in an address", plain=True)).generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    secret.texts["signature of an address"] = urllib.parse.parse_qs(urllib.parse.urlsplit(presigned).query)["Signature"][0]

    def plain(url, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, data=body, headers={"User-Agent": MARK, **headers})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=20)

    plain(presigned)
    plain(f"{address}/b/k?token={secret('unknown parameter', plain=True)}", Cookie=f"a=1; session={secret('cookie', plain=True)}", X_Api_Key=secret("key in a header", plain=True))
    plain(f"{address}/", Authorization=f"Bearer {secret('bearer', plain=True)}")
    plain(f"{address}/", Authorization="Basic " + base64.b64encode(b"user:" + secret("basic", plain=True).encode()).decode())
    plain(f"{address}/reset/{secret('path of nobody', plain=True)}")
    plain(f"{address}/login", json.dumps({"password": secret("body of nobody")}).encode(), Content_Type="application/json")
    zipped = gzip.compress(json.dumps({"Name": "n", "Type": "String", "Value": secret("compressed body")}).encode())
    target = {"X_Amz_Target": "AmazonSSM.PutParameter", "Content_Type": "application/x-amz-json-1.1", "Content_Encoding": "gzip"}
    plain(f"{address}/", zipped, **target)


def in_files(folder, corpus):
    """Secrets in a folder's files, and whether the calls are there at all."""
    leaked, seen = [], False
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "credentials":
            stored = file.read_bytes()
            stored += gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else b""
            leaked += [(file.name, where) for where in corpus.found_in(stored)]
            seen = seen or MARK.encode() in stored
    return leaked, seen


def test_no_secret_is_stored_on_the_way_from_a_call_to_a_trail(tmp_path):
    corpus = Corpus()
    server = RecordServer(tmp_path / "data")
    server.environment.update(QUICK)
    server.start()
    repeating = Repeating(corpus)
    gateway = Alone(tmp_path, server, [{"name": "all", "service": "*", "url": repeating.url}])
    try:
        store, trail = server.store(), new_trail(server, IsMultiRegionTrail=True)
        server.client().put_event_selectors(TrailName=trail["TrailARN"], AdvancedEventSelectors=selectors())
        gateway.start()
        server.stop()
        calls(gateway.address, corpus)
        # The upstream has said them all, so that they could be there.
        said = [where for where in corpus.texts if where in corpus.found_in("".join(repeating.answered).encode())]
        assert len(corpus.texts) >= 28 and len(said) >= 15, said

        wait_for("records on disk", lambda: in_files(gateway.folder, corpus)[1])
        assert in_files(gateway.folder, corpus) == ([], True)

        server.start()
        wait_for("the end of the waiting", lambda: len(server.records(store, f"useragent LIKE '%{MARK}%'")) >= len(repeating.answered))
        shown = json.dumps(server.records(store)) + json.dumps(server.records(store), ensure_ascii=False)
        assert MARK in shown and corpus.found_in(shown.encode()) == []
        bucket = trail["S3BucketName"]
        files = wait_for("the trail", lambda: [record for record in delivered(server, bucket) if MARK in record.get("userAgent", "")])
        assert corpus.found_in(json.dumps(files, ensure_ascii=False).encode()) == []
        assert in_files(server.data_dir, corpus) == ([], True)
        assert corpus.found_in(gateway.log.read_bytes() + server.errors().encode()) == []
    finally:
        gateway.end()
        repeating.stop()
        if server.process.poll() is None:
            server.stop()
