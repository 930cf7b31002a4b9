//! Credentials in every position of every protocol: none of them is in a record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::wire::{Wire, capture};

/// What must not be found. Long enough to stand in one piece, and the same in a URL.
const SECRET: &str = "Hunter2-never-recorded";

fn blob() -> Json {
    json!(STANDARD.encode(SECRET))
}

fn json_call(target: &str, name: &str, body: Json) -> Wire {
    Wire::json(target, name, &body)
}

fn s3(method: &'static str, uri: &str) -> Wire {
    Wire::new(method, uri, "s3").header("host", "s3.us-east-1.amazonaws.com")
}

/// Calls with a secret somewhere, by where it is.
fn corpus() -> Vec<(&'static str, Wire)> {
    let iam = |fields: &[(&str, &str)]| Wire::form("iam", "2010-05-08", fields);
    let sts = |fields: &[(&str, &str)]| Wire::form("sts", "2011-06-15", fields);
    let sns = |fields: &[(&str, &str)]| Wire::form("sns", "2010-03-31", fields);
    let rds = |fields: &[(&str, &str)]| Wire::form("rds", "2014-10-31", fields);
    let ec2 = |fields: &[(&str, &str)]| Wire::form("ec2", "2016-11-15", fields);
    let encoded = STANDARD.encode(SECRET);
    let credentials = format!(
        "<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>{SECRET}</SessionToken><Expiration>2026-11-20T23:57:51Z</Expiration></Credentials>"
    );
    let assumed = |operation: &str| {
        format!("<{operation}Response><{operation}Result>{credentials}</{operation}Result></{operation}Response>")
    };
    vec![
        // Heads.
        (
            "signature of a header",
            s3("GET", "/bucket/key").header(
                "authorization",
                &format!("AWS4-HMAC-SHA256 Credential=AKIA/20261120/us-east-1/s3/aws4_request, SignedHeaders=host, Signature={SECRET}"),
            ),
        ),
        ("security token of a header", s3("PUT", "/bucket/key").header("x-amz-security-token", SECRET)),
        (
            "presigned URL",
            s3("GET", &format!("/bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={SECRET}&X-Amz-Security-Token={SECRET}&X-Amz-Date=20261120T225751Z")),
        ),
        ("old presigned URL", s3("GET", &format!("/bucket/key?AWSAccessKeyId=AKIA&Signature={SECRET}&Expires=1"))),
        ("bearer token", json_call("TrentService.ListKeys", "kms", json!({})).header("authorization", &format!("Bearer {SECRET}"))),
        ("basic password", Wire::new("GET", "/spaces", "repostspace").header("authorization", &format!("Basic {encoded}"))),
        ("cookie", Wire::new("GET", "/spaces", "repostspace").header("cookie", &format!("session={SECRET}"))),
        ("API key", Wire::new("GET", "/anything", "execute-api").header("x-api-key", SECRET)),
        (
            "customer's encryption key",
            s3("PUT", "/bucket/key")
                .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
                .header("x-amz-server-side-encryption-customer-key", &encoded)
                .header("x-amz-copy-source-server-side-encryption-customer-key", &encoded),
        ),
        ("metadata of an object", s3("PUT", "/bucket/key").header("x-amz-meta-password", SECRET)),
        ("second factor", s3("DELETE", "/bucket/key?versionId=1").header("x-amz-mfa", &format!("serial {SECRET}"))),
        ("unknown query parameter", s3("GET", &format!("/bucket/key?password={SECRET}"))),
        ("cookie that is set", Wire::new("POST", "/spaces/a/admins/b", "repostspace").answer_header("set-cookie", SECRET)),
        // Bodies of objects, messages and items.
        ("object", s3("PUT", "/bucket/key").body(SECRET)),
        ("object that looks like XML", s3("PUT", "/bucket/key").body(format!("<Tagging>{SECRET}</Tagging>"))),
        (
            "upload from a form",
            s3("POST", "/bucket").header("content-type", "multipart/form-data; boundary=b").body(
                ["key\"\r\n\r\nk", "policy\"\r\n\r\n#", "x-amz-signature\"\r\n\r\n#", "x-amz-meta-note\"\r\n\r\n#", "file\"; filename=\"f\"\r\n\r\n#"]
                    .map(|part| format!("--b\r\ncontent-disposition: form-data; name=\"{}\r\n", part.replace('#', SECRET)))
                    .concat(),
            ),
        ),
        ("object that was read", s3("GET", "/bucket/key").answer(200, SECRET)),
        (
            "query of an object",
            s3("POST", "/bucket/key?select&select-type=2").body(format!(
                "<SelectObjectContentRequest><Expression>{SECRET}</Expression><ExpressionType>SQL</ExpressionType></SelectObjectContentRequest>"
            )),
        ),
        ("message", json_call("AmazonSQS.SendMessage", "sqs", json!({"QueueUrl": "https://q/1/n", "MessageBody": SECRET}))),
        (
            "messages",
            json_call(
                "AmazonSQS.SendMessageBatch",
                "sqs",
                json!({"QueueUrl": "https://q/1/n", "Entries": [{"Id": "1", "MessageBody": SECRET, "MessageAttributes": {"a": {"StringValue": SECRET, "DataType": "String"}}}]}),
            ),
        ),
        (
            "message that was received",
            json_call("AmazonSQS.ReceiveMessage", "sqs", json!({"QueueUrl": "https://q/1/n"}))
                .answer(200, json!({"Messages": [{"Body": SECRET}]}).to_string()),
        ),
        ("publication", sns(&[("Action", "Publish"), ("TopicArn", "arn:aws:sns:us-east-1:1:t"), ("Message", SECRET), ("Subject", SECRET)])),
        ("subscription", sns(&[("Action", "Subscribe"), ("TopicArn", "arn:aws:sns:us-east-1:1:t"), ("Protocol", "https"), ("Endpoint", SECRET)])),
        ("token of a subscription", sns(&[("Action", "ConfirmSubscription"), ("TopicArn", "t"), ("Token", SECRET)])),
        (
            "platform's credential",
            sns(&[
                ("Action", "CreatePlatformApplication"), ("Name", "n"), ("Platform", "GCM"),
                ("Attributes.entry.1.key", "PlatformCredential"), ("Attributes.entry.1.value", SECRET),
            ]),
        ),
        (
            "item",
            json_call("DynamoDB_20120810.PutItem", "dynamodb", json!({"TableName": "t", "Item": {"id": {"S": SECRET}}, "ReturnValues": "ALL_OLD"}))
                .answer(200, json!({"Attributes": {"id": {"S": SECRET}}}).to_string()),
        ),
        ("key of an item", json_call("DynamoDB_20120810.GetItem", "dynamodb", json!({"TableName": "t", "Key": {"id": {"S": SECRET}}}))),
        (
            "items in a batch",
            json_call(
                "DynamoDB_20120810.BatchWriteItem",
                "dynamodb",
                json!({"RequestItems": {"t": [{"PutRequest": {"Item": {"a": {"S": SECRET}}}}, {"DeleteRequest": {"Key": {"a": {"S": SECRET}}}}]}}),
            ),
        ),
        (
            "items in a transaction",
            json_call(
                "DynamoDB_20120810.TransactWriteItems",
                "dynamodb",
                json!({"TransactItems": [
                    {"Put": {"TableName": "t", "Item": {"a": {"S": SECRET}}}},
                    {"Update": {"TableName": "t", "Key": {"a": {"S": SECRET}}, "UpdateExpression": "x", "ExpressionAttributeValues": {":a": {"S": SECRET}}}},
                ]}),
            ),
        ),
        ("condition", json_call("DynamoDB_20120810.Query", "dynamodb", json!({"TableName": "t", "ExpressionAttributeValues": {":a": {"S": SECRET}}}))),
        ("statement", json_call("DynamoDB_20120810.ExecuteStatement", "dynamodb", json!({"Statement": format!("select '{SECRET}'"), "Parameters": [{"S": SECRET}]}))),
        ("payload", Wire::new("POST", "/2015-03-31/functions/f/invocations", "lambda").body(SECRET).header("x-amz-client-context", &encoded).answer(200, SECRET)),
        // Secrets that services keep or make.
        ("password of a user", iam(&[("Action", "CreateLoginProfile"), ("UserName", "u"), ("Password", SECRET)])),
        ("changed password", iam(&[("Action", "ChangePassword"), ("OldPassword", SECRET), ("NewPassword", SECRET)])),
        ("private key", iam(&[("Action", "UploadServerCertificate"), ("ServerCertificateName", "n"), ("CertificateBody", "c"), ("PrivateKey", SECRET)])),
        ("codes of a second factor", iam(&[("Action", "EnableMFADevice"), ("UserName", "u"), ("SerialNumber", "s"), ("AuthenticationCode1", SECRET), ("AuthenticationCode2", SECRET)])),
        (
            "secret key that was made",
            iam(&[("Action", "CreateAccessKey"), ("UserName", "u")]).answer(
                200,
                format!("<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><UserName>u</UserName><AccessKeyId>AKIA</AccessKeyId><Status>Active</Status><SecretAccessKey>{SECRET}</SecretAccessKey></AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>"),
            ),
        ),
        (
            "password of a service",
            iam(&[("Action", "CreateServiceSpecificCredential"), ("UserName", "u"), ("ServiceName", "s")]).answer(
                200,
                format!("<R><CreateServiceSpecificCredentialResult><ServiceSpecificCredential><ServiceUserName>u</ServiceUserName><ServicePassword>{SECRET}</ServicePassword></ServiceSpecificCredential></CreateServiceSpecificCredentialResult></R>"),
            ),
        ),
        (
            "seed of a second factor",
            iam(&[("Action", "CreateVirtualMFADevice"), ("VirtualMFADeviceName", "d")]).answer(
                200,
                format!("<R><CreateVirtualMFADeviceResult><VirtualMFADevice><SerialNumber>s</SerialNumber><Base32StringSeed>{encoded}</Base32StringSeed></VirtualMFADevice></CreateVirtualMFADeviceResult></R>"),
            ),
        ),
        ("credentials of a role", sts(&[("Action", "AssumeRole"), ("RoleArn", "arn:aws:iam::123456789012:role/r"), ("RoleSessionName", "s"), ("ExternalId", SECRET), ("TokenCode", SECRET)]).answer(200, assumed("AssumeRole"))),
        ("web identity", sts(&[("Action", "AssumeRoleWithWebIdentity"), ("RoleArn", "r"), ("RoleSessionName", "s"), ("WebIdentityToken", SECRET)]).answer(200, assumed("AssumeRoleWithWebIdentity"))),
        ("assertion", sts(&[("Action", "AssumeRoleWithSAML"), ("RoleArn", "r"), ("PrincipalArn", "p"), ("SAMLAssertion", SECRET)]).answer(200, assumed("AssumeRoleWithSAML"))),
        ("credentials of a session", sts(&[("Action", "GetSessionToken")]).answer(200, assumed("GetSessionToken"))),
        ("credentials of a federated user", sts(&[("Action", "GetFederationToken"), ("Name", "n")]).answer(200, assumed("GetFederationToken"))),
        ("encoded message", sts(&[("Action", "DecodeAuthorizationMessage"), ("EncodedMessage", SECRET)])),
        ("secret", json_call("secretsmanager.CreateSecret", "secretsmanager", json!({"Name": "n", "SecretString": SECRET, "SecretBinary": blob()}))),
        ("version of a secret", json_call("secretsmanager.PutSecretValue", "secretsmanager", json!({"SecretId": "n", "SecretString": SECRET, "RotationToken": SECRET}))),
        ("secret that was read", json_call("secretsmanager.GetSecretValue", "secretsmanager", json!({"SecretId": "n"})).answer(200, json!({"SecretString": SECRET}).to_string())),
        ("password that was made", json_call("secretsmanager.GetRandomPassword", "secretsmanager", json!({})).answer(200, json!({"RandomPassword": SECRET}).to_string())),
        ("plain text", json_call("TrentService.Encrypt", "kms", json!({"KeyId": "k", "Plaintext": blob()})).answer(200, json!({"CiphertextBlob": blob()}).to_string())),
        ("plain text that was decrypted", json_call("TrentService.Decrypt", "kms", json!({"CiphertextBlob": blob()})).answer(200, json!({"Plaintext": blob(), "KeyId": "arn:aws:kms:us-east-1:1:key/k"}).to_string())),
        ("data key", json_call("TrentService.GenerateDataKey", "kms", json!({"KeyId": "k"})).answer(200, json!({"Plaintext": blob()}).to_string())),
        ("password of a key store", json_call("TrentService.CreateCustomKeyStore", "kms", json!({"CustomKeyStoreName": "n", "KeyStorePassword": SECRET}))),
        ("secret key of a key store", json_call("TrentService.UpdateCustomKeyStore", "kms", json!({"CustomKeyStoreId": "n", "XksProxyAuthenticationCredential": {"AccessKeyId": "a", "RawSecretAccessKey": SECRET}}))),
        ("grant token", json_call("TrentService.CreateGrant", "kms", json!({"KeyId": "k", "GrantTokens": [SECRET]})).answer(200, json!({"GrantToken": SECRET, "GrantId": "g"}).to_string())),
        ("parameter", json_call("AmazonSSM.PutParameter", "ssm", json!({"Name": "n", "Value": SECRET, "Type": "SecureString"}))),
        ("parameters of a document", json_call("AmazonSSM.SendCommand", "ssm", json!({"DocumentName": "d", "Parameters": {"commands": [SECRET]}})).answer(200, json!({"Command": {"CommandId": "c", "Parameters": {"commands": [SECRET]}}}).to_string())),
        ("token of a session", json_call("AmazonSSM.StartSession", "ssm", json!({"Target": "i"})).answer(200, json!({"SessionId": "s", "TokenValue": SECRET, "StreamUrl": format!("wss://h/?token={SECRET}")}).to_string())),
        ("password of a database", rds(&[("Action", "CreateDBInstance"), ("DBInstanceIdentifier", "d"), ("MasterUserPassword", SECRET), ("TdeCredentialPassword", SECRET)])),
        ("user data", ec2(&[("Action", "RunInstances"), ("ImageId", "ami-1"), ("MinCount", "1"), ("MaxCount", "1"), ("UserData", &encoded)])),
        ("user data that changes", ec2(&[("Action", "ModifyInstanceAttribute"), ("InstanceId", "i-1"), ("UserData.Value", &encoded)])),
        ("template with user data", ec2(&[("Action", "CreateLaunchTemplate"), ("LaunchTemplateName", "n"), ("LaunchTemplateData.UserData", &encoded)])),
        ("shared key of a tunnel", ec2(&[("Action", "CreateVpnConnection"), ("CustomerGatewayId", "c"), ("Type", "ipsec.1"), ("Options.TunnelOptions.1.PreSharedKey", SECRET)])),
        ("key pair", ec2(&[("Action", "CreateKeyPair"), ("KeyName", "k")]).answer(200, format!("<CreateKeyPairResponse><requestId>r</requestId><keyName>k</keyName><keyMaterial>{SECRET}</keyMaterial></CreateKeyPairResponse>"))),
        ("password of an instance", ec2(&[("Action", "GetPasswordData"), ("InstanceId", "i-1")]).answer(200, format!("<GetPasswordDataResponse><requestId>r</requestId><passwordData>{SECRET}</passwordData></GetPasswordDataResponse>"))),
        (
            "environment of a function",
            Wire::new("POST", "/2015-03-31/functions", "lambda")
                .body(json!({"FunctionName": "f", "Role": "r", "Code": {"ZipFile": blob()}, "Environment": {"Variables": {"A": SECRET}}}).to_string())
                .answer(201, json!({"FunctionName": "f", "Environment": {"Variables": {"A": SECRET}}}).to_string()),
        ),
        ("case", json_call("AWSSupport_20130415.CreateCase", "support", json!({"subject": SECRET, "communicationBody": SECRET, "serviceCode": "s"}))),
        ("letter", json_call("AWSSupport_20130415.AddCommunicationToCase", "support", json!({"caseId": "c", "communicationBody": SECRET}))),
        ("attachment", json_call("AWSSupport_20130415.AddAttachmentsToSet", "support", json!({"attachments": [{"fileName": SECRET, "data": blob()}]}))),
        ("invitation", Wire::new("POST", "/spaces/s/invite", "repostspace").body(json!({"accessorIds": ["a"], "title": SECRET, "body": SECRET}).to_string())),
        (
            "events",
            Wire::new("POST", "/PutAuditEvents?channelArn=arn:aws:cloudtrail:us-east-1:1:channel/c&externalId=Hunter2-never-recorded", "cloudtrail-data")
                .body(json!({"auditEvents": [{"id": "1", "eventData": SECRET}]}).to_string()),
        ),
        // Services without a profile.
        ("sign-in", json_call("AWSCognitoIdentityProviderService.InitiateAuth", "cognito-idp", json!({"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "c", "AuthParameters": {"USERNAME": "u", "PASSWORD": SECRET}})).answer(200, json!({"AuthenticationResult": {"AccessToken": SECRET, "IdToken": SECRET, "RefreshToken": SECRET}}).to_string())),
        ("password of a directory", json_call("DirectoryService_20150416.CreateDirectory", "ds", json!({"Name": "n", "Password": SECRET, "Size": "Small"}))),
        ("token of a cache", Wire::form("elasticache", "2015-02-02", &[("Action", "CreateReplicationGroup"), ("ReplicationGroupId", "r"), ("ReplicationGroupDescription", "d"), ("AuthToken", SECRET)])),
        // Nothing is known of these.
        ("password in a JSON body of nobody", Wire::new("POST", "/login", "unheard-of").body(json!({"password": SECRET}).to_string())),
        ("password in a form of nobody", Wire::new("POST", &format!("/login?password={SECRET}"), "unheard-of").body(format!("password={SECRET}"))),
        ("token in a path of nobody", Wire::new("GET", &format!("/reset/{SECRET}"), "unheard-of")),
        ("unknown operation", json_call(&format!("TrentService.{SECRET}"), "kms", json!({"Password": SECRET}))),
        ("unknown member", json_call("TrentService.CreateKey", "kms", json!({"Unheard": SECRET, "Description": "d"}))),
        ("console action", Wire::new("POST", "/", "trustedadvisor").header("x-amz-target", "TrustedAdvisor.SetAccountAccess").body(json!({"apiKey": SECRET, "enabled": true}).to_string())),
    ]
}

/// What a secret could look like in a record: as it is, in base64, in hexadecimal, percent-encoded.
fn looks() -> Vec<String> {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![SECRET.to_owned(), STANDARD.encode(SECRET), hex, SECRET.replace('-', "%2D")]
}

fn found(records: &[String]) -> Option<String> {
    let text = records.join("\n").to_ascii_lowercase();
    looks().into_iter().find(|look| text.contains(&look.to_ascii_lowercase()))
}

#[test]
fn no_secret_is_in_the_record_of_a_call() {
    let Some(capture) = capture() else { return };
    for (place, call) in corpus() {
        let records = call.records(capture);
        assert!(!records.is_empty(), "{place}");
        assert_eq!(found(&records), None, "{place}: {records:?}");
    }
}

#[test]
fn no_secret_comes_back_in_the_message_of_an_error() {
    let Some(capture) = capture() else { return };
    for (place, call) in corpus() {
        // A service repeats what it was sent only if it understood it.
        if place.contains("nobody") || place.starts_with("unknown") || place.contains("object") {
            continue;
        }
        let message = format!("Value '{SECRET}' failed to satisfy constraint");
        let json = json!({"__type": "ValidationException", "message": message}).to_string();
        let xml = format!(
            "<ErrorResponse><Error><Code>ValidationError</Code><Message>{message}</Message></Error></ErrorResponse>"
        );
        for body in [json, xml] {
            // Only what was sent can be known as a secret: answers and what is not read are not.
            let sent = String::from_utf8_lossy(&call.body).contains(SECRET)
                || call.headers.iter().any(|(_, value)| value.contains(SECRET));
            let read =
                !place.starts_with("message that") && !place.starts_with("metadata") && !place.starts_with("payload");
            if sent && read {
                let records = call.clone().answer(400, body).records(capture);
                assert_eq!(found(&records), None, "{place}: {records:?}");
            }
        }
    }
}

#[test]
fn no_secret_is_in_a_record_when_there_is_no_model() {
    let capture = crate::capture::Capture::new(crate::model::Models::none(), crate::profile::Profiles::shipped());
    for (place, call) in corpus() {
        let records = call.records(&capture);
        assert_eq!(found(&records), None, "{place}: {records:?}");
    }
}

#[test]
fn a_hash_tells_that_two_calls_meant_the_same_item() {
    let Some(capture) = capture() else { return };
    let get = |id: &str| {
        let body = json!({"TableName": "t", "Key": {"id": {"S": id}}});
        json_call("DynamoDB_20120810.GetItem", "dynamodb", body).record(capture)["requestParameters"]["key"]["id"]
            .clone()
    };
    assert_eq!(get("a"), get("a"));
    assert_ne!(get("a"), get("b"));
    assert!(get("a").as_str().unwrap().starts_with("sha256:"));
}
