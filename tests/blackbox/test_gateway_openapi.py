"""An HTTP API that an OpenAPI document describes, behind the gateway: the worked example of the documentation."""

import base64
import hashlib
import json
import re
import shutil
import tomllib
import urllib.error
import urllib.request

import pytest
import urllib3

from conftest import REGION, REPOSITORY, new_activity_store, new_channel, query, store_id
from gateway.listening import Handler, Listening
from gateway.server import ACCOUNT, GatewayServer, equals

pytestmark = pytest.mark.timeout(120)
EXAMPLES = REPOSITORY / "docs/examples"
KEY = "key-of-the-night-batch-7f3a"
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


class Shop(Listening):
    """The pet shop: keeps nothing, answers what the document says. Without a credential it answers 401."""

    def __init__(self):
        class Sells(Handler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                known = self.headers.get("x-shop-key") or "good" in self.headers.get("authorization", "")
                status, output = 200, [{"id": 1, "name": "Rex"}]
                if not known:
                    status, output = 401, {"code": "NoCredential", "message": "say who you are"}
                elif self.path.endswith("/pets/99"):
                    status, output = 404, {"code": "NoSuchPet", "message": "there is no pet 99"}
                elif self.command == "DELETE":
                    status, output = 204, None
                elif self.command == "POST":
                    status, output = 201, {"id": 7, **json.loads(body)}
                    if self.path.endswith("/pets"):
                        output["keeper_code"] = "answered-keeper-code"
                text = b"" if output is None else json.dumps(output).encode()
                self.send_response(status)
                self.send_header("x-request-id", f"shop-{status}")
                if text:
                    self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = do_PATCH = answer

        super().__init__(Sells)


@pytest.fixture(scope="module")
def shop():
    shop = Shop()
    yield shop
    shop.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, shop):
    """Two names of the same shop: one recorded in the account, one through a channel."""
    folder = tmp_path_factory.mktemp("openapi")
    for name in ("petstore.yaml", "petstore.toml"):
        shutil.copy(EXAMPLES / name, folder / name)
    mapping = (EXAMPLES / "petstore.toml").read_text()
    fingerprint = hashlib.sha256(KEY.encode()).hexdigest()[:32]
    (folder / "petstore.toml").write_text(mapping.replace("9d8f2d0b5a1d4a3c6f1f0f3e4c7b2a11", fingerprint))
    channel, store = channel_of(folder / "data")
    activity = f'record = "activity"\nchannel = "{channel}"\n' + mapping.replace("[operations.showPet]\ncategory = \"data\"", "")
    (folder / "activity.toml").write_text(activity)
    upstreams = [
        {"name": "shop", "hosts": ["shop.test"], "url": shop.url, "openapi": str(folder / "petstore.toml")},
        {"name": "activity", "hosts": ["activity.test"], "url": shop.url, "openapi": str(folder / "activity.toml")},
    ]
    server = GatewayServer(folder / "data", upstreams).start()
    server.activity_store = store
    yield server
    assert server.stop() == 0, server.errors()


def channel_of(data_dir):
    """Makes a channel before the gateway is configured with it; returns its ARN and the store behind it."""
    server = GatewayServer(data_dir, [{"name": "none", "service": "none", "url": "http://127.0.0.1:9"}]).start()
    client = server.client()
    store = new_activity_store(client)
    channel = new_channel(client, store)
    assert server.stop() == 0
    return channel, store_id(store)


@pytest.fixture(scope="module")
def store(gateway):
    management = {"FieldSelectors": [equals("eventCategory", "Management")]}
    data = {"FieldSelectors": [equals("eventCategory", "Data"), equals("resources.type", "Example::Shop::Pet")]}
    return gateway.store([management, data])


def call(gateway, method, path, body=None, host="shop.test", mark="x", **headers):
    """Calls the shop through the gateway; returns status and answer."""
    request = urllib.request.Request(gateway.gateway + path, method=method, data=body and json.dumps(body).encode())
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    for name, text in {"host": host, "user-agent": mark, "x-shop-key": KEY, **given}.items():
        if text is not None:
            request.add_header(name, text)
    if body:
        request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def record_of(gateway, store, mark):
    [record] = gateway.records(store, f"useragent = '{mark}'")
    return record


