"""The life of an event data store."""

import time

import pytest

from conftest import ACTIVITY, error_of, new_activity_store, new_channel, new_store, query, scalar, store_id, unique

DATA = [
    {
        "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
        ]
    }
]


def test_a_store_has_the_published_defaults(cloudtrail):
    name = unique()
    created = cloudtrail.create_event_data_store(Name=name)
    assert created["Status"] == "CREATED"
    assert created["Name"] == name
    assert (created["RetentionPeriod"], created["BillingMode"]) == (366, "EXTENDABLE_RETENTION_PRICING")
    assert created["MultiRegionEnabled"] and created["TerminationProtectionEnabled"]
    assert not created["OrganizationEnabled"]
    [selector] = created["AdvancedEventSelectors"]
    assert selector["Name"] == "Default management events"
    assert selector["FieldSelectors"] == [{"Field": "eventCategory", "Equals": ["Management"]}]

    store = cloudtrail.get_event_data_store(EventDataStore=created["EventDataStoreArn"])
    assert store["Status"] == "ENABLED"
    assert store["FederationStatus"] == "DISABLED"
    assert store["PartitionKeys"] == [{"Name": "calendarday", "Type": "string"}]
    by_id = cloudtrail.get_event_data_store(EventDataStore=store_id(created["EventDataStoreArn"]))
    assert by_id["EventDataStoreArn"] == created["EventDataStoreArn"]


def test_seven_year_retention_has_its_own_default_and_limit(cloudtrail):
    created = cloudtrail.create_event_data_store(Name=unique(), BillingMode="FIXED_RETENTION_PRICING")
    assert created["RetentionPeriod"] == 2557
    code, _ = error_of(
        cloudtrail.create_event_data_store, Name=unique(), BillingMode="FIXED_RETENTION_PRICING", RetentionPeriod=2558
    )
    assert code == "InvalidParameterException"
    arn = created["EventDataStoreArn"]
    updated = cloudtrail.update_event_data_store(EventDataStore=arn, BillingMode="EXTENDABLE_RETENTION_PRICING")
    assert updated["BillingMode"] == "EXTENDABLE_RETENTION_PRICING"
    code, _ = error_of(cloudtrail.update_event_data_store, EventDataStore=arn, BillingMode="FIXED_RETENTION_PRICING")
    assert code == "InvalidParameterException"


def test_names_are_unique(cloudtrail):
    name = unique()
    new_store(cloudtrail, Name=name)
    assert error_of(new_store, cloudtrail, Name=name)[0] == "EventDataStoreAlreadyExistsException"
    other = new_store(cloudtrail)
    code, _ = error_of(cloudtrail.update_event_data_store, EventDataStore=other, Name=name)
    assert code == "EventDataStoreAlreadyExistsException"


@pytest.mark.parametrize(
    "store, code",
    [
        ("arn:aws:cloudtrail:eu-central-1:000000000000:eventdatastore/11111111-2222-3333-4444-555555555555",
         "EventDataStoreNotFoundException"),
        ("11111111-2222-3333-4444-555555555555", "EventDataStoreNotFoundException"),
        ("arn:aws:cloudtrail:eu-central-1:000000000000:trail/x", "EventDataStoreARNInvalidException"),
        ("not-an-arn", "EventDataStoreARNInvalidException"),
    ],
)
def test_a_store_that_is_not_there_is_told_from_a_wrong_name(cloudtrail, store, code):
    assert error_of(cloudtrail.get_event_data_store, EventDataStore=store)[0] == code


def test_an_update_needs_something_to_update(cloudtrail):
    arn = new_store(cloudtrail)
    assert error_of(cloudtrail.update_event_data_store, EventDataStore=arn)[0] == "InvalidParameterException"
    updated = cloudtrail.update_event_data_store(EventDataStore=arn, RetentionPeriod=3653, MultiRegionEnabled=False)
    assert (updated["RetentionPeriod"], updated["MultiRegionEnabled"]) == (3653, False)
    assert updated["UpdatedTimestamp"] >= updated["CreatedTimestamp"]


def test_the_kind_of_a_store_is_for_life(cloudtrail):
    arn = new_store(cloudtrail)
    cloudtrail.update_event_data_store(EventDataStore=arn, AdvancedEventSelectors=DATA)
    code, _ = error_of(cloudtrail.update_event_data_store, EventDataStore=arn, AdvancedEventSelectors=ACTIVITY)
    assert code == "InvalidEventSelectorsException"


def test_wrong_selectors_are_refused_with_the_rule(cloudtrail):
    selectors = [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}]
    code, message = error_of(cloudtrail.create_event_data_store, Name=unique(), AdvancedEventSelectors=selectors)
    assert code == "InvalidEventSelectorsException"
    assert "resources.type" in message


