"""Queries from start to results: life cycle, names, texts, pages, errors."""

import json
import re
import time

import pytest

from conftest import SHARED, audit_event, error_of, new_activity_store, new_channel, new_store, query, scalar, store_id, unique


@pytest.fixture(scope="module")
def real(server):
    """A store with the real CloudTrail records that DataDog published and the delivered ones."""
    cloudtrail = server.client()
    name = unique("real")
    arn = cloudtrail.create_event_data_store(Name=name, RetentionPeriod=3653, StartIngestion=False)["EventDataStoreArn"]
    for source in ("stratus-red-team", "cloud-custodian", "plaso"):
        server.towpath("import", SHARED / "data/cloudtrail" / f"{source}.json.gz", "--event-data-store", name, timeout=300, check=False)
    return store_id(arn)


def names(client, statement):
    return [name for name, _ in query(client, statement)[0]]


def test_columns_are_named_as_lake_names_them(cloudtrail, real):
    statement = (
        f"SELECT eventName, userIdentity.userName, userIdentity.sessionContext.sessionIssuer.userName, count(*), "
        f"count(*) AS Total, eventName FROM {real} GROUP BY 1, 2, 3"
    )
    assert names(cloudtrail, statement) == ["eventName", "username", "username", "_col3", "Total", "eventName"]


@pytest.mark.parametrize(
    "statement, expected",
    [
        ("SELECT 1", "1"),
        ("SELECT 0.5e0", "0.5"),
        ("SELECT true", "true"),
        ("SELECT timestamp '2023-01-22 16:53:53'", "2023-01-22 16:53:53.000"),
        ("SELECT date '2023-01-22'", "2023-01-22"),
        ("SELECT map(ARRAY['a','b'], ARRAY['1','2'])", "{a=1, b=2}"),
        ("SELECT ARRAY[1, 2]", "[1, 2]"),
        ("SELECT json_extract('{\"a\":\"x\"}', '$.a')", '"x"'),
        ("SELECT cast(json_extract('{\"a\":\"x\"}', '$.a') AS varchar)", "x"),
        ("SELECT day_of_week(date '2023-01-22')", "7"),
        ("SELECT 7 / 2", "3"),
        ("SELECT replace('banana', 'an')", "ba"),
        ("SELECT cast(NULL AS varchar)", ""),
    ],
)
def test_cells_are_texts(cloudtrail, real, statement, expected):
    assert scalar(cloudtrail, f"{statement} FROM {real} LIMIT 1") == expected


REAL_QUESTIONS = [
    "SELECT eventName, count(*) AS n FROM {t} WHERE eventTime > '2023-01-01 00:00:00' GROUP BY eventName ORDER BY n DESC LIMIT 10",
    "SELECT userIdentity.arn, element_at(requestParameters, 'roleArn') FROM {t} WHERE eventName = 'AssumeRole'",
    "SELECT element_at(resources, 1).arn, resources FROM {t} WHERE resources IS NOT NULL",
    "SELECT eventID FROM {t} WHERE any_match(resources, r -> r.type = 'AWS::IAM::Role') ",
    "SELECT u.eventName, r.arn FROM {t} AS u CROSS JOIN UNNEST(resources) AS r(accountid, type, arn, arnprefix)",
    "SELECT json_extract_scalar(eventJson, '$.userIdentity.type') AS t, count(*) FROM {t} GROUP BY 1 ORDER BY 2 DESC;",
    "/* comment */ SELECT * FROM {t} LIMIT 3",
    "SELECT sourceIPAddress, count(DISTINCT eventName) FROM {t} GROUP BY sourceIPAddress HAVING count(*) > 5",
    "SELECT requestParameters, count(*) FROM {t} GROUP BY requestParameters ORDER BY 2 DESC LIMIT 5",
    "SELECT date_trunc('hour', eventTime) AS h, count(*) FROM {t} GROUP BY 1 ORDER BY 1",
    "SELECT eventName FROM {t} WHERE eventTime > date_add('year', -20, current_timestamp) UNION SELECT errorCode FROM {t}",
    "WITH x AS (SELECT eventName AS name FROM {t}) SELECT name, count(*) FROM x GROUP BY name",
    "SELECT eventName, rank() OVER (PARTITION BY eventSource ORDER BY eventTime) FROM {t}",
    "SELECT a.eventName FROM {t} a JOIN {t} b ON a.eventID = b.eventID WHERE a.readOnly = false",
]


