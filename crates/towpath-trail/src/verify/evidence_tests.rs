//! What is gone leaves evidence elsewhere: log files without digests, the hours of the trail's other chains, and what the
//! server remembers.

use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use towpath_model::Trail;

use super::tests::request;
use super::*;
use crate::recorded::RecordedChain;
use crate::testing::{Process, START, World, trail};

const HOUR: Duration = Duration::from_secs(3_600);
const HOME: &str = "us-east-1";
const OTHER: &str = "eu-central-1";
const MEMBER: &str = "000000000002";

/// A trail of two regions and two accounts, which delivers every hour.
struct Wide {
    world: World,
    trail: Trail,
    process: Process,
}

impl Wide {
    async fn hours(hours: usize) -> Self {
        let world = World::new().await;
        let trail =
            Trail { organization: Some("o-abcdefghij".parse().unwrap()), ..trail("main", "bucket", world.now()) };
        world.trails.put(trail.clone());
        let process = world.process().await;
        let mut wide = Self { world, trail, process };
        for hour in 0..hours {
            wide.hour(hour).await;
        }
        wide.process.step().await.unwrap();
        wide
    }

    async fn hour(&mut self, number: usize) {
        for (account, region) in [("000000000001", HOME), ("000000000001", OTHER), (MEMBER, HOME)] {
            let text = format!("{{\"eventID\":\"{account}-{region}-{number}\"}}");
            self.world.append_of(account, vec![text], &[self.trail.id], region).await;
        }
        self.process.step().await.unwrap();
        self.world.advance(HOUR);
    }

    fn chains(&self) -> Vec<VerifyTrail> {
        let asked = |(account, region): (&str, &str)| VerifyTrail {
            account: account.parse().unwrap(),
            organization: self.trail.organization.clone(),
            ..request(&self.world, &self.trail, region)
        };
        [("000000000001", HOME), ("000000000001", OTHER), (MEMBER, HOME)].map(asked).into()
    }

    /// The chains, each with what the server remembers of it.
    async fn remembered(&self) -> Vec<VerifyTrail> {
        let recorded = self.process.delivery.recorded_chains(self.trail.id).await.unwrap();
        let of = |asked: &VerifyTrail, chain: &RecordedChain| {
            asked.account == chain.account_id && asked.region == chain.region
        };
        let mut chains = self.chains();
        for asked in &mut chains {
            let found = recorded.iter().find(|chain| of(asked, chain)).unwrap();
            asked.recorded = found.digest.iter().chain(&found.backfill_digest).cloned().collect();
        }
        chains
    }

    /// Deletes what has all of these texts in its key; returns how many objects that were.
    async fn delete(&self, texts: &[&str]) -> usize {
        let store = self.world.buckets.get("bucket");
        let mut keys: Vec<String> = Vec::new();
        for folder in ["CloudTrail-Digest", "CloudTrail"] {
            keys.extend(self.world.objects("bucket", folder).await.into_keys());
        }
        keys.retain(|key| texts.iter().all(|text| key.contains(text)));
        for key in &keys {
            store.delete(&Path::parse(key).unwrap()).await.unwrap();
        }
        keys.len()
    }
}

fn unlisted(report: &Report) -> usize {
    report.findings.iter().filter(|finding| finding.verdict == Verdict::Unlisted).count()
}

#[tokio::test]
async fn accounts_and_regions_of_one_trail_are_valid_together() {
    let wide = Wide::hours(4).await;
    let reports = verify_all(&wide.remembered().await).await.unwrap();
    for report in &reports {
        assert!(report.is_valid() && report.findings.is_empty(), "{report:?}");
        assert_eq!((report.digests.valid, report.log_files.valid), (4, 4), "{report:?}");
    }
}

#[tokio::test]
async fn log_files_of_a_region_that_lost_all_its_digests_are_named() {
    let wide = Wide::hours(4).await;
    assert_eq!(wide.delete(&["CloudTrail-Digest", OTHER]).await, 4);
    let reports = verify_all(&wide.chains()).await.unwrap();
    assert!(reports[0].is_valid() && reports[2].is_valid());
    // The newest hour's could still be on their way into a digest.
    assert_eq!((unlisted(&reports[1]), reports[1].pending_log_files), (3, 1), "{:?}", reports[1]);
    assert!(!reports[1].is_valid());
}

