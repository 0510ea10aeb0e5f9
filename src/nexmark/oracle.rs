//! The answers to the Nexmark queries, computed as plainly as possible.
//!
//! Each function reads all events of a finite stream, keeps what it needs in ordered maps and returns all
//! rows, sorted. Nothing here knows about streams, windows of state or progress, and nothing is shared with
//! what answers the queries fast. That is the point: the tests, and `--verify`, compare the two.
//!
//! The specification is the SQL of the public Nexmark suite for Flink. What it leaves to the reader:
//!
//! * The ids of persons, and those of auctions, are unique.
//! * q3 compares states in upper case: this generator writes them in lower case.
//! * Averages of integers are truncated.
//! * Events may precede what they refer to: a bid joins an auction by the times of the two, also when it
//!   comes first in the stream.
//! * Windows are aligned to 1970. Those that reach beyond the ends of the stream count.
//! * q6 is not accepted by Flink. [`q6`] says what we take it to mean.
//! * Rows that are alike in what `ROW_NUMBER` orders them by: of two bids that win an auction alike (q9), or
//!   are alike in price (q19), the first to come is the first; of two last bids of a person (q18) it is the
//!   last to come. That is what Flink does with one reader.
//! * A bid that comes exactly ten seconds after another begins a new session (q11).
//! * Days and hours are those of UTC.

mod added;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub use added::{q9, q11, q12, q13, q14, q15, q16, q17, q18, q19, q20, q21, q22};

use super::event::{Auction, Bid, Event, Person};
use super::rows::{Q0, Q1, Q2, Q3, Q4, Q5, Q6, Q7, Q8};

/// The size of the windows of q5, q7, q8 and q12 and the gap of q11, in milliseconds, and how often those of
/// q5 begin.
const WINDOW: i64 = 10_000;
const HOP: i64 = 2_000;

/// Every bid.
pub fn q0(events: impl IntoIterator<Item = Event>) -> Vec<Q0> {
    sorted(bids(events).map(|bid| {
        let Bid { auction, bidder, price, date_time, extra, .. } = bid;
        Q0 { auction, bidder, price, date_time, extra }
    }))
}

/// Every bid, with its price in euros.
pub fn q1(events: impl IntoIterator<Item = Event>) -> Vec<Q1> {
    sorted(bids(events).map(|bid| {
        let Bid { auction, bidder, price, date_time, extra, .. } = bid;
        Q1 { auction, bidder, price_thousandths: price * 908, date_time, extra }
    }))
}

/// The bids on auctions whose id is a multiple of 123.
pub fn q2(events: impl IntoIterator<Item = Event>) -> Vec<Q2> {
    let selected = bids(events).filter(|bid| bid.auction % 123 == 0);
    sorted(selected.map(|bid| Q2 { auction: bid.auction, price: bid.price }))
}

/// The auctions of category 10 whose seller lives in Oregon, Idaho or California.
pub fn q3(events: impl IntoIterator<Item = Event>) -> Vec<Q3> {
    let (persons, auctions, _) = split(events);
    let mut rows = Vec::new();
    for auction in auctions.values().filter(|auction| auction.category == 10) {
        let Some(Person { name, city, state, .. }) = persons.get(&auction.seller) else { continue };
        if ["OR", "ID", "CA"].contains(&state.as_str().to_uppercase().as_str()) {
            let (name, city, state) = (name.clone(), city.clone(), state.clone());
            rows.push(Q3 { name, city, state, id: auction.id });
        }
    }
    sorted(rows)
}

/// For each category, the average of the winning bids of its auctions.
pub fn q4(events: impl IntoIterator<Item = Event>) -> Vec<Q4> {
    let mut prices: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (auction, bid) in winners(events) {
        prices.entry(auction.category).or_default().push(bid.price);
    }
    sorted(prices.iter().map(|(&id, prices)| Q4 { id, average: average(prices) }))
}

/// For each window of ten seconds, of which one begins every two, the auctions with the most bids, ties
/// included.
pub fn q5(events: impl IntoIterator<Item = Event>) -> Vec<Q5> {
    let mut windows: BTreeMap<i64, BTreeMap<u64, u64>> = BTreeMap::new();
    for bid in bids(events) {
        let last = start_of(bid.date_time, HOP);
        for start in (last - WINDOW + HOP..=last).step_by(HOP as usize) {
            *windows.entry(start).or_default().entry(bid.auction).or_default() += 1;
        }
    }
    let mut rows = Vec::new();
    for counts in windows.values() {
        let most = counts.values().max();
        rows.extend(
            counts.iter().filter(|&(_, num)| Some(num) == most).map(|(&auction, &num)| Q5 { auction, num }),
        );
    }
    sorted(rows)
}

