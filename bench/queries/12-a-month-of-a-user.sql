-- What did this user do in the last month?

-- engine: trino
SELECT eventsource, eventname, count(*) AS events, min(eventtime) AS earliest, max(eventtime) AS latest
FROM {events}
WHERE useridentity.arn = '{user}' AND eventtime >= timestamp '{recent} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
GROUP BY 1, 2
ORDER BY events DESC, eventsource, eventname

-- engine: duckdb
SELECT eventsource, eventname, count(*) AS events, min(eventtime) AS earliest, max(eventtime) AS latest
FROM {events}
WHERE useridentity.arn = '{user}' AND eventtime >= timestamp '{recent} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
GROUP BY 1, 2
ORDER BY events DESC, eventsource, eventname

-- engine: clickhouse
SELECT eventsource, eventname, count(*) AS events, min(eventtime) AS earliest, max(eventtime) AS latest
FROM {events}
WHERE useridentity.arn = '{user}' AND eventtime >= toDateTime64('{recent} 00:00:00', 3, 'UTC') AND eventtime < toDateTime64('{to} 00:00:00', 3, 'UTC')
GROUP BY 1, 2
ORDER BY events DESC, eventsource, eventname
