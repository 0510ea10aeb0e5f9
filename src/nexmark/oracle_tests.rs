//! The row counts of the first million events, which others have found too, and the corners by hand.

use super::*;
use crate::data::Text;
use crate::nexmark::{Config, Generator};

fn bid(auction: u64, price: u64, date_time: i64) -> Event {
    let [channel, url, extra] = [const { Text::constant("") }; 3];
    Event::Bid(Bid { auction, bidder: 1, price, channel, url, date_time, extra })
}

fn auction(id: u64, date_time: i64, expires: i64) -> Event {
    let [item_name, description, extra] = [const { Text::constant("") }; 3];
    Event::Auction(Auction {
        id,
        item_name,
        description,
        initial_bid: 0,
        reserve: 0,
        date_time,
        expires,
        seller: 7,
        category: 10,
        extra,
    })
}

#[test]
fn the_first_million_events_have_the_known_numbers_of_rows() {
    let events: Vec<Event> = Generator::new(Config::default()).events(0..1_000_000, 1).collect();
    let events = || events.iter().cloned();
    assert_eq!(q0(events()).len(), 920_000);
    assert_eq!(q1(events()).len(), 920_000);
    assert_eq!(q2(events()).len(), 6_852);
    assert_eq!(q3(events()).len(), 6_197);
    assert_eq!(q4(events()).len(), 5);
    assert_eq!(q5(events()).len(), 63);
    assert_eq!(q7(events()).len(), 11);
    assert_eq!(q8(events()).len(), 8_483);
}

#[test]
fn a_bid_counts_from_opening_to_close_wherever_it_lies() {
    let events = [bid(5, 30, 100), bid(5, 90, 99), auction(5, 100, 200), bid(5, 41, 200), bid(5, 80, 201)];
    assert_eq!(q4(events), [Q4 { id: 10, average: 41 }]);
}

#[test]
fn averages_go_over_eleven_auctions_and_are_truncated() {
    let sales = (1..=12).flat_map(|n| [auction(n, 0, 100), bid(n, 10 * n + 9, n as i64)]);
    let averages: Vec<u64> = q6(sales).into_iter().map(|row| row.average).collect();
    assert_eq!(averages, [19, 24, 29, 34, 39, 44, 49, 54, 59, 64, 69, 79]);
}

#[test]
fn windows_hop_and_ties_are_kept() {
    let rows = q5([bid(1, 0, 0), bid(2, 0, 9_999)]);
    // Five windows hold each bid, and one of them both.
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row.num == 1));
}

#[test]
fn a_bid_at_the_end_of_a_window_may_appear_twice() {
    let rows = q7([bid(1, 50, 0), bid(2, 50, 10_000), bid(3, 50, 10_001)]);
    let auctions: Vec<u64> = rows.into_iter().map(|row| row.auction).collect();
    assert_eq!(auctions, [1, 2, 2, 3]);
}
