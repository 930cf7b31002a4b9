//! Access keys, users, and what stands in the way of deleting them.

use super::*;

#[tokio::test]
async fn a_key_of_a_user_resolves_to_its_secret_its_user_and_its_policies() {
    let home = TestDirectory::new().await;
    let user = home.user("Jane").await;
    let key = home.user_key("jane").await;
    home.directory
        .put_inline_policy(account(), PolicyHolder::User(name("JANE")), policy_name("all"), ALLOW_ALL.into())
        .await
        .unwrap();

    for directory in [home.directory.clone(), home.reopened().await] {
        let found = directory.resolve(key.id.as_str(), None, home.clock.now()).unwrap();
        assert_eq!(found.secret, key.secret);
        assert_eq!(found.access_key_id, key.id);
        assert_eq!(found.principal.arn().unwrap().as_str(), "arn:aws:iam::123456789012:user/Jane");
        assert_eq!(found.principal.principal_id().unwrap(), user.id);
        assert_eq!(found.identity.iter().map(|policy| policy.text()).collect::<Vec<_>>(), [ALLOW_ALL]);
        assert_eq!(directory.identity_policies(&found.principal).len(), 1);
        assert!(found.session.is_none());
    }
    assert!(user.id.starts_with("AIDA") && user.id.len() == 21);
    assert!(key.id.as_str().starts_with("AKIA") && key.id.as_str().len() == 20);
}

#[tokio::test]
async fn keys_that_may_not_sign_are_told_apart() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let key = home.user_key("jane").await;
    let id = key.id.as_str();

    assert_eq!(home.resolve("AKIANOBODY", None).unwrap_err(), CredentialError::UnknownKey);
    assert_eq!(home.resolve(id, Some("token")).unwrap_err(), CredentialError::TokenInvalid);
    home.directory.set_access_key_status(account(), key.id.clone(), AccessKeyStatus::Inactive).await.unwrap();
    assert_eq!(home.resolve(id, None).unwrap_err(), CredentialError::Inactive);
    assert_eq!(home.directory.list_access_keys(account(), None).unwrap()[0].status, AccessKeyStatus::Inactive);
    home.directory.set_access_key_status(account(), key.id.clone(), AccessKeyStatus::Active).await.unwrap();
    assert!(home.resolve(id, None).is_ok());
    home.directory.delete_access_key(account(), key.id.clone()).await.unwrap();
    assert_eq!(home.resolve(id, None).unwrap_err(), CredentialError::UnknownKey);
    assert_eq!(home.resolve("ASIANOBODY", None).unwrap_err(), CredentialError::TokenMissing);
    assert_eq!(home.resolve("ASIANOBODY", Some("x")).unwrap_err(), CredentialError::TokenInvalid);
}

