//! Text of SQL statements: parsed or refused, with a place inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(statement) = towpath_trino::parse(text) {
        let _ = statement.tables();
    }
});
