//! The directory against its store: what is kept, what is refused, what a failure leaves behind.

use std::time::Duration;

use towpath_meta::{FailingMetaStore, Fault, MemoryMetaStore, SqliteMetaStore};
use towpath_model::{Arn, ManualClock};

use super::*;
use crate::{EntityName, EntityPath, NewRole, PolicyName, SessionName};

const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
const TRUST_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}"#;

type Store = FailingMetaStore<MemoryMetaStore>;

/// A directory over a store that a test may look into, break, and open again.
struct TestDirectory {
    store: Arc<Store>,
    key: SecretKey,
    clock: Arc<ManualClock>,
    directory: Directory,
}

impl TestDirectory {
    /// One account without identities.
    async fn new() -> Self {
        let store = Arc::new(FailingMetaStore::new(MemoryMetaStore::new()));
        let key = SecretKey::generate().unwrap();
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let directory = Directory::open(store.clone(), &key, clock.clone()).await.unwrap();
        directory.create_account(account()).await.unwrap();
        Self { store, key, clock, directory }
    }

    /// The directory as the store has it.
    async fn reopened(&self) -> Directory {
        Directory::open(self.store.clone(), &self.key, self.clock.clone()).await.unwrap()
    }

    fn resolve(&self, id: &str, token: Option<&str>) -> Result<Credentials, CredentialError> {
        self.directory.resolve(id, token, self.clock.now())
    }

    async fn user(&self, text: &str) -> User {
        self.directory.create_user(account(), name(text), EntityPath::default()).await.unwrap()
    }

    async fn user_key(&self, text: &str) -> NewAccessKey {
        self.directory.create_access_key(account(), KeyOwner::User(name(text))).await.unwrap()
    }

    async fn role(&self, text: &str) -> Role {
        self.directory.create_role(account(), NewRole::new(name(text), TRUST_ALL)).await.unwrap()
    }
}

fn account() -> AccountId {
    "123456789012".parse().unwrap()
}

fn name(text: &str) -> EntityName {
    text.parse().unwrap()
}

fn policy_name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

fn ask(session: &str) -> AssumeRole {
    let session_name = session.parse().unwrap();
    AssumeRole { session_name, duration_seconds: None, session_policy: None, source_identity: None }
}

fn root() -> Principal {
    Principal::Root { account: account() }
}