def test_ingestion_stops_and_starts(cloudtrail):
    arn = new_store(cloudtrail)
    status = lambda: cloudtrail.get_event_data_store(EventDataStore=arn)["Status"]
    assert error_of(cloudtrail.start_event_data_store_ingestion, EventDataStore=arn)[0] == (
        "InvalidEventDataStoreStatusException"
    )
    cloudtrail.stop_event_data_store_ingestion(EventDataStore=arn)
    assert status() == "STOPPED_INGESTION"
    before = scalar(cloudtrail, f"SELECT count(*) FROM {store_id(arn)}")
    cloudtrail.list_channels()
    assert scalar(cloudtrail, f"SELECT count(*) FROM {store_id(arn)}") == before
    cloudtrail.start_event_data_store_ingestion(EventDataStore=arn)
    assert status() == "ENABLED"

    activity = new_activity_store(cloudtrail)
    code, _ = error_of(cloudtrail.stop_event_data_store_ingestion, EventDataStore=activity)
    assert code == "InvalidEventDataStoreCategoryException"


def test_a_store_created_without_ingestion_is_stopped(cloudtrail):
    created = cloudtrail.create_event_data_store(Name=unique(), StartIngestion=False)
    assert created["Status"] == "CREATED"
    read = cloudtrail.get_event_data_store(EventDataStore=created["EventDataStoreArn"])
    assert read["Status"] == "STOPPED_INGESTION"


def test_deletion_has_its_blockers_and_can_be_undone(cloudtrail):
    arn = new_activity_store(cloudtrail, TerminationProtectionEnabled=True)
    delete = lambda: cloudtrail.delete_event_data_store(EventDataStore=arn)
    assert error_of(delete)[0] == "EventDataStoreTerminationProtectedException"
    cloudtrail.update_event_data_store(EventDataStore=arn, TerminationProtectionEnabled=False)
    channel = new_channel(cloudtrail, arn)
    code, message = error_of(delete)
    assert code == "ChannelExistsForEDSException" and channel in message
    cloudtrail.delete_channel(Channel=channel)

    delete()
    assert cloudtrail.get_event_data_store(EventDataStore=arn)["Status"] == "PENDING_DELETION"
    assert error_of(delete)[0] == "InactiveEventDataStoreException"
    assert error_of(cloudtrail.start_query, QueryStatement=f"SELECT 1 FROM {store_id(arn)}")[0] == (
        "InactiveEventDataStoreException"
    )
    assert error_of(cloudtrail.list_queries, EventDataStore=arn)[0] == "InactiveEventDataStoreException"
    assert error_of(new_channel, cloudtrail, arn)[0] == "InactiveEventDataStoreException"

    restored = cloudtrail.restore_event_data_store(EventDataStore=arn)
    assert restored["Status"] == "ENABLED"
    assert error_of(cloudtrail.restore_event_data_store, EventDataStore=arn)[0] == "InvalidEventDataStoreStatusException"


def test_a_deleted_store_is_purged_after_the_wait(new_server):
    server = new_server(environment={"TOWPATH_PENDING_DELETION": "1s"})
    cloudtrail = server.client()
    arn = new_store(cloudtrail)
    cloudtrail.list_channels()
    cloudtrail.delete_event_data_store(EventDataStore=arn)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        listed = [store["EventDataStoreArn"] for store in cloudtrail.list_event_data_stores()["EventDataStores"]]
        if arn not in listed:
            break
        time.sleep(0.2)
    assert error_of(cloudtrail.get_event_data_store, EventDataStore=arn)[0] == "EventDataStoreNotFoundException"
    assert not (server.data_dir / "lake" / store_id(arn)).exists()


def test_stores_are_listed_page_by_page(new_server):
    cloudtrail = new_server().client()
    names = {unique() for _ in range(7)}
    for name in names:
        new_store(cloudtrail, Name=name)
    pages = [cloudtrail.list_event_data_stores(MaxResults=3)]
    while "NextToken" in pages[-1]:
        pages.append(cloudtrail.list_event_data_stores(MaxResults=3, NextToken=pages[-1]["NextToken"]))
    items = [store for page in pages for store in page["EventDataStores"]]
    assert {store["Name"] for store in items} == names and len(items) == 7
    assert set(items[0]) == {"EventDataStoreArn", "Name"}
    assert error_of(cloudtrail.list_event_data_stores, NextToken="bogus-token")[0] == "InvalidNextTokenException"


def test_the_quota_counts_stores_that_are_pending_deletion(new_server):
    cloudtrail = new_server().client()
    stores = [new_store(cloudtrail) for _ in range(10)]
    assert error_of(new_store, cloudtrail)[0] == "EventDataStoreMaxLimitExceededException"
    cloudtrail.delete_event_data_store(EventDataStore=stores[0])
    assert error_of(new_store, cloudtrail)[0] == "EventDataStoreMaxLimitExceededException"
    other_region = cloudtrail.meta.region_name
    assert other_region == "eu-central-1"


