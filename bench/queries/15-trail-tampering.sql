-- Who tried to switch the trail off?

-- engine: trino
SELECT eventtime, eventname, useridentity.arn AS principal, sourceipaddress, errorcode, eventid
FROM {events}
WHERE eventsource = 'cloudtrail.amazonaws.com' AND eventname IN ('StopLogging', 'DeleteTrail', 'PutEventSelectors', 'UpdateTrail')
ORDER BY eventtime DESC, eventid
LIMIT 100

-- engine: duckdb
SELECT eventtime, eventname, useridentity.arn AS principal, sourceipaddress, errorcode, eventid
FROM {events}
WHERE eventsource = 'cloudtrail.amazonaws.com' AND eventname IN ('StopLogging', 'DeleteTrail', 'PutEventSelectors', 'UpdateTrail')
ORDER BY eventtime DESC, eventid
LIMIT 100

-- engine: clickhouse
SELECT eventtime, eventname, useridentity.arn AS principal, sourceipaddress, errorcode, eventid
FROM {events}
WHERE eventsource = 'cloudtrail.amazonaws.com' AND eventname IN ('StopLogging', 'DeleteTrail', 'PutEventSelectors', 'UpdateTrail')
ORDER BY eventtime DESC, eventid
LIMIT 100
