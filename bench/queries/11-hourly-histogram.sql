-- How do calls and errors spread over the hours of a month?

-- engine: trino
SELECT date_trunc('hour', eventtime) AS hour_of_day, count(*) AS events, count(errorcode) AS errors
FROM {events}
WHERE eventtime >= timestamp '{recent} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
GROUP BY 1
ORDER BY 1

-- engine: duckdb
SELECT date_trunc('hour', eventtime) AS hour_of_day, count(*) AS events, count(errorcode) AS errors
FROM {events}
WHERE eventtime >= timestamp '{recent} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
GROUP BY 1
ORDER BY 1

-- engine: clickhouse
SELECT toStartOfHour(eventtime) AS hour_of_day, count(*) AS events, count(errorcode) AS errors
FROM {events}
WHERE eventtime >= toDateTime64('{recent} 00:00:00', 3, 'UTC') AND eventtime < toDateTime64('{to} 00:00:00', 3, 'UTC')
GROUP BY 1
ORDER BY 1