@pytest.mark.parametrize("statement", REAL_QUESTIONS)
def test_questions_that_people_ask_are_answered(cloudtrail, real, statement):
    assert query(cloudtrail, statement.format(t=real)) is not None


def test_answers_equal_a_count_by_hand(cloudtrail, real):
    import gzip

    records = json.loads(gzip.open(SHARED / "data/cloudtrail/stratus-red-team.json.gz").read())["Records"]
    expected = {}
    for record in records:
        key = (record["eventSource"], record.get("errorCode", ""))
        expected[key] = expected.get(key, 0) + 1
    sources = ", ".join(sorted({f"'{record['eventID']}'" for record in records}))
    del sources
    rows = query(
        cloudtrail,
        f"SELECT eventSource, errorCode, count(*) FROM {real} WHERE eventtime BETWEEN timestamp '2024-07-01 00:00:00' "
        "AND timestamp '2025-01-01 00:00:00' AND awsregion LIKE '%r' GROUP BY 1, 2",
    )
    assert {(row[0][1], row[1][1]): int(row[2][1]) for row in rows} == expected


@pytest.mark.parametrize(
    "statement, words",
    [
        ("SELECT eventNme FROM {t}", ["eventname"]),
        ("SELECT nosuch(eventName) FROM {t}", ["nosuch"]),
        ("SELEC 1 FROM {t}", ["1:1"]),
        ("SELECT FROM {t}", []),
        ("DELETE FROM {t}", []),
        ("DROP TABLE {t}", []),
        ("INSERT INTO {t} VALUES (1)", []),
        ("EXPLAIN SELECT 1 FROM {t}", []),
        ("SELECT 1 FROM {t}; SELECT 2 FROM {t}", []),
        ("SELECT * FROM {t} WHERE requestParameters LIKE '%x%'", []),
        ("SELECT * FROM {t} TABLESAMPLE BERNOULLI (10)", []),
    ],
)
def test_wrong_sql_is_refused_with_a_hint(cloudtrail, real, statement, words):
    code, message = error_of(cloudtrail.start_query, QueryStatement=statement.format(t=real))
    assert code == "InvalidQueryStatementException"
    for word in words:
        assert word in message.lower()
    assert re.search(r"\d+:\d+", message) or words == []


def test_unknown_stores_are_told_apart_from_wrong_sql(cloudtrail):
    statement = "SELECT 1 FROM 11111111-2222-3333-4444-555555555555"
    assert error_of(cloudtrail.start_query, QueryStatement=statement)[0] == "EventDataStoreNotFoundException"
    assert error_of(cloudtrail.start_query)[0] == "InvalidParameterException"


