//! The profiles that are built in.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Names and texts.
        pub(super) const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../profiles/", $name, ".toml")))),*];
    };
}

files![
    "general",
    "cloudtrail",
    "cloudtrail-data",
    "dynamodb",
    "ec2",
    "iam",
    "kms",
    "lambda",
    "marketplace-catalog",
    "partnercentral-account",
    "rds",
    "repostspace",
    "s3",
    "s3-control",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
    "support",
    "support-app",
    "trustedadvisor",
];
