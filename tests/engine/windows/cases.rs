//! Cases that Flink and Beam publish in their tests, in a form of our own. Watermarks are Flink's.

use std::time::Duration;

use highwater::stream::Stream;
use highwater::window::{
    CountTrigger, Evict, Global, OnEventTime, ProcessingTime, Purging, Sessions, Sliding, Tumbling,
};

use crate::windows::script::{Pair, check, line, sums};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn keyed(
    pairs: Stream<Pair>,
) -> highwater::stream::KeyedStream<String, Pair, impl highwater::stream::Chain<Out = (String, Pair)>> {
    pairs.key_by(|pair: &Pair| pair.0.clone())
}

#[test]
fn a_late_record_fires_again_and_a_purged_window_has_nothing_else() {
    check(
        "k2 1 500; w 1500; k2 1 1300; w 2300; k2 1 1997; w 6000; k2 1 1998; w 7000",
        "w 1500; k2 2 0 2000; w 2300; k2 1 0 2000; w 6000; late k2 1; w 7000",
        |pairs| {
            let windows = keyed(pairs).window(Tumbling::of(millis(2000))).allowed_lateness(millis(500));
            sums(windows.trigger(Purging(OnEventTime::default())))
        },
    );
}

#[test]
fn state_lives_until_just_before_the_end_of_the_lateness() {
    check(
        "k 1 100; w 2498; k 2 200; w 2499; k 4 300",
        "k 1 0 2000; w 2498; k 3 0 2000; w 2499; late k 4",
        |pairs| sums(keyed(pairs).window(Tumbling::of(millis(2000))).allowed_lateness(millis(500))),
    );
}

#[test]
fn a_purged_session_goes_on_merging() {
    check(
        "k2 1 1000; w 1999; k2 1 2000; w 4998; k2 1 4500; k2 1 8500; w 7400; k2 1 7000; w 11501; k2 1 11600; w 14600; \
         k2 1 10000; k2 1 14500; w 20000; w 100000",
        "w 1999; w 4998; w 7400; k2 5 1000 11500; w 11501; k2 1 11600 14600; w 14600; k2 1 10000 14600; k2 1 10000 17500; \
         w 20000; w 100000",
        |pairs| {
            let windows = keyed(pairs).window(Sessions::with_gap(millis(3000))).allowed_lateness(millis(10));
            sums(windows.trigger(Purging(OnEventTime::default())))
        },
    );
}

#[test]
fn the_end_of_state_fires_nothing() {
    check(
        "k2 1 1000; w 1599; w 1999; w 2000; w 5000",
        "w 1599; k2 1 0 2000; w 1999; w 2000; w 5000",
        |pairs| sums(keyed(pairs).window(Tumbling::of(millis(2000))).allowed_lateness(millis(1))),
    );
}

#[test]
fn the_end_of_time_is_no_obstacle() {
    check(
        "k2 1 9223372036854774057; w 9223372036854774307; w 9223372036854774999",
        "w 9223372036854774307; k2 1 9223372036854774000 9223372036854775000; w 9223372036854774999",
        |pairs| sums(keyed(pairs).window(Tumbling::of(millis(1000))).allowed_lateness(millis(2000))),
    );
}

#[test]
fn an_evictor_by_count_before_the_function() {
    check(
        "k2 1 3000; k2 1 3999; k1 1 20; k1 1 0; k1 1 999; k2 1 1998; k2 1 1999; k2 1 1000; k1 1 10999; k2 1 1000",
        "k1 2 - -; k1 4 - -; k2 2 - -; k2 4 - -; k2 4 - -",
        |pairs| sums(keyed(pairs).window(Global).trigger(CountTrigger::of(2)).evictor(Evict::count(4))),
    );
}

