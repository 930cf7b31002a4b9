//! Lays events out as a trail delivers them: a day of an account as gzip log files of a few records each, some records
//! in two files, files not always in order of time.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::Date;

use super::draw::Draw;
use super::moment::Moment;
use super::services::{self, Scene};
use super::world::Account;
use super::{Plan, Tally, people};

/// Records per delivered file: share of files that have at most so many.
const RECORDS: &[(f64, f64)] =
    &[(0.0, 1.0), (0.5, 5.0), (0.9, 16.0), (0.95, 18.0), (0.99, 33.0), (0.9995, 160.0), (1.0, 622.0)];
/// Seconds from an event to the time in the file's name, likewise.
const LAG: &[(f64, f64)] = &[(0.0, 1.0), (0.5, 192.0), (0.9, 396.0), (0.95, 456.0), (0.99, 540.0), (1.0, 606.0)];
/// Share of files whose records are in order of time.
const IN_ORDER: f64 = 0.73;
/// Share of events that happen in an account's second region.
const SECOND_REGION: f64 = 0.02;

/// Draws from a distribution given by some of its quantiles.
fn quantile(draw: &mut Draw, table: &[(f64, f64)]) -> f64 {
    let at = draw.fraction();
    let next = table.iter().position(|(share, _)| at < *share).unwrap_or(table.len() - 1).max(1);
    let ((low, from), (high, to)) = (table[next - 1], table[next]);
    from * (to / from).powf((at - low) / (high - low))
}

/// A day of an account: its records one after the other, and where each begins.
struct Day {
    text: String,
    starts: Vec<usize>,
    moments: Vec<Moment>,
}

impl Day {
    fn record(&self, at: usize) -> &str {
        &self.text[self.starts[at]..self.starts[at + 1]]
    }
}

/// Writes the log files of one account's day with `events` events into `folder`.
pub fn write_day(
    plan: &Plan,
    folder: &Path,
    account: &Account,
    (number, date, day): (usize, Date, u32),
    events: usize,
) -> anyhow::Result<Tally> {
    let mut draw = Draw::of(plan.seed, [day, number as u32]);
    let draw = &mut draw;
    let seconds = seconds(draw, events);
    let regions: Vec<bool> = seconds.iter().map(|_| draw.chance(SECOND_REGION)).collect();
    let mut tally = Tally::default();
    for second in [false, true] {
        let region = account.regions[usize::from(second)];
        let times = seconds.iter().zip(&regions).filter(|(_, other)| **other == second).map(|(time, _)| *time);
        let moments: Vec<_> = times.map(|second| Moment { date, day, second }).collect();
        if moments.is_empty() {
            continue;
        }
        let records = records(plan, draw, account, region, moments);
        let path = format!("AWSLogs/{}/CloudTrail/{region}/{}", account.id, records.moments[0].folder());
        let path = folder.join(path);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        for file in cut(plan, draw, records.moments.len()) {
            tally += write_file(draw, &path, account, region, &records, &file)?;
        }
    }
    tally.events = events as u64;
    Ok(tally)
}

fn records(plan: &Plan, draw: &mut Draw, account: &Account, region: &'static str, moments: Vec<Moment>) -> Day {
    let mut text = String::with_capacity(moments.len() * 1700);
    let mut starts = Vec::with_capacity(moments.len() + 1);
    for moment in &moments {
        starts.push(text.len());
        let by_people = draw.chance(plan.people);
        let scene = &mut Scene { out: &mut text, draw, account, moment: *moment, region };
        if by_people { people::write(scene) } else { services::write(scene) }
    }
    starts.push(text.len());
    Day { text, starts, moments }
}

/// The seconds of a day at which events happen, in order: calm minutes, busy ones, and here and there a burst; within a
/// minute a few seconds take most.
fn seconds(draw: &mut Draw, events: usize) -> Vec<u32> {
    let mut total = 0.0;
    let sums: Vec<f64> = (0..1440)
        .map(|_| {
            let burst = if draw.chance(1.0 / 2000.0) { 80.0 } else { 1.0 };
            total += draw.around_one(2.0) * burst;
            total
        })
        .collect();
    let mut seconds: Vec<u32> = (0..events)
        .map(|_| {
            let at = draw.fraction() * total;
            let minute = sums.partition_point(|sum| *sum < at).min(1439) as u32;
            let cluster = draw.skewed(40) as u32;
            minute * 60 + (minute * 37 + cluster * 23) % 60
        })
        .collect();
    seconds.sort_unstable();
    seconds
}

