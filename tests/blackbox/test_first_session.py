"""What a newcomer does first: a store, a channel, events in, answers out."""

import json
import time

from conftest import ACTIVITY, SHARED, audit_event, new_activity_store, new_channel, query, scalar, store_id, unique


def test_events_sent_with_boto3_are_answered_in_sql(server, cloudtrail):
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    entries = [audit_event(eventName=name) for name in ("Login", "Logout", "Login")]

    answer = server.client("cloudtrail-data").put_audit_events(channelArn=channel, auditEvents=entries)

    assert [entry["id"] for entry in answer["successful"]] == [entry["id"] for entry in entries]
    assert answer["failed"] == []
    rows = query(
        cloudtrail,
        f"SELECT eventData.eventName, count(*) AS n FROM {store_id(store)} GROUP BY 1 ORDER BY 2 DESC",
    )
    assert rows == [[("eventname", "Login"), ("n", "2")], [("eventname", "Logout"), ("n", "1")]]


def test_an_acknowledged_event_is_in_the_very_next_query(server, cloudtrail):
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    data = server.client("cloudtrail-data")
    for sent in range(1, 11):
        data.put_audit_events(channelArn=channel, auditEvents=[audit_event()])
        assert scalar(cloudtrail, f"SELECT count(*) FROM {store_id(store)}") == str(sent)


def test_a_small_question_is_answered_within_a_second(cloudtrail):
    store = new_activity_store(cloudtrail)
    scalar(cloudtrail, f"SELECT count(*) FROM {store_id(store)}")
    started = time.monotonic()
    scalar(cloudtrail, f"SELECT count(*) FROM {store_id(store)}")
    # A generous bound: it notices a wait that was put in by mistake, not a slow machine.
    assert time.monotonic() - started < 5


def test_the_stored_record_has_the_enrichment_fields(server, cloudtrail):
    store = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, store)
    entry = audit_event(eventTime="2026-01-02T03:04:05.678", UID="u-1")
    [stored] = server.client("cloudtrail-data").put_audit_events(channelArn=channel, auditEvents=[entry])["successful"]

    [row] = query(
        cloudtrail,
        "SELECT eventid, eventcategory, eventtype, eventtime, awsregion, recipientaccountid, metadata.channelarn, "
        f"eventdata.uid, eventdata.requestparameters, eventdata.useridentity.details, eventjson FROM {store_id(store)}",
    )
    values = dict(row)
    record = json.loads(values.pop("eventjson"))
    assert values == {
        "eventid": stored["eventID"],
        "eventcategory": "ActivityAuditLog",
        "eventtype": "ActivityLog",
        "eventtime": "2026-01-02 03:04:05.678",
        "awsregion": "eu-central-1",
        "recipientaccountid": "000000000000",
        "channelarn": channel,
        "uid": "u-1",
        "requestparameters": "{page=/, n=20}",
        "details": "{team=blue}",
    }
    assert record["eventData"] == json.loads(entry["eventData"])
    assert record["metadata"]["ingestionTime"].endswith("Z")


def test_the_aws_cli_does_the_same(server):
    store = server.aws(
        "cloudtrail", "create-event-data-store", "--name", unique("cli"), "--no-termination-protection-enabled",
        "--advanced-event-selectors", json.dumps(ACTIVITY),
    )["EventDataStoreArn"]
    channel = server.aws(
        "cloudtrail", "create-channel", "--name", unique("cli"), "--source", "Custom",
        "--destinations", json.dumps([{"Type": "EVENT_DATA_STORE", "Location": store}]),
    )["ChannelArn"]
    sent = server.aws(
        "cloudtrail-data", "put-audit-events", "--channel-arn", channel, "--audit-events", json.dumps([audit_event("a")])
    )
    assert [entry["id"] for entry in sent["successful"]] == ["a"]
    started = server.aws("cloudtrail", "start-query", "--query-statement", f"SELECT eventid FROM {store_id(store)}")
    for _ in range(200):
        results = server.aws("cloudtrail", "get-query-results", "--query-id", started["QueryId"])
        if results["QueryStatus"] not in ("QUEUED", "RUNNING"):
            break
        time.sleep(0.05)
    assert results["QueryStatus"] == "FINISHED"
    assert results["QueryResultRows"] == [[{"eventid": sent["successful"][0]["eventID"]}]]


def test_a_folder_of_real_log_files_is_imported_and_questioned(server, cloudtrail):
    name = unique("real")
    store = cloudtrail.create_event_data_store(Name=name, TerminationProtectionEnabled=False, RetentionPeriod=3653, StartIngestion=False)
    folder = SHARED / "data" / "cloudtrail"
    files = [folder / f"{source}.json.gz" for source in ("sans504-s3-ransomware", "stratus-red-team")]
    for file in files:
        server.towpath("import", file, "--event-data-store", name, timeout=300)

    table = store_id(store["EventDataStoreArn"])
    assert scalar(cloudtrail, f"SELECT count(*) FROM {table}") == str(23981 + 310)
    assert scalar(cloudtrail, f"SELECT count(DISTINCT eventid) FROM {table}") == str(23981 + 310)
    top = query(cloudtrail, f"SELECT eventName, count(*) FROM {table} GROUP BY eventName ORDER BY 2 DESC LIMIT 1")
    assert top == [[("eventName", "PutObject"), ("_col1", "15079")]]
