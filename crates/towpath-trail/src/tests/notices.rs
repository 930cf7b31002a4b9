//! Each delivered file is told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use towpath_model::Trail;

use crate::TrailSettings;
use crate::notify::{Notice, Notifier, NotifyError, Sender, Target};
use crate::testing::{World, trail};

/// Answers what it is told to, and remembers what it was sent.
#[derive(Default)]
struct TestNotifier {
    sent: Mutex<Vec<String>>,
    answers: Mutex<Vec<NotifyError>>,
}

#[async_trait]
impl Notifier for TestNotifier {
    fn target(&self) -> Target {
        Target::Topic
    }

    fn wants(&self, trail: &Trail) -> bool {
        trail.sns_topic_arn.is_some()
    }

    async fn send(&self, _: &Trail, notice: &Notice) -> Result<(), NotifyError> {
        self.sent.lock().push(notice.topic_message());
        self.answers.lock().pop().map_or(Ok(()), Err)
    }
}

#[tokio::test]
async fn each_delivered_file_is_told_until_it_arrives_or_becomes_a_dead_letter() {
    let mut world = World::new().await;
    world.settings = TrailSettings { first_pause_ms: 1, longest_pause_seconds: 0, ..world.settings };
    let topic = Arc::new(TestNotifier::default());
    let told = Trail { sns_topic_arn: Some("arn:aws:sns:us-east-1:1:t".to_owned()), ..trail("told", "b", world.now()) };
    let silent = trail("silent", "b", world.now());
    world.trails.put(told.clone());
    world.trails.put(silent.clone());
    let mut process = world.process_with(vec![topic.clone()]).await;
    let mut sender = Sender { shared: process.shared().clone(), resting: Default::default() };

    let refusal = |retry| NotifyError { code: Some("AuthorizationError".to_owned()), message: "no".to_owned(), retry };
    topic.answers.lock().push(refusal(true));
    world.append(1, &[told.id, silent.id], "us-east-1").await;
    process.step().await.unwrap();
    sender.pass().await;
    let status = process.delivery.status(told.id).notification;
    assert_eq!((status.failing, status.error.as_deref()), (true, Some("AuthorizationError")));
    tokio::time::sleep(Duration::from_millis(5)).await;
    sender.pass().await;
    sender.pass().await;
    assert!(!process.delivery.status(told.id).notification.failing);
    let key = world.objects("b", "CloudTrail").await.into_keys().next().unwrap();
    assert_eq!(topic.sent.lock().len(), 2, "tried twice, arrived once");
    assert!(topic.sent.lock()[1].starts_with("{\"s3Bucket\":\"b\",\"s3ObjectKey\":[\"logs/AWSLogs/"), "{key}");

    topic.answers.lock().push(refusal(false));
    world.append(1, &[told.id], "us-east-1").await;
    process.step().await.unwrap();
    sender.pass().await;
    let dead = process.delivery.dead_letters(None, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].reason.as_str()), (1, "no"));
    assert!(process.delivery.retry_dead_letter(&dead[0].key).await.unwrap());
    assert!(!process.delivery.retry_dead_letter(&dead[0].key).await.unwrap());
    sender.pass().await;
    assert_eq!(topic.sent.lock().len(), 4);
    assert!(process.delivery.dead_letters(None, 10).await.unwrap().is_empty());
}
