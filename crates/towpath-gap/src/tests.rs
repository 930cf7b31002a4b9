//! Gaps that are opened, told and left behind by processes that were killed or lost their power.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use towpath_log::sim::{Fault, SimDisk};

use super::*;

const QUIET: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn lost(upstream: &str, calls: u64, second: i64, reason: Reason) -> Gap {
    Gap {
        upstream: upstream.into(),
        account: "123456789012".parse().unwrap(),
        region: "eu-central-1".parse().unwrap(),
        reason,
        from: at(second),
        to: at(second),
        at_least: calls,
    }
}

fn open(disk: &SimDisk, boot: &str, second: i64) -> (Gaps, Left) {
    Gaps::open(&disk.process(), at(second), Some(boot.to_owned())).unwrap()
}

fn watch(gaps: &Gaps, upstream: &str) -> std::io::Result<()> {
    let gap = lost(upstream, 0, 0, Reason::Full);
    gaps.watch(&gap.upstream, gap.account, &gap.region)
}

#[test]
fn a_gap_is_told_when_it_is_quiet_or_long() {
    let gaps = Gaps::in_memory();
    gaps.put_back(lost("a", 1, 100, Reason::Full));
    gaps.put_back(lost("a", 2, 103, Reason::Full));
    gaps.put_back(lost("b", 1, 104, Reason::Full));
    assert!(gaps.due(at(107), QUIET, LONGEST).is_empty());

    let due = gaps.due(at(108), QUIET, LONGEST);
    assert_eq!(due.len(), 1);
    assert_eq!((&*due[0].upstream, due[0].from, due[0].to, due[0].at_least), ("a", at(100), at(103), 3));

    for second in 104..170 {
        gaps.put_back(lost("b", 1, second, Reason::Full));
    }
    let due = gaps.due(at(170), QUIET, LONGEST);
    assert_eq!((due.len(), due[0].at_least), (1, 67));
    assert!(gaps.is_empty() && gaps.is_kept());
}

#[test]
fn what_was_taken_and_not_told_is_counted_again() {
    let gaps = Gaps::in_memory();
    gaps.put_back(lost("a", 1, 100, Reason::Full));
    let taken = gaps.take().remove(0);
    gaps.put_back(lost("a", 1, 200, Reason::Full));
    gaps.put_back(taken);
    let all = gaps.take();
    assert_eq!((all.len(), all[0].from, all[0].to, all[0].at_least), (1, at(100), at(200), 2));
}

#[test]
fn different_reasons_are_different_gaps() {
    let gaps = Gaps::in_memory();
    gaps.put_back(lost("a", 1, 100, Reason::Full));
    gaps.put_back(lost("a", 1, 100, Reason::Refused));
    assert_eq!(gaps.take().len(), 2);
}

#[test]
fn after_a_power_cut_a_gap_that_was_not_told_is_known_with_its_reason_and_times() {
    let disk = SimDisk::new(7);
    let (gaps, left) = open(&disk, "one", 10);
    assert_eq!(left, []);
    watch(&gaps, "a").unwrap();
    gaps.tally.begin(&"a".into(), 9);
    gaps.put_back(lost("a", 3, 20, Reason::Full));
    gaps.put_back(lost("a", 4, 25, Reason::Full));
    gaps.put_back(lost("spill", 2, 30, Reason::Damaged));
    assert!(!gaps.is_kept());
    gaps.keep(None).unwrap();
    assert!(gaps.is_kept());
    gaps.tally.note();
    disk.power_on();

    let (gaps, left) = open(&disk, "two", 40);
    let full = Gap { to: at(25), ..lost("a", 7, 20, Reason::Full) };
    // Of the two calls that were under way nobody knows whether they have a record after all.
    let unknown = Gap { to: at(40), ..lost("a", 0, 10, Reason::Killed) };
    assert_eq!(left, [full.clone(), lost("spill", 2, 30, Reason::Damaged), unknown.clone()]);

    // Killed before they are told: nothing is counted twice.
    gaps.keep(None).unwrap();
    gaps.tally.note();
    disk.kill();
    let (gaps, left) = open(&disk, "two", 50);
    let unknown = Gap { to: at(50), ..unknown };
    assert_eq!(left.iter().map(|gap| gap.at_least).sum::<u64>(), 9);
    assert_eq!((&left[0], left.last().unwrap()), (&full, &unknown));

    // Told, they are not told again.
    for gap in gaps.take() {
        gaps.keep(None).unwrap();
        gaps.tally.settle(&gap.upstream, gap.at_least);
    }
    gaps.tally.note();
    disk.kill();
    let (_, left) = open(&disk, "two", 60);
    assert_eq!(left, [Gap { to: at(60), ..unknown }]);
}

