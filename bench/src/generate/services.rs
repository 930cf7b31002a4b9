//! Records of an account in which services deliver logs to S3: six kinds in the shares, sizes and key orders that real
//! delivered files have.

use std::fmt::Write;

use super::draw::Draw;
use super::moment::Moment;
use super::people;
use super::world::Account;

/// Writes the events of something that happens.
type Happening = fn(&mut Scene<'_>);

/// What happens, with its share in ten thousand. What is left of the ten thousand is people at work.
const SHARES: &[(u32, Happening)] = &[
    (4039, denied_delivery),
    (2248, trail_delivery),
    (1465, bucket_acl),
    (1063, data_key),
    (487, object_read),
    (236, decrypt),
    (136, denied_head),
    (39, service_role),
];

/// The place, time and source of randomness of one record, and where it is written.
pub struct Scene<'a> {
    /// Where the record is appended.
    pub out: &'a mut String,
    /// Randomness.
    pub draw: &'a mut Draw,
    /// Whose record it is.
    pub account: &'a Account,
    /// When.
    pub moment: Moment,
    /// Where.
    pub region: &'static str,
}

/// Writes one record of the services' mix.
pub fn write(scene: &mut Scene<'_>) {
    let mut at = scene.draw.below(10_000) as u32;
    for (share, kind) in SHARES {
        if at < *share {
            return kind(scene);
        }
        at -= share;
    }
    people::write(scene);
}

impl Scene<'_> {
    /// Appends text. Writing to a `String` cannot fail.
    pub fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(text);
    }

    /// `,"name":"` and a UUID and `"`.
    pub fn uuid(&mut self, name: &str) {
        self.put(format_args!(",\"{name}\":\""));
        self.draw.uuid(self.out);
        self.out.push('"');
    }

    fn by_service(&mut self, service: &str, source: &str, name: &str) {
        let (time, region) = (self.moment.text(), self.region);
        self.put(format_args!(
            "{{\"eventVersion\":\"1.08\",\"userIdentity\":{{\"type\":\"AWSService\",\"invokedBy\":\"{service}\"}},\
             \"eventTime\":\"{time}\",\"eventSource\":\"{source}\",\"eventName\":\"{name}\",\"awsRegion\":\"{region}\",\
             \"sourceIPAddress\":\"{service}\",\"userAgent\":\"{service}\""
        ));
    }

    fn s3_details(&mut self, bytes_in: &str, bytes_out: &str, encrypted: &str) {
        self.put(format_args!(
            ",\"additionalEventData\":{{\"SignatureVersion\":\"SigV4\",\"CipherSuite\":\"ECDHE-RSA-AES128-GCM-SHA256\",\
             \"bytesTransferredIn\":{bytes_in},{encrypted}\"AuthenticationMethod\":\"AuthHeader\",\"x-amz-id-2\":\""
        ));
        self.draw.base64(self.out, 75);
        self.put(format_args!("=\",\"bytesTransferredOut\":{bytes_out}}},\"requestID\":\""));
        self.draw.base36(self.out, 16);
        self.out.push('"');
    }

    fn object_resources(&mut self, bucket: &str, key: &str) {
        let account = &self.account.id;
        self.put(format_args!(
            ",\"resources\":[{{\"type\":\"AWS::S3::Object\",\"ARN\":\"arn:aws:s3:::{bucket}/{key}\"}},\
             {{\"accountId\":\"{account}\",\"type\":\"AWS::S3::Bucket\",\"ARN\":\"arn:aws:s3:::{bucket}\"}}]"
        ));
    }

    fn end(&mut self, management: bool, shared: bool, endpoint: bool) {
        let account = self.account;
        self.put(format_args!(
            ",\"eventType\":\"AwsApiCall\",\"managementEvent\":{management},\"recipientAccountId\":\"{}\"",
            account.id
        ));
        if shared {
            self.uuid("sharedEventID");
        }
        if endpoint {
            self.put(format_args!(",\"vpcEndpointId\":\"{}\"", account.vpc_endpoint));
        }
        let category = if management { "Management" } else { "Data" };
        self.put(format_args!(",\"eventCategory\":\"{category}\"}}"));
    }

    fn trail_key(&mut self) -> String {
        let (account, region) = (&self.account.id, self.region);
        let mut key = format!(
            "AWSLogs/{account}/CloudTrail/{region}/{}/{account}_CloudTrail_{region}_{}_",
            self.moment.folder(),
            self.moment.compact()
        );
        self.draw.base62(&mut key, 16);
        key.push_str(".json.gz");
        key
    }

    fn log_bucket(&self) -> String {
        self.account.buckets[0].clone()
    }
}

