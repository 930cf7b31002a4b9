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
    "cloudfront",
    "cloudtrail",
    "cloudtrail-data",
    "dynamodb",
    "ec2",
    "elasticloadbalancing",
    "elasticloadbalancing-v2",
    "iam",
    "kms",
    "lambda",
    "logs",
    "marketplace-catalog",
    "partnercentral-account",
    "rds",
    "repostspace",
    "route53",
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
