use super::*;

fn profile(text: &str) -> Profile {
    Profile::parse("test", text).unwrap()
}

#[test]
fn every_built_in_profile_is_understood() {
    let profiles = Profiles::shipped();
    assert_eq!(profiles.general().event_source(), "*");
    assert_eq!(profiles.iter().count(), shipped::FILES.len() - 1);
    for wanted in [
        "cloudtrail",
        "dynamodb",
        "iam",
        "kms",
        "lambda",
        "marketplacecatalog",
        "partnercentral-account",
        "repostspace",
        "s3",
        "secretsmanager",
        "sns",
        "sqs",
        "sts",
        "support",
        "supportapp",
        "trustedadvisor",
    ] {
        let source = format!("{wanted}.amazonaws.com");
        assert!(profiles.iter().any(|profile| profile.event_source() == source), "{wanted}");
    }
}

#[test]
fn every_file_of_the_folder_of_profiles_is_built_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".toml", ""))
        .collect();
    let mut shipped: Vec<&str> = shipped::FILES.iter().map(|(name, _)| *name).collect();
    files.sort();
    shipped.sort_unstable();
    assert_eq!(files, shipped);
}

#[test]
fn every_example_of_the_documentation_is_a_profile() {
    let text = include_str!("../../../../docs/profiles.md");
    let examples: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 5);
    for example in examples {
        assert!(
            Profile::parse("example", example).is_ok(),
            "{:?}\n{example}",
            Profile::parse("example", example).err()
        );
    }
}

#[test]
fn the_first_example_does_what_the_documentation_says() {
    let text = include_str!("../../../../docs/profiles.md");
    let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let profiles = Profiles::shipped();
    let profile = profile(example);
    let rules = |operation| profiles.rules(&profile, operation);
    assert_eq!(rules("QuotePrice").read_only, Some(true));
    let order = rules("PlaceOrder");
    let action = |path: &[&str]| {
        let mut walk = order.request.actions();
        let mut action = None;
        for name in path {
            (action, walk) = walk.step(name);
        }
        action.cloned()
    };
    assert_eq!(action(&["Note"]), Some(Action::Drop));
    assert_eq!(action(&["Card", "Number"]), Some(Action::Replace(towpath_admit::HIDDEN.into())));
    assert_eq!(action(&["Customer", "Email"]), Some(Action::Hash));
    assert_eq!(action(&["Customer", "Password"]), Some(Action::Replace(towpath_admit::HIDDEN.into())));
    assert_eq!(action(&["Customer", "Name"]), None);
    assert_eq!((order.resources.len(), rules("QuotePrice").resources.len()), (1, 0));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (text, part) in [
        ("services = []", "event-source"),
        ("event-source = \"\"", "1 to 255"),
        ("event-source = \"a\"\nsorce = 1", "sorce"),
        ("event-source = \"a\"\nregion = \"Not a region\"", "region"),
        ("event-source = \"a\"\n[[operation]]\nnames = []", "without names"),
        ("event-source = \"a\"\n[[operation]]\nnames = [\"A\"]\nrequest.drop = [\"a..b\"]", "a..b"),
        ("event-source = \"a\"\n[[operation]]\nnames = [\"A\"]\nresponse.headers = [{ name = \"a b\" }]", "a b"),
        ("event-source = \"a\"\n[[resource]]\ntype = \"x\"", "arn"),
        ("event-source = \"a\"\n[[resource]]\narn = \"{x}\"", "{x}"),
        ("event-source = \"a\"\nadditional = [{ name = \"a\", from = \"nowhere\" }]", "nowhere"),
    ] {
        let error = Profile::parse("file.toml", text).unwrap_err().to_string();
        assert!(error.contains("file.toml") && error.contains(part), "{text}: {error}");
    }
}

#[test]
fn a_folder_adds_services_and_takes_the_place_of_built_in_profiles() {
    let folder = std::env::temp_dir().join(format!("towpath-profiles-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("mine.toml", "event-source = \"orders.example.org\"\nservices = [\"Orders\"]");
    write("sts.toml", "event-source = \"sts.amazonaws.com\"\nservices = [\"STS\"]\napi-version = \"2011-06-15\"");
    write("notes.txt", "no profile");
    let profiles = Profiles::with_folder(&folder).unwrap();
    write("broken.toml", "event-source = 1");
    let broken = Profiles::with_folder(&folder);
    std::fs::remove_dir_all(&folder).unwrap();

    assert_eq!(profiles.of_service("orders").unwrap().event_source(), "orders.example.org");
    assert_eq!(profiles.of_service("STS").unwrap().api_version(), Some("2011-06-15"));
    assert_eq!(profiles.iter().filter(|profile| profile.event_source() == "sts.amazonaws.com").count(), 1);
    // Two services may have one event source.
    assert_eq!(profiles.iter().filter(|profile| profile.event_source() == "s3.amazonaws.com").count(), 2);
    assert!(matches!(broken, Err(ProfileError::Form { name, .. }) if name.ends_with("broken.toml")));
    assert!(matches!(Profiles::with_folder(&folder), Err(ProfileError::Read { .. })));
}

#[test]
fn a_profile_is_found_by_target_signing_name_or_host() {
    let profiles = Profiles::shipped();
    let source = |target, name, host| profiles.of_call(target, name, host).map(Profile::event_source);
    assert_eq!(source(Some("TrentService"), None, None), Some("kms.amazonaws.com"));
    assert_eq!(source(None, Some("aws-marketplace"), None), Some("marketplacecatalog.amazonaws.com"));
    assert_eq!(source(None, None, Some("sts.eu-west-1.amazonaws.com:443")), Some("sts.amazonaws.com"));
    assert_eq!(source(None, None, Some("bucket.x.sts.eu-west-1.amazonaws.com")), None);
    assert_eq!(source(None, Some("unheard-of"), Some("example.org")), None);
}

#[test]
fn regions_are_those_of_the_signature_or_fixed() {
    let profiles = Profiles::shipped();
    let signed: Region = "eu-west-1".parse().unwrap();
    let region = |service| profiles.of_service(service).unwrap().region(&signed).to_string();
    assert_eq!(region("SQS"), "eu-west-1");
    assert_eq!(region("IAM"), "us-east-1");
    assert_eq!(region("TrustedAdvisor"), "us-east-1");
}

#[test]
fn the_console_actions_of_trusted_advisor_are_known_without_a_model() {
    let profiles = Profiles::shipped();
    let profile = profiles.of_service("TrustedAdvisor").unwrap();
    assert!(profile.knows_unmodelled("RefreshCheck") && profile.knows_unmodelled("DescribeCheckItems"));
    assert!(!profile.knows_unmodelled("ListChecks") && !profile.knows_unmodelled("Anything"));
}

#[test]
fn operations_of_a_service_are_compiled_once() {
    let profiles = Profiles::shipped();
    let lambda = profiles.of_service("Lambda").unwrap();
    let first = profiles.rules(lambda, "CreateFunction");
    assert_eq!(first.event_name, "CreateFunction20150331");
    assert!(Arc::ptr_eq(&first, &profiles.rules(lambda, "CreateFunction")));
}
