//! Role sessions: what they carry, and when they end.

use super::*;

fn tags(list: &[(&str, &str)], transitive: &[&str]) -> SessionTags {
    let list = list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SessionTags::new(list, &transitive.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).unwrap()
}

#[tokio::test]
async fn a_role_session_carries_its_role_and_ends_in_time() {
    let home = TestDirectory::new().await;
    let role = home.role("Audit").await;
    home.directory
        .put_inline_policy(account(), PolicyHolder::Role(name("Audit")), policy_name("p"), ALLOW_ALL.into())
        .await
        .unwrap();
    let asked = AssumeRole {
        session_policy: Some(ALLOW_ALL.to_owned()),
        source_identity: Some("jane".parse().unwrap()),
        duration_seconds: Some(900),
        ..ask("me")
    };
    let made = home.directory.assume_role(&role.arn, &root(), asked).unwrap();
    let (id, token) = (made.access_key_id.as_str(), Some(made.session_token.expose()));

    let found = home.resolve(id, token).unwrap();
    assert_eq!(found.secret, made.secret);
    assert_eq!(*found.principal, Principal::AssumedRole(made.session.clone()));
    assert_eq!(found.principal.arn().unwrap().as_str(), "arn:aws:sts::123456789012:assumed-role/Audit/me");
    assert_eq!(found.principal.principal_id().unwrap(), format!("{}:me", role.id));
    assert_eq!((found.identity.len(), found.session.unwrap().text()), (1, ALLOW_ALL));
    assert_eq!(made.session.source_identity.as_ref().unwrap().as_str(), "jane");
    assert!(id.starts_with("ASIA") && id.len() == 20);
    assert!(home.reopened().await.resolve(id, token, home.clock.now()).is_ok());

    assert_eq!(home.resolve(id, None).unwrap_err(), CredentialError::TokenMissing);
    assert_eq!(home.resolve("ASIAOTHERKEY", token).unwrap_err(), CredentialError::TokenInvalid);
    let mut changed = token.unwrap().to_owned();
    changed.replace_range(30..31, if &changed[30..31] == "A" { "B" } else { "A" });
    assert_eq!(home.resolve(id, Some(&changed)).unwrap_err(), CredentialError::TokenInvalid);
    assert_eq!(home.resolve(id, Some(&"A".repeat(100_000))).unwrap_err(), CredentialError::TokenInvalid);

    home.clock.advance(Duration::from_secs(899));
    assert!(home.resolve(id, token).is_ok());
    home.clock.advance(Duration::from_secs(1));
    assert_eq!(home.resolve(id, token).unwrap_err(), CredentialError::TokenExpired);
}

#[tokio::test]
async fn a_session_ends_with_its_role_also_when_the_name_comes_back() {
    let home = TestDirectory::new().await;
    let role = home.role("Audit").await;
    let made = home.directory.assume_role(&role.arn, &root(), ask("me")).unwrap();
    let (id, token) = (made.access_key_id.as_str(), Some(made.session_token.expose()));

    home.directory.delete_role(account(), name("Audit")).await.unwrap();
    assert_eq!(home.resolve(id, token).unwrap_err(), CredentialError::TokenInvalid);
    home.role("Audit").await;
    assert_eq!(home.resolve(id, token).unwrap_err(), CredentialError::TokenInvalid);
    assert!(home.directory.identity_policies(&Principal::AssumedRole(made.session)).is_empty());
}

#[tokio::test]
async fn a_role_trusts_the_user_it_named_and_not_another_of_the_same_name() {
    let home = TestDirectory::new().await;
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"arn:aws:iam::123456789012:user/jane"}}}"#;
    home.user("jane").await;
    let key = home.user_key("jane").await;
    let role = home.directory.create_role(account(), NewRole::new(name("R"), trust)).await.unwrap();
    let may = |directory: &Directory, key: &NewAccessKey| {
        let caller = directory.resolve(key.id.as_str(), None, home.clock.now()).unwrap();
        let context = crate::Context::new();
        let request = crate::Request {
            principal: &caller.principal,
            action: "sts:AssumeRole",
            resource: role.arn.as_str(),
            resource_account: account(),
            context: &context,
        };
        let trust = directory.role(account(), &name("R")).unwrap().trust;
        crate::evaluate_trust(&request, &caller.identity, &trust, None).is_allow()
    };
    assert!(may(&home.directory, &key) && may(&home.reopened().await, &key));

    home.directory.delete_access_key(account(), key.id).await.unwrap();
    home.directory.delete_user(account(), name("jane")).await.unwrap();
    home.user("jane").await;
    let key = home.user_key("jane").await;
    assert!(!may(&home.directory, &key) && !may(&home.reopened().await, &key));
    home.directory.update_trust_policy(account(), name("R"), trust.into()).await.unwrap();
    assert!(may(&home.directory, &key) && may(&home.reopened().await, &key));
}

