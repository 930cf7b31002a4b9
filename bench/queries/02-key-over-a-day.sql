-- What did this access key do on that day?
-- needle

-- engine: trino
SELECT eventid, eventtime, eventsource, eventname, sourceipaddress, errorcode
FROM {events}
WHERE useridentity.accesskeyid = '{busy_key}'
  AND eventtime >= timestamp '{day} 00:00:00' AND eventtime < timestamp '{next_day} 00:00:00'
ORDER BY eventtime, eventid

-- engine: duckdb
SELECT eventid, eventtime, eventsource, eventname, sourceipaddress, errorcode
FROM {events}
WHERE useridentity.accesskeyid = '{busy_key}'
  AND eventtime >= timestamp '{day} 00:00:00' AND eventtime < timestamp '{next_day} 00:00:00'
ORDER BY eventtime, eventid

-- engine: clickhouse
SELECT eventid, eventtime, eventsource, eventname, sourceipaddress, errorcode
FROM {events}
WHERE useridentity.accesskeyid = '{busy_key}'
  AND eventtime >= toDateTime64('{day} 00:00:00', 3, 'UTC') AND eventtime < toDateTime64('{next_day} 00:00:00', 3, 'UTC')
ORDER BY eventtime, eventid
