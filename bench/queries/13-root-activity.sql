-- Where is the root user at work?

-- engine: trino
SELECT recipientaccountid, eventname, sourceipaddress, count(*) AS events
FROM {events}
WHERE useridentity.type = 'Root'
GROUP BY 1, 2, 3
ORDER BY events DESC, recipientaccountid, eventname, sourceipaddress
LIMIT 100

-- engine: duckdb
SELECT recipientaccountid, eventname, sourceipaddress, count(*) AS events
FROM {events}
WHERE useridentity.type = 'Root'
GROUP BY 1, 2, 3
ORDER BY events DESC, recipientaccountid, eventname, sourceipaddress
LIMIT 100

-- engine: clickhouse
SELECT recipientaccountid, eventname, sourceipaddress, count(*) AS events
FROM {events}
WHERE useridentity.type = 'Root'
GROUP BY 1, 2, 3
ORDER BY events DESC, recipientaccountid, eventname, sourceipaddress
LIMIT 100
