"""Who may do what with buckets of the data directory, and what nobody may: rights, presigned addresses, object lock."""

import datetime
import json
import urllib.error
import urllib.request

import pytest
from buckets import allow, bucket, s3, user_client  # noqa: F401  two of them are fixtures
from conftest import REGION, error_of, unique


class TestRights:
    def test_policies_of_users_decide(self, server, s3, bucket):
        s3.put_object(Bucket=bucket, Key="open/k", Body=b"x")
        reader = user_client(server, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/open/*"))
        assert reader.get_object(Bucket=bucket, Key="open/k")["Body"].read() == b"x"
        code, message = error_of(reader.put_object, Bucket=bucket, Key="open/k", Body=b"y")
        assert code == "AccessDenied" and "s3:PutObject" in message
        assert error_of(reader.list_objects_v2, Bucket=bucket)[0] == "AccessDenied"
        # Who may not list is not told what is missing.
        assert error_of(reader.get_object, Bucket=bucket, Key="open/none")[0] == "AccessDenied"
        nobody = user_client(server)
        assert error_of(nobody.list_buckets)[0] == "AccessDenied"

    def test_the_policy_of_a_bucket_lets_another_account_in(self, server, s3, bucket):
        account = "222233334444"
        server.towpath("iam", "account", "create", account, check=False)
        guest = user_client(server, allow("s3:*", "*"), account=account)
        s3.put_object(Bucket=bucket, Key="shared/k", Body=b"x")
        assert error_of(guest.get_object, Bucket=bucket, Key="shared/k")[0] == "AccessDenied"
        statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/shared/*"}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        assert guest.get_object(Bucket=bucket, Key="shared/k")["Body"].read() == b"x"
        assert error_of(guest.delete_object, Bucket=bucket, Key="shared/k")[0] == "AccessDenied"
        assert error_of(guest.create_bucket, Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})[0] == "BucketAlreadyExists"
        s3.delete_bucket_policy(Bucket=bucket)
        assert error_of(s3.get_bucket_policy, Bucket=bucket)[0] == "NoSuchBucketPolicy"
        assert error_of(guest.get_object, Bucket=bucket, Key="shared/k")[0] == "AccessDenied"

    def test_wrong_keys_and_signatures_are_refused(self, server, bucket):
        key, secret = server.root_key
        stranger = server.client("s3", key=("AKIAUNKNOWNUNKNOWN00", secret))
        assert error_of(stranger.list_buckets)[0] == "InvalidAccessKeyId"
        forger = server.client("s3", key=(key, "x" * 40))
        assert error_of(forger.list_buckets)[0] == "SignatureDoesNotMatch"
        old = server.client("s3", signature_version="s3")
        assert error_of(old.list_objects_v2, Bucket=bucket)[0] == "InvalidRequest"

    def test_a_presigned_address_works_until_it_expires_and_for_its_method(self, server, s3, bucket):
        s3.put_object(Bucket=bucket, Key="a b/ä", Body=b"x")
        client = server.client("s3", signature_version="s3v4")
        address = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b/ä"}, ExpiresIn=60)
        assert urllib.request.urlopen(address).read() == b"x"
        for changed in (address.replace("a%20b", "a%20c"), address.replace("Expires=60", "Expires=600")):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(changed)
            assert refused.value.code == 403
        put = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "p"}, ExpiresIn=60)
        request = urllib.request.Request(put, data=b"presigned", method="PUT")
        assert urllib.request.urlopen(request).status == 200
        assert s3.get_object(Bucket=bucket, Key="p")["Body"].read() == b"presigned"

    def test_a_session_of_a_role_has_the_rights_of_the_role(self, server, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        name = unique("role")
        trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}]})
        server.towpath("iam", "role", "create", name, "--trust", "-", stdin=trust)
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")]})
        server.towpath("iam", "policy", "put", "--role", name, "--name", "p", "--document", "-", stdin=document)
        user = unique("user")
        server.towpath("iam", "user", "create", user)
        assume = json.dumps({"Version": "2012-10-17", "Statement": [allow("sts:AssumeRole", "*")]})
        server.towpath("iam", "policy", "put", "--user", user, "--name", "p", "--document", "-", stdin=assume)
        made = json.loads(server.towpath("iam", "key", "create", "--user", user, "--output", "json").stdout)
        made = made[0] if isinstance(made, list) else made
        lowered = {key.lower().replace("_", "").replace(" ", ""): value for key, value in made.items()}
        sts = server.client("sts", key=(lowered["accesskeyid"], lowered["secretaccesskey"]))
        granted = sts.assume_role(RoleArn=f"arn:aws:iam::000000000000:role/{name}", RoleSessionName="session")["Credentials"]
        key, token = (granted["AccessKeyId"], granted["SecretAccessKey"]), granted["SessionToken"]
        session = server.client("s3", key=key, token=token)
        assert session.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
        assert error_of(session.put_object, Bucket=bucket, Key="k", Body=b"y")[0] == "AccessDenied"
        address = session.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
        assert urllib.request.urlopen(address).read() == b"x"
        assert error_of(server.client("s3", key=key).get_object, Bucket=bucket, Key="k")[0] == "InvalidToken"
        assert error_of(server.client("s3", key=key, token="x" + token).get_object, Bucket=bucket, Key="k")[0] == "InvalidToken"

    def test_anonymous_requests_need_the_policy_of_the_bucket(self, server, s3, bucket):
        s3.put_object(Bucket=bucket, Key="public/k", Body=b"x")
        address = f"{server.s3_endpoint}/{bucket}/public/k"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address)
        assert refused.value.code == 403
        statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/public/*"}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        assert urllib.request.urlopen(address).read() == b"x"


class TestObjectLock:
    @pytest.fixture
    def locked(self, s3):
        name = unique("locked")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}, ObjectLockEnabledForBucket=True)
        return name

    def test_compliance_holds_against_the_root(self, s3, locked):
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        s3.put_object(Bucket=locked, Key="k", Body=b"kept", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
        assert error_of(s3.delete_object, Bucket=locked, Key="k", BypassGovernanceRetention=True)[0] == "AccessDenied"
        assert error_of(s3.put_object, Bucket=locked, Key="k", Body=b"other")[0] == "AccessDenied"
        deleted = s3.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "k"}]}, BypassGovernanceRetention=True)
        assert deleted["Errors"][0]["Code"] == "AccessDenied"
        shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": until - datetime.timedelta(minutes=1)}
        assert error_of(s3.put_object_retention, Bucket=locked, Key="k", Retention=shorter, BypassGovernanceRetention=True)[0] == "AccessDenied"
        longer = {"Mode": "COMPLIANCE", "RetainUntilDate": until + datetime.timedelta(minutes=1)}
        s3.put_object_retention(Bucket=locked, Key="k", Retention=longer)
        assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"]["Mode"] == "COMPLIANCE"
        assert s3.get_object(Bucket=locked, Key="k")["Body"].read() == b"kept"
        assert error_of(s3.delete_bucket, Bucket=locked)[0] == "BucketNotEmpty"

    def test_governance_is_bypassed_by_who_asks_and_may(self, server, s3, locked):
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
        assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration
        s3.put_object(Bucket=locked, Key="k", Body=b"kept")
        assert s3.head_object(Bucket=locked, Key="k")["ObjectLockMode"] == "GOVERNANCE"
        assert error_of(s3.delete_object, Bucket=locked, Key="k")[0] == "AccessDenied"
        resource = f"arn:aws:s3:::{locked}/*"
        may_not = user_client(server, allow("s3:DeleteObject", resource))
        assert error_of(may_not.delete_object, Bucket=locked, Key="k", BypassGovernanceRetention=True)[0] == "AccessDenied"
        may = user_client(server, allow(["s3:DeleteObject", "s3:BypassGovernanceRetention"], resource))
        assert error_of(may.delete_object, Bucket=locked, Key="k")[0] == "AccessDenied"
        may.delete_object(Bucket=locked, Key="k", BypassGovernanceRetention=True)

    def test_a_legal_hold_holds_until_it_is_taken_off(self, s3, locked, bucket):
        s3.put_object(Bucket=locked, Key="k", Body=b"held", ObjectLockLegalHoldStatus="ON")
        assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "ON"}
        assert error_of(s3.delete_object, Bucket=locked, Key="k")[0] == "AccessDenied"
        s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
        s3.delete_object(Bucket=locked, Key="k")
        assert error_of(s3.put_object, Bucket=bucket, Key="k", ObjectLockLegalHoldStatus="ON")[0] == "InvalidRequest"
        assert error_of(s3.get_object_lock_configuration, Bucket=bucket)[0] == "ObjectLockConfigurationNotFoundError"
