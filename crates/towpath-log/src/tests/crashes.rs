//! A seeded simulation: processes come and go, storage fails, the power is cut, and every promise is checked after each.

use towpath_model::Position;

use super::support::{Ledger, events, open};
use crate::OpenError;
use crate::sim::{Fault, SimDisk};

/// Chooses what happens.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One history of a log: several lives, each ended by a crash.
async fn live(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let disk = SimDisk::new(seed);
    let mut ledger = Ledger::default();
    for _life in 0..4 {
        let start = disk.calls();
        match dice.below(4) {
            0 => disk.fail(start + dice.below(60), 1, Fault::PowerCut),
            1 => disk.fail(start + dice.below(60), 1 + dice.below(8), Fault::Error),
            2 => disk.fail(start + dice.below(60), 1 + dice.below(30), Fault::NoSpace),
            _ => {}
        }
        let log = match open(&disk) {
            Ok(log) => log,
            Err(OpenError::Storage { .. }) => {
                disk.heal();
                disk.power_on();
                continue;
            }
            Err(error) => panic!("nothing was damaged: {error}"),
        };
        for _ in 0..1 + dice.below(8) {
            let batches = (0..1 + dice.below(3)).map(|_| events(1 + dice.below(4) as usize)).collect();
            ledger.append(&log, batches).await;
            if dice.below(5) == 0 {
                let before = Position::new(dice.below(log.committed().as_u64() + 1));
                ledger.note_release(before);
                let _ = log.release(before).await;
            }
        }
        if dice.below(4) == 0 {
            log.close().await;
        }
        disk.heal();
        match dice.below(3) {
            0 => disk.kill(),
            1 => disk.power_on(),
            _ => {
                disk.kill();
                let log = open(&disk).expect("a log that was killed opens");
                ledger.check(&log).await;
                disk.power_on();
            }
        }
        let log = open(&disk).expect("a log that crashed opens");
        ledger.check(&log).await;
        disk.kill();
    }
    ledger.acknowledged()
}

#[tokio::test]
async fn hundreds_of_crashes_break_no_promise() {
    let histories = std::env::var("TOWPATH_LOG_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let first: u64 = std::env::var("TOWPATH_LOG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut acknowledged = 0;
    // Seed 1206 once found a seal that was in the page cache only and was taken for durable.
    for seed in (first..first + histories).chain([1206]) {
        // Shown when the test fails: TOWPATH_LOG_SEED=<seed> TOWPATH_LOG_CRASHES=1 repeats it.
        eprintln!("seed {seed}");
        acknowledged += live(seed).await;
    }
    assert!(acknowledged as u64 > histories, "the simulation does append: {acknowledged}");
}
