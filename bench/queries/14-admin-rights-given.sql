-- Who gave administrator rights to whom?

-- engine: trino
SELECT eventtime, useridentity.arn AS principal, element_at(requestparameters, 'userName') AS user_name, element_at(requestparameters, 'policyArn') AS policy, eventid
FROM {events}
WHERE eventname IN ('AttachUserPolicy', 'AttachRolePolicy') AND element_at(requestparameters, 'policyArn') LIKE '%AdministratorAccess'
ORDER BY eventtime, eventid
LIMIT 100

-- engine: duckdb
SELECT eventtime, useridentity.arn AS principal, requestparameters['userName'] AS user_name, requestparameters['policyArn'] AS policy, eventid
FROM {events}
WHERE eventname IN ('AttachUserPolicy', 'AttachRolePolicy') AND requestparameters['policyArn'] LIKE '%AdministratorAccess'
ORDER BY eventtime, eventid
LIMIT 100

-- engine: clickhouse
SELECT eventtime, useridentity.arn AS principal, requestparameters['userName'] AS user_name, requestparameters['policyArn'] AS policy, eventid
FROM {events}
WHERE eventname IN ('AttachUserPolicy', 'AttachRolePolicy') AND requestparameters['policyArn'] LIKE '%AdministratorAccess'
ORDER BY eventtime, eventid
LIMIT 100