fn denied_delivery(scene: &mut Scene<'_>) {
    let (bucket, region, account) = (scene.log_bucket(), scene.region, scene.account);
    let mut key = format!(
        "AWSLogs/{id}/vpcflowlogs/{region}/{}/{id}_vpcflowlogs_{region}_{}_{}_",
        scene.moment.folder(),
        account.flow_log,
        scene.moment.compact(),
        id = account.id
    );
    scene.draw.hex(&mut key, 8);
    key.push_str(".log.gz");
    scene.by_service("delivery.logs.amazonaws.com", "s3.amazonaws.com", "PutObject");
    scene.put(format_args!(
        ",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"Access Denied\",\"requestParameters\":{{\
         \"bucketName\":\"{bucket}\",\"Host\":\"{bucket}.s3.{region}.amazonaws.com\",\
         \"x-amz-acl\":\"bucket-owner-full-control\",\"key\":\"{key}\"}},\"responseElements\":null"
    ));
    scene.s3_details("0.0", "243.0", "");
    scene.uuid("eventID");
    scene.out.push_str(",\"readOnly\":false");
    scene.object_resources(&bucket, &key);
    scene.end(false, true, true);
}

fn trail_delivery(scene: &mut Scene<'_>) {
    let (bucket, region, account) = (scene.log_bucket(), scene.region, scene.account);
    let key = scene.trail_key();
    let bytes = 800 + scene.draw.skewed(60_000);
    scene.by_service("cloudtrail.amazonaws.com", "s3.amazonaws.com", "PutObject");
    scene.put(format_args!(
        ",\"requestParameters\":{{\"bucketName\":\"{bucket}\",\"x-amz-acl\":\"bucket-owner-full-control\",\
         \"x-amz-server-side-encryption-context\":\"{context}\",\
         \"x-amz-server-side-encryption-aws-kms-key-id\":\"{kms}\",\"Host\":\"{bucket}.s3.{region}.amazonaws.com\",\
         \"x-amz-server-side-encryption\":\"aws:kms\",\"key\":\"{key}\"}},\"responseElements\":{{\
         \"x-amz-server-side-encryption-aws-kms-key-id\":\"{kms}\",\"x-amz-server-side-encryption\":\"aws:kms\",\
         \"x-amz-expiration\":\"expiry-date=\\\"{date} 00:00:00 GMT\\\", rule-id=\\\"{bucket}\\\"\",\
         \"x-amz-server-side-encryption-context\":\"{context}",
        context = account.encryption_context,
        kms = account.kms_key,
        date = scene.moment.date.strftime("%a, %d %b %Y"),
    ));
    // The context of the answer names the object too, so its end is new each time.
    scene.out.push_str("LCJhd3M6czM6YXJuIjoi");
    for _ in 0..6 {
        scene.out.push_str("YXJuOmF3czpzMzo6OmxvZ3Mv");
    }
    scene.draw.base64(scene.out, 44);
    scene.out.push_str("\"}");
    scene.s3_details(&format!("{bytes}.0"), "0.0", "\"SSEApplied\":\"SSE_KMS\",");
    scene.uuid("eventID");
    scene.out.push_str(",\"readOnly\":false");
    scene.object_resources(&bucket, &key);
    scene.end(false, true, false);
}

fn bucket_acl(scene: &mut Scene<'_>) {
    let (bucket, region, account) = (scene.log_bucket(), scene.region, scene.account);
    scene.by_service("cloudtrail.amazonaws.com", "s3.amazonaws.com", "GetBucketAcl");
    scene.put(format_args!(
        ",\"requestParameters\":{{\"bucketName\":\"{bucket}\",\"Host\":\"{bucket}.s3.{region}.amazonaws.com\",\"acl\":\"\"}},\
         \"responseElements\":null"
    ));
    scene.s3_details("0", "931", "");
    scene.uuid("eventID");
    scene.put(format_args!(
        ",\"readOnly\":true,\"resources\":[{{\"accountId\":\"{}\",\"type\":\"AWS::S3::Bucket\",\
         \"ARN\":\"arn:aws:s3:::{bucket}\"}}]",
        account.id
    ));
    scene.end(true, true, false);
}

fn data_key(scene: &mut Scene<'_>) {
    let (bucket, region, account) = (scene.log_bucket(), scene.region, scene.account);
    let key = scene.trail_key();
    scene.by_service("cloudtrail.amazonaws.com", "kms.amazonaws.com", "GenerateDataKey");
    scene.put(format_args!(
        ",\"requestParameters\":{{\"keyId\":\"{kms}\",\"keySpec\":\"AES_256\",\"encryptionContext\":{{\
         \"aws:cloudtrail:arn\":\"arn:aws:cloudtrail:{region}:{id}:trail/management-events\",\
         \"aws:s3:arn\":\"arn:aws:s3:::{bucket}/{key}\"}}}},\"responseElements\":null",
        kms = account.kms_key,
        id = account.id
    ));
    kms_rest(scene, true);
}

