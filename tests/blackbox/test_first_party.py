"""What first-party software tells of itself: sign-ins to a console, actions in it, and what services do by themselves."""

import concurrent.futures
import datetime
import gzip
import json
import time
import uuid

import pytest

from conftest import SHARED, query, scalar, unique
from first_party import ok, refused, send
from test_history import ORDER
from trails import ACCOUNT, account_with_key, new_trail, quick_server, records, wait_for, wait_for_record

pytestmark = pytest.mark.timeout(200)

OTHER = "111122223333"
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
CONSOLE = "https://console.aws.amazon.com/console/home"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
NOBODY = {"SourceIPAddress": "203.0.113.9", "Success": False}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from quick_server(tmp_path_factory.mktemp("first-party"))


@pytest.fixture(scope="module")
def everything(server):
    """A store and a trail of management events of all regions, as (store's id, bucket)."""
    client = server.client()
    selectors = [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}]
    made = client.create_event_data_store(
        Name=unique("all"), AdvancedEventSelectors=selectors, MultiRegionEnabled=True, TerminationProtectionEnabled=False
    )
    return made["EventDataStoreArn"].rsplit("/", 1)[1], new_trail(server, IsMultiRegionTrail=True)["S3BucketName"]


@pytest.fixture(scope="module")
def alice(server):
    """A user whom Towpath knows."""
    return ok(send(server, "CreateUser", {"UserName": "alice"}))["User"]


@pytest.fixture(scope="module")
def other(server):
    """The key of another account's root."""
    return account_with_key(server, OTHER)