#[test]
fn after_a_kill_calls_under_way_are_counted_beside_gaps_that_were_not_told() {
    let disk = SimDisk::new(1);
    let (gaps, _) = open(&disk, "one", 10);
    watch(&gaps, "a").unwrap();
    gaps.tally.begin(&"a".into(), 10);
    gaps.put_back(lost("a", 4, 20, Reason::Full));
    gaps.keep(None).unwrap();
    gaps.tally.settle("a", 1);
    gaps.tally.note();
    disk.kill();
    let (_, left) = open(&disk, "one", 30);
    assert_eq!(left, [lost("a", 4, 20, Reason::Full), Gap { to: at(30), ..lost("a", 5, 10, Reason::Killed) }]);
}

#[test]
fn who_stops_in_order_leaves_what_was_not_told_and_nothing_unknown() {
    let disk = SimDisk::new(1);
    let (gaps, _) = open(&disk, "one", 10);
    watch(&gaps, "a").unwrap();
    gaps.tally.begin(&"a".into(), 3);
    gaps.put_back(lost("a", 3, 20, Reason::Stopped));
    gaps.tally.note();
    gaps.stop().unwrap();
    disk.power_on();
    let (gaps, left) = open(&disk, "one", 30);
    assert_eq!(left, [lost("a", 3, 20, Reason::Stopped)]);
    watch(&gaps, "a").unwrap();
    gaps.take();
    gaps.tally.settle("a", 3);
    gaps.end().unwrap();
    disk.power_on();
    assert_eq!(open(&disk, "one", 40).1, []);
}

#[test]
fn a_marker_of_an_earlier_version_is_read() {
    let disk = SimDisk::new(1);
    let text = r#"{"durable_until":"1970-01-01T00:00:10Z","upstreams":[{"name":"a","account":"123456789012","region":"eu-central-1"}]}"#;
    let file = disk.process().create("running").unwrap();
    file.write_at(0, &mut [std::io::IoSlice::new(text.as_bytes())]).unwrap();
    let (_, left) = open(&disk, "one", 30);
    assert_eq!(left, [Gap { to: at(30), ..lost("a", 0, 10, Reason::Killed) }]);
}

/// What really became of calls, and what is on disk of it.
#[derive(Debug, Default)]
struct Truth {
    watched: bool,
    without_record: u64,
    told: u64,
    // Counts of the open gaps, by the last note that was written for sure, and by the last that was tried.
    kept: u64,
    tried: u64,
}

/// A process that records calls, loses some, and tells of them, until its disk is gone.
fn live(disk: &SimDisk, truth: &mut Truth) -> std::io::Result<()> {
    let (gaps, _) = Gaps::open(&disk.process(), at(10), Some("one".to_owned()))?;
    watch(&gaps, "a")?;
    truth.watched = true;
    let upstream: Arc<str> = "a".into();
    let mut open = 0;
    for round in 0..6 {
        // Five calls pass. Three have a record, two have none, and a sixth never ends.
        gaps.tally.begin(&upstream, 6);
        gaps.tally.settle("a", 3);
        gaps.tally.note();
        gaps.put_back(lost("a", 2, 20 + round, Reason::Full));
        open += 2;
        truth.without_record += 3;
        (truth.tried, truth.kept) = (open, truth.kept);
        gaps.keep(None)?;
        truth.kept = open;
        if round % 2 == 1 {
            let taken = gaps.take();
            truth.tried = 0;
            gaps.keep(None)?;
            (open, truth.kept) = (0, 0);
            for gap in taken {
                gaps.tally.settle("a", gap.at_least);
                gaps.tally.note();
                truth.told += gap.at_least;
            }
        }
    }
    Ok(())
}

#[test]
fn wherever_a_process_ends_the_next_one_claims_no_more_than_was_lost_and_hides_no_end() {
    for power in [true, false] {
        let mut step = 0;
        loop {
            let disk = SimDisk::new(step);
            disk.fail(step, u64::MAX, Fault::PowerCut);
            let mut truth = Truth::default();
            let ended = live(&disk, &mut truth);
            disk.heal();
            if power {
                disk.power_on()
            } else {
                disk.kill()
            }
            let (_, left) = open(&disk, if power { "two" } else { "one" }, 90);
            let claimed: u64 = left.iter().map(|gap| gap.at_least).sum();
            let shown = format!("step {step}, power {power}: {truth:?}, {left:?}");
            assert!(truth.told + claimed <= truth.without_record, "{shown}");
            assert!(claimed >= truth.kept.min(truth.tried), "{shown}");
            let end = left.iter().find(|gap| gap.reason == Reason::Killed);
            assert!(!truth.watched || end.is_some_and(|gap| gap.from == at(10) && gap.to == at(90)), "{shown}");
            if ended.is_ok() {
                break;
            }
            step += 1;
        }
        assert!(step > 20, "{step} steps");
    }
}
