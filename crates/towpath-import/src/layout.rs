//! Which folders and files of a source an import looks at.
//!
//! Trails write `[prefix/]AWSLogs/[orgId/]account/CloudTrail/region/YYYY/MM/DD/..._YYYYMMDDTHHmmZ_....json.gz`, with the
//! time of delivery in folder and name. Beside `CloudTrail` lie folders of other services and other kinds of files,
//! which are passed over unless the import is pointed right into one. Files outside that layout are read only where
//! the import was pointed at a folder.
//!
//! A file holds events from before its delivery. So one that was delivered before the wanted time holds nothing of
//! interest; one delivered more than a day after it is taken to hold none either.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::import::TimeRange;

/// What an import looks at.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    // Parts of the folder that the import was pointed at.
    root: usize,
    // Whether files outside the layout are read.
    loose: bool,
    // Delivery times that matter, both included.
    from: Option<DateTime>,
    to: Option<DateTime>,
}

impl Scope {
    /// `root`: the folder that the import was pointed at. `loose`: files there need not follow the layout.
    pub(crate) fn new(root: &str, loose: bool, range: &TimeRange) -> Self {
        let root = root.split('/').filter(|part| !part.is_empty()).count();
        let civil = |instant: Timestamp| instant.to_zoned(TimeZone::UTC).datetime();
        let from = range.earliest().map(civil);
        let to = range.end.map(civil).map(|end| end.checked_add(1.day()).unwrap_or(DateTime::MAX));
        Self { root, loose, from, to }
    }

    /// True if a folder may hold files of interest. `path` is the whole path from the top of the source.
    pub(crate) fn enters(&self, path: &str) -> bool {
        let parts: Vec<_> = path.split('/').collect();
        match self.place(&parts) {
            Place::Foreign => false,
            Place::Above | Place::Loose => true,
            Place::Logs(rest) => self.wants_dates(rest),
        }
    }

    /// True if a file is of interest, judged by its path and name.
    pub(crate) fn takes(&self, path: &str) -> bool {
        let Some((folder, name)) = path.rsplit_once('/') else {
            return self.loose && self.wants_name(path);
        };
        let parts: Vec<_> = folder.split('/').collect();
        match self.place(&parts) {
            Place::Foreign | Place::Above => false,
            Place::Loose => self.wants_name(name),
            Place::Logs(rest) => self.wants_dates(rest) && self.wants_name(name),
        }
    }

    fn place<'a>(&self, parts: &'a [&'a str]) -> Place<'a> {
        if let Some(at) = parts.iter().position(|part| *part == "CloudTrail") {
            return Place::Logs(&parts[at + 1..]);
        }
        let pointed_at = parts.len().min(self.root);
        let Some(top) = parts.iter().position(|part| *part == "AWSLogs") else {
            let service = parts[pointed_at..].iter().any(|part| part.starts_with("CloudTrail-"));
            return match (service, self.loose) {
                (true, _) => Place::Foreign,
                (false, true) => Place::Loose,
                (false, false) => Place::Above,
            };
        };
        // Below AWSLogs come an organization and an account, then a folder per service.
        let account = |part: &str| {
            part.starts_with("o-") || (part.len() == 12 && part.bytes().all(|digit| digit.is_ascii_digit()))
        };
        match parts[top + 1..].iter().position(|part| !account(part)) {
            None => Place::Above,
            Some(service) if top + 1 + service < self.root => Place::Loose,
            Some(_) => Place::Foreign,
        }
    }

    /// `rest`: what follows the folder `CloudTrail`: region, year, month, day.
    fn wants_dates(&self, rest: &[&str]) -> bool {
        let number = |at: usize, digits: usize| {
            rest.get(at).filter(|part| part.len() == digits).and_then(|part| part.parse::<i16>().ok())
        };
        let Some(year) = number(1, 4) else { return true };
        let month = number(2, 2).map(|month| month as i8);
        let day = number(3, 2).map(|day| day as i8).filter(|_| month.is_some());
        let Ok(first) = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)) else { return true };
        let last = match (month, day) {
            (None, _) => Date::new(year, 12, 31).unwrap_or(first),
            (Some(_), None) => first.last_of_month(),
            (Some(_), Some(_)) => first,
        };
        self.from.is_none_or(|from| last >= from.date()) && self.to.is_none_or(|to| first <= to.date())
    }

    fn wants_name(&self, name: &str) -> bool {
        let Some(delivered) = delivery_time(name) else { return true };
        // The name has minutes, so that the file may have been written up to a minute later.
        let latest = delivered.checked_add(1.minute()).unwrap_or(delivered);
        self.from.is_none_or(|from| latest >= from) && self.to.is_none_or(|to| delivered <= to)
    }
}

