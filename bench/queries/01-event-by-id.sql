-- What exactly was this event?
-- needle

-- engine: trino
SELECT eventid, eventtime, eventname, useridentity.arn, eventjson
FROM {events}
WHERE eventid = '{event_id}'

-- engine: duckdb
SELECT eventid, eventtime, eventname, useridentity.arn, eventjson
FROM {events}
WHERE eventid = '{event_id}'

-- engine: clickhouse
SELECT eventid, eventtime, eventname, useridentity.arn, eventjson
FROM {events}
WHERE eventid = '{event_id}'
