use std::sync::Arc;

use towpath_iam::{Policy, PolicyKind};
use towpath_meta::{FailingMetaStore, Fault, MemoryMetaStore, MetaStore};
use towpath_model::{
    AccountId, AdvancedEventSelector, AdvancedFieldSelector, BillingMode, Channel, EventConfiguration, EventDataStore,
    EventDataStoreStatus, EventFacts, Region, StoreId, StoreKind,
};
use uuid::Uuid;

use super::{Catalog, CatalogError, Tag};

fn account() -> AccountId {
    "000000000000".parse().unwrap()
}

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn store(name: &str) -> EventDataStore {
    EventDataStore {
        id: StoreId::random(),
        account: account(),
        region: region("eu-central-1"),
        name: name.to_owned(),
        kind: StoreKind::CloudTrail,
        status: EventDataStoreStatus::Enabled,
        selectors: vec![AdvancedEventSelector::default_management_events()],
        multi_region: true,
        organization: false,
        retention_days: 366,
        billing_mode: BillingMode::ExtendableRetentionPricing,
        termination_protection: true,
        kms_key_id: None,
        event_configuration: EventConfiguration::default(),
        created: "2026-01-01T00:00:00Z".parse().unwrap(),
        updated: "2026-01-01T00:00:00Z".parse().unwrap(),
        deletion_requested: None,
        stopped_before_deletion: false,
        purging: false,
    }
}

fn channel(into: &EventDataStore) -> Channel {
    Channel {
        id: Uuid::new_v4(),
        account: account(),
        region: region("eu-central-1"),
        name: "channel".to_owned(),
        source: "Custom".to_owned(),
        destinations: vec![into.id],
        created: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

async fn put(catalog: &Catalog, store: &EventDataStore) -> Result<(), CatalogError> {
    catalog
        .change(|_, change| {
            change.put_store(store.clone());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_was_changed_is_there_after_a_restart() {
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let catalog = Catalog::open(Arc::clone(&meta)).await.unwrap();
    let (store, tags) = (store("a"), vec![Tag { key: "k".to_owned(), value: Some("v".to_owned()) }]);
    let channel = channel(&store);
    let arn = channel.arn();
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"111111111111"}},
           "Action":"cloudtrail-data:PutAuditEvents","Resource":"{arn}"}}}}"#
    );
    catalog
        .change(|_, change| {
            change.put_store(store.clone());
            change.put_channel(channel.clone());
            change.put_tags(store.arn().as_str(), tags.clone());
            change.put_policy(arn.as_str(), Policy::parse(&text, PolicyKind::Resource).unwrap());
            Ok::<_, CatalogError>(())
        })
        .await
        .unwrap();

    let state = Catalog::open(meta).await.unwrap().state();
    assert_eq!(**state.store(store.id).unwrap(), store);
    assert_eq!(**state.channel(channel.id).unwrap(), channel);
    assert_eq!(state.tags(store.arn().as_str()), tags);
    assert_eq!(state.policy(arn.as_str()).unwrap().text(), text);
    assert_eq!(state.channels_into(store.id).count(), 1);
}

#[tokio::test]
async fn a_change_that_cannot_be_made_durable_is_not_seen() {
    let failing = Arc::new(FailingMetaStore::new(MemoryMetaStore::new()));
    let catalog = Catalog::open(Arc::clone(&failing) as Arc<dyn MetaStore>).await.unwrap();
    let (first, second) = (store("first"), store("second"));
    put(&catalog, &first).await.unwrap();

    failing.fail_at(failing.calls(), Fault::Before);
    assert!(put(&catalog, &second).await.is_err());
    assert!(catalog.state().store(second.id).is_none());
    assert!(catalog.state().store(first.id).is_some());

    put(&catalog, &second).await.unwrap();
    assert!(catalog.state().store(second.id).is_some());
}

#[tokio::test]
async fn deleting_a_store_takes_its_tags_along() {
    let catalog = Catalog::open(Arc::new(MemoryMetaStore::new())).await.unwrap();
    let store = store("a");
    let arn = store.arn();
    let tagged = catalog.change(|_, change| {
        change.put_store(store.clone());
        change.put_tags(arn.as_str(), vec![Tag { key: "k".to_owned(), value: None }]);
        Ok::<_, CatalogError>(())
    });
    tagged.await.unwrap();
    let deleted = catalog.change(|_, change| {
        change.delete_store(&store);
        Ok::<_, CatalogError>(())
    });
    deleted.await.unwrap();
    assert!(catalog.state().store(store.id).is_none());
    assert!(catalog.state().tags(arn.as_str()).is_empty());
}

#[tokio::test]
async fn events_are_routed_by_category_region_status_and_selectors() {
    let catalog = Catalog::open(Arc::new(MemoryMetaStore::new())).await.unwrap();
    let all = store("all");
    let stopped = EventDataStore { status: EventDataStoreStatus::StoppedIngestion, ..store("stopped") };
    let here = EventDataStore { multi_region: false, ..store("here") };
    let mut writes = store("writes");
    writes.selectors[0].field_selectors.push(AdvancedFieldSelector {
        field: "readOnly".to_owned(),
        equals: vec!["false".to_owned()],
        ..AdvancedFieldSelector::default()
    });
    for store in [&all, &stopped, &here, &writes] {
        put(&catalog, store).await.unwrap();
    }
    let state = catalog.state();
    let routed = |category: &str, at: &str| {
        let facts = EventFacts { category, read_only: Some(true), ..EventFacts::default() };
        let mut stores: Vec<_> = state.route(account(), &region(at), &facts).iter().map(|to| to.store).collect();
        stores.sort_unstable();
        stores
    };
    let sorted = |mut stores: Vec<StoreId>| {
        stores.sort_unstable();
        stores
    };
    let history = StoreId::history_of(account());
    assert_eq!(routed("Management", "eu-central-1"), sorted(vec![history, all.id, here.id]));
    assert_eq!(routed("Management", "us-east-1"), sorted(vec![history, all.id]));
    assert_eq!(routed("Data", "eu-central-1"), vec![]);
    let stranger: AccountId = "111111111111".parse().unwrap();
    let facts = EventFacts { category: "Management", ..EventFacts::default() };
    let [only] = state.route(stranger, &region("eu-central-1"), &facts)[..] else { panic!("one destination") };
    assert_eq!(only.store, StoreId::history_of(stranger));
}