#[test]
fn an_evictor_by_time_after_the_function() {
    check(
        "k2 1 1000; k2 1 4000; k1 1 20; k1 1 0; k1 1 999; k2 1 3500; k2 1 2001; k2 1 1001; k1 1 10999; k2 1 1002",
        "k1 2 - -; k1 4 - -; k2 2 - -; k2 3 - -; k2 5 - -",
        |pairs| {
            let windows = keyed(pairs).window(Global).trigger(CountTrigger::of(2));
            sums(windows.evictor(Evict::time(millis(2000)).after()))
        },
    );
}

#[test]
fn an_evictor_by_time_leaves_records_without_time() {
    check(
        "k2 1 -; k2 1 -; k1 1 -; k1 1 -; k1 1 -; k2 1 -; k2 1 -; k2 1 -; k1 1 -; k2 1 -",
        "k1 2 - -; k1 4 - -; k2 2 - -; k2 4 - -; k2 6 - -",
        |pairs| {
            let windows = keyed(pairs).window(Global).trigger(CountTrigger::of(2));
            sums(windows.evictor(Evict::time(millis(2000)).after()))
        },
    );
}

#[test]
fn a_late_record_goes_to_the_side() {
    check(
        "k2 1 1000; w 1985; k2 1 1980; w 1999; k2 1 1998; k2 1 2001; w 2999; w 3999",
        "w 1985; k2 2 0 2000; w 1999; late k2 1; w 2999; k2 1 2000 4000; w 3999",
        |pairs| sums(keyed(pairs).window(Tumbling::of(millis(2000))).trigger(OnEventTime::default())),
    );
}

#[test]
fn windows_of_processing_time() {
    check(
        "p 3; k2 1 9223372036854775807; k2 1 7000; k2 1 7000; k1 1 7000; k1 1 7000; p 5000; k1 1 7000; k1 1 7000; k1 1 7000; p 7000",
        "k1 2 0 3000; k1 3 3000 6000; k2 3 0 3000",
        |pairs| sums(keyed(pairs).window(ProcessingTime(Tumbling::of(millis(3000))))),
    );
}

const CLICKS: &str = "k2 1 0; k2 2 1000; k2 3 2500; k1 1 10; k1 2 1000; k1 3 2500; k2 4 5501; k2 5 6000; k2 5 6000; k2 6 6050; \
                      w 12000; k2 10 15000; k2 20 15000; w 17999";
const VISITS: &str = "k1 6 10 5500; k2 6 0 5500; k2 20 5501 9050; w 12000; k2 30 15000 18000; w 17999";

#[test]
fn sessions_end_after_a_gap() {
    let sessions = Sessions::with_gap(millis(3000));
    check(CLICKS, VISITS, |pairs| sums(keyed(pairs).window(sessions)));
    check(CLICKS, VISITS, |pairs| keyed(pairs).window(sessions).sum(|pair| pair.1).map(line));
}

#[test]
fn a_record_joins_two_sessions() {
    let (input, expected) = ("k 1 1000; k 2 6500; w 500; k 4 3800; w 30000", "w 500; k 7 1000 9500; w 30000");
    let sessions = Sessions::with_gap(millis(3000));
    check(input, expected, |pairs| sums(keyed(pairs).window(sessions)));
    check(input, expected, |pairs| keyed(pairs).window(sessions).sum(|pair| pair.1).map(line));
}

#[test]
fn sessions_in_any_order() {
    let input = "k 1 1; k 1 15; k 1 30; k 1 100; k 1 101; k 1 95; k 1 22; k 1 10; w 500";
    let sessions = Sessions::with_gap(millis(10));
    let expected = "k 5 1 40; k 3 95 111; w 500";
    check(input, expected, |pairs| keyed(pairs).window(sessions).count().map(line));
    check(input, expected, |pairs| {
        keyed(pairs).window(sessions).allowed_lateness(Duration::ZERO).count().map(line)
    });
}

