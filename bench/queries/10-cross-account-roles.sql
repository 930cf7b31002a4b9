-- Who takes roles in other accounts?

-- engine: trino
SELECT useridentity.arn AS principal, element_at(resources, 1).accountid AS target_account, count(*) AS uses, max(eventtime) AS latest
FROM {events}
WHERE eventname = 'AssumeRole' AND element_at(resources, 1).accountid <> recipientaccountid
GROUP BY 1, 2
ORDER BY uses DESC, principal, target_account
LIMIT 100

-- engine: duckdb
SELECT useridentity.arn AS principal, resources[1].accountid AS target_account, count(*) AS uses, max(eventtime) AS latest
FROM {events}
WHERE eventname = 'AssumeRole' AND resources[1].accountid <> recipientaccountid
GROUP BY 1, 2
ORDER BY uses DESC, principal, target_account
LIMIT 100

-- engine: clickhouse
SELECT useridentity.arn AS principal, tupleElement(resources[1], 'accountid') AS target_account, count(*) AS uses, max(eventtime) AS latest
FROM {events}
WHERE eventname = 'AssumeRole' AND tupleElement(resources[1], 'accountid') <> recipientaccountid
GROUP BY 1, 2
ORDER BY uses DESC, principal, target_account
LIMIT 100
