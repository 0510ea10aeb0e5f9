//! The Nexmark queries in a small world, where bids at one price, in one millisecond and before their
//! auctions are common.
//!
//! At every closed epoch, what was emitted up to there is what the plain recomputation finds in the events up
//! to there, in the order of their numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater::config::Options;
use highwater::data::{Change, Data, Text, consolidate};
use highwater::nexmark::query::{self, SideInput};
use highwater::nexmark::{Auction, Bid, Event, Person, oracle};
use highwater::stream::{Chain, Job, Stream};
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::scripted::{Log, Scripted};

/// Event times are multiples of ten minutes: hours and days pass, and many events share a time.
const STEP: i64 = 600_000;
/// So many events in a row have about the same time, and an event is at most so many steps older than one
/// before it.
const CROWD: usize = 8;
const DISORDER: i64 = 2;

/// Prices about the borders of ranks (q15 to q17) and of what q14 selects.
const PRICES: [u64; 9] = [1, 9_999, 10_000, 999_999, 1_000_000, 1_101_321, 1_101_322, 55_066_079, 55_066_080];

/// Ids of auctions pass by what q13 divides them by.
const FIRST_AUCTION: u64 = 9_996;

const CHANNELS: [&str; 4] = ["Google", "aPPle", "channel-1", "channel-2"];

const PAGES: [&str; 7] = [
    "https://www.nexmark.com/a/b/c/item.htm?query=1&channel_id=7&x=1",
    "https://www.nexmark.com/a/b",
    "https://www.nexmark.com/a//c/?channel_id=3",
    "channel_id=4/&channel_id=5",
    "&channel_id=",
    "",
    "///",
];

/// What an event is drawn from.
#[derive(Clone, Debug)]
struct Draw {
    kind: u8,
    who: u64,
    what: u64,
    price: u64,
    later: i64,
    channel: &'static str,
    url: &'static str,
    split: usize,
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let numbers = (0..10u8, 0..4u64, 0..8u64, select(&PRICES[..]), 0..=DISORDER);
    let draw = (numbers, select(&CHANNELS[..]), select(&PAGES[..]), 0..4usize);
    let draw = draw.prop_map(|((kind, who, what, price, later), channel, url, split)| Draw {
        kind,
        who,
        what,
        price,
        later,
        channel,
        url,
        split,
    });
    vec(draw, 0..220)
}

/// The events in order, from a time on. Ids of persons and of auctions are given in turn.
fn events(draws: &[Draw], start: i64) -> Vec<Event> {
    let (mut persons, mut auctions) = (0, 0);
    let event = |(number, draw): (usize, &Draw)| {
        let date_time = (start + (number / CROWD) as i64 + draw.later) * STEP;
        let extra = Text::from(format!("c{number}cc"));
        let name = || Text::constant("name");
        match draw.kind {
            0 => {
                persons += 1;
                Event::Person(Person {
                    id: persons - 1,
                    name: name(),
                    email_address: name(),
                    credit_card: name(),
                    city: name(),
                    state: name(),
                    date_time,
                    extra,
                })
            }
            1 => {
                auctions += 1;
                Event::Auction(Auction {
                    id: FIRST_AUCTION + auctions - 1,
                    item_name: name(),
                    description: name(),
                    initial_bid: draw.price,
                    reserve: draw.price,
                    date_time,
                    expires: date_time + draw.what as i64 * STEP,
                    seller: draw.who,
                    category: 10 + draw.who % 2,
                    extra,
                })
            }
            _ => Event::Bid(Bid {
                auction: FIRST_AUCTION + draw.what,
                bidder: draw.who,
                price: draw.price,
                channel: Text::constant(draw.channel),
                url: Text::from(draw.url),
                date_time,
                extra,
            }),
        }
    };
    draws.iter().enumerate().map(event).collect()
}

/// Compares what a query has emitted up to an epoch with what it should have.
type Check = Box<dyn Fn(u64, &[Event]) -> bool>;

fn rows<T: Data + Ord>(rows: Stream<T, impl Chain<Out = T>>, oracle: fn(Vec<Event>) -> Vec<T>) -> Check {
    let log = Log::of(rows);
    Box::new(move |epoch, events| {
        let mut rows = log.up_to(epoch);
        rows.sort();
        rows == oracle(events.to_vec())
    })
}

fn changes<T: Data + Ord>(
    changes: Stream<Change<T>, impl Chain<Out = Change<T>>>,
    oracle: fn(Vec<Event>) -> Vec<T>,
) -> Check {
    let log = Log::of(changes);
    Box::new(move |epoch, events| {
        consolidate(log.up_to(epoch)) == consolidate(oracle(events.to_vec()).into_iter().map(Change::insert))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn queries_are_exact_at_each_epoch(
        draws in draws(),
        start in 0..288i64,
        pause in 1..200usize,
        workers in 1..5usize,
        epochs in prop_oneof![
            (1..80u64).prop_map(Epochs::records),
            Just(Epochs::when_done()),
            Just(Epochs::every(Duration::from_millis(1))),
        ],
    ) {
        let mut splits = vec![Vec::new(); 4];
        for (number, (event, draw)) in events(&draws, start).into_iter().zip(&draws).enumerate() {
            splits[draw.split].push((number as u64, event));
        }
        let job = Job::new();
        let source = Scripted::with_pauses(splits.clone(), pause);
        let disorder = Duration::from_millis((DISORDER * STEP).unsigned_abs());
        let watermarks = Watermarks::bounded(disorder, |(_, event): &(u64, Event)| event.timestamp());
        let numbered = job.source(source.clone(), watermarks);
        let events = numbered.clone().map(|(_, event)| event);
        let answers: [(&str, Check); 13] = [
            ("q4", changes(query::q4(events.clone()), oracle::q4)),
            ("q6", changes(query::q6(events.clone()), oracle::q6)),
            ("q9", changes(query::q9(numbered.clone()), oracle::q9)),
            ("q13", rows(query::q13(events.clone(), SideInput::of_suite()), oracle::q13)),
            ("q14", rows(query::q14(events.clone()), oracle::q14)),
            ("q15", changes(query::q15(events.clone()), oracle::q15)),
            ("q16", changes(query::q16(events.clone()), oracle::q16)),
            ("q17", changes(query::q17(events.clone()), oracle::q17)),
            ("q18", changes(query::q18(numbered.clone()), oracle::q18)),
            ("q19", changes(query::q19(numbered), oracle::q19)),
            ("q20", rows(query::q20(events.clone()), oracle::q20)),
            ("q21", rows(query::q21(events.clone()), oracle::q21)),
            ("q22", rows(query::q22(events), oracle::q22)),
        ];
        job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();

        prop_assert_eq!(job.metrics().sum("late_dropped"), 0);
        let all: BTreeSet<u64> = source.epochs().into_iter().chain([u64::MAX]).collect();
        for epoch in all {
            let given = splits.iter().enumerate().flat_map(|(at, split)| &split[..source.given(at, epoch)]);
            let mut given: Vec<_> = given.cloned().collect();
            given.sort_by_key(|(number, _)| *number);
            let given: Vec<Event> = given.into_iter().map(|(_, event)| event).collect();
            for (name, is_right) in &answers {
                prop_assert!(is_right(epoch, &given), "{} at epoch {}", name, epoch);
            }
        }
        let read: usize = (0..splits.len()).map(|split| source.given(split, u64::MAX)).sum();
        prop_assert_eq!(read, draws.len());
    }
}