#[test]
fn sliding_windows_over_records_out_of_order() {
    let input = "k2 1 3999; k2 1 3000; k1 1 20; k1 1 0; k1 1 999; k2 1 1998; k2 1 1999; k2 1 1000; \
                 w 999; w 1999; w 2999; w 3999; w 4999; w 5999; w 6999; w 7999";
    let expected = "k1 3 -2000 1000; w 999; k1 3 -1000 2000; k2 3 -1000 2000; w 1999; k1 3 0 3000; k2 3 0 3000; w 2999; \
                    k2 5 1000 4000; w 3999; k2 2 2000 5000; w 4999; k2 2 3000 6000; w 5999; w 6999; w 7999";
    let sliding = Sliding::of(millis(3000), millis(1000));
    check(input, expected, |pairs| sums(keyed(pairs).window(sliding).trigger(OnEventTime::default())));
    check(input, expected, |pairs| keyed(pairs).window(sliding).sum(|pair| pair.1).map(line));
}

#[test]
fn the_ends_of_windows_are_open() {
    let input = "a 1 4999; b 1 5000; w 20000";
    let expected = "a 1 0 5000; a 1 1000 6000; a 1 2000 7000; a 1 3000 8000; a 1 4000 9000; \
                    b 1 1000 6000; b 1 2000 7000; b 1 3000 8000; b 1 4000 9000; b 1 5000 10000; w 20000";
    let sliding = Sliding::of(millis(5000), millis(1000));
    check(input, expected, |pairs| {
        keyed(pairs).window(sliding).trigger(OnEventTime::default()).count().map(line)
    });
    check(input, expected, |pairs| keyed(pairs).window(sliding).count().map(line));
}

#[test]
fn counts_of_merged_sessions_add_up() {
    check(
        "k2 1 0; k2 2 1000; k2 3 2500; k2 4 3500; k1 1 10; k1 2 1000; k1 3 2500; k1 1 6000; k1 2 6500; k1 3 7000; k1 10 4500",
        "k1 22 10 10000; k2 10 0 6500",
        |pairs| {
            let windows = keyed(pairs).window(Sessions::with_gap(millis(3000)));
            sums(windows.trigger(Purging(CountTrigger::of(4))))
        },
    );
}

#[test]
fn counts_are_kept_for_each_window() {
    check("k 1 0; k 1 2; k 1 1; k 1 0; k 1 3; k 1 2", "k 3 0 2; k 3 2 4", |pairs| {
        keyed(pairs).window(Tumbling::of(millis(2))).trigger(CountTrigger::of(3)).count().map(line)
    });
}

#[test]
fn tumbling_windows_over_records_out_of_order() {
    let input = "k2 1 3999; k2 1 3000; k1 1 20; k1 1 0; k1 1 999; k2 1 1998; k2 1 1999; k2 1 1000; \
                 w 999; w 1999; w 2999; w 3999; w 4999; w 5999; w 6999; w 7999";
    let expected = "w 999; w 1999; k1 3 0 3000; k2 3 0 3000; w 2999; w 3999; w 4999; k2 2 3000 6000; w 5999; w 6999; w 7999";
    let tumbling = Tumbling::of(millis(3000));
    check(input, expected, |pairs| sums(keyed(pairs).window(tumbling).trigger(OnEventTime::default())));
    check(input, expected, |pairs| keyed(pairs).window(tumbling).sum(|pair| pair.1).map(line));
}

#[test]
fn tumbling_windows_with_an_offset() {
    check(
        "k2 1 1000; w 1985; k2 2 1980; k2 3 1998; k2 4 2001; w 2010; w 2999; w 3999",
        "w 1985; w 2010; k2 1,2,3,4 100 2100; w 2999; w 3999",
        |pairs| {
            let windows = keyed(pairs).window(Tumbling::of(millis(2000)).offset(millis(100)));
            windows.apply(|key, window, pairs| {
                let values: Vec<String> = pairs.iter().map(|pair| pair.1.to_string()).collect();
                [format!("{key} {} {} {}", values.join(","), window.start, window.end)]
            })
        },
    );
}
