//! The life of stores: any sequence of operations and waiting leaves each where a simple model says.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Stop,
    Delete,
    Restore,
    Protect(bool),
    Rename,
    WaitDays(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Enabled,
    Stopped,
    Pending { stopped: bool, days: u64 },
    Gone,
}

/// What the guide says of one store.
#[derive(Clone, Copy, Debug)]
struct Model {
    status: Status,
    protected: bool,
}

impl Model {
    /// Takes a step; returns the error it must get, or nothing.
    fn take(&mut self, step: Step) -> &'static str {
        use Status::{Enabled, Gone, Pending, Stopped};
        match (step, self.status) {
            (Step::WaitDays(days), Pending { stopped, days: waited }) => {
                let days = waited + days;
                self.status = if days >= 7 { Gone } else { Pending { stopped, days } };
                ""
            }
            (Step::WaitDays(_), _) => "",
            (_, Gone) => "EventDataStoreNotFoundException",
            (Step::Start, Stopped) => self.becomes(Enabled),
            (Step::Stop, Enabled) => self.becomes(Stopped),
            (Step::Restore, Pending { stopped, .. }) => self.becomes(if stopped { Stopped } else { Enabled }),
            (Step::Start | Step::Stop | Step::Restore, _) => "InvalidEventDataStoreStatusException",
            (Step::Delete | Step::Protect(_) | Step::Rename, Pending { .. }) => "InactiveEventDataStoreException",
            (Step::Delete, _) if self.protected => "EventDataStoreTerminationProtectedException",
            (Step::Delete, status) => self.becomes(Pending { stopped: status == Stopped, days: 0 }),
            (Step::Protect(protected), _) => {
                self.protected = protected;
                ""
            }
            (Step::Rename, _) => "",
        }
    }

    fn becomes(&mut self, status: Status) -> &'static str {
        self.status = status;
        ""
    }

    fn shown(&self) -> &'static str {
        match self.status {
            Status::Enabled => "ENABLED",
            Status::Stopped => "STOPPED_INGESTION",
            Status::Pending { .. } => "PENDING_DELETION",
            Status::Gone => "",
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Start),
        2 => Just(Step::Stop),
        3 => Just(Step::Delete),
        3 => Just(Step::Restore),
        2 => any::<bool>().prop_map(Step::Protect),
        1 => Just(Step::Rename),
        2 => (1..5_u64).prop_map(Step::WaitDays),
    ]
}

async fn take(test: &TestService, arn: &str, step: Step, number: usize) -> String {
    let root = test.as_root();
    let eds = json!({ "EventDataStore": arn });
    let answer = match step {
        Step::Start => root.call("StartEventDataStoreIngestion", eds).await,
        Step::Stop => root.call("StopEventDataStoreIngestion", eds).await,
        Step::Delete => root.call("DeleteEventDataStore", eds).await,
        Step::Restore => root.call("RestoreEventDataStore", eds).await,
        Step::Protect(on) => {
            let input = json!({ "EventDataStore": arn, "TerminationProtectionEnabled": on });
            root.call("UpdateEventDataStore", input).await
        }
        Step::Rename => {
            let input = json!({ "EventDataStore": arn, "Name": format!("renamed-{number}") });
            root.call("UpdateEventDataStore", input).await
        }
        Step::WaitDays(days) => {
            test.clock.advance(Duration::from_secs(days * 86_400));
            test.parts().purge_deleted().await.unwrap();
            return String::new();
        }
    };
    answer.code()
}

#[test]
fn any_sequence_of_steps_leaves_a_store_where_the_guide_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    runner
        .run(&(prop::collection::vec(any_step(), 1..25), any::<bool>()), |(steps, start)| {
            runtime.block_on(async {
                let test = TestService::new().await;
                let arn = store(&test.as_root(), "store", json!({ "StartIngestion": start })).await;
                let status = if start { Status::Enabled } else { Status::Stopped };
                let mut model = Model { status, protected: false };
                for (number, step) in steps.into_iter().enumerate() {
                    let expected = model.take(step);
                    let code = take(&test, &arn, step, number).await;
                    prop_assert_eq!(code, expected, "{:?} in {:?}", step, model);
                    let seen = test.as_root().call("GetEventDataStore", json!({ "EventDataStore": arn })).await;
                    if model.status == Status::Gone {
                        prop_assert_eq!(seen.code(), "EventDataStoreNotFoundException");
                    } else {
                        let seen = seen.ok();
                        prop_assert_eq!(&seen["Status"], model.shown());
                        prop_assert_eq!(&seen["TerminationProtectionEnabled"], model.protected);
                    }
                }
                Ok(())
            })
        })
        .unwrap();
}
