//! Feeds the decoder of `events`: see `highwater::fuzz`. Files of events stay in memory, so this wants
//! `ASAN_OPTIONS=detect_leaks=0` before it, `-- -rss_limit_mb=8192` behind it, and memory to let it run for
//! more than some minutes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| highwater::fuzz::run("events", bytes));
