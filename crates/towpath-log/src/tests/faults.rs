//! Every storage call fails in turn, in every way, under several workloads; afterwards everything is read again.

use super::support::{Ledger, events, open};
use crate::sim::{Fault, SimDisk};
use crate::{AppendError, OpenError};

/// What is going on when storage fails.
#[derive(Clone, Copy, Debug)]
enum Workload {
    /// One append after the other, large enough to fill several segments.
    Sequential,
    /// Several appends share each group.
    Grouped,
    /// The log is closed and opened again between appends, and old segments are released.
    Restarting,
}

impl Workload {
    const ALL: [Self; 3] = [Self::Sequential, Self::Grouped, Self::Restarting];

    async fn run(self, disk: &SimDisk, ledger: &mut Ledger) {
        let mut log = match open(disk) {
            Ok(log) => log,
            Err(OpenError::Storage { .. }) => return,
            Err(error) => panic!("a failing disk is no damage: {error}"),
        };
        for round in 0..5 {
            match self {
                Self::Sequential => {
                    ledger.append(&log, vec![events(1 + round % 3)]).await;
                    ledger.append(&log, vec![events(1)]).await;
                }
                Self::Grouped => ledger.append(&log, vec![events(1), events(2), events(1)]).await,
                Self::Restarting => {
                    ledger.append(&log, vec![events(2)]).await;
                    let before = log.committed();
                    ledger.note_release(before);
                    let _ = log.release(before).await;
                    ledger.append(&log, vec![events(2)]).await;
                    log.close().await;
                    log = match open(disk) {
                        Ok(log) => log,
                        Err(OpenError::Storage { .. }) => return,
                        Err(error) => panic!("a failing disk is no damage: {error}"),
                    };
                }
            }
        }
        log.close().await;
    }
}

/// How the process ends after the workload.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Kill,
    PowerCut,
    KillThenPowerCut,
}

async fn fails_at(workload: Workload, fault: Fault, step: u64, count: u64, ending: Ending) -> Ledger {
    let disk = SimDisk::new(step.wrapping_mul(31).wrapping_add(count));
    let mut ledger = Ledger::default();
    disk.fail(step, count, fault);
    workload.run(&disk, &mut ledger).await;
    disk.heal();
    match ending {
        Ending::Kill => disk.kill(),
        Ending::PowerCut => disk.power_on(),
        Ending::KillThenPowerCut => {
            disk.kill();
            let log = open(&disk).expect("a log that was killed opens");
            ledger.check(&log).await;
            disk.power_on();
        }
    }
    let log = open(&disk).expect("a log that crashed opens");
    ledger.check(&log).await;
    ledger.append(&log, vec![events(2), events(1)]).await;
    assert!(ledger.acknowledged() >= 2, "a log on a sound disk takes events");
    log.close().await;
    let log = open(&disk).expect("a log that was closed opens");
    ledger.check(&log).await;
    ledger
}

async fn fails_everywhere(fault: Fault, counts: &[u64]) {
    for workload in Workload::ALL {
        let disk = SimDisk::new(0);
        workload.run(&disk, &mut Ledger::default()).await;
        let (steps, mut refused) = (disk.calls(), 0);
        assert!(steps > 20, "{workload:?} makes {steps} calls");
        for step in 0..steps {
            for count in counts {
                for ending in [Ending::Kill, Ending::PowerCut, Ending::KillThenPowerCut] {
                    let ledger = fails_at(workload, fault, step, *count, ending).await;
                    refused += ledger.refused();
                }
            }
        }
        assert!(refused > 0 || fault == Fault::PowerCut, "{workload:?} with {fault:?} refuses something");
    }
}

#[tokio::test]
async fn an_io_error_at_any_call_loses_nothing_and_brings_nothing_back() {
    fails_everywhere(Fault::Error, &[1, 3, u64::MAX]).await;
}

#[tokio::test]
async fn a_full_disk_at_any_call_loses_nothing_and_brings_nothing_back() {
    fails_everywhere(Fault::NoSpace, &[1, 4]).await;
}

#[tokio::test]
async fn a_power_cut_at_any_call_loses_nothing_and_brings_nothing_back() {
    fails_everywhere(Fault::PowerCut, &[1]).await;
}

#[tokio::test]
async fn a_failed_sync_is_never_retried_as_if_it_had_worked() {
    let disk = SimDisk::new(3);
    let log = open(&disk).unwrap();
    let mut ledger = Ledger::default();
    ledger.append(&log, vec![events(1)]).await;
    let segments = disk.names().len();

    // The write succeeds, the sync does not.
    disk.fail(disk.calls() + 1, 1, Fault::Error);
    ledger.append(&log, vec![events(2), events(1)]).await;
    assert_eq!(ledger.refused(), 2);
    ledger.append(&log, vec![events(1)]).await;

    assert_eq!(ledger.acknowledged(), 2);
    assert_eq!(disk.names().len(), segments + 1, "the log goes on in a new segment");
    disk.power_on();
    ledger.check(&open(&disk).unwrap()).await;
}

#[tokio::test]
async fn a_full_disk_that_gets_room_again_needs_no_help() {
    let disk = SimDisk::new(4);
    let log = open(&disk).unwrap();
    let mut ledger = Ledger::default();
    ledger.append(&log, vec![events(1)]).await;
    disk.fail(disk.calls(), u64::MAX, Fault::NoSpace);
    for _ in 0..3 {
        ledger.append(&log, vec![events(1)]).await;
    }
    disk.heal();
    ledger.append(&log, vec![events(1)]).await;
    assert_eq!(ledger.acknowledged(), 2);
    ledger.check(&log).await;
}

#[tokio::test]
async fn when_not_even_the_refusal_can_be_recorded_the_caller_is_told() {
    let disk = SimDisk::new(5);
    let log = open(&disk).unwrap();
    log.append(events(1)).await.unwrap();
    disk.fail(disk.calls() + 1, u64::MAX, Fault::Error);
    assert!(matches!(log.append(events(1)).await, Err(AppendError::Uncertain(_))));
    // This one never reached the disk, so its fate is certain.
    assert!(matches!(log.append(events(1)).await, Err(AppendError::Unavailable(_))));
}
