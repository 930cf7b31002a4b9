-- Who failed to sign in to the console, and from where?

-- engine: trino
SELECT useridentity.arn AS principal, sourceipaddress, count(*) AS failures, max(eventtime) AS latest
FROM {events}
WHERE eventname = 'ConsoleLogin' AND element_at(responseelements, 'ConsoleLogin') = 'Failure'
GROUP BY 1, 2
ORDER BY failures DESC, principal, sourceipaddress
LIMIT 100

-- engine: duckdb
SELECT useridentity.arn AS principal, sourceipaddress, count(*) AS failures, max(eventtime) AS latest
FROM {events}
WHERE eventname = 'ConsoleLogin' AND responseelements['ConsoleLogin'] = 'Failure'
GROUP BY 1, 2
ORDER BY failures DESC, principal, sourceipaddress
LIMIT 100

-- engine: clickhouse
SELECT useridentity.arn AS principal, sourceipaddress, count(*) AS failures, max(eventtime) AS latest
FROM {events}
WHERE eventname = 'ConsoleLogin' AND responseelements['ConsoleLogin'] = 'Failure'
GROUP BY 1, 2
ORDER BY failures DESC, principal, sourceipaddress
LIMIT 100
