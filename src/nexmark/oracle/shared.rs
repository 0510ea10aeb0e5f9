//! What several recomputations have in common.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::nexmark::event::{Auction, Bid, Event, Person};

/// The size of the windows of q5, q7, q8 and q12 and the gap of q11, in milliseconds, and how often those of
/// q5 begin.
pub(super) const WINDOW: i64 = 10_000;
pub(super) const HOP: i64 = 2_000;

/// Each auction that had a bid between its opening and its close, both included, with the best one: the
/// highest, of those the earliest, of those the first to come.
pub(super) fn winners(events: impl IntoIterator<Item = Event>) -> Vec<(Auction, Bid)> {
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
pub(super) type Split = (BTreeMap<u64, Person>, BTreeMap<u64, Auction>, Vec<Bid>);

pub(super) fn split(events: impl IntoIterator<Item = Event>) -> Split {
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

pub(super) fn bids(events: impl IntoIterator<Item = Event>) -> impl Iterator<Item = Bid> {
    events.into_iter().filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        Event::Person(_) | Event::Auction(_) => None,
    })
}

/// Where the last window that has begun at this time began.
pub(super) fn start_of(time: i64, every: i64) -> i64 {
    time.div_euclid(every) * every
}

pub(super) fn average(prices: &[u64]) -> u64 {
    prices.iter().sum::<u64>() / prices.len() as u64
}

pub(super) fn sorted<T: Ord>(rows: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut rows: Vec<T> = rows.into_iter().collect();
    rows.sort();
    rows
}