def test_results_come_in_pages(cloudtrail, real):
    query_id = cloudtrail.start_query(QueryStatement=f"SELECT eventID FROM {real} ORDER BY eventID")["QueryId"]
    while cloudtrail.describe_query(QueryId=query_id)["QueryStatus"] in ("QUEUED", "RUNNING"):
        time.sleep(0.02)
    seen, token, pages = [], {}, 0
    while True:
        page = cloudtrail.get_query_results(QueryId=query_id, MaxQueryResults=100, **token)
        assert page["QueryStatistics"]["ResultsCount"] == len(page["QueryResultRows"]) <= 100
        seen += [row[0]["eventID"] for row in page["QueryResultRows"]]
        pages += 1
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert seen == sorted(seen) and len(seen) == page["QueryStatistics"]["TotalResultsCount"]
    assert pages == -(-len(seen) // 100)
    wrong = dict(QueryId=query_id, MaxQueryResults=50, NextToken="made-up-token")
    assert error_of(cloudtrail.get_query_results, **wrong)[0] == "InvalidNextTokenException"
    unknown = "11111111-2222-3333-4444-555555555555"
    assert error_of(cloudtrail.get_query_results, QueryId=unknown)[0] == "QueryIdNotFoundException"


def test_a_query_has_statistics_and_is_listed(cloudtrail, real):
    query_id = cloudtrail.start_query(QueryStatement=f"SELECT eventName FROM {real} WHERE eventName = 'AssumeRole'")["QueryId"]
    while (described := cloudtrail.describe_query(QueryId=query_id))["QueryStatus"] in ("QUEUED", "RUNNING"):
        time.sleep(0.02)
    assert described["QueryString"].startswith("SELECT eventName")
    statistics = described["QueryStatistics"]
    assert statistics["EventsScanned"] >= statistics["EventsMatched"] > 0
    assert statistics["ExecutionTimeInMillis"] >= 0 and "CreationTime" in statistics
    listed = cloudtrail.list_queries(EventDataStore=real)["Queries"]
    assert query_id in [item["QueryId"] for item in listed]
    running = cloudtrail.list_queries(EventDataStore=real, QueryStatus="RUNNING")["Queries"]
    assert query_id not in [item["QueryId"] for item in running]
    assert error_of(cloudtrail.cancel_query, QueryId=query_id)[0] == "InactiveQueryException"


def test_a_long_query_is_cancelled_and_others_go_on(cloudtrail, real):
    statement = f"SELECT count(DISTINCT a.eventid || b.eventid || c.eventid) FROM {real} a, {real} b, {real} c"
    query_id = cloudtrail.start_query(QueryStatement=statement)["QueryId"]
    assert scalar(cloudtrail, f"SELECT count(*) FROM {real}") > "0"
    assert cloudtrail.cancel_query(QueryId=query_id)["QueryStatus"] in ("CANCELLED", "RUNNING")
    deadline = time.monotonic() + 20
    while cloudtrail.describe_query(QueryId=query_id)["QueryStatus"] != "CANCELLED":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_too_many_queries_at_once_are_refused(new_server):
    server = new_server(environment={"TOWPATH_QUOTAS__CONCURRENT_QUERIES": "2"})
    cloudtrail = server.client()
    store = store_id(new_store(cloudtrail))
    for _ in range(40):
        cloudtrail.list_channels()
    heavy = f"SELECT count(DISTINCT a.eventid || b.eventid || c.eventid || d.eventid) FROM {store} a, {store} b, {store} c, {store} d"
    started = [cloudtrail.start_query(QueryStatement=heavy)["QueryId"] for _ in range(2)]
    assert error_of(cloudtrail.start_query, QueryStatement=heavy)[0] == "MaxConcurrentQueriesException"
    for query_id in started:
        cloudtrail.cancel_query(QueryId=query_id)


def test_results_survive_a_restart(new_server):
    server = new_server()
    cloudtrail = server.client()
    store = store_id(new_store(cloudtrail))
    query_id = cloudtrail.start_query(QueryStatement=f"SELECT count(*) FROM {store}")["QueryId"]
    while cloudtrail.describe_query(QueryId=query_id)["QueryStatus"] != "FINISHED":
        time.sleep(0.02)
    rows = cloudtrail.get_query_results(QueryId=query_id)["QueryResultRows"]
    server.kill()
    server.start()
    assert server.client().get_query_results(QueryId=query_id)["QueryResultRows"] == rows


def test_two_stores_are_joined(server, cloudtrail):
    activity = new_activity_store(cloudtrail)
    channel = new_channel(cloudtrail, activity)
    management = new_store(cloudtrail)
    server.client("cloudtrail-data").put_audit_events(channelArn=channel, auditEvents=[audit_event()])
    cloudtrail.list_channels()
    rows = query(
        cloudtrail,
        f"SELECT eventID, eventName FROM {store_id(management)} WHERE eventName = 'ListChannels' "
        f"UNION ALL SELECT eventID, eventData.eventName FROM {store_id(activity)}",
    )
    assert sorted(row[1][1] for row in rows) == ["ListChannels", "Login"]
