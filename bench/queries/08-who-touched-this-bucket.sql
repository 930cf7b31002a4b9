-- Who did what to this bucket?

-- engine: trino
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, eventname, count(*) AS events, max(eventtime) AS latest
FROM {events}
WHERE element_at(requestparameters, 'bucketName') = '{bucket}'
GROUP BY 1, 2
ORDER BY events DESC, principal, eventname
LIMIT 100

-- engine: duckdb
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, eventname, count(*) AS events, max(eventtime) AS latest
FROM {events}
WHERE requestparameters['bucketName'] = '{bucket}'
GROUP BY 1, 2
ORDER BY events DESC, principal, eventname
LIMIT 100

-- engine: clickhouse
SELECT coalesce(useridentity.arn, useridentity.invokedby) AS principal, eventname, count(*) AS events, max(eventtime) AS latest
FROM {events}
WHERE requestparameters['bucketName'] = '{bucket}'
GROUP BY 1, 2
ORDER BY events DESC, principal, eventname
LIMIT 100