def test_an_operation_is_an_event_with_its_parameters(gateway, store):
    body = {"name": "Rex", "tags": ["a"], "mother": {"name": "Ada", "keeper_code": "sent-keeper-code"}}
    status, answer = call(gateway, "POST", "/v1/pets", body, mark="create")
    assert (status, json.loads(answer)["keeper_code"]) == (201, "answered-keeper-code")
    record = record_of(gateway, store, "create")
    assert (record["eventSource"], record["eventName"], record["eventType"]) == ("pets.example.org", "createPet", "AwsApiCall")
    assert record["awsRegion"] == REGION and record["recipientAccountId"] == ACCOUNT
    assert record["requestParameters"] == {"name": "Rex", "tags": ["a"], "mother": {"name": "Ada", "keeper_code": HIDDEN}}
    assert record["responseElements"]["id"] == 7 and record["responseElements"]["keeper_code"] == HIDDEN
    assert record["userIdentity"]["userName"] == "night batch" and record["readOnly"] is False
    assert record["requestID"] == "shop-201"
    assert record["additionalEventData"] == {"httpMethod": "POST", "httpPath": "/pets", "httpStatusCode": 201}
    history = gateway.client().lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "createPet"}])
    assert [json.loads(event["CloudTrailEvent"])["eventID"] for event in history["Events"]] == [record["eventID"]]


def test_parameters_come_from_path_query_and_headers(gateway, store):
    call(gateway, "GET", "/v1/pets?limit=5&tags=a&tags=b&unknown=1", mark="list")
    record = record_of(gateway, store, "list")
    assert record["requestParameters"] == {"limit": 5, "tags": ["a", "b"]}
    assert record["responseElements"] is None and record["readOnly"] is True
    call(gateway, "DELETE", "/v1/pets/12", mark="delete", x_reason="sold")
    record = record_of(gateway, store, "delete")
    assert record["requestParameters"] == {"petId": 12, "X-Reason": "sold"}
    assert record["resources"] == [{"accountId": ACCOUNT, "type": "Example::Shop::Pet", "ARN": f"arn:aws:pets:{REGION}:{ACCOUNT}:pet/12"}]


def test_the_concrete_path_wins_and_the_mapping_tells_reads(gateway, store):
    call(gateway, "POST", "/v1/pets/search", {"name": "R"}, mark="search")
    record = record_of(gateway, store, "search")
    assert (record["eventName"], record["readOnly"]) == ("searchPets", True)


def test_a_data_event_goes_where_it_is_selected(gateway, store):
    call(gateway, "GET", "/v1/pets/12", mark="show")
    record = record_of(gateway, store, "show")
    assert (record["eventCategory"], record["managementEvent"]) == ("Data", False)


def test_failures_have_the_code_and_message_of_the_api(gateway, store):
    status, _ = call(gateway, "DELETE", "/v1/pets/99", mark="missing")
    record = record_of(gateway, store, "missing")
    assert status == 404
    assert (record["errorCode"], record["errorMessage"]) == ("NoSuchPet", "there is no pet 99")
    call(gateway, "PATCH", "/v1/elsewhere", {"a": 1}, mark="nowhere")
    record = record_of(gateway, store, "nowhere")
    assert record["eventName"] == "UnknownOperation"
    assert record["requestParameters"] == {"httpMethod": "PATCH", "httpPath": "/v1/elsewhere"}


def token(subject, signature):
    payload = base64.urlsafe_b64encode(json.dumps({"sub": subject, "iss": "https://id.example.org", "aud": "shop"}).encode())
    return f"Bearer e30.{payload.decode().rstrip('=')}.{signature}"


def test_a_token_names_the_caller_only_if_the_shop_took_it(gateway, store):
    call(gateway, "GET", "/v1/pets", mark="good-token", x_shop_key=None, authorization=token("ann", "good"))
    assert record_of(gateway, store, "good-token")["userIdentity"] == {
        "type": "WebIdentityUser", "principalId": "https://id.example.org:shop:ann", "userName": "ann",
        "identityProvider": "https://id.example.org",
    }
    status, _ = call(gateway, "GET", "/v1/pets", mark="bad-token", x_shop_key=None, authorization=token("boss", "forged"))
    record = record_of(gateway, store, "bad-token")
    assert status == 401 and record["userIdentity"] == {"type": "Unknown"} and "boss" not in json.dumps(record)


def test_secrets_are_in_no_record(gateway, store):
    payment = {"number": "4111-1111-1111-1111", "holder": "Ann Example"}
    call(gateway, "POST", "/v1/orders", {"petId": 1, "payment": payment}, mark="order")
    record = record_of(gateway, store, "order")
    hashed = "sha256:" + hashlib.sha256(b"Ann Example").hexdigest()[:32]
    assert record["requestParameters"] == {"petId": 1, "payment": {"number": HIDDEN, "holder": hashed}}
    kept = b"".join(file.read_bytes() for file in gateway.data_dir.rglob("*") if file.is_file())
    for secret in [KEY, "4111-1111", "sent-keeper-code", "answered-keeper-code"]:
        assert secret.encode() not in kept


def test_calls_can_be_activity_events_through_a_channel(gateway):
    call(gateway, "POST", "/v1/pets", {"name": "Rex"}, host="activity.test", mark="activity")
    client = gateway.client()
    columns = "eventdata.eventname, eventdata.eventsource, eventdata.useridentity.type, eventcategory"
    [row] = query(client, f"SELECT {columns} FROM {gateway.activity_store} WHERE eventdata.useragent = 'activity'")
    assert [text for _, text in row] == ["createPet", "pets.example.org", "ApiKey", "ActivityAuditLog"]
    assert "activity" not in [event.get("userAgent") for event in gateway.records(gateway.store())]


