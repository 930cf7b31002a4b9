-- What exactly was this event?
-- needle
-- The files have the record without the values that columns hold; docs/files.md says how other engines make it whole.

-- engine: trino
SELECT eventid, eventtime, eventname, useridentity.arn, eventjson
FROM {events}
WHERE eventid = '{event_id}'

-- engine: duckdb
SELECT eventid, eventtime, eventname, useridentity.arn,
  list_reduce(
    list_prepend(
      replace(replace(replace(replace(eventjson,
        chr(57344), coalesce(eventid, '')), chr(57408), coalesce(requestid, '')),
        chr(57472), coalesce(sharedeventid, '')), chr(57536), coalesce(errormessage, '')),
      coalesce(map_values(additionaleventdata), [])),
    lambda text, value, entry: replace(text, chr((57598 + entry)::INTEGER), coalesce(value, ''))) AS eventjson
FROM {events}
WHERE eventid = '{event_id}'

-- engine: clickhouse
SELECT eventid, eventtime, eventname, useridentity.arn,
  arrayFold((text, value, entry) -> replaceAll(text, concat('\xEE\x84', char(128 + entry - 1)), ifNull(value, '')),
    mapValues(additionaleventdata), arrayEnumerate(mapValues(additionaleventdata)),
    replaceAll(replaceAll(replaceAll(replaceAll(assumeNotNull(eventjson),
      '\xEE\x80\x80', ifNull(eventid, '')), '\xEE\x81\x80', ifNull(requestid, '')),
      '\xEE\x82\x80', ifNull(sharedeventid, '')), '\xEE\x83\x80', ifNull(errormessage, ''))) AS record
FROM {events}
WHERE eventid = '{event_id}'
