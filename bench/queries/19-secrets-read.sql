-- Who reads which secrets?

-- engine: trino
SELECT element_at(requestparameters, 'secretId') AS secret, coalesce(useridentity.sessioncontext.sessionissuer.username, useridentity.username) AS reader, count(*) AS reads
FROM {events}
WHERE eventname = 'GetSecretValue'
GROUP BY 1, 2
ORDER BY reads DESC, secret, reader
LIMIT 50

-- engine: duckdb
SELECT requestparameters['secretId'] AS secret, coalesce(useridentity.sessioncontext.sessionissuer.username, useridentity.username) AS reader, count(*) AS reads
FROM {events}
WHERE eventname = 'GetSecretValue'
GROUP BY 1, 2
ORDER BY reads DESC, secret, reader
LIMIT 50

-- engine: clickhouse
SELECT requestparameters['secretId'] AS secret, coalesce(useridentity.sessioncontext.sessionissuer.username, useridentity.username) AS reader, count(*) AS reads
FROM {events}
WHERE eventname = 'GetSecretValue'
GROUP BY 1, 2
ORDER BY reads DESC, secret, reader
LIMIT 50
