"""Organizations: their trails and event data stores, and several accounts in one bucket."""

import json
import shutil
import time

import pytest

from conftest import REGION, error_of, query, store_id, unique
from trails import (
    ACCOUNT,
    QUICK,
    account_with_key,
    assert_valid,
    findings,
    keys,
    named,
    new_bucket,
    new_trail,
    records,
    save_keys,
    stop,
    sync,
    validate,
    verify,
    wait_for,
)

pytestmark = pytest.mark.timeout(300)
OTHER = "us-east-1"


def test_an_organization_trail_takes_the_events_of_all_members(new_server):
    server = new_server(environment=QUICK)
    member, admin, stranger = "000000000001", "000000000002", "000000000003"
    clients = {account: server.client(key=account_with_key(server, account)) for account in (member, admin, stranger)}
    root = server.client()
    code, _ = error_of(root.register_organization_delegated_admin, MemberAccountId=admin)
    assert code == "OrganizationsNotInUseException"
    organizations = server.client("organizations")
    assert error_of(organizations.describe_organization)[0] == "AWSOrganizationsNotInUseException"

    made = json.loads(server.towpath("organization", "create", "--consolidated-billing", "--output", "json").stdout)
    organization = made["OrganizationId"]
    for account in (member, admin):
        server.towpath("organization", "add-account", account)
    bucket = new_bucket(server, ACCOUNT, organization=organization)
    wanted = {"Name": unique(), "S3BucketName": bucket, "IsOrganizationTrail": True, "EnableLogFileValidation": True}
    assert error_of(root.create_trail, **wanted)[0] == "OrganizationNotInAllFeaturesModeException"
    server.towpath("organization", "enable-all-features")
    server.towpath("organization", "disable-trusted-access")
    assert error_of(root.create_trail, **wanted)[0] == "CloudTrailAccessNotEnabledException"
    server.towpath("organization", "enable-trusted-access")
    assert error_of(clients[member].create_trail, **wanted)[0] == "NotOrganizationMasterAccountException"
    assert error_of(clients[stranger].create_trail, **wanted)[0] == "OrganizationsNotInUseException"
    bare = new_bucket(server, ACCOUNT)
    assert error_of(root.create_trail, **{**wanted, "S3BucketName": bare})[0] == "InsufficientS3BucketPolicyException"

    # A delegated administrator makes the management account's trail.
    register = root.register_organization_delegated_admin
    assert error_of(register, MemberAccountId=ACCOUNT)[0] == "CannotDelegateManagementAccountException"
    assert error_of(register, MemberAccountId=stranger)[0] == "AccountNotFoundException"
    code, _ = error_of(clients[member].register_organization_delegated_admin, MemberAccountId=admin)
    assert code == "NotOrganizationManagementAccountException"
    register(MemberAccountId=admin)
    assert error_of(register, MemberAccountId=admin)[0] == "AccountRegisteredException"
    trail = clients[admin].create_trail(**wanted)
    arn = trail["TrailARN"]
    assert arn == f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{wanted['Name']}" and trail["IsOrganizationTrail"]
    clients[admin].start_logging(Name=arn)

    # Members see it and cannot change it; strangers do not see it.
    for account in (member, admin):
        [seen] = clients[account].describe_trails()["trailList"]
        assert seen["TrailARN"] == arn and clients[account].get_trail_status(Name=arn)["IsLogging"]
        assert clients[account].describe_trails(includeShadowTrails=False)["trailList"] == []
    for call in ("update_trail", "stop_logging", "delete_trail"):
        assert error_of(getattr(clients[member], call), Name=arn)[0] == "NotOrganizationMasterAccountException"
    code, _ = error_of(clients[member].add_tags, ResourceId=arn, TagsList=[{"Key": "k"}])
    assert code == "NotOrganizationMasterAccountException"
    assert clients[stranger].describe_trails()["trailList"] == []
    assert error_of(clients[stranger].get_trail, Name=arn)[0] == "TrailNotFoundException"

    tag = unique("mark")
    for client in (root, *clients.values()):
        error_of(client.get_trail, Name=tag)
    marks = lambda: [r["recipientAccountId"] for r in records(server, bucket) if named("GetTrail", name=tag)(r)]
    wait_for("all three accounts", lambda: len(marks()) == 3)
    assert sorted(marks()) == [ACCOUNT, member, admin]
    places = {key.split("/")[1:3][0] + "/" + key.split("/")[2] for key in keys(server, bucket)}
    assert places == {f"{organization}/{account}" for account in (ACCOUNT, member, admin)}

    # An account that leaves is heard no more, and stays in what was delivered.
    server.towpath("organization", "remove-account", member)
    assert clients[member].describe_trails()["trailList"] == []
    late = unique("late")
    error_of(clients[member].get_trail, Name=late)
    root.deregister_organization_delegated_admin(DelegatedAdminAccountId=admin)
    code, _ = error_of(root.deregister_organization_delegated_admin, DelegatedAdminAccountId=admin)
    assert code == "AccountNotRegisteredException"
    assert error_of(clients[admin].stop_logging, Name=arn)[0] == "NotOrganizationMasterAccountException"
    stop(server, trail)
    assert not any(named("GetTrail", name=late)(record) for record in records(server, bucket))

    described = organizations.describe_organization()["Organization"]
    assert (described["Id"], described["MasterAccountId"], described["FeatureSet"]) == (organization, ACCOUNT, "ALL")
    for account in (ACCOUNT, member, admin):
        digests, files = assert_valid(validate(server, trail, "--account-id", account))
        assert digests and files

    # Dissolving the organization leaves the management account an ordinary trail.
    server.towpath("organization", "delete")
    assert root.get_trail(Name=arn)["Trail"]["IsOrganizationTrail"] is False


