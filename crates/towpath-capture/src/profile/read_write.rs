//! Whether an operation changes anything, told by its name.

/// What the names of operations that change nothing begin with. Anything that might change something counts as a change,
/// so that words such as `Verify`, `Generate` or `Assume` are not here: profiles say it of the operations they know.
const READS: [&str; 12] = [
    "Get",
    "List",
    "Describe",
    "Head",
    "BatchGet",
    "BatchDescribe",
    "BatchCheck",
    "BatchList",
    "Lookup",
    "Search",
    "Query",
    "Scan",
];

/// True if an operation of this name reads: it begins with one of the words above and goes on with another word, or ends.
pub(crate) fn reads_by_name(operation: &str) -> bool {
    READS.iter().any(|word| {
        operation
            .strip_prefix(word)
            .is_some_and(|rest| rest.chars().next().is_none_or(|next| !next.is_ascii_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_operations_that_read_begin_with_a_word_for_it() {
        for name in ["GetItem", "List", "DescribeInstances", "BatchGetItem", "HeadObject", "ListV2", "Query", "Get2"] {
            assert!(reads_by_name(name), "{name}");
        }
        for name in ["Getaway", "PutItem", "Listen", "Scanner", "", "CreateGet", "getItem", "Verify"] {
            assert!(!reads_by_name(name), "{name}");
        }
    }
}
