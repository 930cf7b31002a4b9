//! Policy documents: refused, or read the same again from their own text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towpath_iam::{Policy, PolicyKind};

fuzz_target!(|text: &str| {
    for kind in [PolicyKind::User, PolicyKind::Trust, PolicyKind::Resource] {
        if let Ok(policy) = Policy::parse(text, kind) {
            assert_eq!(Policy::from_stored(policy.text(), kind), policy);
        }
    }
});
