//! Feeds the decoder of `words`: see `highwater::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| highwater::fuzz::run("words", bytes));
