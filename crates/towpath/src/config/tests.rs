//! Where settings come from and which are refused.

use std::time::Duration;

use super::*;

struct Setup {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Setup {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sources: Sources::default() }
    }

    fn file(mut self, text: &str) -> Self {
        let path = self.folder.path().join("towpath.toml");
        std::fs::write(&path, text).unwrap();
        self.sources.file = Some(path);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.sources.flags.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Settings {
        load(&self.sources).unwrap().settings
    }

    fn refusal(&self) -> String {
        let text = load(&self.sources).unwrap_err().to_string();
        text.replace(self.folder.path().to_str().unwrap(), "FOLDER")
    }
}

#[test]
fn without_sources_the_defaults_hold() {
    assert_eq!(Setup::new().load(), Settings::default());
}

#[test]
fn the_file_wins_over_the_default_the_variable_over_the_file_and_the_flag_over_the_variable() {
    let setup = Setup::new().file("retry_window = \"1h\"\n[query]\nmemory = \"2GiB\"\nconcurrency = 3\n");
    assert_eq!(setup.load().query.memory, 2 << 30);
    assert_eq!(setup.load().query.time_limit, Duration::from_secs(3600));

    let setup = setup.variable("TOWPATH_QUERY_MEMORY", "3GiB").variable("TOWPATH_PENDING_DELETION", "10s");
    assert_eq!(setup.load().query.memory, 3 << 30);
    assert_eq!(setup.load().pending_deletion, Duration::from_secs(10));

    let setup = setup.flag("query.memory", "4GiB");
    assert_eq!(setup.load().query.memory, 4 << 30);
    assert_eq!(setup.load().query.concurrency, 3);
    assert_eq!(setup.load().retry_window, Duration::from_secs(3600));
}

#[test]
fn digits_stay_a_text_where_a_text_is_wanted() {
    let settings = Setup::new().variable("TOWPATH_ACCOUNT_ID", "000000000042").load();
    assert_eq!(settings.account_id.to_string(), "000000000042");
}