fn kms_rest(scene: &mut Scene<'_>, shared: bool) {
    let account = scene.account;
    scene.uuid("requestID");
    scene.uuid("eventID");
    scene.put(format_args!(
        ",\"readOnly\":true,\"resources\":[{{\"accountId\":\"{}\",\"type\":\"AWS::KMS::Key\",\"ARN\":\"{}\"}}]",
        account.id, account.kms_key
    ));
    scene.end(true, shared, false);
}

fn object_read(scene: &mut Scene<'_>) {
    let account = scene.account;
    let user = scene.draw.favourite(&account.users);
    let (bucket, region) = (scene.draw.favourite(&account.buckets).clone(), scene.region);
    let key = scene.trail_key();
    let bytes = 500 + scene.draw.skewed(100_000);
    people::by_user(scene, user, "s3.amazonaws.com", "GetObject");
    scene.put(format_args!(
        ",\"requestParameters\":{{\"bucketName\":\"{bucket}\",\"Host\":\"{bucket}.s3.{region}.amazonaws.com\",\
         \"key\":\"{key}\"}},\"responseElements\":null"
    ));
    scene.s3_details("0.0", &format!("{bytes}.0"), "");
    scene.uuid("eventID");
    scene.out.push_str(",\"readOnly\":true");
    scene.object_resources(&bucket, &key);
    scene.end(false, false, false);
}

fn decrypt(scene: &mut Scene<'_>) {
    let (bucket, region, account) = (scene.log_bucket(), scene.region, scene.account);
    let user = scene.draw.favourite(&account.users);
    let (key, id) = (scene.trail_key(), &account.id);
    let time = scene.moment.text();
    let session = scene.draw.text("ASIA", |draw, out| draw.base32(out, 16));
    scene.put(format_args!(
        "{{\"eventVersion\":\"1.08\",\"userIdentity\":{{\"type\":\"IAMUser\",\"principalId\":\"{principal}\",\
         \"arn\":\"arn:aws:iam::{id}:user/{name}\",\"accountId\":\"{id}\",\"accessKeyId\":\"{session}\",\
         \"userName\":\"{name}\",\"sessionContext\":{{\"sessionIssuer\":{{}},\"webIdFederationData\":{{}},\
         \"attributes\":{{\"creationDate\":\"{time}\",\"mfaAuthenticated\":\"false\"}}}},\
         \"invokedBy\":\"AWS Internal\"}},\"eventTime\":\"{time}\",\"eventSource\":\"kms.amazonaws.com\",\
         \"eventName\":\"Decrypt\",\"awsRegion\":\"{region}\",\"sourceIPAddress\":\"AWS Internal\",\
         \"userAgent\":\"AWS Internal\",\"requestParameters\":{{\"encryptionContext\":{{\
         \"aws:cloudtrail:arn\":\"arn:aws:cloudtrail:{region}:{id}:trail/management-events\",\
         \"aws:s3:arn\":\"arn:aws:s3:::{bucket}/{key}\"}},\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}},\
         \"responseElements\":null",
        principal = user.principal_id,
        name = user.name,
    ));
    kms_rest(scene, false);
}

fn denied_head(scene: &mut Scene<'_>) {
    let (bucket, region, account) = (scene.log_bucket(), scene.region, scene.account);
    scene.by_service("delivery.logs.amazonaws.com", "s3.amazonaws.com", "HeadBucket");
    scene.put(format_args!(
        ",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"Access Denied\",\"requestParameters\":{{\
         \"bucketName\":\"{bucket}\",\"Host\":\"{bucket}.s3.{region}.amazonaws.com\"}},\"responseElements\":null"
    ));
    scene.s3_details("0.0", "243.0", "");
    scene.uuid("eventID");
    scene.put(format_args!(
        ",\"readOnly\":false,\"resources\":[{{\"type\":\"AWS::S3::Object\",\"ARNPrefix\":\"arn:aws:s3:::{bucket}/\"}},\
         {{\"accountId\":\"{}\",\"type\":\"AWS::S3::Bucket\",\"ARN\":\"arn:aws:s3:::{bucket}\"}}]",
        account.id
    ));
    scene.end(false, true, true);
}

fn service_role(scene: &mut Scene<'_>) {
    let account = scene.account;
    scene.by_service("cloudtrail.amazonaws.com", "sts.amazonaws.com", "AssumeRole");
    people::assumed_role(scene, &account.id, "service-role/LogDelivery", "LOG_DELIVERY_SESSION", 800);
    scene.uuid("requestID");
    scene.uuid("eventID");
    scene.put(format_args!(
        ",\"readOnly\":true,\"resources\":[{{\"accountId\":\"{id}\",\"type\":\"AWS::IAM::Role\",\
         \"ARN\":\"arn:aws:iam::{id}:role/service-role/LogDelivery\"}}]",
        id = account.id
    ));
    scene.end(true, true, false);
}