def test_an_organization_store_takes_the_events_of_members(new_server):
    server = new_server()
    member = server.client(key=account_with_key(server, "000000000001"))
    root = server.client()
    assert error_of(root.create_event_data_store, Name="all", OrganizationEnabled=True)[0] == "OrganizationsNotInUseException"
    server.towpath("organization", "create")
    server.towpath("organization", "add-account", "000000000001")
    code, _ = error_of(member.create_event_data_store, Name="all", OrganizationEnabled=True)
    assert code == "NotOrganizationMasterAccountException"
    created = root.create_event_data_store(Name="all", OrganizationEnabled=True)
    assert created["OrganizationEnabled"]
    tag = unique("mark")
    error_of(member.get_trail, Name=tag)
    store = store_id(created["EventDataStoreArn"])
    rows = query(root, f"SELECT recipientaccountid FROM {store} WHERE eventname = 'GetTrail' AND eventjson LIKE '%{tag}%'")
    assert [row[0][1] for row in rows] == ["000000000001"]


def test_a_delegated_administrator_manages_and_queries_the_stores_of_the_organization(new_server):
    server = new_server()
    admin, member = (server.client(key=account_with_key(server, account)) for account in ("000000000001", "000000000002"))
    root = server.client()
    server.towpath("organization", "create")
    for account in ("000000000001", "000000000002"):
        server.towpath("organization", "add-account", account)
    root.register_organization_delegated_admin(MemberAccountId="000000000001")
    arn = admin.create_event_data_store(Name="shared", OrganizationEnabled=True, TerminationProtectionEnabled=False)["EventDataStoreArn"]
    assert f":{ACCOUNT}:eventdatastore/" in arn, "the management account owns it"
    assert [store["EventDataStoreArn"] for store in admin.list_event_data_stores()["EventDataStores"]] == [arn]
    assert member.list_event_data_stores()["EventDataStores"] == []
    tag = unique("mark")
    error_of(member.get_trail, Name=tag)
    statement = f"SELECT recipientaccountid FROM {store_id(arn)} WHERE eventname = 'GetTrail' AND eventjson LIKE '%{tag}%'"
    assert [row[0][1] for row in query(admin, statement)] == ["000000000002"]
    assert error_of(member.start_query, QueryStatement=statement)[0] == "EventDataStoreNotFoundException"
    code, _ = error_of(admin.update_event_data_store, EventDataStore=arn, OrganizationEnabled=False)
    assert code == "NotOrganizationMasterAccountException"
    policy = json.loads(root.get_resource_policy(ResourceArn=arn)["DelegatedAdminResourcePolicy"])
    assert policy["Statement"][0]["Principal"]["AWS"] == ["arn:aws:iam::000000000001:root"]
    admin.delete_event_data_store(EventDataStore=arn)
    admin.restore_event_data_store(EventDataStore=arn)
    root.deregister_organization_delegated_admin(DelegatedAdminAccountId="000000000001")
    assert error_of(admin.get_event_data_store, EventDataStore=arn)[0] == "AccessDeniedException"


