//! Log files of imports: every record is a piece of the text, and the end is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towpath_admit::{LogFile, LogFileLimits};

fuzz_target!(|bytes: &[u8]| {
    let limits = LogFileLimits { record_bytes: 1 << 16, text_bytes: 1 << 22, ratio: 250 };
    let Ok(mut file) = LogFile::open(bytes, limits) else { return };
    while let Ok(Some(_)) = file.next_item() {}
});
