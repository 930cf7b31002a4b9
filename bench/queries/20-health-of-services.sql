-- How many calls, errors, principals and addresses does each service see?

-- engine: trino
SELECT eventsource, count(*) AS events, count(errorcode) AS errors, count(DISTINCT useridentity.arn) AS principals, count(DISTINCT sourceipaddress) AS addresses
FROM {events}
GROUP BY 1
ORDER BY events DESC, eventsource

-- engine: duckdb
SELECT eventsource, count(*) AS events, count(errorcode) AS errors, count(DISTINCT useridentity.arn) AS principals, count(DISTINCT sourceipaddress) AS addresses
FROM {events}
GROUP BY 1
ORDER BY events DESC, eventsource

-- engine: clickhouse
SELECT eventsource, count(*) AS events, count(errorcode) AS errors, count(DISTINCT useridentity.arn) AS principals, count(DISTINCT sourceipaddress) AS addresses
FROM {events}
GROUP BY 1
ORDER BY events DESC, eventsource
