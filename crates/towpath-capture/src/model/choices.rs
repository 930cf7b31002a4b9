//! Which services fit a hint, remembered: every call of one client says the same of its service.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use super::ServiceHint;
use super::hint::Fit;

/// Hints that are remembered. S3 has a host for each bucket; when more hints come, all are forgotten.
const MOST: usize = 4096;
/// A hint with more bytes is chosen for anew each time: no client says as much.
const LONGEST: usize = 512;

/// Services that fit, by their place among all, best first.
pub(super) type Fitting = Arc<[(Fit, usize)]>;

/// What was chosen for the hints of earlier calls.
#[derive(Debug, Default)]
pub(super) struct Choices(RwLock<HashMap<Box<str>, Fitting>>);

impl Choices {
    /// What was chosen for this hint, else what `choose` chooses now.
    pub(super) fn of(&self, hint: &ServiceHint<'_>, choose: impl FnOnce() -> Vec<(Fit, usize)>) -> Fitting {
        let Some(key) = key(hint) else { return choose().into() };
        // What is behind the lock is whole whenever it is let go of.
        if let Some(fitting) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&*key) {
            return Arc::clone(fitting);
        }
        let fitting: Fitting = choose().into();
        let mut remembered = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST {
            remembered.clear();
        }
        remembered.insert(key.into(), Arc::clone(&fitting));
        fitting
    }
}

/// All of a hint that decides between services. Every member has its length before it, so that no text of a caller makes
/// one hint look like another.
fn key(hint: &ServiceHint<'_>) -> Option<String> {
    let members = [hint.service, hint.signing_name, hint.host, hint.target_prefix];
    if members.iter().flatten().map(|member| member.len()).sum::<usize>() > LONGEST {
        return None;
    }
    let mut key = String::with_capacity(128);
    for member in members {
        match member {
            Some(member) => write!(key, "{}:{member}", member.len()).expect("a String takes every text"),
            None => key.push('-'),
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_made_once_for_a_hint_and_hints_that_differ_are_told_apart() {
        let (choices, mut made) = (Choices::default(), 0);
        let mut choose = |hint: &ServiceHint<'_>| {
            choices.of(hint, || {
                made += 1;
                Vec::new()
            });
        };
        let none = ServiceHint::default();
        let hints = [
            none,
            ServiceHint { host: Some("b-"), ..none.signed_for("a") },
            none.signed_for("a2:b-"),
            none.signed_for("s3"),
            none.named("s3"),
            none.signed_for(""),
            ServiceHint { host: Some("s3"), ..none },
            ServiceHint { target_prefix: Some("s3"), ..none },
        ];
        for hint in hints.iter().chain(&hints) {
            choose(hint);
        }
        assert_eq!(made, hints.len());
    }

    #[test]
    fn hints_without_end_take_bounded_memory() {
        let choices = Choices::default();
        for number in 0..2 * MOST {
            let host = format!("bucket-{number}.s3.amazonaws.com");
            choices.of(&ServiceHint { host: Some(&host), ..ServiceHint::default() }, Vec::new);
        }
        let long = "x".repeat(LONGEST + 1);
        choices.of(&ServiceHint { host: Some(&long), ..ServiceHint::default() }, Vec::new);
        let remembered = choices.0.read().unwrap();
        assert!(remembered.len() <= MOST && remembered.keys().all(|key| key.len() < LONGEST));
    }
}
