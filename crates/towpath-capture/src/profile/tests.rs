use super::*;

#[test]
fn every_built_in_profile_is_understood() {
    let profiles = Profiles::shipped();
    assert_eq!(profiles.general().event_source(), "*");
    assert_eq!(profiles.iter().count(), shipped::FILES.len() - 1);
    let mut sources: Vec<&str> = profiles.iter().map(Profile::event_source).collect();
    sources.sort_unstable();
    for wanted in [
        "cloudtrail", "dynamodb", "iam", "kms", "lambda", "marketplacecatalog", "partnercentral-account", "repostspace", "s3",
        "secretsmanager", "sns", "sqs", "sts", "support", "supportapp", "trustedadvisor",
    ] {
        assert!(sources.contains(&&*format!("{wanted}.amazonaws.com")), "{wanted}");
    }
}