def test_stores_survive_a_restart_and_a_crash(new_server):
    server = new_server()
    arn = new_store(server.client())
    server.kill()
    server.start()
    assert server.client().get_event_data_store(EventDataStore=arn)["Status"] == "ENABLED"
    server.stop()
    server.start()
    assert server.client().get_event_data_store(EventDataStore=arn)["Status"] == "ENABLED"


def test_event_configuration_is_set_and_reset(cloudtrail):
    arn = new_store(cloudtrail)
    keys = [{"Type": "RequestContext", "Equals": ["aws:PrincipalArn"]}]
    code, _ = error_of(cloudtrail.put_event_configuration, EventDataStore=arn, MaxEventSize="Standard", ContextKeySelectors=keys)
    assert code == "InvalidParameterException"
    put = cloudtrail.put_event_configuration(EventDataStore=arn, MaxEventSize="Large", ContextKeySelectors=keys)
    assert (put["MaxEventSize"], put["ContextKeySelectors"]) == ("Large", keys)
    got = cloudtrail.get_event_configuration(EventDataStore=arn)
    assert (got["MaxEventSize"], got["ContextKeySelectors"]) == ("Large", keys)
    cloudtrail.put_event_configuration(EventDataStore=arn, MaxEventSize="Standard", ContextKeySelectors=[])
    assert cloudtrail.get_event_configuration(EventDataStore=arn)["ContextKeySelectors"] == []
    activity = new_activity_store(cloudtrail)
    code, _ = error_of(cloudtrail.get_event_configuration, EventDataStore=activity)
    assert code == "InvalidEventDataStoreCategoryException"


def test_events_get_the_context_that_a_store_asks_for(server, cloudtrail):
    asking, plain = new_store(cloudtrail), new_store(cloudtrail)
    keys = [
        {"Type": "RequestContext", "Equals": ["aws:PrincipalArn", "aws:SecureTransport", "aws:username"]},
        {"Type": "TagContext", "Equals": ["team"]},
    ]
    cloudtrail.put_event_configuration(EventDataStore=asking, MaxEventSize="Large", ContextKeySelectors=keys)
    cloudtrail.add_tags(ResourceId=plain, TagsList=[{"Key": "team", "Value": "blue"}, {"Key": "other", "Value": "x"}])
    select = (
        "SELECT eventid, element_at(eventcontext.requestcontext, 'aws:PrincipalArn'), "
        "element_at(eventcontext.requestcontext, 'aws:SecureTransport'), "
        "element_at(eventcontext.requestcontext, 'aws:username'), "
        "eventcontext.tagcontext.resourcetags[1].arn, element_at(eventcontext.tagcontext.resourcetags[1].tags, 'team'), "
        "json_extract_scalar(eventjson, '$.eventContext.tagContext.resourceTags[0].tags.other') "
        "FROM {} WHERE eventname = 'AddTags' AND element_at(requestparameters, 'resourceId') = '" + plain + "'"
    )
    [row] = query(cloudtrail, select.format(store_id(asking)))
    event_id, *context = [value for _, value in row]
    assert context == ["arn:aws:iam::000000000000:root", "false", "", plain, "blue", ""]
    [[(_, same_id), (_, none)]] = query(
        cloudtrail,
        f"SELECT eventid, CASE WHEN eventcontext IS NULL THEN 'none' ELSE 'some' END FROM {store_id(plain)} "
        f"WHERE eventname = 'AddTags' AND element_at(requestparameters, 'resourceId') = '{plain}'",
    )
    assert (same_id, none) == (event_id, "none")
    [event] = cloudtrail.lookup_events(LookupAttributes=[{"AttributeKey": "EventId", "AttributeValue": event_id}])["Events"]
    assert "eventContext" not in event["CloudTrailEvent"]


def test_tags_come_and_go(cloudtrail):
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "stage", "Value": "test"}]
    arn = new_store(cloudtrail, TagsList=tags)
    listed = lambda: cloudtrail.list_tags(ResourceIdList=[arn])["ResourceTagList"][0]["TagsList"]
    assert listed() == tags
    cloudtrail.add_tags(ResourceId=arn, TagsList=[{"Key": "team", "Value": "red"}, {"Key": "new", "Value": "x"}])
    assert {tag["Key"]: tag["Value"] for tag in listed()} == {"team": "red", "stage": "test", "new": "x"}
    cloudtrail.remove_tags(ResourceId=arn, TagsList=[{"Key": "team"}, {"Key": "stage"}])
    assert listed() == [{"Key": "new", "Value": "x"}]
    too_many = [{"Key": f"k{n}", "Value": "v"} for n in range(50)]
    assert error_of(cloudtrail.add_tags, ResourceId=arn, TagsList=too_many)[0] == "TagsLimitExceededException"
    assert error_of(cloudtrail.add_tags, ResourceId=arn, TagsList=[{"Key": "aws:x", "Value": "y"}])[0] == (
        "InvalidTagParameterException"
    )