#[tokio::test]
async fn log_files_of_an_account_that_lost_all_its_digests_are_named() {
    let wide = Wide::hours(4).await;
    assert_eq!(wide.delete(&["CloudTrail-Digest", MEMBER]).await, 4);
    let reports = verify_all(&wide.chains()).await.unwrap();
    assert_eq!((unlisted(&reports[2]), reports[2].is_valid()), (3, false), "{:?}", reports[2]);
}

#[tokio::test]
async fn log_files_of_regions_that_the_trail_does_not_take_are_anothers() {
    let wide = Wide::hours(4).await;
    wide.delete(&["CloudTrail-Digest", OTHER]).await;
    let mut chains = wide.chains();
    chains[1].takes_region = false;
    let reports = verify_all(&chains).await.unwrap();
    assert!(reports[1].is_valid());
    assert_eq!(reports[1].undigested_log_files, 4);
}

#[tokio::test]
async fn the_newest_digests_that_are_gone_are_missed_where_the_server_is_asked() {
    let wide = Wide::hours(4).await;
    for end in ["T110000Z", "T120000Z"] {
        assert_eq!(wide.delete(&["CloudTrail-Digest", OTHER, end]).await, 1);
    }
    let reports = verify_all(&wide.remembered().await).await.unwrap();
    assert!(reports[0].is_valid() && reports[2].is_valid());
    let report = &reports[1];
    assert!(!report.is_valid());
    let [missing] = report.missing.as_slice() else { panic!("{report:?}") };
    assert_eq!(missing.from.as_deref(), Some("2026-11-21T10:00:00Z"));
    assert_eq!((missing.to.as_str(), missing.digests), ("2026-11-21T12:00:00Z", 2));
    let gone = report.findings.iter().find(|finding| finding.verdict == Verdict::NotFound).unwrap();
    assert!(gone.key.ends_with("T120000Z.json.gz"), "{gone:?}");
}

#[tokio::test]
async fn a_region_that_is_gone_altogether_is_missed_where_the_server_is_asked() {
    let wide = Wide::hours(4).await;
    assert_eq!(wide.delete(&[OTHER]).await, 8);
    let blind = verify_all(&wide.chains()).await.unwrap();
    assert!(blind[1].is_valid(), "nothing in the bucket tells of it");
    let report = &verify_all(&wide.remembered().await).await.unwrap()[1];
    assert!(!report.is_valid());
    assert_eq!((report.digests.invalid, report.missing.len()), (1, 1), "{report:?}");
}

#[tokio::test]
async fn a_digest_that_the_server_did_not_put_is_named() {
    let wide = Wide::hours(4).await;
    let mut chains = wide.remembered().await;
    chains[0].recorded[0].hash = "00".repeat(32);
    let report = &verify_all(&chains).await.unwrap()[0];
    assert_eq!((report.digests.valid, report.digests.invalid), (3, 1), "{report:?}");
    assert_eq!(report.findings[0].verdict, Verdict::NotRecorded);
    assert_eq!(report.findings[0].key, chains[0].recorded[0].key);
}

#[tokio::test]
async fn the_server_remembers_what_it_put_and_not_what_waits() {
    let mut wide = Wide::hours(2).await;
    let before = wide.remembered().await[0].recorded.clone();
    assert_eq!(before.len(), 1);
    wide.world.buckets.get("bucket").set_down(true);
    wide.hour(2).await;
    wide.hour(3).await;
    let _ = wide.process.step().await;
    assert_eq!(wide.remembered().await[0].recorded, before, "two digests wait for their bucket");
    wide.world.buckets.get("bucket").set_down(false);
    wide.process.step().await.unwrap();
    let after = wide.remembered().await[0].recorded.clone();
    assert!(after[0].key > before[0].key, "{after:?}");
    assert!(verify_all(&wide.remembered().await).await.unwrap()[0].is_valid());
}

#[tokio::test]
async fn the_last_digest_of_a_stopped_trail_is_remembered() {
    let mut wide = Wide::hours(2).await;
    (wide.trail.logging, wide.trail.stopped) = (false, Some(wide.world.now()));
    wide.world.trails.put(wide.trail.clone());
    wide.world.advance(Duration::from_secs(600));
    for _ in 0..2 {
        wide.process.step().await.unwrap();
        wide.world.advance(HOUR);
    }
    let chains = wide.remembered().await;
    let last = wide.world.objects("bucket", "CloudTrail-Digest").await.into_keys();
    let last = last.filter(|key| key.contains(&format!("/{HOME}/")) && key.contains("/000000000001/")).max().unwrap();
    assert_eq!(chains[0].recorded[0].key, last);
    wide.delete(&[&last]).await;
    assert!(!verify_all(&chains).await.unwrap()[0].is_valid());
}

