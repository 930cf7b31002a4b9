-- What did this rarely used access key do in the whole year?
-- needle

-- engine: trino
SELECT eventid, eventtime, eventsource, eventname, sourceipaddress, errorcode
FROM {events}
WHERE useridentity.accesskeyid = '{rare_key}'
  AND eventtime >= timestamp '{from} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
ORDER BY eventtime, eventid

-- engine: duckdb
SELECT eventid, eventtime, eventsource, eventname, sourceipaddress, errorcode
FROM {events}
WHERE useridentity.accesskeyid = '{rare_key}'
  AND eventtime >= timestamp '{from} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
ORDER BY eventtime, eventid

-- engine: clickhouse
SELECT eventid, eventtime, eventsource, eventname, sourceipaddress, errorcode
FROM {events}
WHERE useridentity.accesskeyid = '{rare_key}'
  AND eventtime >= toDateTime64('{from} 00:00:00', 3, 'UTC') AND eventtime < toDateTime64('{to} 00:00:00', 3, 'UTC')
ORDER BY eventtime, eventid
