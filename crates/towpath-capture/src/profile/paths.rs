//! Paths to members, and what is done with what they lead to.
//!
//! A path is names joined by `.`: `Credentials.SecretAccessKey`. Lists are stepped through without a sign of their own;
//! `*` stands for any one name, of a member or of a map's key. A path that begins with `**.` holds at any depth, and its one
//! name may have a `*` in it: `**.*Password`. Names are compared without regard to case: a redaction must not fail on the
//! case of a letter.

use std::sync::Arc;

use super::names::Pattern;

/// What is done with a member's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is printed after all.
    Show,
    /// The member is left out.
    Drop,
    /// The value is replaced by this text.
    Replace(Arc<str>),
    /// The value is replaced by the SHA-256 of it.
    Hash,
}

/// A path as it is written in a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberPath {
    Anywhere(String),
    From(Vec<String>),
}

impl MemberPath {
    /// Reads a path; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (anywhere, rest) = match text.strip_prefix("**.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let names: Vec<String> = rest.split('.').map(str::to_ascii_lowercase).collect();
        if names.iter().any(|name| name.is_empty() || name.contains("**")) {
            return Err(format!("{text:?} is no path to a member"));
        }
        match (anywhere, &*names) {
            (false, _) => Ok(Self::From(names)),
            (true, [name]) if name != "*" => Ok(Self::Anywhere(name.clone())),
            (true, _) => Err(format!("{text:?}: one name follows \"**.\"")),
        }
    }
}

/// Actions by path. Of several that hold for a member the one that was added last wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    /// What holds at any depth. Every member of every call is held against these, so they are in the order of the last
    /// letters of their names: few remain for a member.
    anywhere: Vec<Anywhere>,
    /// What holds at any depth for names that may end in any letter.
    open: Vec<Anywhere>,
    from: Vec<(usize, Vec<String>, Action)>,
    added: usize,
}

/// An action that holds at any depth.
#[derive(Clone, Debug)]
struct Anywhere {
    last: u8,
    names: Names,
    added: usize,
    action: Action,
}

/// The names that a path with two stars is for, in small letters.
#[derive(Clone, Debug)]
enum Names {
    One(String),
    Ending(String),
    Like(Pattern),
}

impl Names {
    fn of(name: String) -> Self {
        match name.strip_prefix('*') {
            None if !name.contains('*') => Self::One(name),
            Some(ending) if !ending.contains('*') => Self::Ending(ending.to_owned()),
            _ => Self::Like(Pattern::new(name)),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one.eq_ignore_ascii_case(name),
            Self::Ending(ending) => {
                let from = name.len().checked_sub(ending.len());
                from.is_some_and(|from| name.as_bytes()[from..].eq_ignore_ascii_case(ending.as_bytes()))
            }
            Self::Like(pattern) => pattern.matches(&name.to_ascii_lowercase()),
        }
    }
}

impl Paths {
    pub(crate) fn add(&mut self, path: MemberPath, action: Action) {
        self.added += 1;
        match path {
            MemberPath::Anywhere(name) => {
                let last = name.bytes().last().unwrap_or_default();
                let rule = Anywhere { last, names: Names::of(name), added: self.added, action };
                if last == b'*' {
                    self.open.push(rule);
                } else {
                    let at = self.anywhere.partition_point(|other| other.last <= last);
                    self.anywhere.insert(at, rule);
                }
            }
            MemberPath::From(names) => self.from.push((self.added, names, action)),
        }
    }

    /// The way into a value, before its first member.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { paths: self, depth: 0, alive: (0..self.from.len()).collect() }
    }

    /// What holds for a name at any depth, and when it was added.
    fn anywhere(&self, name: &str) -> Option<(usize, &Action)> {
        let last = name.bytes().last().unwrap_or_default().to_ascii_lowercase();
        let first = self.anywhere.partition_point(|rule| rule.last < last);
        let ending = self.anywhere[first..].iter().take_while(|rule| rule.last == last);
        let holding = ending.chain(&self.open).filter(|rule| rule.names.has(name));
        holding.max_by_key(|rule| rule.added).map(|rule| (rule.added, &rule.action))
    }
}