/// For each seller and each of their auctions that was bid on, the average price of that auction and the
/// ten before it.
///
/// The SQL asks for the rows between the tenth preceding and the current one, ordered by time, which is
/// eleven. An auction has a winning bid if it was bid on between its opening and its close, both included:
/// the highest bid, of those the earliest. The time of that bid orders the auctions of a seller, and the
/// auction's id those of the same time. There is one row for each auction, so that the last of a seller's
/// rows is the current answer and the others are those it replaced.
pub fn q6(events: impl IntoIterator<Item = Event>) -> Vec<Q6> {
    let mut sales: BTreeMap<u64, BTreeMap<(i64, u64), u64>> = BTreeMap::new();
    for (auction, bid) in winners(events) {
        sales.entry(auction.seller).or_default().insert((bid.date_time, auction.id), bid.price);
    }
    let mut rows = Vec::new();
    for (&seller, sales) in &sales {
        let prices: Vec<u64> = sales.values().copied().collect();
        for last in 0..prices.len() {
            let recent = &prices[last.saturating_sub(10)..=last];
            rows.push(Q6 { seller, average: average(recent) });
        }
    }
    sorted(rows)
}

/// The bids at the highest price of a window of ten seconds.
///
/// The SQL finds the highest price among the bids from the start of a window up to, but not including, its
/// end. Then it joins with bids from its start up to and including its end. So a bid at the very end joins
/// the window that it is not part of if the prices happen to agree, and may appear twice.
pub fn q7(events: impl IntoIterator<Item = Event>) -> Vec<Q7> {
    let bids: Vec<Bid> = bids(events).collect();
    let mut highest: BTreeMap<i64, u64> = BTreeMap::new();
    for bid in &bids {
        let price = highest.entry(start_of(bid.date_time, WINDOW)).or_default();
        *price = bid.price.max(*price);
    }
    let mut rows = Vec::new();
    for bid in bids {
        let Bid { auction, bidder, price, date_time, extra, .. } = bid;
        let start = start_of(date_time, WINDOW);
        for start in [start - WINDOW, start] {
            if highest.get(&start) == Some(&price) && date_time <= start + WINDOW {
                rows.push(Q7 { auction, bidder, price, date_time, extra: extra.clone() });
            }
        }
    }
    sorted(rows)
}

/// The persons who registered and opened an auction within the same window of ten seconds.
pub fn q8(events: impl IntoIterator<Item = Event>) -> Vec<Q8> {
    let (mut registered, mut selling) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        let start = start_of(event.timestamp(), WINDOW);
        match event {
            Event::Person(person) => _ = registered.insert((person.id, person.name, start)),
            Event::Auction(auction) => _ = selling.insert((auction.seller, start)),
            Event::Bid(_) => (),
        }
    }
    let both = registered.into_iter().filter(|&(id, _, start)| selling.contains(&(id, start)));
    sorted(both.map(|(id, name, start)| Q8 { id, name, start }))
}

/// Each auction that had a bid between its opening and its close, both included, with the best one: the
/// highest, of those the earliest, of those the first to come.
fn winners(events: impl IntoIterator<Item = Event>) -> Vec<(Auction, Bid)> {
    let (_, auctions, bids) = split(events);
    let mut best: BTreeMap<u64, Bid> = BTreeMap::new();
    for bid in bids {
        let Some(auction) = auctions.get(&bid.auction) else { continue };
        if bid.date_time < auction.date_time || bid.date_time > auction.expires {
            continue;
        }
        let rank = |bid: &Bid| (Reverse(bid.price), bid.date_time);
        if best.get(&auction.id).is_none_or(|best| rank(&bid) < rank(best)) {
            best.insert(auction.id, bid);
        }
    }
    let sold = auctions.into_values().map(|auction| (best.remove(&auction.id), auction));
    sold.filter_map(|(bid, auction)| Some((auction, bid?))).collect()
}

/// Persons and auctions by id, and bids in order.
type Split = (BTreeMap<u64, Person>, BTreeMap<u64, Auction>, Vec<Bid>);

fn split(events: impl IntoIterator<Item = Event>) -> Split {
    let (mut persons, mut auctions, mut bids) = Split::default();
    for event in events {
        match event {
            Event::Person(person) => _ = persons.insert(person.id, person),
            Event::Auction(auction) => _ = auctions.insert(auction.id, auction),
            Event::Bid(bid) => bids.push(bid),
        }
    }
    (persons, auctions, bids)
}

fn bids(events: impl IntoIterator<Item = Event>) -> impl Iterator<Item = Bid> {
    events.into_iter().filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        Event::Person(_) | Event::Auction(_) => None,
    })
}

/// Where the last window that has begun at this time began.
fn start_of(time: i64, every: i64) -> i64 {
    time.div_euclid(every) * every
}

fn average(prices: &[u64]) -> u64 {
    prices.iter().sum::<u64>() / prices.len() as u64
}

fn sorted<T: Ord>(rows: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut rows: Vec<T> = rows.into_iter().collect();
    rows.sort();
    rows
}

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