#[tokio::test]
async fn sessions_keep_to_the_limits_of_their_role_and_of_chaining() {
    let home = TestDirectory::new().await;
    let two_hours = NewRole { max_session_seconds: 7200, ..NewRole::new(name("R"), TRUST_ALL) };
    let role = home.directory.create_role(account(), two_hours).await.unwrap();
    let make = |caller: &Principal, seconds: u32, source: Option<&str>| {
        let source_identity = source.map(|text| text.parse::<SessionName>().unwrap());
        let asked = AssumeRole { duration_seconds: Some(seconds), source_identity, ..ask("me") };
        home.directory.assume_role(&role.arn, caller, asked)
    };

    assert!(make(&root(), 7200, None).is_ok());
    for seconds in [0, 899, 7201] {
        assert!(matches!(make(&root(), seconds, None), Err(AssumeRoleError::Duration { most: 7200, .. })));
    }
    let first = Principal::AssumedRole(make(&root(), 7200, Some("jane")).unwrap().session);
    assert!(matches!(make(&first, 7200, None), Err(AssumeRoleError::Duration { most: 3600, .. })));
    assert!(matches!(make(&first, 900, Some("joe")), Err(AssumeRoleError::SourceIdentity(_))));
    let second = make(&first, 900, None).unwrap().session;
    assert_eq!(second.source_identity.unwrap().as_str(), "jane");

    let missing: Arn = "arn:aws:iam::123456789012:role/other/R".parse().unwrap();
    let nowhere = home.directory.assume_role(&missing, &root(), ask("me"));
    assert!(matches!(nowhere, Err(AssumeRoleError::NotFound(_))));
    let broken = AssumeRole { session_policy: Some("{}".to_owned()), ..ask("me") };
    assert!(matches!(home.directory.assume_role(&role.arn, &root(), broken), Err(AssumeRoleError::Policy(_))));
}

#[tokio::test]
async fn tags_stay_with_the_session_and_transitive_ones_go_on() {
    let home = TestDirectory::new().await;
    let role = home.role("Audit").await;
    let asked = AssumeRole { tags: tags(&[("team", "blue"), ("cost", "7")], &["team"]), ..ask("me") };
    let first = home.directory.assume_role(&role.arn, &root(), asked).unwrap();
    assert_eq!(first.packed_policy_size, Some(1));

    let found = home.resolve(first.access_key_id.as_str(), Some(first.session_token.expose())).unwrap();
    let context = crate::Context::new().with("aws:PrincipalTag/team", "red");
    let request = crate::Request {
        principal: &found.principal,
        action: "a:b",
        resource: "*",
        resource_account: account(),
        context: &context,
    };
    // What the request claims about its caller does not count.
    assert_eq!(request.values("AWS:PrincipalTag/TEAM"), Some(vec!["blue".to_owned()]));
    assert_eq!(request.values("aws:PrincipalTag/cost"), Some(vec!["7".to_owned()]));
    assert_eq!(request.values("aws:PrincipalTag/other"), None);

    let again = AssumeRole { tags: tags(&[("cost", "8")], &[]), ..ask("me") };
    let second = home.directory.assume_role(&role.arn, &found.principal, again).unwrap().session;
    let seen: Vec<_> = second.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    assert_eq!(seen, [("cost", "8"), ("team", "blue")]);
    let changed = AssumeRole { tags: tags(&[("TEAM", "red")], &[]), ..ask("me") };
    let refused = home.directory.assume_role(&role.arn, &found.principal, changed).unwrap_err();
    assert!(matches!(refused, AssumeRoleError::Tags(SessionTagError::Inherited(_))));
}

#[tokio::test]
async fn a_session_that_is_allowed_to_be_made_fits_into_its_token() {
    let home = TestDirectory::new().await;
    let role = home.role("Audit").await;
    let make = |key: char, count: usize, length: usize| {
        let list = (0..count).map(|n| (format!("{n}{}", key.to_string().repeat(100)), key.to_string().repeat(length)));
        let asked = AssumeRole {
            tags: SessionTags::new(list.collect(), &[]).unwrap(),
            session_policy: Some(ALLOW_ALL.to_owned()),
            ..ask("me")
        };
        home.directory.assume_role(&role.arn, &root(), asked)
    };
    for made in [make('k', 39, 100).unwrap(), make('ö', 20, 100).unwrap()] {
        assert!(made.packed_policy_size.unwrap() > 95);
        assert!(home.resolve(made.access_key_id.as_str(), Some(made.session_token.expose())).is_ok());
    }
    assert!(matches!(make('ö', 50, 100), Err(AssumeRoleError::Packed(_))));
}

#[tokio::test]
async fn a_pinned_policy_shows_the_unique_id_of_whom_it_lost() {
    let home = TestDirectory::new().await;
    let (lost, kept) = (home.user("lost").await, home.role("Kept").await);
    let text = format!(
        r#"{{"Version":"2012-10-17", "Statement":{{"Effect":"Allow","Principal":{{"AWS":["{}","{}"]}},"Action":"a:b"}}}}"#,
        lost.arn, kept.arn
    );
    let policy = Policy::parse(&text, crate::PolicyKind::Resource).unwrap();
    let pinned = policy.clone().pinned(&home.directory.ids_of(&policy));
    assert_eq!(pinned.pins().len(), 2);
    assert_eq!(home.directory.shown(&pinned), text);

    home.directory.delete_user(account(), name("lost")).await.unwrap();
    let expected = text.replace(lost.arn.as_str(), &lost.id).replace(", ", ",");
    assert_eq!(home.directory.shown(&pinned), expected);
    home.user("lost").await;
    assert_eq!(home.directory.shown(&pinned), expected);
}
