//! Feeds the decoder of `recording`: see `highwater::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| highwater::fuzz::run("recording", bytes));
