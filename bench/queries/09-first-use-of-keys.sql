-- Which long-lived access keys were used for the first time most recently?

-- engine: trino
SELECT useridentity.accesskeyid AS access_key, min(eventtime) AS first_use, max(eventtime) AS last_use, count(*) AS events
FROM {events}
WHERE useridentity.accesskeyid LIKE 'AKIA%'
GROUP BY 1
ORDER BY first_use DESC, access_key
LIMIT 50

-- engine: duckdb
SELECT useridentity.accesskeyid AS access_key, min(eventtime) AS first_use, max(eventtime) AS last_use, count(*) AS events
FROM {events}
WHERE useridentity.accesskeyid LIKE 'AKIA%'
GROUP BY 1
ORDER BY first_use DESC, access_key
LIMIT 50

-- engine: clickhouse
SELECT useridentity.accesskeyid AS access_key, min(eventtime) AS first_use, max(eventtime) AS last_use, count(*) AS events
FROM {events}
WHERE useridentity.accesskeyid LIKE 'AKIA%'
GROUP BY 1
ORDER BY first_use DESC, access_key
LIMIT 50
