//! Feeds the decoder of `case`: see `highwater::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| highwater::fuzz::run("case", bytes));
