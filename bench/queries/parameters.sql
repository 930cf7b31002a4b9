-- The values that questions ask about, found in the data itself by DuckDB. The first line of each statement names the
-- values that its one row gives. Earlier values can be used in later statements.

-- name: from, to, recent
SELECT strftime(min(eventtime), '%Y-%m-%d'),
       strftime(max(eventtime) + INTERVAL 1 DAY, '%Y-%m-%d'),
       strftime(max(eventtime) - INTERVAL 29 DAY, '%Y-%m-%d')
FROM {events}

-- name: event_id
SELECT eventid FROM {events} WHERE eventid IS NOT NULL ORDER BY md5(eventid) LIMIT 1

-- name: rare_key
SELECT useridentity.accesskeyid FROM {events} WHERE useridentity.accesskeyid LIKE 'AKIA%'
GROUP BY 1 HAVING count(*) >= 3 ORDER BY count(*), 1 LIMIT 1

-- name: busy_key
SELECT useridentity.accesskeyid FROM {events} WHERE useridentity.accesskeyid LIKE 'AKIA%'
GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1

-- name: day, next_day
SELECT strftime(date_trunc('day', eventtime), '%Y-%m-%d'),
       strftime(date_trunc('day', eventtime) + INTERVAL 1 DAY, '%Y-%m-%d')
FROM {events} WHERE useridentity.accesskeyid = '{busy_key}' GROUP BY 1, 2 ORDER BY count(*) DESC, 1 LIMIT 1

-- name: user
SELECT useridentity.arn FROM {events} WHERE useridentity.type = 'IAMUser' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1

-- name: bucket
SELECT requestparameters['bucketName'] FROM {events}
WHERE requestparameters['bucketName'] NOT LIKE '%-logs' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1
