"""What the record of a call must say, by the rules of the specification and the service's model."""

from gateway.client import HIDDEN

SOURCES = {
    "cloudwatch": "monitoring", "stepfunctions": "states", "efs": "elasticfilesystem", "marketplace-catalog": "marketplacecatalog",
    "support-app": "supportapp",
}
# Members that records show hidden, or not at all, by service.
SECRET = {
    "iam": {"Password"},
    "rds": {"MasterUserPassword"},
    "ssm": {"Value"},
    "secretsmanager": {"SecretString", "SecretBinary"},
    "kms": {"Plaintext", "CiphertextBlob"},
    "lambda": {"Code", "Environment"},
    "support": {"subject", "communicationBody", "ccEmailAddresses", "attachmentSetId"},
    "sqs": {"MessageBody", "Entries"},
    "sns": {"Message", "Endpoint"},
    "dynamodb": {"Item", "RequestItems", "ExpressionAttributeValues", "Key"},
}


def lower(name):
    return name[:1].lower() + name[1:]


def differences(made, record, key, account):
    """What is wrong with a call's record, in words."""
    found = []

    def check(what, is_, must):
        if is_ != must:
            found.append(f"{what} is {is_!r} in place of {must!r}")

    source = SOURCES.get(made.service, made.service)
    check("eventName", record["eventName"], made.name)
    check("eventSource", record["eventSource"], f"{source}.amazonaws.com")
    check("eventType", record["eventType"], "AwsApiCall")
    check("awsRegion", record["awsRegion"], "us-east-1")
    check("sourceIPAddress", record["sourceIPAddress"], "127.0.0.1")
    check("recipientAccountId", record["recipientAccountId"], account)
    check("accessKeyId", record["userIdentity"].get("accessKeyId"), key)
    check("managementEvent", record["managementEvent"], made.expected.get("managementEvent", True))
    check("eventCategory", record["eventCategory"], "Management" if record["managementEvent"] else "Data")
    if f"call/{made.mark}" not in record["userAgent"]:
        found.append(f"userAgent is {record['userAgent']!r}")
    if made.error:
        check("errorCode", record.get("errorCode"), made.expected.get("errorCode", made.error[0]))
        check("responseElements", record["responseElements"], None)
    else:
        check("errorCode", record.get("errorCode"), None)
    request = next((made.headers[name] for name in ("x-amzn-requestid", "x-amz-request-id") if name in made.headers), None)
    if request:
        check("requestID", record.get("requestID"), request)
    for name, tail in made.expected.get("resources", []):
        if not any(entry.get("type") == name and entry.get("ARN", "").endswith(tail) for entry in record.get("resources", [])):
            found.append(f"no resource {name} that ends in {tail}: {record.get('resources')}")
    if "responseElements" in made.expected:
        check("responseElements", record["responseElements"], made.expected["responseElements"])
    parameters = record["requestParameters"] or {}
    if "requestParameters" in made.expected:
        members(made.expected["requestParameters"], parameters, "", found)
    elif made.parameters and made.operation.input_shape:
        structure(made.operation.input_shape, made.parameters, parameters, "", SECRET.get(made.service, set()), found)
    return found


def members(must, record, place, found):
    """Everything in `must` is in the record."""
    for name, value in must.items():
        if record.get(name) != value:
            found.append(f"{place}{name} is {record.get(name)!r} in place of {value!r}")


def structure(shape, given, record, place, secret, found):
    """Every given member of a structure is in the record, under its name with a small first letter."""
    for name, value in given.items():
        printed = lower(name)
        if name in secret:
            if printed in record and leaks(value, record[printed]):
                found.append(f"{place}{printed} is not hidden: {record[printed]!r}")
            continue
        if printed not in record:
            found.append(f"{place}{printed} is missing")
            continue
        compare(shape.members[name], value, record[printed], f"{place}{printed}", secret, found)


def compare(shape, value, record, place, secret, found):
    if record == HIDDEN and shape.metadata.get("sensitive"):
        return
    if shape.type_name == "structure":
        structure(shape, value, record, f"{place}.", secret, found)
    elif shape.type_name == "list" and isinstance(record, list) and len(record) == len(value):
        for index, (one, printed) in enumerate(zip(value, record)):
            compare(shape.member, one, printed, f"{place}.{index}", secret, found)
    elif shape.type_name == "map" and isinstance(record, dict):
        if sorted(value) != sorted(record):
            found.append(f"{place} has the keys {sorted(record)}")
    elif shape.type_name == "blob":
        pass
    elif record != value and str(record) != str(value):
        found.append(f"{place} is {record!r} in place of {value!r}")


def leaks(value, record):
    """True if a text of a hidden value stands in the record."""
    if isinstance(value, dict):
        return any(leaks(inner, record) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return any(leaks(inner, record) for inner in value)
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return len(text) > 5 and text in str(record)
