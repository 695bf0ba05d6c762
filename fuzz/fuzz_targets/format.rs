//! Any text: what is formatted still parses, keeps its form when formatted again, and checks as before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policyc::{PolicySet, format_text, set::TextFile};

fn file(bytes: &[u8]) -> TextFile {
    TextFile { name: "fuzz.pol".to_owned(), bytes: bytes.to_vec() }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(once) = format_text(file(bytes)) else { return };
    let Ok(twice) = format_text(file(once.as_bytes())) else { panic!("what was formatted does not parse:\n{once}") };
    assert_eq!(once, twice, "formatting is not stable");
    let codes = |bytes: &[u8]| {
        let compiled = PolicySet::compile_files(vec![file(bytes)], 0);
        let mut codes: Vec<&str> = compiled.diagnostics.iter().map(|d| d.code.as_str()).collect();
        codes.sort_unstable();
        (compiled.set.is_some(), codes)
    };
    assert_eq!(codes(bytes), codes(once.as_bytes()), "formatting changed what the text means:\n{once}");
});
