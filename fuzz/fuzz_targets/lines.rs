//! Feeds the decoder of `lines`: see `highwater::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| highwater::fuzz::run("lines", bytes));
