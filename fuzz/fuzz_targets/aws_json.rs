//! Bodies of AWS JSON requests: the first byte picks the operation.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towpath_wire::Operation;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let operation = Operation::ALL[usize::from(*first) % Operation::ALL.len()];
    let _ = operation.decode(body);
});