/// Where a folder lies.
enum Place<'a> {
    /// In or below a folder named `CloudTrail`; what follows that name.
    Logs(&'a [&'a str]),
    /// Above such folders.
    Above,
    /// Outside the layout, below the folder that the import was pointed at.
    Loose,
    /// In the folder of another service or kind of file.
    Foreign,
}

/// The delivery time in a file name: `..._YYYYMMDDTHHmmZ_...`.
fn delivery_time(name: &str) -> Option<DateTime> {
    let stamp = name.split('_').find(|part| part.len() == 14 && part.as_bytes()[8] == b'T' && part.ends_with('Z'))?;
    let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<i16>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)? as i8, number(6, 8)? as i8);
    DateTime::new(year, month, day, number(9, 11)? as i8, number(11, 13)? as i8, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(root: &str, start: Option<&str>, end: Option<&str>) -> Scope {
        let time = |text: &str| text.parse().unwrap();
        Scope::new(root, !root.is_empty(), &TimeRange { start: start.map(time), end: end.map(time), cutoff: None })
    }

    const FILE: &str = "111111111111_CloudTrail_us-east-1_20240102T0305Z_AbCdEf0123456789.json.gz";

    #[test]
    fn folders_of_trails_are_entered_and_others_are_not() {
        let all = scope("", None, None);
        for folder in [
            "AWSLogs",
            "x/AWSLogs",
            "AWSLogs/o-abc",
            "AWSLogs/o-abc/111111111111",
            "AWSLogs/111111111111/CloudTrail",
            "AWSLogs/111111111111/CloudTrail/us-east-1/2024/01/02",
            "anything",
        ] {
            assert!(all.enters(folder), "{folder}");
        }
        for folder in [
            "AWSLogs/111111111111/CloudTrail-Digest",
            "AWSLogs/111111111111/Config",
            "AWSLogs/111111111111/elasticloadbalancing/x",
            "AWSLogs/o-abc/111111111111/CloudTrail-Insight",
        ] {
            assert!(!all.enters(folder), "{folder}");
        }
        assert!(all.takes(&format!("AWSLogs/111111111111/CloudTrail/us-east-1/2024/01/02/{FILE}")));
        assert!(all.takes(&format!("p/AWSLogs/o-a/111111111111/CloudTrail/us-east-1/2024/01/02/{FILE}")));
        for file in [FILE, "readme.txt", "x/y.json.gz", "AWSLogs/x.json.gz", "AWSLogs/111111111111/Config/x.gz"] {
            assert!(!all.takes(file), "{file}");
        }
    }

    #[test]
    fn a_folder_that_is_pointed_at_is_read_whatever_its_name() {
        assert!(scope("collected", None, None).takes("collected/deep/x.json.gz"));
        let network = "AWSLogs/111111111111/CloudTrail-NetworkActivity";
        assert!(scope(network, None, None).takes(&format!("{network}/us-east-1/2024/01/02/x.json.gz")));
        let trail = scope("mytrail", None, None);
        assert!(!trail.enters("mytrail/AWSLogs/111111111111/CloudTrail-Digest"));
        assert!(trail.takes(&format!("mytrail/AWSLogs/111111111111/CloudTrail/{FILE}")));
        assert!(
            scope("AWSLogs/111111111111/CloudTrail/us-east-1", None, None)
                .takes("AWSLogs/111111111111/CloudTrail/us-east-1/x.gz")
        );
    }

    #[test]
    fn dates_in_folders_and_names_are_used() {
        let day = scope("", Some("2024-01-02T03:00:00Z"), Some("2024-01-02T04:00:00Z"));
        let at = |date: &str| format!("AWSLogs/111111111111/CloudTrail/us-east-1/{date}");
        for date in ["2024", "2024/01", "2024/01/02", "2024/01/03", "odd", "2024/x", "99"] {
            assert!(day.enters(&at(date)), "{date}");
        }
        for date in ["2023", "2025", "2024/02", "2024/01/01", "2024/01/04"] {
            assert!(!day.enters(&at(date)), "{date}");
        }
        let named = |stamp: &str| at(&format!("2024/01/02/1_CloudTrail_us-east-1_{stamp}_x.json.gz"));
        for stamp in ["20240102T0259Z", "20240102T0300Z", "20240102T2359Z", "2024", "20240102T9999Z"] {
            assert!(day.takes(&named(stamp)), "{stamp}");
        }
        for stamp in ["20240102T0258Z", "20240103T0401Z"] {
            assert!(!day.takes(&named(stamp)), "{stamp}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_it_panic(root in "[a-zA-Z0-9/_-]{0,20}", path in "(AWSLogs|CloudTrail|/|2024|13|_|T|Z|ü|[a-z0-9]){0,20}") {
            let scope = scope(&root, Some("2024-01-02T03:00:00Z"), Some("9999-12-30T00:00:00Z"));
            let _ = (scope.enters(&path), scope.takes(&path));
        }
    }
}
