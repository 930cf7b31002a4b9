-- When was each principal busiest in the last month?

-- engine: trino
SELECT principal, minute, events
FROM (
  SELECT principal, minute, events, row_number() OVER (PARTITION BY principal ORDER BY events DESC, minute) AS place
  FROM (
    SELECT useridentity.arn AS principal, date_trunc('minute', eventtime) AS minute, count(*) AS events
    FROM {events}
    WHERE useridentity.arn IS NOT NULL AND eventtime >= timestamp '{recent} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
    GROUP BY 1, 2
  ) AS minutes
) AS ranked
WHERE place = 1
ORDER BY events DESC, principal
LIMIT 50

-- engine: duckdb
SELECT principal, minute, events
FROM (
  SELECT principal, minute, events, row_number() OVER (PARTITION BY principal ORDER BY events DESC, minute) AS place
  FROM (
    SELECT useridentity.arn AS principal, date_trunc('minute', eventtime) AS minute, count(*) AS events
    FROM {events}
    WHERE useridentity.arn IS NOT NULL AND eventtime >= timestamp '{recent} 00:00:00' AND eventtime < timestamp '{to} 00:00:00'
    GROUP BY 1, 2
  ) AS minutes
) AS ranked
WHERE place = 1
ORDER BY events DESC, principal
LIMIT 50

-- engine: clickhouse
SELECT principal, minute, events
FROM (
  SELECT principal, minute, events, row_number() OVER (PARTITION BY principal ORDER BY events DESC, minute) AS place
  FROM (
    SELECT useridentity.arn AS principal, toStartOfMinute(eventtime) AS minute, count(*) AS events
    FROM {events}
    WHERE useridentity.arn IS NOT NULL AND eventtime >= toDateTime64('{recent} 00:00:00', 3, 'UTC') AND eventtime < toDateTime64('{to} 00:00:00', 3, 'UTC')
    GROUP BY 1, 2
  ) AS minutes
) AS ranked
WHERE place = 1
ORDER BY events DESC, principal
LIMIT 50
