//! Finds a declared member by the name a record gives it: the proper spelling, or any other case of it.

/// A small open-addressing table over names that are known when it is built.
#[derive(Debug)]
pub(crate) struct NameIndex {
    // Proper spelling and number of the member; a power of two of slots, at most half of them used.
    slots: Vec<Option<(&'static str, usize)>>,
}

impl NameIndex {
    /// Builds the index of `names`, which differ even when case is ignored.
    pub fn new(names: impl Iterator<Item = (&'static str, usize)>) -> Self {
        let names: Vec<_> = names.collect();
        let mut slots = vec![None; (names.len() * 4).next_power_of_two()];
        let mask = slots.len() - 1;
        for name in names {
            let mut at = hash(name.0.as_bytes()) & mask;
            while slots[at].is_some() {
                at = (at + 1) & mask;
            }
            slots[at] = Some(name);
        }
        Self { slots }
    }

    /// The member with this name, and whether the spelling is the proper one.
    #[inline]
    pub fn find(&self, name: &str) -> Option<(usize, bool)> {
        let mask = self.slots.len() - 1;
        let mut at = hash(name.as_bytes()) & mask;
        while let Some((proper, member)) = self.slots[at] {
            if proper == name {
                return Some((member, true));
            }
            if proper.eq_ignore_ascii_case(name) {
                return Some((member, false));
            }
            at = (at + 1) & mask;
        }
        None
    }
}

/// Mixes the length and three letters, case ignored.
#[inline]
fn hash(name: &[u8]) -> usize {
    let letter = |at: usize| name.get(at).map_or(0, |b| usize::from(b | 0x20));
    let length = name.len();
    (length ^ (letter(0) << 3) ^ (letter(length / 2) << 6) ^ (letter(length.wrapping_sub(1)) << 1))
        .wrapping_mul(0x9e37_79b9)
        >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_proper_spelling_is_told() {
        let names = ["eventID", "eventName", "ARN", "sourceIPAddress", "a", ""];
        let index = NameIndex::new(names.into_iter().enumerate().map(|(at, name)| (name, at)));
        for (at, name) in names.into_iter().enumerate() {
            assert_eq!(index.find(name), Some((at, true)));
            if !name.is_empty() {
                assert_eq!(index.find(&name.to_lowercase()).map(|(at, _)| at), Some(at));
            }
        }
        assert_eq!(index.find("arn"), Some((2, false)));
        for name in ["eventIDs", "event", "b", "evënt"] {
            assert_eq!(index.find(name), None, "{name}");
        }
    }
}