#[test]
fn every_setting_has_a_variable() {
    let settings = Setup::new()
        .variable("TOWPATH_LISTEN", "127.0.0.1:0")
        .variable("TOWPATH_LOG", "debug")
        .variable("TOWPATH_LOGGING_FORMAT", "json")
        .variable("TOWPATH_IMPORT_ENDPOINT_MINIO_PATH_STYLE", "off")
        .variable("TOWPATH_QUOTAS__CHANNELS", "7")
        .variable("TOWPATH_METRICS_TOKEN", "0123456789abcdef")
        .variable("TOWPATH_THROTTLES_PRESET", "aws")
        .variable("TOWPATH_THROTTLES_OPERATIONS_StartQuery", "2")
        .variable("TOWPATH_IMPORT_ENDPOINT_MINIO_ENDPOINT", "http://127.0.0.1:9000")
        .variable("TOWPATH_IMPORT_ENDPOINT_MINIO_SECRET_ACCESS_KEY_ENV", "MINIO_SECRET")
        .variable("TOWPATH_IMPORT_ENDPOINT_MINIO_ACCESS_KEY_ID", "minio")
        .variable("TOWPATH_IMPORT_ENDPOINT_MINIO_BUCKETS", "a, b")
        .variable("TOWPATH_IMPORT_ENDPOINT_MINIO_ALLOW_HTTP", "true")
        .load();
    assert_eq!(settings.listen.port(), 0);
    assert_eq!(settings.logging, Logging { filter: "debug".to_owned(), format: LogFormat::Json });
    assert_eq!(settings.quotas.channels, 7);
    assert_eq!(settings.metrics.token.unwrap().expose(), "0123456789abcdef");
    assert_eq!(settings.throttles.preset, ThrottlePreset::Aws);
    assert_eq!(settings.throttles.operations["StartQuery"], 2);
    let minio = &settings.import.endpoint["minio"];
    assert_eq!(minio.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!(minio.secret_access_key_env.as_deref(), Some("MINIO_SECRET"));
    assert_eq!(minio.buckets, ["a", "b"]);
    assert!(minio.allow_http && !minio.path_style);
}

#[test]
fn an_unknown_key_is_refused_with_its_name_and_the_nearest_one() {
    let setup = Setup::new().file("[query]\nmemorry = \"1GiB\"\n");
    assert_eq!(setup.refusal(), "unknown setting query.memorry in FOLDER/towpath.toml; did you mean query.memory?");
    let setup = Setup::new().file("listn = \"127.0.0.1:1\"\n");
    assert_eq!(setup.refusal(), "unknown setting listn in FOLDER/towpath.toml; did you mean listen?");
    let setup = Setup::new().file("[gardening]\nflowers = 3\n");
    assert_eq!(setup.refusal(), "unknown setting gardening in FOLDER/towpath.toml");
    let setup = Setup::new().flag("query.memorry", "1GiB");
    assert_eq!(setup.refusal(), "unknown setting query.memorry on the command line; did you mean query.memory?");
}

#[test]
fn a_variable_that_is_no_setting_is_noticed_and_not_refused() {
    let setup = Setup::new()
        .variable("TOWPATH_PORT_4747_TCP", "tcp://10.0.0.1:4747")
        .variable("TOWPATH_RETRY_WINOW", "1h")
        .variable("TOWPATH_ROOT_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .variable("OTHER", "1");
    let loaded = load(&setup.sources).unwrap();
    assert_eq!(
        loaded.strangers,
        [
            ("TOWPATH_PORT_4747_TCP".to_owned(), None),
            ("TOWPATH_RETRY_WINOW".to_owned(), Some("TOWPATH_RETRY_WINDOW".to_owned())),
        ]
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_the_name_of_the_setting_and_its_source() {
    let setup = Setup::new().file("pending_deletion = 7\n");
    assert_eq!(
        setup.refusal(),
        "setting pending_deletion in FOLDER/towpath.toml cannot be used: \"7\" has no unit; write ms, s, m, h, d or w \
         after the number, such as \"7s\""
    );
    let setup = Setup::new().variable("TOWPATH_QUERY_CONCURRENCY", "many");
    let refusal = setup.refusal();
    assert!(
        refusal.starts_with("setting query.concurrency (variable TOWPATH_QUERY_CONCURRENCY) cannot be used:"),
        "{refusal}"
    );
    let setup = Setup::new().variable("TOWPATH_ACCOUNT_ID", "42");
    assert!(setup.refusal().ends_with("an account id has twelve digits"), "{}", setup.refusal());
    let setup = Setup::new().variable("TOWPATH_LISTEN", "4747");
    assert!(setup.refusal().starts_with("setting listen (variable TOWPATH_LISTEN)"), "{}", setup.refusal());
}

#[test]
fn a_file_that_is_not_toml_or_not_there_is_refused() {
    let setup = Setup::new().file("listen = \n");
    assert!(setup.refusal().starts_with("cannot read settings"), "{}", setup.refusal());
    let mut setup = Setup::new();
    setup.sources.file = Some(setup.folder.path().join("absent.toml"));
    assert_eq!(
        setup.refusal(),
        "cannot read configuration file FOLDER/absent.toml; check the path given with --config or TOWPATH_CONFIG"
    );
}

#[test]
fn nonsense_is_refused_all_of_it_at_once() {
    let setup = Setup::new()
        .flag("query.concurrency", "0")
        .flag("retry_window", "0s")
        .flag("http.body_memory", "1MiB")
        .flag("quotas.large_event_bytes", "10")
        .flag("throttles.operations.StartQuery", "2000000")
        .flag("metrics.token", "short")
        .flag("import.endpoint.lake.endpoint", "http://127.0.0.1:9000")
        .flag("import.endpoint.lake.access_key_id", "a")
        .flag("import.endpoint.second.region", "eu-west-1");
    assert_eq!(
        setup.refusal(),
        "setting retry_window is 0s; it must be between 1s and 30d\n\
         setting metrics.token is shorter than 16 characters; it must be longer, or absent\n\
         setting http.body_memory is 1MiB; it must be between 80MiB and 1TiB\n\
         setting query.concurrency is 0; it must be at least 1\n\
         setting quotas.large_event_bytes is 10; it must be at least quotas.event_bytes\n\
         setting throttles.operations.StartQuery is 2000000; it must be calls per second, or 0 for no throttle\n\
         setting import.endpoint.lake.allow_http is false; it must be true for an endpoint that begins with http://\n\
         setting import.endpoint.lake.secret_access_key is missing; it must be given with the other half of the key\n\
         setting import.endpoint.second.buckets is empty; it must be the list of the buckets it serves, because \
         another endpoint serves all others already"
    );
}

#[test]
fn a_throttle_of_no_operation_is_refused_with_the_nearest_name() {
    for (given, proposal) in [
        ("LookupEvent", "; did you mean LookupEvents?"),
        ("putauditevents", "; did you mean PutAuditEvents?"),
        ("CreateUsers", "; did you mean CreateUser?"),
        ("AssumeRoll", "; did you mean AssumeRole?"),
        ("Everything", ""),
    ] {
        let setup = Setup::new().flag(&format!("throttles.operations.{given}"), "5");
        let told = format!("setting throttles.operations.{given} is 5; it must be named after an operation{proposal}");
        assert_eq!(setup.refusal(), told);
    }
    let settings = Setup::new().variable("TOWPATH_THROTTLES_OPERATIONS_GetQueryResults", "7").load();
    assert_eq!(settings.throttles.operations["GetQueryResults"], 7);
}

#[test]
fn half_a_pair_of_tls_files_is_refused() {
    let setup = Setup::new().flag("tls.certificate", "c.pem");
    assert_eq!(setup.refusal(), "setting tls.key is missing; it must be given with tls.certificate");
    let setup = Setup::new().variable("TOWPATH_TLS__KEY", "k.pem");
    assert_eq!(setup.refusal(), "setting tls.certificate is missing; it must be given with tls.key");
}

#[test]
fn no_secret_is_shown() {
    let settings = Setup::new()
        .flag("metrics.token", "correct horse battery")
        .flag("import.endpoint.default.access_key_id", "key")
        .flag("import.endpoint.default.secret_access_key", "staple staple staple")
        .load();
    let shown = format!("{settings:?} {settings} {:?}", changed(&settings));
    assert!(!shown.contains("horse") && !shown.contains("staple"), "{shown}");
    assert!(shown.contains("(hidden)"));
}

#[test]
fn only_settings_that_are_not_at_their_defaults_are_named() {
    assert_eq!(changed(&Setup::new().load()), []);
    let settings = Setup::new().flag("query.memory", "3GiB").flag("throttles.operations.StartQuery", "3").load();
    let named = [("query.memory", "3GiB"), ("throttles.operations.StartQuery", "3")];
    assert_eq!(changed(&settings), named.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let upstreams =
        "[[gateway.upstream]]\nservice = \"*\"\nurl = \"http://h\"\nsts = { secret_access_key = \"staple\" }\n";
    let named = [
        ("gateway.upstream[0].service", "*"),
        ("gateway.upstream[0].sts.secret_access_key", "(hidden)"),
        ("gateway.upstream[0].url", "http://h"),
    ];
    let settings = toml::from_str::<Settings>(upstreams).unwrap();
    assert_eq!(changed(&settings), named.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn upstreams_of_one_address_and_those_of_aws_know_the_same_keys() {
    let realm = |url: &str, realm: Option<&str>| {
        Upstream { url: url.to_owned(), realm: realm.map(str::to_owned), ..Upstream::default() }.realm()
    };
    assert_eq!(realm("http://Store:9000/", None), realm("http://store:9000", None));
    assert_ne!(realm("http://store:9000", None), realm("http://store:9001", None));
    assert_eq!(realm("https://s3.eu-west-1.amazonaws.com", None), realm("https://sts.amazonaws.com", None));
    assert_eq!(realm("https://sqs.eu-west-1.api.aws", None), realm("https://sts.amazonaws.com", None));
    assert_ne!(realm("https://s3.cn-north-1.amazonaws.com.cn", None), realm("https://sts.amazonaws.com", None));
    assert_ne!(realm("https://amazonaws.com.example.org", None), realm("https://sts.amazonaws.com", None));
    assert_ne!(realm("https://evilamazonaws.com", None), realm("https://sts.amazonaws.com", None));
    assert_eq!(realm("http://one", Some("cloud")), realm("http://other", Some("cloud")));

    let teaches = |url: &str| Upstream { url: url.to_owned(), ..Upstream::default() }.teaches();
    assert!(teaches("https://sts.eu-west-1.amazonaws.com") && teaches("https://iam.amazonaws.com"));
    assert!(teaches("http://store:9000") && !teaches("https://abc.execute-api.eu-west-1.amazonaws.com"));
    for bucket in ["sts.s3.amazonaws.com", "sts.s3-eu-west-1.amazonaws.com", "sts.s3-website.eu-west-1.amazonaws.com"] {
        assert!(!teaches(&format!("https://{bucket}")), "{bucket}");
    }
}

#[test]
fn a_misspelt_section_is_told_with_the_nearest_one_and_an_address_with_an_example() {
    let refusal = Setup::new().file("querry = 3\n").refusal();
    assert!(refusal.contains("unknown setting querry") && refusal.contains("did you mean query?"), "{refusal}");
    let refusal = Setup::new().flag("listen", "4747").refusal();
    assert!(refusal.ends_with("it must be an address and a port, such as 127.0.0.1:4747"), "{refusal}");
}

#[test]
fn the_settings_are_shown_as_a_file_that_can_be_read_back() {
    let settings = Setup::new().flag("query.memory", "3GiB").flag("throttles.operations.StartQuery", "3").load();
    let again = Setup::new().file(&settings.to_string()).load();
    assert_eq!(again, settings);
}

#[test]
fn endpoints_are_written_as_tables_or_as_a_list_and_variables_join_in() {
    for text in [
        "[[import.endpoint]]\nname = \"lake\"\nendpoint = \"https://s3.example.org\"\n",
        "[import.endpoint.lake]\nendpoint = \"https://s3.example.org\"\n",
    ] {
        let settings = Setup::new().file(text).variable("TOWPATH_IMPORT_ENDPOINT_LAKE_REGION", "eu-west-1").load();
        let lake = &settings.import.endpoint["lake"];
        assert_eq!(lake.endpoint.as_deref(), Some("https://s3.example.org"));
        assert_eq!(lake.region.as_deref(), Some("eu-west-1"));
    }
    let twice = Setup::new().file("[[import.endpoint]]\nname = \"a\"\n[[import.endpoint]]\nname = \"a\"\n");
    assert!(twice.refusal().contains("import.endpoint"), "{}", twice.refusal());
    let nameless = Setup::new().file("[[import.endpoint]]\nregion = \"eu-west-1\"\n");
    assert!(nameless.refusal().contains("name"), "{}", nameless.refusal());
}

#[test]
fn who_is_told_of_deliveries_is_named_with_its_keys() {
    let setup = Setup::new()
        .file("[notify.webhook]\nurl = \"https://hook.example.org\"\nsecret_env = \"HOOK\"\n")
        .variable("TOWPATH_NOTIFY_TOPICS_ENDPOINT", "http://127.0.0.1:4000")
        .variable("TOWPATH_NOTIFY_TOPICS_ACCESS_KEY_ID", "key")
        .variable("TOWPATH_NOTIFY_TOPICS_SECRET_ACCESS_KEY", "secret");
    let notify = setup.load().notify;
    assert_eq!(notify.topics.endpoint.as_deref(), Some("http://127.0.0.1:4000"));
    assert_eq!(notify.webhook.secret_env.as_deref(), Some("HOOK"));
    assert_eq!(notify.log_groups, AwsService::default());

    for (text, name) in [
        ("[notify.topics]\nendpoint = \"http://h\"\n", "notify.topics.access_key_id is missing"),
        ("[notify.log_groups]\nendpoint = \"h\"\n", "notify.log_groups.endpoint is h"),
        ("[notify.roles]\nendpoint = \"h\"\n", "notify.roles.endpoint is h"),
        ("[trail.kms]\nendpoint = \"http://h\"\n", "trail.kms.access_key_id is missing"),
        ("[notify.webhook]\nurl = \"http://h\"\n", "notify.webhook.secret is missing"),
        ("[notify.webhook]\nurl = \"http://h\"\nsecret = \"short\"\n", "notify.webhook.secret is shorter"),
        ("[notify.webhook]\nurl = \"http://h\"\nsecret_env = \"A\"\nsecret_file = \"b\"\n", "more than once"),
    ] {
        let refusal = Setup::new().file(text).refusal();
        assert!(refusal.contains(name), "{text}: {refusal}");
    }
}
