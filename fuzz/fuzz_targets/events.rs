//! Feeds the decoder of `events`: see `highwater::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| highwater::fuzz::run("events", bytes));