def test_the_guide_shows_the_example(gateway):
    """The mapping in the guide is the one of the example, but for names of keys and what the guide leaves out."""
    guide = (REPOSITORY / "docs/gateway.md").read_text()
    shown = tomllib.loads(re.search(r"<!-- mapping -->\n```toml\n(.*?)```", guide, re.S).group(1))
    kept = tomllib.loads((EXAMPLES / "petstore.toml").read_text())
    for rule in kept["caller"]:
        rule.pop("names", None)
    kept["operations"].pop("showPet")
    assert shown == kept


class Taking(Listening):
    """Takes whatever is sent, and keeps it."""

    def __init__(self):
        taken = self.taken = []

        class Takes(Handler):
            def do_POST(self):
                taken.append(self.rfile.read(int(self.headers["content-length"])))
                text = b"<pet id='7'><title>Rex</title><code>s3cr3t-answered</code></pet>"
                self.send_response(201)
                self.send_header("content-type", "application/xml")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        super().__init__(Takes)


def test_forms_and_xml_are_recorded_by_a_document_of_several_files(tmp_path):
    upstream = Taking()
    folder = tmp_path / "api"
    (folder / "schemas").mkdir(parents=True)
    (folder / "api.toml").write_text('document = "api.yaml"\nevent_source = "forms.example.org"\n')
    (folder / "api.yaml").write_text("openapi: 3.0.3\npaths: {/pets: {$ref: 'pets.yaml#/all'}}\n")
    (folder / "pets.yaml").write_text(
        "all: {post: {operationId: addPet, requestBody: {content: {'*/*': {schema: {$ref: 'schemas/pet.json#/Pet'}}}},\n"
        "  responses: {201: {content: {application/xml: {schema: {$ref: './schemas/pet.json#/Pet'}}}}}}}\n"
    )
    pet = {
        "id": {"type": "integer", "xml": {"attribute": True}}, "name": {"type": "string", "xml": {"name": "title"}},
        "code": {"type": "string", "writeOnly": True}, "photo": {"type": "string", "format": "binary"},
    }
    (folder / "schemas/pet.json").write_text(json.dumps({"Pet": {"type": "object", "properties": pet}}))
    upstreams = [{"name": "forms", "hosts": ["forms.test"], "url": upstream.url, "openapi": str(folder / "api.toml")}]
    server = GatewayServer(tmp_path / "data", upstreams).start()
    try:
        store = server.store()
        fields = {"id": "7", "name": "Rex", "code": "s3cr3t-sent", "photo": ("rex.png", b"s3cr3t-bytes", "image/png")}
        bodies = {
            "multipart": urllib3.encode_multipart_formdata(fields),
            "form": (b"id=7&name=Rex&code=s3cr3t-sent", "application/x-www-form-urlencoded"),
            "xml": (b"<pet id='7'><title>Rex</title><code>s3cr3t-sent</code></pet>", "application/xml"),
        }
        for mark, (body, kind) in bodies.items():
            headers = {"host": "forms.test", "content-type": kind, "user-agent": mark}
            answer = urllib3.PoolManager().request("POST", server.gateway + "/pets", body=body, headers=headers)
            assert answer.status == 201 and upstream.taken[-1] == body
            [record] = server.records(store, f"useragent = '{mark}'")
            sent = {"id": 7, "name": "Rex", "code": HIDDEN}
            photo = {"photo": {"fileName": "rex.png", "contentType": "image/png", "size": 12}} if mark == "multipart" else {}
            assert record["eventName"] == "addPet" and record["requestParameters"] == {**sent, **photo}
            assert record["responseElements"] == sent and "s3cr3t" not in json.dumps(record)
    finally:
        assert server.stop() == 0
        upstream.stop()


def test_a_document_that_leads_out_of_its_folder_is_refused_at_the_start(tmp_path):
    folder = tmp_path / "api"
    folder.mkdir()
    (tmp_path / "outside.yaml").write_text("a: 1")
    (folder / "api.toml").write_text('document = "api.yaml"\nevent_source = "forms.example.org"\n')
    for reference, why in [("../outside.yaml", "leads out of the document's folder"), ("https://example.org/a.yaml", "is an address")]:
        (folder / "api.yaml").write_text(f"openapi: 3.0.3\npaths: {{/pets: {{$ref: '{reference}'}}}}\n")
        upstreams = [{"name": "forms", "hosts": ["forms.test"], "url": "http://127.0.0.1:9", "openapi": str(folder / "api.toml")}]
        server = GatewayServer(tmp_path / "data", upstreams)
        with pytest.raises(AssertionError):
            server.start()
        assert reference in server.errors() and why in server.errors(), server.errors()