# Verification of many accounts and regions.


def mark(server, bucket, clients):
    """Has every client make a call that is recorded, and waits until all are delivered."""
    tag = unique("mark")
    for client in clients:
        error_of(client.get_trail, Name=tag)
    wait_for("all calls", lambda: len([r for r in records(server, bucket) if named("GetTrail", name=tag)(r)]) == len(clients))


def places(report):
    return {(part["account"], part["region"]) for part in report["reports"]}


def digests_of(server, bucket, account, region):
    return [key for key in keys(server, bucket, "CloudTrail-Digest") if f"/{account}/CloudTrail-Digest/{region}/" in key]


def test_an_organization_trail_is_verified_in_its_bucket_and_in_a_copy(new_server, tmp_path):
    server, member = new_server(environment=QUICK), "000000000001"
    key = account_with_key(server, member)
    server.towpath("organization", "create")
    server.towpath("organization", "add-account", member)
    organization = server.client("organizations").describe_organization()["Organization"]["Id"]
    bucket = new_bucket(server, ACCOUNT, organization=organization)
    trail = new_trail(server, S3BucketName=bucket, IsOrganizationTrail=True, IsMultiRegionTrail=True, EnableLogFileValidation=True)
    clients = [server.client(), server.client(region=OTHER), server.client(key=key), server.client(key=key, region=OTHER)]
    for _ in range(2):
        mark(server, bucket, clients)
        time.sleep(4.1)
    stop(server, trail)
    arn, everything = trail["TrailARN"], {(account, region) for account in (ACCOUNT, member) for region in (REGION, OTHER)}
    status, report = verify(server, "trail", arn)
    assert (status, report["valid"]) == (0, True), report
    assert everything <= places(report)
    assert all(part["digests"]["valid"] >= 2 for part in report["reports"] if (part["account"], part["region"]) in everything)
    saved, copy = save_keys(server, trail, tmp_path / "keys.json"), tmp_path / "copy"
    sync(server, bucket, copy)
    offline = lambda *more: verify(server, "trail", "--folder", copy, "--public-keys", saved, *more)
    for more in ([], [arn]):
        status, report = offline(*more)
        assert (status, report["bucket"]) == (0, bucket) and everything <= places(report), report
    assert verify(server, "trail", arn, "--account-id", member, "--source-region", OTHER)[0] == 0

    # All digests of one region of one account are gone; everything else is whole.
    s3 = server.client("s3")
    lost = digests_of(server, bucket, member, OTHER)
    files = [key for key in keys(server, bucket, "CloudTrail") if f"/{member}/CloudTrail/{OTHER}/" in key]
    for key in lost:
        s3.delete_object(Bucket=bucket, Key=key)
        (copy / key).unlink()
    unlisted = {(key, "INVALID: is not named by any digest") for key in files}
    remembered = {(lost[-1], "INVALID: not found")}
    for status, report in (verify(server, "trail", arn), offline(), offline(arn)):
        assert (status, report["valid"]) == (1, False)
        assert remembered <= findings(report) and unlisted & findings(report), report
        assert all(item["key"] == lost[-1] or (item["key"], item["message"]) in unlisted
                   for part in report["reports"] for item in part["findings"]), report
    # Also without the server's record: the hours of the other chains tell.
    plain = {name: json.loads(saved.read_text())[name] for name in ("PublicKeyList", "Signatures")}
    saved.write_text(json.dumps(plain))
    status, report = offline()
    assert status == 1 and findings(report) <= unlisted and findings(report), report
    # And nothing at all is no proof of anything.
    for key in keys(server, bucket, "CloudTrail-Digest"):
        s3.delete_object(Bucket=bucket, Key=key)
    status, report = verify(server, "trail", arn)
    assert status == 1 and len({finding for finding in findings(report) if finding[1] == "INVALID: not found"}) >= len(everything)