def user_with(server, *actions):
    """The key of a new user who may do this."""
    name = unique("user")
    ok(send(server, "CreateUser", {"UserName": name}))
    allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    ok(send(server, "PutUserPolicy", {"UserName": name, "PolicyName": "p", "PolicyDocument": document}))
    made = ok(send(server, "CreateAccessKey", {"UserName": name}))["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def sign_in(server, key=None, **members):
    """Tells of a sign-in; returns the event's id."""
    members.setdefault("SourceIPAddress", "203.0.113.9")
    return ok(send(server, "PutConsoleSignIn", members, key=key))["EventId"]


def lookup(server, attribute, value, region, key=None):
    """Texts of the events in event history."""
    attributes = [{"AttributeKey": attribute, "AttributeValue": value}]
    found = server.client(region=region, key=key).lookup_events(LookupAttributes=attributes)["Events"]
    return [event["CloudTrailEvent"] for event in found]


def everywhere(server, everything, event_id, region="us-east-1"):
    """The record of an event, which event history, SQL and a trail must have in the same form."""
    store, bucket = everything
    [text] = lookup(server, "EventId", event_id, region)
    record = json.loads(text)
    answer = server.towpath("query", f"SELECT eventjson FROM {store} WHERE eventid = '{event_id}'", "--output", "json")
    [row] = json.loads(answer.stdout)
    assert row["eventjson"] == text
    delivered = wait_for_record(server, bucket, lambda it: it["eventID"] == event_id)
    assert delivered == record and list(delivered) == list(record)
    return record


def expected(event_id, identity, **members):
    """A sign-in as CloudTrail records it."""
    record = {
        "eventVersion": "1.11", "userIdentity": identity, "eventSource": "signin.amazonaws.com", "eventName": "ConsoleLogin",
        "awsRegion": "us-east-1", "sourceIPAddress": "203.0.113.9", "requestParameters": None, "eventID": event_id,
        "readOnly": False, "eventType": "AwsConsoleSignIn", "managementEvent": True, "recipientAccountId": ACCOUNT,
        "eventCategory": "Management", **members,
    }
    return {name: record[name] for name in ORDER if name in record}


def root(account=ACCOUNT):
    arn = f"arn:aws:iam::{account}:root"
    return {"type": "Root", "principalId": account, "arn": arn, "accountId": account, "accessKeyId": ""}


def details(login=CONSOLE, mobile="No", identifier=None, mfa="No"):
    found = {"LoginTo": login, "MobileVersion": mobile}
    return {**found, **({"MFAIdentifier": identifier} if identifier else {}), "MFAUsed": mfa}


SUCCESS, FAILURE = {"ConsoleLogin": "Success"}, {"ConsoleLogin": "Failure"}


def without_time(record):
    """A record without its time, which must be of this minute."""
    at = datetime.datetime.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    assert abs((datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()) < 90
    return {name: value for name, value in record.items() if name != "eventTime"}


def test_a_user_signs_in_with_a_second_factor(server, everything, alice):
    device = f"arn:aws:iam::{ACCOUNT}:mfa/phone"
    event_id = sign_in(
        server, UserName="alice", Success=True, MFAUsed=True, MFAIdentifier=device, UserAgent=BROWSER, MobileVersion=True,
        LoginTo="https://console.example.org/home?region=eu-central-1",
        TlsDetails={"TlsVersion": "TLSv1.3", "CipherSuite": "TLS_AES_128_GCM_SHA256", "ClientProvidedHostHeader": "console.example.org"},
    )
    record = without_time(everywhere(server, everything, event_id))
    identity = {
        "type": "IAMUser", "principalId": alice["UserId"], "arn": alice["Arn"], "accountId": ACCOUNT, "userName": "alice",
    }
    must = expected(
        event_id, identity, userAgent=BROWSER, responseElements=SUCCESS,
        additionalEventData=details("https://console.example.org/home?region=eu-central-1", "Yes", device, "Yes"),
        tlsDetails={"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": "console.example.org"},
    )
    assert record == must and list(record) == list(must)
    assert list(record["userIdentity"]) == list(identity)
    assert list(record["additionalEventData"]) == ["LoginTo", "MobileVersion", "MFAIdentifier", "MFAUsed"]


def test_a_user_fails_to_sign_in(server, everything, alice):
    event_id = sign_in(server, UserName="alice", Success=False, UserAgent=BROWSER)
    record = without_time(everywhere(server, everything, event_id))
    identity = {"type": "IAMUser", "accountId": ACCOUNT, "accessKeyId": "", "userName": "alice"}
    must = expected(
        event_id, identity, userAgent=BROWSER, errorMessage="Failed authentication", responseElements=FAILURE,
        additionalEventData=details(),
    )
    assert record == must and list(record) == list(must)


def test_the_root_signs_in_and_fails_to(server, everything):
    for success, outcome, more in [(True, SUCCESS, {}), (False, FAILURE, {"errorMessage": "Failed authentication"})]:
        event_id = sign_in(server, Success=success)
        record = without_time(everywhere(server, everything, event_id))
        must = expected(event_id, root(), responseElements=outcome, additionalEventData=details(), **more)
        assert record == must and list(record) == list(must)


@pytest.mark.parametrize("known", [True, False])
def test_somebody_signs_in_with_a_role(server, everything, known):
    name = unique("federated")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    role_id, members = "AROAEXAMPLEOFOTHERS1", {"PrincipalId": "AROAEXAMPLEOFOTHERS1"}
    if known:
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = ok(send(server, "CreateRole", {"RoleName": name, "AssumeRolePolicyDocument": document}))
        role_id, members = made["Role"]["RoleId"], {}
    event_id = sign_in(server, RoleName=name, SessionName="carol@example.org", Success=True, Region="eu-central-1", **members)
    record = everywhere(server, everything, event_id, "eu-central-1")
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    identity = {
        "type": "AssumedRole", "principalId": f"{role_id}:carol@example.org",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/carol@example.org", "accountId": ACCOUNT,
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": role_id, "arn": role, "accountId": ACCOUNT, "userName": name},
            "attributes": {"creationDate": record["eventTime"], "mfaAuthenticated": "false"},
        },
    }
    must = expected(event_id, identity, awsRegion="eu-central-1", responseElements=SUCCESS, additionalEventData=details())
    assert without_time(record) == must and list(record["userIdentity"]) == list(identity)


def real(*types):
    """Real records of these types, those with placeholders left out."""
    found = []
    for name in ("sans504-s3-ransomware", "stratus-red-team"):
        with gzip.open(SHARED / f"data/cloudtrail/{name}.json.gz") as file:
            found += [record for record in json.load(file)["Records"] if record.get("eventType") in types]
    return found


def here(record, **members):
    """A real record as if it had happened now, in the account of these tests."""
    text = json.dumps(record).replace(record["recipientAccountId"], ACCOUNT)
    return {**json.loads(text), **members}


def test_sign_ins_are_recorded_as_real_ones_are(server):
    """Told what a real record says, Towpath writes that record, but for what AWS has changed in the form since."""
    originals = real("AwsConsoleSignIn")
    assert len(originals) >= 5
    for original in originals:
        # Some addresses and regions were replaced by impossible ones when the record was published.
        original = here(original, sourceIPAddress="203.0.113.9", awsRegion="us-east-1")
        identity, told = original["userIdentity"], original["additionalEventData"]
        given = {
            "Success": original["responseElements"]["ConsoleLogin"] == "Success", "UserAgent": original["userAgent"],
            "LoginTo": told["LoginTo"], "MFAUsed": told["MFAUsed"] == "Yes", "MobileVersion": told["MobileVersion"] == "Yes",
        }
        if identity["type"] == "IAMUser":
            given |= {"UserName": identity["userName"], "PrincipalId": identity["principalId"]}
        if tls := original.get("tlsDetails"):
            given["TlsDetails"] = {name[:1].upper() + name[1:]: value for name, value in tls.items()}
        [text] = lookup(server, "EventId", sign_in(server, **given), "us-east-1")
        record = json.loads(text)
        for changing in ("eventID", "eventTime", "eventVersion"):
            record.pop(changing), original.pop(changing)
        assert record == original
        newer = sorted(original, key=ORDER.index)
        assert list(record) == newer


def test_console_actions_and_what_services_do_are_kept_as_they_are_told(server, everything):
    actions = real("AwsConsoleAction")
    assert len(actions) == 3
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    told = [here(action, eventTime=now, eventID=str(uuid.uuid4())) for action in actions]
    rotated = {
        "eventVersion": "1.11", "userIdentity": {"accountId": ACCOUNT, "invokedBy": "AWS Internal"}, "eventTime": now,
        "eventSource": "kms.amazonaws.com", "eventName": "RotateKey", "awsRegion": "us-east-1", "sourceIPAddress": "AWS Internal",
        "userAgent": "AWS Internal", "requestParameters": None, "responseElements": None, "eventID": str(uuid.uuid4()),
        "readOnly": False, "resources": [{"ARN": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k", "accountId": ACCOUNT, "type": "AWS::KMS::Key"}],
        "eventType": "AwsServiceEvent", "managementEvent": True, "recipientAccountId": ACCOUNT,
        "serviceEventDetails": {"keyId": "k", "rotationType": "AUTOMATIC"}, "eventCategory": "Management",
    }
    # What a console tells beside ConsoleLogin, as a whole record.
    switched = expected(
        str(uuid.uuid4()), {**root(), "accessKeyId": "ASIAEXAMPLE"}, eventName="SwitchRole", eventTime=now,
        responseElements={"SwitchRole": "Success"}, additionalEventData={"SwitchFrom": "root", "RedirectTo": CONSOLE},
    )
    told += [rotated, switched]
    assert ok(send(server, "PutRecords", {"Records": told})) == {"Accepted": 5, "Failed": []}
    # Sent again, as by somebody who had no answer, they are the same events.
    assert ok(send(server, "PutRecords", {"Records": told})) == {"Accepted": 5, "Failed": []}
    store, _ = everything
    for record in told:
        found = everywhere(server, everything, record["eventID"])
        assert found == record and list(found) == list(record)
    ids = ", ".join(f"'{record['eventID']}'" for record in told)
    assert scalar(server.client(), f"SELECT count(*) FROM {store} WHERE eventid IN ({ids})") == "5"
    rows = query(server.client(), f"SELECT eventtype, count(*) FROM {store} WHERE eventid IN ({ids}) GROUP BY eventtype ORDER BY 1")
    kinds = [(row[0][1], row[1][1]) for row in rows]
    assert kinds == [("AwsConsoleAction", "3"), ("AwsConsoleSignIn", "1"), ("AwsServiceEvent", "1")]
    [(_, details_)] = query(server.client(), f"SELECT serviceeventdetails FROM {store} WHERE eventid = '{rotated['eventID']}'")[0]
    assert "rotationType" in details_


def test_what_is_typed_into_the_field_of_the_name_is_recorded_nowhere(server, everything):
    secret = f"correct horse {uuid.uuid4().hex}"
    attempts = [
        {"UserName": secret},
        # Known to the console, says the caller, but no name of a user.
        {"UserName": secret, "PrincipalId": "AIDAEXAMPLE"},
        {"UserName": secret, "Password": secret, "Form": {"password": secret, "also": [secret]}},
    ]
    ids = [sign_in(server, Success=False, **attempt) for attempt in attempts]
    # Neither is it in the errors of calls that fail.
    wrong = [{"Success": True, "UserName": secret}, {"UserName": [secret]}, {"UserName": secret, "SourceIPAddress": "nowhere"}]
    for members in wrong:
        assert secret not in refused(send(server, "PutConsoleSignIn", {**NOBODY, **members}))[1]
    key = user_with(server, "cloudtrail:*")
    assert refused(send(server, "PutConsoleSignIn", {**NOBODY, "UserName": secret}, key=key))[0] == "AccessDeniedException"

    store, bucket = everything
    for event_id in ids:
        identity = everywhere(server, everything, event_id)["userIdentity"]
        assert identity == {"type": "IAMUser", "accountId": ACCOUNT, "accessKeyId": "", "userName": HIDDEN}
    assert secret not in json.dumps(records(server, bucket))
    found = lookup(server, "EventName", "PutConsoleSignIn", "eu-central-1")
    assert len(found) >= len(ids) + 4
    for file in server.data_dir.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
    # Asked last, as the statement is kept itself.
    assert scalar(server.client(), f"SELECT count(*) FROM {store} WHERE strpos(eventjson, '{secret}') > 0 AND eventname <> 'StartQuery'") == "0"


def test_the_call_itself_is_recorded_and_says_which_event_it_made(server):
    event_id = sign_in(server, Success=True, AccountId=ACCOUNT, Region="eu-west-1", LoginTo="https://somewhere.example.org")
    calls = [json.loads(text) for text in lookup(server, "EventName", "PutConsoleSignIn", "eu-central-1")]
    [call] = [call for call in calls if (call["responseElements"] or {}).get("eventId") == event_id]
    assert (call["eventSource"], call["eventType"], call["readOnly"]) == ("towpath", "AwsApiCall", False)
    assert call["requestParameters"] == {"accountId": ACCOUNT, "region": "eu-west-1", "success": True}
    assert lookup(server, "EventId", event_id, "eu-west-1") and not lookup(server, "EventId", event_id, "us-east-1")


def test_a_sign_in_that_is_told_again_is_the_same_event(server, everything):
    store, _ = everything
    event_id = str(uuid.uuid4())
    assert [sign_in(server, Success=True, EventId=event_id) for _ in range(5)] == [event_id] * 5
    everywhere(server, everything, event_id)
    assert scalar(server.client(), f"SELECT count(*) FROM {store} WHERE eventid = '{event_id}'") == "1"
    # At the same time, too.
    event_id = str(uuid.uuid4())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: sign_in(server, Success=True, EventId=event_id), range(16)))
    assert told == [event_id] * 16
    assert len(lookup(server, "EventId", event_id, "us-east-1")) == 1
    assert scalar(server.client(), f"SELECT count(*) FROM {store} WHERE eventid = '{event_id}'") == "1"
    # Without an id of the caller's each call is an event of its own.
    assert sign_in(server, Success=True) != sign_in(server, Success=True)


@pytest.mark.parametrize("operation, given", [("PutConsoleSignIn", NOBODY), ("PutRecords", {"Records": [{}]})])
def test_only_who_may_tells_of_sign_ins(server, operation, given):
    def tell(**how):
        return refused(send(server, operation, given, **how))

    assert tell(sign=False)[0] == "MissingAuthenticationTokenException"
    assert tell(key=("AKIAAAAAAAAAAAAAAAAA", "secret"))[0] == "UnrecognizedClientException"
    assert tell(key=(server.root_key[0], "wrong"))[0] == "InvalidSignatureException"
    assert tell(service="cloudtrail")[0] == "InvalidSignatureException"
    without = user_with(server, "cloudtrail:*", "towpath:Describe*")
    code, message = tell(key=without)
    assert code == "AccessDeniedException" and f"towpath:{operation}" in message
    calls = [json.loads(text) for text in lookup(server, "AccessKeyId", without[0], "eu-central-1")]
    [call] = [call for call in calls if call["eventName"] == operation]
    assert call["errorCode"] == "AccessDenied" and call["responseElements"] is None
    ok(send(server, operation, given, key=user_with(server, f"towpath:{operation}")))


def test_an_account_tells_of_its_own_sign_ins_and_the_first_account_of_all(server, other):
    own = sign_in(server, key=other, Success=True)
    by_first = sign_in(server, AccountId=OTHER, Success=False)
    for event_id in (own, by_first):
        [text] = lookup(server, "EventId", event_id, "us-east-1", key=other)
        assert json.loads(text)["recipientAccountId"] == OTHER
        assert json.loads(text)["userIdentity"] == root(OTHER)
        assert not lookup(server, "EventId", event_id, "us-east-1")
    code, message = refused(send(server, "PutConsoleSignIn", {**NOBODY, "AccountId": ACCOUNT}, key=other))
    assert code == "AccessDeniedException" and ACCOUNT in message
    code, message = refused(send(server, "PutConsoleSignIn", {**NOBODY, "AccountId": "999999999999"}))
    assert code == "ValidationException" and "999999999999" in message
    # A user of one account is nobody in another.
    assert refused(send(server, "PutConsoleSignIn", {**NOBODY, "Success": True, "UserName": "alice"}, key=other))[0] == "ValidationException"


@pytest.mark.parametrize(
    "members, told",
    [
        ({"Success": None}, "Success"),
        ({"Success": "yes"}, "Success"),
        ({"SourceIPAddress": None}, "SourceIPAddress"),
        ({"SourceIPAddress": "somewhere"}, "SourceIPAddress"),
        ({"SourceIPAddress": "203.0.113.9/32"}, "SourceIPAddress"),
        ({"AccountId": "12"}, "AccountId"),
        ({"AccountId": 12}, "AccountId"),
        ({"UserName": "x" * 1025}, "UserName"),
        ({"UserName": 7}, "UserName"),
        ({"UserName": "x", "PrincipalId": "x" * 1025}, "PrincipalId"),
        ({"PrincipalId": "AIDAEXAMPLE"}, "PrincipalId"),
        ({"UserName": "nobody-of-that-name", "Success": True}, "with PrincipalId"),
        ({"UserName": "a b:c", "PrincipalId": "AIDAEXAMPLE", "Success": True}, "UserName"),
        ({"UserAgent": "x" * 8193}, "UserAgent"),
        ({"LoginTo": "x" * 8193}, "LoginTo"),
        ({"MFAUsed": "No"}, "MFAUsed"),
        ({"MFAIdentifier": "arn:aws:iam::1:mfa/x"}, "MFAUsed"),
        ({"MFAUsed": True, "MFAIdentifier": "x" * 1025}, "MFAIdentifier"),
        ({"MobileVersion": 1}, "MobileVersion"),
        ({"Region": "nowhere at all"}, "Region"),
        ({"Time": "yesterday"}, "Time"),
        ({"Time": "2012-01-01T00:00:00Z"}, "90 days"),
        ({"Time": "2100-01-01T00:00:00Z"}, "ahead"),
        ({"TlsDetails": ["TLSv1.3"]}, "TlsDetails"),
        ({"TlsDetails": {"TlsVersion": 3}}, "TlsVersion"),
        ({"TlsDetails": {"CipherSuite": "x" * 1025}}, "CipherSuite"),
        ({"EventId": "1"}, "EventId"),
        ({"RoleName": "r", "Success": True}, "SessionName"),
        ({"SessionName": "se", "Success": True}, "RoleName"),
        ({"RoleName": "nobody", "SessionName": "se", "Success": True}, "with PrincipalId"),
        ({"RoleName": "r", "SessionName": "se", "PrincipalId": "AROA", "Success": False}, "Success"),
        ({"RoleName": "r", "SessionName": "se", "PrincipalId": "AROA", "Success": True, "MFAUsed": True}, "MFAUsed"),
        ({"RoleName": "r", "SessionName": "se", "UserName": "u", "Success": True}, "UserName"),
        ({"RoleName": "r", "SessionName": "a/b", "PrincipalId": "AROA", "Success": True}, "SessionName"),
        ({"RoleName": "a/b", "SessionName": "se", "PrincipalId": "AROA", "Success": True}, "RoleName"),
    ],
)
def test_a_member_that_is_wrong_is_named(server, members, told):
    given = {name: value for name, value in {**NOBODY, **members}.items() if value is not None}
    code, message = refused(send(server, "PutConsoleSignIn", given))
    assert code == "ValidationException" and told in message, message


@pytest.mark.parametrize(
    "body, code",
    [
        (b"[false, \"203.0.113.9\"]", "SerializationException"),
        (b"[[null]]", "SerializationException"),
        (b"\"text\"", "SerializationException"),
        (b"{\"Success\":false,", "SerializationException"),
        (b"{\"Success\":false,\"SourceIPAddress\":\"\xff\"}", "SerializationException"),
        (b"{\"Success\":false,\"Success\":true,\"SourceIPAddress\":\"203.0.113.9\"}", "ValidationException"),
        (b"{\"UserName\":" * 5000 + b"1" + b"}" * 5000, "ValidationException"),
        (b"", "ValidationException"),
    ],
)
def test_a_body_that_is_no_object_is_refused(server, body, code):
    assert refused(send(server, "PutConsoleSignIn", body))[0] == code


def test_what_is_too_large_is_refused_and_the_rest_is_taken(server):
    assert refused(send(server, "PutConsoleSignIn", {**NOBODY, "Extra": "x" * (5 << 20)}))[0] in {
        "RequestEntityTooLargeException", "ValidationException", "SerializationException"
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = expected(str(uuid.uuid4()), root(), eventTime=now, responseElements=SUCCESS, additionalEventData=details())
    sized = lambda size: {**record, "eventID": str(uuid.uuid4()), "requestParameters": {"x": "x" * size}}
    large, long = sized((1 << 20) + 1), sized(257 << 10)
    answer = ok(send(server, "PutRecords", {"Records": [large, record, long]}))
    assert answer["Accepted"] == 2
    assert [(it["Index"], it["ErrorCode"]) for it in answer["Failed"]] == [(0, "RecordTooLarge")]
    assert lookup(server, "EventId", record["eventID"], "us-east-1") and not lookup(server, "EventId", large["eventID"], "us-east-1")
    # What is longer than an event may be has its long members cut, as CloudTrail's have.
    [text] = lookup(server, "EventId", long["eventID"], "us-east-1")
    assert len(text) < 256 << 10 and json.loads(text)["responseElements"] == SUCCESS


def test_each_record_has_a_verdict_of_its_own(server):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    good = expected(str(uuid.uuid4()), root(), eventTime=now, responseElements=SUCCESS, additionalEventData=details())
    other_id = lambda **members: {**good, "eventID": str(uuid.uuid4()), **members}
    bad = [
        (good, "DuplicateEventId"),
        (list(good.values()), "InvalidRecord"),
        (other_id(userIdentity=["Root"]), "InvalidRecord"),
        (other_id(userIdentity={"accountId": ACCOUNT, "invokedBy": "signin.amazonaws.com"}), "InvalidRecord"),
        (other_id(eventCategory="Data", managementEvent=False), "InvalidRecord"),
        (other_id(eventType="AwsCloudTrailInsight"), "InvalidRecord"),
        (other_id(eventTime="2012-01-01T00:00:00Z"), "TimeOutOfRange"),
        (other_id(recipientAccountId="999999999999"), "AccountNotFound"),
    ]
    answer = ok(send(server, "PutRecords", {"Records": [good, *(record for record, _ in bad)]}))
    assert answer["Accepted"] == 1
    assert [(it["Index"], it["ErrorCode"]) for it in answer["Failed"]] == [(at + 1, code) for at, (_, code) in enumerate(bad)]
    wait_for("the good one", lambda: lookup(server, "EventId", good["eventID"], "us-east-1"))
