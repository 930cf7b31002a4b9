-- Who is refused what, and how often?

-- engine: trino
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, errorcode, count(*) AS errors
FROM {events}
WHERE errorcode IS NOT NULL
GROUP BY 1, 2
ORDER BY errors DESC, principal, errorcode
LIMIT 50

-- engine: duckdb
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, errorcode, count(*) AS errors
FROM {events}
WHERE errorcode IS NOT NULL
GROUP BY 1, 2
ORDER BY errors DESC, principal, errorcode
LIMIT 50

-- engine: clickhouse
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, errorcode, count(*) AS errors
FROM {events}
WHERE errorcode IS NOT NULL
GROUP BY 1, 2
ORDER BY errors DESC, principal, errorcode
LIMIT 50