#[tokio::test]
async fn a_key_belongs_to_its_account_alone() {
    let home = TestDirectory::new().await;
    let other: AccountId = "999999999999".parse().unwrap();
    home.directory.create_account(other).await.unwrap();
    home.user("jane").await;
    let key = home.user_key("jane").await;

    let gone = home.directory.delete_access_key(other, key.id.clone()).await;
    assert!(matches!(gone, Err(DirectoryError::NotFound { what: "access key", .. })));
    assert!(home.directory.list_access_keys(other, None).unwrap().is_empty());
    assert!(home.directory.list_users(other).unwrap().is_empty());
    assert!(home.resolve(key.id.as_str(), None).is_ok());
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case() {
    let home = TestDirectory::new().await;
    home.user("Jane").await;
    home.role("Audit").await;

    let twice = home.directory.create_user(account(), name("jANE"), EntityPath::default()).await;
    assert!(matches!(twice, Err(DirectoryError::Exists { what: "user", .. })));
    let twice = home.directory.create_role(account(), NewRole::new(name("AUDIT"), TRUST_ALL)).await;
    assert!(matches!(twice, Err(DirectoryError::Exists { what: "role", .. })));
    let twice = home.directory.create_account(account()).await;
    assert!(matches!(twice, Err(DirectoryError::Exists { what: "account", .. })));
    assert_eq!(home.directory.user(account(), &name("JANE")).unwrap().name, name("Jane"));
    let nowhere = home.directory.create_user("999999999999".parse().unwrap(), name("x"), EntityPath::default()).await;
    assert_eq!(nowhere.unwrap_err().to_string(), "account 999999999999 does not exist");
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted_and_says_why() {
    let home = TestDirectory::new().await;
    let directory = &home.directory;
    home.user("jane").await;
    let key = home.user_key("jane").await;
    directory
        .put_inline_policy(account(), PolicyHolder::User(name("jane")), policy_name("p"), ALLOW_ALL.into())
        .await
        .unwrap();
    home.role("Audit").await;
    directory
        .put_inline_policy(account(), PolicyHolder::Role(name("Audit")), policy_name("q"), ALLOW_ALL.into())
        .await
        .unwrap();
    let refused = |result: Result<(), DirectoryError>| result.unwrap_err().to_string();

    assert_eq!(
        refused(directory.delete_user(account(), name("jane")).await),
        format!("cannot delete user jane: it still has access key {}; delete that first", key.id)
    );
    directory.delete_access_key(account(), key.id).await.unwrap();
    assert!(refused(directory.delete_user(account(), name("jane")).await).contains("inline policy p"));
    directory.delete_inline_policy(account(), PolicyHolder::User(name("jane")), policy_name("p")).await.unwrap();
    assert!(refused(directory.delete_account(account()).await).contains("user jane"));
    directory.delete_user(account(), name("jane")).await.unwrap();

    assert!(refused(directory.delete_role(account(), name("Audit")).await).contains("inline policy q"));
    directory.delete_inline_policy(account(), PolicyHolder::Role(name("Audit")), policy_name("q")).await.unwrap();
    assert!(refused(directory.delete_account(account()).await).contains("role Audit"));
    directory.delete_role(account(), name("Audit")).await.unwrap();
    let root_key = directory.create_access_key(account(), KeyOwner::Root).await.unwrap();
    assert!(refused(directory.delete_account(account()).await).contains("access key AKIA"));
    directory.delete_access_key(account(), root_key.id).await.unwrap();
    directory.delete_account(account()).await.unwrap();
    assert!(home.reopened().await.list_accounts().is_empty());
}

#[tokio::test]
async fn a_user_has_two_keys_at_most() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    home.user_key("jane").await;
    home.user_key("jane").await;
    let third = home.directory.create_access_key(account(), KeyOwner::User(name("jane"))).await;
    assert_eq!(third.unwrap_err().to_string(), "user jane has 2 access keys already, and may have no more");
    let stranger = home.directory.create_access_key(account(), KeyOwner::User(name("nobody"))).await;
    assert!(matches!(stranger, Err(DirectoryError::NotFound { what: "user", .. })));
    assert_eq!(home.directory.list_access_keys(account(), Some(KeyOwner::User(name("JANE")))).unwrap().len(), 2);
    assert!(home.directory.list_access_keys(account(), Some(KeyOwner::Root)).unwrap().is_empty());
}

#[tokio::test]
async fn a_policy_that_is_none_or_too_long_is_refused_when_put() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let put = |policy: &str, text: String| {
        home.directory.put_inline_policy(account(), PolicyHolder::User(name("jane")), policy_name(policy), text)
    };

    let error = put("a", r#"{"Statement":{"Effect":"Maybe"}}"#.into()).await.unwrap_err().to_string();
    assert_eq!(error, r#"policy document is malformed: Statement.Effect: "Maybe" is neither Allow nor Deny"#);
    let of_length = |length: usize| ALLOW_ALL.replace("\"*\"}", &format!("\"arn:aws:a:::{}*\"}}", "x".repeat(length)));
    put("a", of_length(1000)).await.unwrap();
    let error = put("b", of_length(1000)).await.unwrap_err().to_string();
    assert!(error.starts_with("inline policies of user jane would have 2"), "{error}");
    // The same name replaces, and counts once.
    put("a", of_length(1500)).await.unwrap();
    assert_eq!(
        home.directory.list_inline_policies(account(), &PolicyHolder::User(name("jane"))).unwrap(),
        [policy_name("a")]
    );
    assert_eq!(
        home.directory.inline_policy(account(), &PolicyHolder::User(name("jane")), &policy_name("a")).unwrap(),
        of_length(1500)
    );
    assert!(home.directory.inline_policy(account(), &PolicyHolder::User(name("jane")), &policy_name("b")).is_err());

    let broken = home.directory.create_role(account(), NewRole::new(name("R"), ALLOW_ALL)).await;
    assert!(matches!(broken, Err(DirectoryError::Policy(_))));
    let long = NewRole { max_session_seconds: 43_201, ..NewRole::new(name("R"), TRUST_ALL) };
    assert!(matches!(home.directory.create_role(account(), long).await, Err(DirectoryError::Range { .. })));
}