def test_several_accounts_share_a_bucket_and_each_is_verified(new_server, tmp_path):
    server, other = new_server(environment=QUICK), "000000000002"
    key = account_with_key(server, other)
    bucket = new_bucket(server, ACCOUNT, other)
    own = new_trail(server, S3BucketName=bucket, IsMultiRegionTrail=True, EnableLogFileValidation=True)
    theirs = new_trail(server, S3BucketName=bucket, EnableLogFileValidation=True, key=key)
    clients = [server.client(), server.client(region=OTHER), server.client(key=key)]
    for _ in range(2):
        mark(server, bucket, clients)
        time.sleep(4.1)
    server.client(key=key).stop_logging(Name=theirs["TrailARN"])
    stop(server, own)
    wait_for("the last digest of the other", lambda: verify(server, "trail", theirs["TrailARN"], "--bucket", bucket)[0] == 0)
    status, report = verify(server, "trail", own["TrailARN"])
    assert (status, report["serverRecord"]) == (0, True) and {(ACCOUNT, REGION), (ACCOUNT, OTHER)} <= places(report), report
    assert other not in {account for account, _ in places(report)}
    status, report = verify(server, "trail", theirs["TrailARN"], "--bucket", bucket)
    assert (status, places(report), report["serverRecord"]) == (0, {(other, REGION)}, False), report

    sync(server, bucket, tmp_path / "copy")
    keys_file = tmp_path / "keys.json"
    shown = [json.loads(save_keys(server, own, keys_file).read_text())["PublicKeyList"]]
    keys_file.write_text(json.dumps({"PublicKeyList": sum(shown, [])}))
    offline = lambda *more: verify(server, "trail", "--folder", tmp_path / "copy", "--public-keys", keys_file, "--allow-unchecked", *more)
    status, report = offline()
    assert status == 0 and places(report) >= {(ACCOUNT, REGION), (ACCOUNT, OTHER), (other, REGION)}, report
    # Log files of an account that has no digest at all: no trail answers for them.
    shutil.rmtree(tmp_path / "copy" / "AWSLogs" / other / "CloudTrail-Digest")
    status, report = offline()
    assert status == 1 and [(item["account"], item["region"]) for item in report["unvouched"]] == [(other, REGION)], report
    assert offline(own["TrailARN"])[0] == 0, "they are not this trail's"
    text = server.towpath("verify", "trail", "--folder", tmp_path / "copy", "--public-keys", keys_file, check=False).stdout
    assert f"{other} {REGION}:" in text and "nothing vouches for them" in text and text.strip().endswith("NOT valid")


def test_a_policy_may_ask_for_the_organization_of_who_calls(new_server):
    server, member, stranger = new_server(), "000000000001", "000000000002"
    clients = {account: account_with_key(server, account) for account in (member, stranger)}
    server.towpath("organization", "create")
    server.towpath("organization", "add-account", member)
    organization = server.client("organizations").describe_organization()["Organization"]["Id"]
    s3, bucket = server.client("s3"), unique("shared")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    condition = {"StringEquals": {"aws:PrincipalOrgID": organization}}
    read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*", "Condition": condition}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [read]}))
    assert server.client("s3", key=clients[member]).get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert error_of(server.client("s3", key=clients[stranger]).get_object, Bucket=bucket, Key="k")[0] == "AccessDenied"
    server.towpath("organization", "remove-account", member)
    assert error_of(server.client("s3", key=clients[member]).get_object, Bucket=bucket, Key="k")[0] == "AccessDenied"
