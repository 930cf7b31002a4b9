-- Which security groups were opened to the world? (digs into the record's JSON)

-- engine: trino
SELECT eventtime, useridentity.arn AS principal, element_at(requestparameters, 'groupId') AS security_group, eventid
FROM {events}
WHERE eventname = 'AuthorizeSecurityGroupIngress'
  AND json_extract_scalar(eventjson, '$.requestParameters.ipPermissions.items[0].ipRanges.items[0].cidrIp') = '0.0.0.0/0'
ORDER BY eventtime, eventid
LIMIT 100

-- engine: duckdb
SELECT eventtime, useridentity.arn AS principal, requestparameters['groupId'] AS security_group, eventid
FROM {events}
WHERE eventname = 'AuthorizeSecurityGroupIngress'
  AND (eventjson ->> '$.requestParameters.ipPermissions.items[0].ipRanges.items[0].cidrIp') = '0.0.0.0/0'
ORDER BY eventtime, eventid
LIMIT 100

-- engine: clickhouse
SELECT eventtime, useridentity.arn AS principal, requestparameters['groupId'] AS security_group, eventid
FROM {events}
WHERE eventname = 'AuthorizeSecurityGroupIngress'
  AND JSONExtractString(eventjson, 'requestParameters', 'ipPermissions', 'items', 1, 'ipRanges', 'items', 1, 'cidrIp') = '0.0.0.0/0'
ORDER BY eventtime, eventid
LIMIT 100
