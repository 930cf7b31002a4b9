//! Which of a store's files to join next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::datafile::DataFile;
use crate::settings::LakeSettings;

/// Files of similar size that are joined at once.
const TIER_FILES: usize = 4;
/// Ratio of sizes within a tier.
const TIER: u64 = 4;
/// The smallest tier ends here.
const FIRST_TIER_BYTES: u64 = 1 << 20;
/// A file this many times as large as all smaller ones of its day is not rewritten for them.
const LATE_RATIO: u64 = 8;
/// Small files: those of the first two tiers. Four of them can always be joined.
const SMALL_BYTES: u64 = FIRST_TIER_BYTES * TIER * TIER;
/// Small files of a store's day that may stay beside each other: of each tier fewer than are joined.
const RESTING: usize = 2 * (TIER_FILES - 1);
/// A quickly written file with this many rows is rewritten even alone, for its smaller size.
const ALONE_ROWS: u64 = 5_000;

/// Files of a day that become one.
pub(super) struct Choice {
    pub inputs: Vec<Arc<DataFile>>,
    /// The one that they become will be joined again.
    pub again: bool,
}

/// Chooses which of a store's files to join next, of `most` days at most: of those days where most can be joined at once,
/// because then a row is rewritten least often, and of these where they are smallest, because then fewest rows are
/// rewritten for a file less. Files of more than the target size stay.
pub(super) fn choose(
    files: &[Arc<DataFile>],
    now: jiff::Timestamp,
    settings: &LakeSettings,
    most: usize,
) -> Vec<Choice> {
    let mut days: BTreeMap<i32, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in files {
        if file.size < settings.file_bytes && file.raw_bytes < settings.file_raw_bytes {
            days.entry(file.day).or_default().push(file);
        }
    }
    let mut chosen: Vec<_> = days.into_values().filter_map(|day| choose_of_day(day, now, settings)).collect();
    let bytes = |choice: &Choice| choice.inputs.iter().map(|file| file.size).sum::<u64>();
    chosen.sort_by_cached_key(|choice| (Reverse(choice.inputs.len()), bytes(choice)));
    chosen.truncate(most);
    chosen
}

fn choose_of_day(mut files: Vec<&Arc<DataFile>>, now: jiff::Timestamp, settings: &LakeSettings) -> Option<Choice> {
    files.sort_by_key(|file| (file.size, file.id));
    let newest = files.iter().map(|file| file.created).max()?;
    let settled = now.duration_since(newest).unsigned_abs() >= settings.settle();
    let tier = |file: &DataFile| (file.size / FIRST_TIER_BYTES).max(1).ilog(TIER);

    // The smallest files up to and with the first tier that is full. Of a settled day all, but for those so large that
    // rewriting them for the little that came late is not worth it, unless they were written quickly.
    let hasty = |file: &DataFile| file.level == 0 && file.rows >= ALONE_ROWS;
    let mut count = if settled { files.len() } else { 0 };
    if settled {
        let late = |count: usize| files[count - 1].size > LATE_RATIO * sizes(&files[..count - 1]);
        while count > 1 && late(count) && !hasty(files[count - 1]) {
            count -= 1;
        }
    } else {
        for at in 0..files.len() {
            let same = files.iter().filter(|file| tier(file) == tier(files[at])).count();
            if same >= TIER_FILES {
                count = files.iter().filter(|file| tier(file) <= tier(files[at])).count();
                break;
            }
        }
    }
    let (mut size, mut raw) = (0, 0);
    let inputs: Vec<_> = files[..count]
        .iter()
        .take(settings.compact_files)
        .take_while(|file| {
            size += file.size;
            raw += file.raw_bytes;
            size <= 2 * settings.file_bytes && raw <= settings.file_raw_bytes
        })
        .map(|file| Arc::clone(file))
        .collect();
    let worthwhile = match inputs.as_slice() {
        [] => false,
        [alone] => settled && hasty(alone),
        _ => true,
    };
    let again = !settled && inputs.iter().map(|file| file.size).sum::<u64>() < SMALL_BYTES;
    worthwhile.then_some(Choice { inputs, again })
}

/// How many small files there are beyond those that may stay.
pub(super) fn waiting<'a>(files: impl Iterator<Item = &'a Arc<DataFile>>) -> usize {
    let mut days: HashMap<_, usize> = HashMap::new();
    for file in files.filter(|file| file.size < SMALL_BYTES) {
        *days.entry((file.store, file.day)).or_default() += 1;
    }
    days.into_values().map(|count| count.saturating_sub(RESTING)).sum()
}