#[tokio::test]
async fn validation_that_is_switched_on_later_vouches_from_then_on() {
    let world = World::new().await;
    let mut main = Trail { log_file_validation: false, ..trail("main", "bucket", world.now()) };
    world.trails.put(main.clone());
    let mut process = world.process().await;
    for _ in 0..3 {
        world.append(1, &[main.id], HOME).await;
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    // In the minute of a file that was put before.
    world.append(1, &[main.id], HOME).await;
    process.step().await.unwrap();
    world.advance(Duration::from_secs(30));
    (main.log_file_validation, main.updated) = (true, world.now());
    world.trails.put(main.clone());
    for _ in 0..3 {
        world.append(1, &[main.id], HOME).await;
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    process.step().await.unwrap();
    let report = request(&world, &main, HOME).run().await.unwrap();
    assert!(report.is_valid() && report.findings.is_empty(), "{report:?}");
    assert_eq!((report.log_files.valid, report.undigested_log_files), (3, 4), "{report:?}");
    assert_eq!(report.covered_from.as_deref(), Some("2026-11-21T11:00:30Z"), "no digest speaks of {START}");

    // Off and on again while logging goes on.
    (main.log_file_validation, main.updated) = (false, world.now());
    world.trails.put(main.clone());
    process.step().await.unwrap();
    world.advance(Duration::from_secs(300));
    world.append(1, &[main.id], HOME).await;
    process.step().await.unwrap();
    world.advance(HOUR);
    process.step().await.unwrap();
    (main.log_file_validation, main.updated) = (true, world.now());
    world.trails.put(main.clone());
    for _ in 0..2 {
        world.append(1, &[main.id], HOME).await;
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    process.step().await.unwrap();
    let report = request(&world, &main, HOME).run().await.unwrap();
    assert!(report.is_valid() && report.findings.is_empty(), "{report:?}");
    assert_eq!((report.gaps.len(), report.log_files.valid, report.undigested_log_files), (1, 5, 5), "{report:?}");
}

/// A trail of one region that delivered for some hours and was stopped, with all of it in digests.
async fn stopped(hours: usize) -> (World, Trail, Process) {
    let world = World::new().await;
    let mut main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let mut process = world.process().await;
    for _ in 0..hours {
        world.append(1, &[main.id], HOME).await;
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    (main.logging, main.stopped) = (false, Some(world.now()));
    world.trails.put(main.clone());
    world.advance(Duration::from_secs(10));
    for _ in 0..2 {
        process.step().await.unwrap();
        world.advance(Duration::from_secs(2));
    }
    (world, main, process)
}

/// Puts a log file that nobody delivered, in the minute of its name.
async fn plant(world: &World) -> String {
    let minute = world.now().strftime("%Y%m%dT%H%MZ");
    let key = format!(
        "logs/AWSLogs/000000000001/CloudTrail/{HOME}/2026/11/21/000000000001_CloudTrail_{HOME}_{minute}_AAAAAAAAAAAAAAAA.json.gz"
    );
    let text = crate::gzip::whole(2, b"{\"Records\":[]}").unwrap();
    world.buckets.get("bucket").put(&Path::parse(&key).unwrap(), text.into()).await.unwrap();
    key
}

async fn remembered(world: &World, trail: &Trail, process: &Process) -> VerifyTrail {
    let recorded = process.delivery.recorded_chains(trail.id).await.unwrap();
    let [chain] = recorded.as_slice() else { panic!("one chain: {recorded:?}") };
    let recorded = chain.digest.iter().cloned().collect();
    VerifyTrail { recorded, continues: chain.continues, ..request(world, trail, HOME) }
}

#[tokio::test]
async fn a_file_behind_the_last_digest_of_a_stopped_trail_is_no_next_digests() {
    let (world, main, process) = stopped(2).await;
    let clean = remembered(&world, &main, &process).await;
    assert_eq!(clean.continues, Some(Continues::Ended));
    assert!(clean.run().await.unwrap().is_valid());
    let planted = plant(&world).await;
    let report = remembered(&world, &main, &process).await.run().await.unwrap();
    assert_eq!((report.next_digest, report.pending_log_files), (Some(NextDigest::Ended), 0), "{report:?}");
    assert_eq!((report.findings[0].key.as_str(), unlisted(&report)), (planted.as_str(), 1), "{report:?}");
    assert!(!report.is_valid());
}

#[tokio::test]
async fn a_file_behind_the_newest_digest_of_a_logging_trail_waits_for_the_next() {
    let (world, mut main, mut process) = stopped(2).await;
    (main.logging, main.started) = (true, Some(world.now()));
    world.trails.put(main.clone());
    world.append(1, &[main.id], HOME).await;
    process.step().await.unwrap();
    let asked = remembered(&world, &main, &process).await;
    assert_eq!(asked.continues, Some(Continues::Digests));
    let report = asked.run().await.unwrap();
    assert_eq!((report.next_digest, report.pending_log_files), (Some(NextDigest::Comes), 1), "{report:?}");
    assert!(report.is_valid());

    // Without digests from now on; the last one names what there was.
    (main.log_file_validation, main.updated) = (false, world.now());
    world.trails.put(main.clone());
    for _ in 0..3 {
        world.advance(Duration::from_secs(60));
        world.append(1, &[main.id], HOME).await;
        process.step().await.unwrap();
    }
    let asked = remembered(&world, &main, &process).await;
    assert_eq!(asked.continues, Some(Continues::LogFiles));
    let report = asked.run().await.unwrap();
    assert_eq!(report.next_digest, Some(NextDigest::Unvalidated));
    assert!(report.is_valid() && report.pending_log_files == 0 && report.undigested_log_files > 0, "{report:?}");
}

#[tokio::test]
async fn without_the_servers_record_the_clock_tells_whether_a_digest_is_still_to_come() {
    let (world, main, _) = stopped(3).await;
    let end: Timestamp = "2026-11-21T11:00:10Z".parse().unwrap();
    plant(&world).await;
    let mut asked = request(&world, &main, HOME);
    let report = asked.run().await.unwrap();
    let until = end + SignedDuration::from_hours(2);
    assert_eq!((report.next_digest, report.pending_log_files), (Some(NextDigest::Due { until }), 1), "{report:?}");
    assert!(report.is_valid());
    assert!(report.next_digest.unwrap().assumption().unwrap().contains("2026-11-21T13:00:10Z"));

    for offline in [false, true] {
        (asked.at, asked.to, asked.offline) = (until + SignedDuration::from_secs(1), Timestamp::MAX, offline);
        let report = asked.run().await.unwrap();
        assert_eq!(report.next_digest, Some(NextDigest::Overdue { since: until }));
        assert_eq!((unlisted(&report), report.pending_log_files, report.is_valid()), (1, 0, false), "{report:?}");
        // Asked about a time at which the next digest was not overdue.
        asked.to = until;
        assert_eq!(asked.run().await.unwrap().pending_log_files, 1);
    }
}

#[tokio::test]
async fn a_record_that_is_older_than_a_copy_does_not_speak_of_it() {
    let (world, mut main, mut process) = stopped(2).await;
    let saved = remembered(&world, &main, &process).await;
    (main.logging, main.started) = (true, Some(world.now()));
    world.trails.put(main.clone());
    for _ in 0..2 {
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    process.step().await.unwrap();
    world.advance(Duration::from_secs(60));
    world.append(1, &[main.id], HOME).await;
    process.step().await.unwrap();
    let (at, to) = (world.now(), world.now());
    let report = VerifyTrail { offline: true, at, to, ..saved }.run().await.unwrap();
    assert!(matches!(report.next_digest, Some(NextDigest::Due { .. })), "{report:?}");
    assert_eq!((report.pending_log_files, unlisted(&report)), (1, 0), "{report:?}");
}

#[tokio::test]
async fn files_of_a_region_without_digests_are_judged_by_the_end_of_the_trails_others() {
    let wide = Wide::hours(4).await;
    wide.delete(&["CloudTrail-Digest", OTHER]).await;
    let mut chains = wide.chains();
    assert_eq!(verify_all(&chains).await.unwrap()[1].pending_log_files, 1);
    for chain in &mut chains {
        chain.continues = Some(Continues::Ended);
    }
    let reports = verify_all(&chains).await.unwrap();
    assert_eq!((unlisted(&reports[1]), reports[1].pending_log_files), (4, 0), "{:?}", reports[1]);
}
