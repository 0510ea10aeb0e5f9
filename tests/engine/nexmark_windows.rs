//! The Nexmark queries whose windows are sessions, and those of the wall clock.

use std::time::Duration;

use highwater::config::Options;
use highwater::data::Text;
use highwater::harness::Driver;
use highwater::nexmark::rows::{Q11, Q12};
use highwater::nexmark::{Bid, Config, Event, Generator, Nexmark, oracle, query};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;

fn bid(bidder: u64, date_time: i64) -> Event {
    let text = Text::constant("");
    let (channel, url, extra) = (text.clone(), text.clone(), text);
    Event::Bid(Bid { auction: 1, bidder, price: 1, channel, url, date_time, extra })
}

fn generated(count: u64) -> impl Iterator<Item = Event> {
    let generator = Generator::new(Config::default());
    (0..count).map(move |number| generator.event(number))
}

#[test]
fn a_million_events_have_as_many_sessions_as_in_other_engines() {
    assert_eq!(oracle::q11(generated(1_000_000)).len(), 19_914);
}

#[test]
fn a_session_ends_ten_seconds_after_its_last_bid() {
    let rows = oracle::q11([bid(1, 0), bid(1, 19_998), bid(2, 5), bid(1, 9_999), bid(1, 29_998)]);
    let row = |bidder, bid_count, start, end| Q11 { bidder, bid_count, start, end };
    assert_eq!(rows, [row(1, 1, 29_998, 39_998), row(1, 3, 0, 29_998), row(2, 1, 5, 10_005)]);
}

#[test]
fn sessions_of_generated_bids_are_those_of_the_recomputation() {
    const EVENTS: u64 = 200_000;
    let expected = oracle::q11(generated(EVENTS));
    for (workers, splits, epochs) in [
        (1, 1, Epochs::when_done()),
        (2, 3, Epochs::records(7_777)),
        (4, 4, Epochs::every(Duration::from_millis(2))),
    ] {
        let job = Job::new();
        let source = Nexmark::generate(Config::default(), EVENTS).splits(splits);
        let rows = query::q11(source.read(&job)).collect();
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();
        assert!(rows.sorted() == expected, "{workers} workers, {splits} splits, {epochs:?}");
    }
}

#[test]
fn each_bid_counts_once_whatever_the_clock_says() {
    const EVENTS: u64 = 50_000;
    for workers in [1, 3] {
        let job = Job::new();
        let rows = query::q12(Nexmark::generate(Config::default(), EVENTS).splits(3).read(&job)).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        let counted: u64 = rows.values().iter().map(|row| row.bid_count).sum();
        let bids = generated(EVENTS).filter(|event| matches!(event, Event::Bid(_))).count();
        assert_eq!(counted, bids as u64, "{workers} workers");
        assert!(rows.values().iter().all(|row| row.end - row.start == 10_000 && row.start % 10_000 == 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Few bidders whose bids are some seconds apart, out of order within the bound.
    #[test]
    fn sessions_are_those_of_the_recomputation(
        bids in vec((0..4u64, 0..12_000i64, 0..3_000i64), 0..120),
        workers in 1..5usize,
        epochs in prop_oneof![(1..40u64).prop_map(Epochs::records), Just(Epochs::when_done())],
    ) {
        let mut now = 0;
        let events: Vec<Event> = bids
            .into_iter()
            .map(|(bidder, later, earlier)| {
                now += later;
                bid(bidder, now - earlier)
            })
            .collect();
        let job = Job::new();
        let watermarks = Watermarks::bounded(Duration::from_secs(3), |event: &Event| event.timestamp());
        let rows = query::q11(job.timed_collection(events.clone(), watermarks)).collect();
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();
        prop_assert_eq!(rows.sorted(), oracle::q11(events));
    }

    /// With a clock that is moved by hand between the bids.
    #[test]
    fn windows_of_the_wall_clock_are_those_of_the_recomputation(bids in vec((0..4u64, 0..9_000i64), 0..60)) {
        let mut driver = Driver::new(query::q12).unwrap();
        let (mut now, mut processed) = (0, Vec::new());
        for (bidder, later) in bids {
            now += later;
            driver.processing_time(now).unwrap();
            driver.push(bid(bidder, 0), 0).unwrap();
            processed.push((now, bid(bidder, 0)));
        }
        driver.finish().unwrap();
        let mut rows: Vec<Q12> = driver.take_output();
        rows.sort();
        prop_assert_eq!(rows, oracle::q12(processed));
    }
}