#[tokio::test]
async fn a_key_of_a_user_resolves_to_its_secret_its_user_and_its_policies() {
    let home = TestDirectory::new().await;
    let user = home.user("Jane").await;
    let key = home.user_key("jane").await;
    home.directory.put_user_policy(account(), name("JANE"), policy_name("all"), ALLOW_ALL.into()).await.unwrap();

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
    directory.put_user_policy(account(), name("jane"), policy_name("p"), ALLOW_ALL.into()).await.unwrap();
    home.role("Audit").await;
    directory.put_role_policy(account(), name("Audit"), policy_name("q"), ALLOW_ALL.into()).await.unwrap();
    let refused = |result: Result<(), DirectoryError>| result.unwrap_err().to_string();

    assert_eq!(
        refused(directory.delete_user(account(), name("jane")).await),
        format!("cannot delete user jane: it still has access key {}; delete that first", key.id)
    );
    directory.delete_access_key(account(), key.id).await.unwrap();
    assert!(refused(directory.delete_user(account(), name("jane")).await).contains("inline policy p"));
    directory.delete_user_policy(account(), name("jane"), policy_name("p")).await.unwrap();
    assert!(refused(directory.delete_account(account()).await).contains("user jane"));
    directory.delete_user(account(), name("jane")).await.unwrap();

    assert!(refused(directory.delete_role(account(), name("Audit")).await).contains("inline policy q"));
    directory.delete_role_policy(account(), name("Audit"), policy_name("q")).await.unwrap();
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
    let put =
        |policy: &str, text: String| home.directory.put_user_policy(account(), name("jane"), policy_name(policy), text);

    let error = put("a", r#"{"Statement":{"Effect":"Maybe"}}"#.into()).await.unwrap_err().to_string();
    assert_eq!(error, r#"policy document is malformed: Statement.Effect: "Maybe" is neither Allow nor Deny"#);
    let of_length = |length: usize| ALLOW_ALL.replace("\"*\"}", &format!("\"arn:aws:a:::{}*\"}}", "x".repeat(length)));
    put("a", of_length(1000)).await.unwrap();
    let error = put("b", of_length(1000)).await.unwrap_err().to_string();
    assert!(error.starts_with("inline policies of user jane would have 2"), "{error}");
    // The same name replaces, and counts once.
    put("a", of_length(1500)).await.unwrap();
    assert_eq!(home.directory.list_user_policies(account(), &name("jane")).unwrap(), [policy_name("a")]);
    assert_eq!(home.directory.user_policy(account(), &name("jane"), &policy_name("a")).unwrap(), of_length(1500));
    assert!(home.directory.user_policy(account(), &name("jane"), &policy_name("b")).is_err());

    let broken = home.directory.create_role(account(), NewRole::new(name("R"), ALLOW_ALL)).await;
    assert!(matches!(broken, Err(DirectoryError::Policy(_))));
    let long = NewRole { max_session_seconds: 43_201, ..NewRole::new(name("R"), TRUST_ALL) };
    assert!(matches!(home.directory.create_role(account(), long).await, Err(DirectoryError::Range { .. })));
}

#[tokio::test]
async fn a_role_session_carries_its_role_and_ends_in_time() {
    let home = TestDirectory::new().await;
    let role = home.role("Audit").await;
    home.directory.put_role_policy(account(), name("Audit"), policy_name("p"), ALLOW_ALL.into()).await.unwrap();
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
async fn the_first_start_makes_a_root_key_and_later_ones_keep_it() {
    let home = TestDirectory::new().await;
    let fresh: AccountId = "000000000000".parse().unwrap();
    let RootKey::Created(key) = home.directory.ensure_root(fresh, None).await.unwrap() else { panic!("not created") };
    assert_eq!(home.directory.ensure_root(fresh, None).await.unwrap(), RootKey::Existing);
    assert_eq!(home.reopened().await.ensure_root(fresh, None).await.unwrap(), RootKey::Existing);
    let found = home.resolve(key.id.as_str(), None).unwrap();
    assert_eq!(*found.principal, Principal::Root { account: fresh });
    assert!(found.identity.is_empty());
}

#[tokio::test]
async fn a_given_root_key_is_made_kept_and_changed_but_never_taken_from_someone() {
    let home = TestDirectory::new().await;
    let secret = |text| Secret::new(text).unwrap();
    let given = |id: &str, text| Some((id.parse().unwrap(), secret(text)));

    let made = home.directory.ensure_root(account(), given("AKIAIOSFODNN7EXAMPLE", "one")).await.unwrap();
    assert!(matches!(made, RootKey::Created(_)));
    let same = home.directory.ensure_root(account(), given("AKIAIOSFODNN7EXAMPLE", "one")).await.unwrap();
    assert_eq!(same, RootKey::Existing);
    home.directory.ensure_root(account(), given("AKIAIOSFODNN7EXAMPLE", "two")).await.unwrap();
    assert_eq!(home.resolve("AKIAIOSFODNN7EXAMPLE", None).unwrap().secret, secret("two"));

    home.user("jane").await;
    let key = home.user_key("jane").await;
    let taken = home.directory.ensure_root(account(), given(key.id.as_str(), "x")).await;
    assert!(matches!(taken, Err(DirectoryError::Exists { .. })));
    assert!(home.directory.ensure_root(account(), given("ASIAFAKE", "x")).await.is_err());
}

#[tokio::test]
async fn another_secret_key_is_refused_with_a_clear_error() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let key = home.user_key("jane").await;

    let other = SecretKey::generate().unwrap();
    let error = Directory::open(home.store.clone(), &other, home.clock.clone()).await.unwrap_err();
    assert!(matches!(error, DirectoryError::WrongKey), "{error}");
    assert!(home.reopened().await.resolve(key.id.as_str(), None, home.clock.now()).is_ok());
}

#[tokio::test]
async fn no_secret_is_in_the_store_in_a_message_or_in_a_debug_text() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let key = home.user_key("jane").await;
    let role = home.role("Audit").await;
    let session = home.directory.assume_role(&role.arn, &root(), ask("me")).unwrap();
    let credentials = home.resolve(key.id.as_str(), None).unwrap();

    let everything = home.store.list_all(&Key::new("iam").unwrap()).await.unwrap();
    assert!(!everything.is_empty());
    for record in everything {
        assert!(!String::from_utf8_lossy(&record.value).contains(key.secret.expose()));
    }
    for text in [format!("{key:?} {credentials:?}"), format!("{session:?} {:?} {:?}", home.directory, home.key)] {
        for secret in [key.secret.expose(), session.secret.expose(), session.session_token.expose()] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn a_secret_moved_to_another_key_is_damage_and_not_garbage() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let (first, second) = (home.user_key("jane").await, home.user_key("jane").await);
    let place = |id: &AccessKeyId| state::access_key_key(id);
    let mut record = home.store.get_json::<state::KeyRecord>(&place(&first.id)).await.unwrap().unwrap().value;
    record.id = second.id.clone();
    home.store.commit(&[], &[Write::json(place(&second.id), &record).unwrap()]).await.unwrap();

    let error = Directory::open(home.store.clone(), &home.key, home.clock.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("directory is damaged: secret of access key {} does not open", second.id));
}

/// Everything a test can see of a directory.
fn seen(directory: &Directory) -> String {
    let users = directory.list_users(account()).unwrap();
    let policies: Vec<_> =
        users.iter().map(|user| directory.list_user_policies(account(), &user.name).unwrap()).collect();
    let (roles, keys) =
        (directory.list_roles(account()).unwrap(), directory.list_access_keys(account(), None).unwrap());
    format!("{:?} {users:?} {policies:?} {roles:?} {keys:?}", directory.list_accounts())
}

#[tokio::test]
async fn memory_agrees_with_the_store_whichever_call_fails_and_however() {
    async fn scenario(directory: &Directory) {
        let _ = directory.create_user(account(), name("jane"), EntityPath::default()).await;
        let key = directory.create_access_key(account(), KeyOwner::User(name("jane"))).await;
        let _ = directory.put_user_policy(account(), name("jane"), policy_name("p"), ALLOW_ALL.into()).await;
        let _ = directory.create_role(account(), NewRole::new(name("R"), TRUST_ALL)).await;
        let _ = directory.update_max_session(account(), name("R"), 7200).await;
        if let Ok(key) = key {
            let _ = directory.set_access_key_status(account(), key.id, AccessKeyStatus::Inactive).await;
        }
        let _ = directory.delete_role(account(), name("R")).await;
    }
    let home = TestDirectory::new().await;
    let before = home.store.calls();
    scenario(&home.directory).await;
    let steps = home.store.calls() - before;
    assert!(steps >= 7);

    for step in 0..steps {
        for fault in [Fault::Before, Fault::After] {
            let home = TestDirectory::new().await;
            home.store.fail_at(home.store.calls() + step, fault);
            scenario(&home.directory).await;
            home.store.heal();
            assert_eq!(seen(&home.directory), seen(&home.reopened().await), "step {step}, {fault:?}");
        }
    }
}

#[tokio::test]
async fn after_an_unknown_outcome_and_no_way_to_look_the_next_change_looks_first() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let key = home.user_key("jane").await;

    // The commit happens, its answer is lost, and the store is gone right after.
    let next = home.store.calls();
    home.store.fail_at(next, Fault::After);
    home.store.fail_from(next + 1);
    assert!(home.directory.delete_access_key(account(), key.id.clone()).await.is_err());
    home.store.heal();

    home.user("joe").await;
    assert_eq!(home.resolve(key.id.as_str(), None).unwrap_err(), CredentialError::UnknownKey);
    assert_eq!(seen(&home.directory), seen(&home.reopened().await));
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_is_still_seen_in_memory() {
    let home = TestDirectory::new().await;
    let directory = home.directory.clone();
    let change = directory.create_user(account(), name("jane"), EntityPath::default());
    // One poll starts the change; then its caller stops waiting.
    let mut change = Box::pin(change);
    let started = std::future::poll_fn(|context| std::task::Poll::Ready(change.as_mut().poll(context).is_pending()));
    assert!(started.await);
    drop(change);

    while home.directory.user(account(), &name("jane")).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen(&home.directory), seen(&home.reopened().await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_are_all_made_once() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let directory = home.directory.clone();
            tokio::spawn(async move {
                let user = directory.create_user(account(), name(&format!("u{}", n / 2)), EntityPath::default()).await;
                let key = directory.create_access_key(account(), KeyOwner::User(name("jane"))).await;
                (user.is_ok(), key.is_ok())
            })
        })
        .collect();
    let (mut users, mut keys) = (0, 0);
    for task in tasks {
        let (user, key) = task.await.unwrap();
        users += usize::from(user);
        keys += usize::from(key);
    }
    assert_eq!((users, keys), (10, 2));
    assert_eq!(seen(&home.directory), seen(&home.reopened().await));
}

#[tokio::test]
async fn a_directory_on_disk_survives_a_restart() {
    let home = tempfile::TempDir::new().unwrap();
    let (database, file) = (home.path().join("meta.db"), home.path().join("secret.key"));
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let open = || async {
        let key = SecretKey::load(&file, None).unwrap();
        let store = Arc::new(SqliteMetaStore::open(&database).await.unwrap());
        Directory::open(store, &key, clock.clone()).await
    };
    let first = open().await.unwrap();
    let RootKey::Created(key) = first.ensure_root(account(), None).await.unwrap() else { panic!("not created") };
    drop(first);
    assert_eq!(open().await.unwrap().resolve(key.id.as_str(), None, clock.now()).unwrap().secret, key.secret);

    // A lost key file is replaced by a new one, which does not open the database.
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(open().await.unwrap_err(), DirectoryError::WrongKey));
}

#[tokio::test]
async fn ten_thousand_lookups_take_a_moment() {
    let home = TestDirectory::new().await;
    for n in 0..50 {
        home.user(&format!("user{n}")).await;
        home.user_key(&format!("user{n}")).await;
    }
    let keys = home.directory.list_access_keys(account(), None).unwrap();
    let start = std::time::Instant::now();
    for n in 0..10_000 {
        home.resolve(keys[n % keys.len()].id.as_str(), None).unwrap();
    }
    // Some hundred nanoseconds each; the bound only catches a look-up that has become a scan or IO.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
