-- Which principals make the most calls?

-- engine: trino
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, count(*) AS events
FROM {events}
GROUP BY 1
ORDER BY events DESC, principal
LIMIT 20

-- engine: duckdb
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, count(*) AS events
FROM {events}
GROUP BY 1
ORDER BY events DESC, principal
LIMIT 20

-- engine: clickhouse
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, count(*) AS events
FROM {events}
GROUP BY 1
ORDER BY events DESC, principal
LIMIT 20