/// Cuts records `0..count` into files; some records are in a later file a second time.
fn cut(plan: &Plan, draw: &mut Draw, count: usize) -> Vec<Vec<usize>> {
    let (mut files, mut again) = (Vec::new(), Vec::new());
    let mut next = 0;
    while next < count || !again.is_empty() {
        let size = ((quantile(draw, RECORDS) * plan.file_scale) as usize).max(1);
        // Repeats of earlier files come first, so that no record is twice in one.
        let mut file: Vec<usize> = again.drain(..size.min(again.len()).min(size.div_ceil(3))).collect();
        let fresh = next..(next + size - file.len()).min(count);
        next = fresh.end;
        again.extend(fresh.clone().filter(|_| draw.chance(plan.repeats)));
        file.extend(fresh);
        if !draw.chance(IN_ORDER) {
            for at in (1..file.len()).rev() {
                file.swap(at, draw.below(at + 1));
            }
        }
        files.push(file);
    }
    files
}

fn write_file(
    draw: &mut Draw,
    folder: &Path,
    account: &Account,
    region: &str,
    day: &Day,
    file: &[usize],
) -> anyhow::Result<Tally> {
    let mut text = String::with_capacity(file.iter().map(|at| day.record(*at).len() + 1).sum::<usize>() + 16);
    text.push_str("{\"Records\":[");
    for (place, at) in file.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(day.record(*at));
    }
    text.push_str("]}");
    let last = file.iter().max().expect("a file has a record");
    let delivered = day.moments[*last].later(quantile(draw, LAG) as u32);
    let name = draw.text(&format!("{}_CloudTrail_{region}_{}_", account.id, delivered.compact()), |draw, out| {
        draw.base62(out, 16)
    });
    let mut gzip = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::default());
    gzip.write_all(text.as_bytes())?;
    let packed = gzip.finish()?;
    let path = folder.join(format!("{name}.json.gz"));
    std::fs::write(&path, &packed).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Tally { events: 0, records: file.len() as u64, files: 1, bytes: text.len() as u64, packed: packed.len() as u64 })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_quantile_table_is_met() {
        let mut draw = Draw::of(1, [0, 0]);
        let mut sizes: Vec<f64> = (0..20_000).map(|_| quantile(&mut draw, RECORDS)).collect();
        sizes.sort_by(f64::total_cmp);
        let at = |share: f64| sizes[(sizes.len() as f64 * share) as usize];
        assert!((4.5..5.5).contains(&at(0.5)), "{}", at(0.5));
        assert!((15.0..17.0).contains(&at(0.9)), "{}", at(0.9));
        assert!((28.0..42.0).contains(&at(0.99)), "{}", at(0.99));
    }

    #[test]
    fn every_record_is_delivered_and_about_a_quarter_of_them_twice_in_two_files() {
        let plan = Plan { repeats: 0.27, ..Plan::default() };
        let files = cut(&plan, &mut Draw::of(2, [0, 0]), 20_000);
        let mut seen: HashMap<usize, Vec<usize>> = HashMap::new();
        for (number, file) in files.iter().enumerate() {
            for record in file {
                seen.entry(*record).or_default().push(number);
            }
        }
        assert_eq!(seen.len(), 20_000);
        assert!(seen.values().all(|files| files.len() == 1 || files.len() == 2 && files[0] != files[1]));
        let twice = seen.values().filter(|files| files.len() == 2).count();
        assert!((5000..5800).contains(&twice), "{twice}");
    }

    #[test]
    fn seconds_are_in_order_within_a_day_and_bursty() {
        let seconds = seconds(&mut Draw::of(3, [0, 0]), 5000);
        assert!(seconds.is_sorted());
        assert!(seconds.iter().all(|second| *second < 86_400));
        let mut minutes = [0; 1440];
        seconds.iter().for_each(|second| minutes[*second as usize / 60] += 1);
        minutes.sort_unstable();
        assert!(minutes[1439] > 4 * minutes[720], "{} {}", minutes[1439], minutes[720]);
    }
}