/// How far the paths have been followed on the way to a member.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    paths: &'a Paths,
    depth: usize,
    // The paths that agree with the way so far.
    alive: Vec<usize>,
}

impl<'a> Walk<'a> {
    /// Steps to a member or a map's key. Gives the action that the member itself has, and the way on.
    pub(crate) fn step(&self, name: &str) -> (Option<&'a Action>, Walk<'a>) {
        let mut found = self.paths.anywhere(name);
        let mut alive = Vec::new();
        for &at in &self.alive {
            let (added, names, action) = &self.paths.from[at];
            match names.get(self.depth) {
                Some(wanted) if wanted.eq_ignore_ascii_case(name) || wanted == "*" => {}
                _ => continue,
            }
            if names.len() > self.depth + 1 {
                alive.push(at);
            } else if found.is_none_or(|(best, _)| best < *added) {
                found = Some((*added, action));
            }
        }
        (found.map(|(_, action)| action), Walk { paths: self.paths, depth: self.depth + 1, alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Paths {
        let mut paths = Paths::default();
        for text in texts {
            paths.add(MemberPath::parse(text).unwrap(), Action::Replace((*text).into()));
        }
        paths
    }

    fn action(paths: &Paths, way: &[&str]) -> Option<String> {
        let mut walk = paths.walk();
        let mut last = None;
        for name in way {
            (last, walk) = walk.step(name);
        }
        match last {
            Some(Action::Replace(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    #[test]
    fn a_path_holds_for_its_member_alone_and_one_with_two_stars_anywhere() {
        let paths = paths(&["**.Password", "User.Name", "Tags.*.Value", "**.*Key"]);
        assert_eq!(action(&paths, &["user", "name"]).as_deref(), Some("User.Name"));
        assert_eq!(action(&paths, &["Other", "Name"]), None);
        assert_eq!(action(&paths, &["User"]), None);
        assert_eq!(action(&paths, &["User", "Name", "Name"]), None);
        assert_eq!(action(&paths, &["A", "B", "PASSWORD"]).as_deref(), Some("**.Password"));
        assert_eq!(action(&paths, &["A", "SecretKey"]).as_deref(), Some("**.*Key"));
        assert_eq!(action(&paths, &["A", "SecretKeys"]), None);
        assert_eq!(action(&paths, &["Tags", "x", "Value"]).as_deref(), Some("Tags.*.Value"));
    }

    #[test]
    fn stars_stand_anywhere_in_a_name() {
        let paths = paths(&["**.X-*", "**.a*z", "**.*mid*", "**.Straße"]);
        for (name, path) in [
            ("x-amz", "**.X-*"),
            ("X-", "**.X-*"),
            ("AbcZ", "**.a*z"),
            ("inMIDst", "**.*mid*"),
            ("straße", "**.Straße"),
        ] {
            assert_eq!(action(&paths, &["Any", name]).as_deref(), Some(path), "{name}");
        }
        for name in ["", "a", "straSSe", "ß", "STRASSE"] {
            assert_eq!(action(&paths, &[name]), None, "{name}");
        }
    }

    #[test]
    fn of_several_paths_the_last_one_wins() {
        assert_eq!(action(&paths(&["a.*", "a.b"]), &["a", "b"]).as_deref(), Some("a.b"));
        assert_eq!(action(&paths(&["a.b", "**.b"]), &["a", "b"]).as_deref(), Some("**.b"));
        assert_eq!(action(&paths(&["**.b", "a.*"]), &["a", "b"]).as_deref(), Some("a.*"));
        assert_eq!(action(&paths(&["**.ab", "**.*b", "**.a*"]), &["ab"]).as_deref(), Some("**.a*"));
        assert_eq!(action(&paths(&["**.a*", "**.ab", "**.*b"]), &["ab"]).as_deref(), Some("**.*b"));
        assert_eq!(action(&paths(&["**.a*", "**.*b", "**.AB"]), &["ab"]).as_deref(), Some("**.AB"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a..b", "**", "**.", "**.*", "**.a.b", "a.**"] {
            assert!(MemberPath::parse(text).is_err(), "{text}");
        }
    }
}