fn sizes(files: &[&Arc<DataFile>]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use jiff::Timestamp;
    use towpath_model::{EventTime, Position, StoreId, StoreKind};
    use uuid::Uuid;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(day: i32, size: u64, created: i64) -> Arc<DataFile> {
        let time = EventTime::from_millis(i64::from(day) * 86_400_000).unwrap();
        Arc::new(DataFile {
            id: Uuid::new_v4(),
            store: StoreId::from_uuid(Uuid::nil()),
            kind: StoreKind::CloudTrail,
            day,
            size,
            rows: size / 300 + 1,
            raw_bytes: size * 5,
            positions: (Position::ZERO, Position::ZERO),
            times: (time, time),
            content: None,
            level: 1,
            created: Timestamp::from_second(created).unwrap(),
            columns: Default::default(),
            filters: Default::default(),
        })
    }

    fn of_level(level: u8, file: Arc<DataFile>) -> Arc<DataFile> {
        Arc::new(DataFile { level, ..DataFile::clone(&file) })
    }

    fn chosen(files: &[Arc<DataFile>], now: i64) -> Vec<u64> {
        let now = Timestamp::from_second(now).unwrap();
        let chosen = choose(files, now, &LakeSettings::default(), 1).pop();
        chosen.map(|choice| choice.inputs.iter().map(|file| file.size).collect()).unwrap_or_default()
    }

    #[test]
    fn a_busy_day_is_joined_when_a_tier_is_full() {
        let mut files = vec![file(0, 40 * MIB, 0), file(0, 9, 0), file(0, 8, 0), file(0, 7, 0)];
        assert_eq!(chosen(&files, 1), [0u64; 0]);
        files.push(file(0, 6, 0));
        assert_eq!(chosen(&files, 1), [6, 7, 8, 9]);
        files.extend((7..=10).map(|size| file(1, size, 0)));
        assert_eq!(chosen(&files, 1), [6, 7, 8, 9], "of two days with as many the one with smaller files comes first");
        files.push(file(1, 11, 0));
        assert_eq!(chosen(&files, 1), [7, 8, 9, 10, 11], "a day with more of them comes first");
    }

    #[test]
    fn a_quiet_day_is_joined_to_one_file_but_a_large_one_is_not_rewritten_for_a_trifle() {
        assert_eq!(chosen(&[file(0, 30 * MIB, 0), file(0, 20 * MIB, 0)], 10_000), [20 * MIB, 30 * MIB]);
        assert_eq!(chosen(&[file(0, 100 * MIB, 0), file(0, MIB, 0)], 10_000), [0u64; 0]);
        assert_eq!(chosen(&[file(0, 100 * MIB, 0), file(0, MIB, 0), file(0, 2 * MIB, 0)], 10_000), [MIB, 2 * MIB]);
        assert_eq!(chosen(&[file(0, 30 * MIB, 0)], 10_000), [0u64; 0]);
    }

    #[test]
    fn what_was_written_quickly_is_rewritten_once_its_day_is_quiet_however_small_the_rest_is() {
        let large = of_level(0, file(0, 40 * MIB, 0));
        assert_eq!(chosen(std::slice::from_ref(&large), 1), [0u64; 0]);
        assert_eq!(chosen(std::slice::from_ref(&large), 10_000), [40 * MIB]);
        assert_eq!(chosen(&[large, file(0, MIB, 0)], 10_000), [MIB, 40 * MIB]);
    }

    #[test]
    fn only_small_files_of_a_busy_day_are_joined_to_be_joined_again() {
        let again = |files: &[Arc<DataFile>], now: i64| {
            let now = Timestamp::from_second(now).unwrap();
            choose(files, now, &LakeSettings::default(), 1).pop().map(|choice| choice.again)
        };
        let files = |size: u64| (0..4).map(|_| file(0, size, 0)).collect::<Vec<_>>();
        assert_eq!(again(&files(MIB), 1), Some(true));
        assert_eq!(again(&files(MIB), 10_000), Some(false));
        assert_eq!(again(&files(5 * MIB), 1), Some(false));
    }

    #[test]
    fn of_several_days_those_with_most_files_come_first() {
        let files: Vec<_> = (4..9).flat_map(|count| (0..count).map(move |at| file(count, 9 + at as u64, 0))).collect();
        let days = |most: usize| {
            let now = Timestamp::from_second(1).unwrap();
            let chosen = choose(&files, now, &LakeSettings::default(), most);
            chosen.iter().map(|choice| choice.inputs[0].day).collect::<Vec<_>>()
        };
        assert_eq!(days(1), [8]);
        assert_eq!(days(3), [8, 7, 6]);
        assert_eq!(days(9), [8, 7, 6, 5, 4]);
    }

    proptest! {
        #[test]
        fn nothing_waits_once_a_busy_day_is_joined(
            sizes in prop::collection::vec((0..2i32, 1u64..40 * MIB), 0..60)
        ) {
            let (settings, now) = (LakeSettings::default(), Timestamp::from_second(1).unwrap());
            let mut files: Vec<_> = sizes.into_iter().map(|(day, size)| file(day, size, 0)).collect();
            while let Some(Choice { inputs, .. }) = choose(&files, now, &settings, 1).pop() {
                let before = waiting(files.iter());
                files.retain(|file| !inputs.iter().any(|input| input.id == file.id));
                files.push(file(inputs[0].day, inputs.iter().map(|input| input.size).sum(), 0));
                prop_assert!(waiting(files.iter()) <= before);
            }
            prop_assert_eq!(waiting(files.iter()), 0);
        }

        #[test]
        fn joining_comes_to_an_end_and_never_mixes_days_or_exceeds_the_limits(
            sizes in prop::collection::vec((0..3i32, 1u64..200 * MIB, 0u8..2), 0..60)
        ) {
            let settings = LakeSettings::default();
            let now = Timestamp::from_second(10_000).unwrap();
            let mut files: Vec<_> =
                sizes.into_iter().map(|(day, size, level)| of_level(level, file(day, size, 0))).collect();
            let mut rounds = 0;
            while let Some(Choice { inputs, again }) = choose(&files, now, &settings, 1).pop() {
                prop_assert!(inputs.iter().all(|input| input.day == inputs[0].day));
                prop_assert!(inputs.len() <= settings.compact_files && (inputs.len() > 1 || inputs[0].level == 0));
                prop_assert!(!again, "nothing more comes to a settled day");
                let size: u64 = inputs.iter().map(|input| input.size).sum();
                prop_assert!(size <= 2 * settings.file_bytes);
                prop_assert!(inputs.iter().map(|input| input.raw_bytes).sum::<u64>() <= settings.file_raw_bytes);
                files.retain(|file| !inputs.iter().any(|input| input.id == file.id));
                files.push(file(inputs[0].day, size, 0));
                rounds += 1;
                prop_assert!(rounds < 100);
            }
        }
    }
}
