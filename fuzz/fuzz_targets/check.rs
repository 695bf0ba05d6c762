//! Any bytes: parsing, checking, compiling and warning never panic, hang or overflow the stack.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policyc::{PolicySet, set::TextFile};

fuzz_target!(|bytes: &[u8]| {
    let file = TextFile { name: "fuzz.pol".to_owned(), bytes: bytes.to_vec() };
    let compiled = PolicySet::compile_files(vec![file], 0);
    for diagnostic in &compiled.diagnostics {
        for label in &diagnostic.labels {
            let text = &compiled.sources.get(label.span.source).text;
            assert!(label.span.start <= label.span.end && label.span.end as usize <= text.len());
            assert!(text.is_char_boundary(label.span.start as usize));
            assert!(text.is_char_boundary(label.span.end as usize));
        }
    }
    assert!(compiled.set.is_some() || !compiled.diagnostics.is_empty(), "refused without a word");
});
