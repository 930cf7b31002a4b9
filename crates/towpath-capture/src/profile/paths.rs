//! Paths to members, and what is done with what they lead to.
//!
//! A path is names joined by `.`: `Credentials.SecretAccessKey`. Lists are stepped through without a sign of their own;
//! `*` stands for any one name, of a member or of a map's key. A path that begins with `**.` holds at any depth, and its one
//! name may have a `*` in it: `**.*Password`. Names are compared without regard to case: a redaction must not fail on the
//! case of a letter.

use std::collections::HashMap;
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
    anywhere: HashMap<String, (usize, Action)>,
    like: Vec<(usize, Pattern, Action)>,
    from: Vec<(usize, Vec<String>, Action)>,
    added: usize,
}

impl Paths {
    pub(crate) fn add(&mut self, path: MemberPath, action: Action) {
        self.added += 1;
        match path {
            MemberPath::Anywhere(name) if name.contains('*') => {
                self.like.push((self.added, Pattern::new(name), action));
            }
            MemberPath::Anywhere(name) => drop(self.anywhere.insert(name, (self.added, action))),
            MemberPath::From(names) => self.from.push((self.added, names, action)),
        }
    }

    /// The way into a value, before its first member.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { paths: self, depth: 0, alive: (0..self.from.len()).collect() }
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
        let lower = name.to_ascii_lowercase();
        let mut found = self.paths.anywhere.get(&lower).map(|(order, action)| (*order, action));
        let mut found_later = |order: usize, action: &'a Action| {
            if found.is_none_or(|(best, _)| best < order) {
                found = Some((order, action));
            }
        };
        for (order, pattern, action) in &self.paths.like {
            if pattern.matches(&lower) {
                found_later(*order, action);
            }
        }
        let mut alive = Vec::new();
        for &at in &self.alive {
            let (order, names, action) = &self.paths.from[at];
            match names.get(self.depth) {
                Some(wanted) if *wanted == lower || wanted == "*" => {}
                _ => continue,
            }
            if names.len() > self.depth + 1 {
                alive.push(at);
            } else {
                found_later(*order, action);
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
    fn of_several_paths_the_last_one_wins() {
        assert_eq!(action(&paths(&["a.*", "a.b"]), &["a", "b"]).as_deref(), Some("a.b"));
        assert_eq!(action(&paths(&["a.b", "**.b"]), &["a", "b"]).as_deref(), Some("**.b"));
        assert_eq!(action(&paths(&["**.b", "a.*"]), &["a", "b"]).as_deref(), Some("a.*"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a..b", "**", "**.", "**.*", "**.a.b", "a.**"] {
            assert!(MemberPath::parse(text).is_err(), "{text}");
        }
    }
}
