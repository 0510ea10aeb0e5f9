//! The answers to the queries of the original benchmark: q0 to q8.

use std::collections::{BTreeMap, BTreeSet};

use crate::nexmark::event::{Bid, Event, Person};
use crate::nexmark::oracle::shared::{HOP, WINDOW, average, bids, sorted, split, start_of, winners};
use crate::nexmark::rows::{Q0, Q1, Q2, Q3, Q4, Q5, Q6, Q7, Q8};

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
