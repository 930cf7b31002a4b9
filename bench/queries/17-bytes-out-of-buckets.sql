-- How much was read out of each bucket? (digs into maps)

-- engine: trino
SELECT element_at(requestparameters, 'bucketName') AS bucket, count(*) AS events, cast(sum(cast(element_at(additionaleventdata, 'bytesTransferredOut') AS double)) AS bigint) AS bytes_out
FROM {events}
WHERE eventsource = 's3.amazonaws.com' AND eventname = 'GetObject'
GROUP BY 1
ORDER BY bytes_out DESC, bucket
LIMIT 50

-- engine: duckdb
SELECT requestparameters['bucketName'] AS bucket, count(*) AS events, cast(sum(cast(additionaleventdata['bytesTransferredOut'] AS double)) AS bigint) AS bytes_out
FROM {events}
WHERE eventsource = 's3.amazonaws.com' AND eventname = 'GetObject'
GROUP BY 1
ORDER BY bytes_out DESC, bucket
LIMIT 50

-- engine: clickhouse
SELECT requestparameters['bucketName'] AS bucket, count(*) AS events, toInt64(sum(toFloat64(additionaleventdata['bytesTransferredOut']))) AS bytes_out
FROM {events}
WHERE eventsource = 's3.amazonaws.com' AND eventname = 'GetObject'
GROUP BY 1
ORDER BY bytes_out DESC, bucket
LIMIT 50
