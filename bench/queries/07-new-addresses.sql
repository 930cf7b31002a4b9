-- From which addresses did users come in the last month that they never came from before?

-- engine: trino
SELECT useridentity.arn AS principal, sourceipaddress, min(eventtime) AS first_seen, count(*) AS events
FROM {events}
WHERE useridentity.type = 'IAMUser'
GROUP BY 1, 2
HAVING min(eventtime) >= timestamp '{recent} 00:00:00'
ORDER BY first_seen, principal, sourceipaddress
LIMIT 200

-- engine: duckdb
SELECT useridentity.arn AS principal, sourceipaddress, min(eventtime) AS first_seen, count(*) AS events
FROM {events}
WHERE useridentity.type = 'IAMUser'
GROUP BY 1, 2
HAVING min(eventtime) >= timestamp '{recent} 00:00:00'
ORDER BY first_seen, principal, sourceipaddress
LIMIT 200

-- engine: clickhouse
SELECT useridentity.arn AS principal, sourceipaddress, min(eventtime) AS first_seen, count(*) AS events
FROM {events}
WHERE useridentity.type = 'IAMUser'
GROUP BY 1, 2
HAVING min(eventtime) >= toDateTime64('{recent} 00:00:00', 3, 'UTC')
ORDER BY first_seen, principal, sourceipaddress
LIMIT 200
