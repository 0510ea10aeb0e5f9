//! The row counts of the first million events, which others have found too, and the corners by hand.

use super::*;
use crate::data::Text;
use crate::nexmark::event::{Auction, Bid, Event};
use crate::nexmark::rows::*;
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
    assert_eq!(q9(events()).len(), 55_999);
    assert_eq!(q13(events()).len(), 920_000);
    // Known to us alone; the prices' distribution lets expect 260,500.
    assert_eq!(q14(events()).len(), 261_257);
    assert_eq!(q15(events()).len(), 1);
    assert_eq!(q16(events()).len(), 10_004);
    assert_eq!(q17(events()).len(), 59_972);
    assert_eq!(q18(events()).len(), 292_586);
    assert_eq!(q19(events()).len(), 441_389);
    assert_eq!(q20(events()).len(), 171_425);
    assert_eq!(q21(events()).len(), 877_335);
    assert_eq!(q22(events()).len(), 920_000);
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

fn bid_by(bidder: u64, auction: u64, price: u64, date_time: i64, extra: &'static str) -> Event {
    let [channel, url] = [const { Text::constant("") }; 2];
    Event::Bid(Bid { auction, bidder, price, channel, url, date_time, extra: Text::constant(extra) })
}

fn bid_through(channel: &'static str, url: &'static str) -> Event {
    let (channel, url, extra) = (Text::constant(channel), Text::constant(url), Text::constant(""));
    Event::Bid(Bid { auction: 1, bidder: 1, price: 1, channel, url, date_time: 0, extra })
}

#[test]
fn a_tie_goes_to_the_first_to_come_for_the_highest_and_to_the_last_for_the_last() {
    let events = [
        auction(1, 0, 100),
        bid_by(3, 1, 50, 20, "d"),
        bid_by(2, 1, 50, 10, "z"),
        bid_by(1, 1, 50, 10, "a"),
        bid_by(1, 1, 40, 10, "b"),
        bid_by(1, 1, 60, 9, "c"),
        bid_by(3, 1, 60, 101, "e"),
    ];
    let won: Vec<_> = q9(events.clone()).into_iter().map(|row| (row.bidder, row.bid_extra)).collect();
    assert_eq!(won, [(1, Text::constant("c"))]);
    let won = q9(events[..5].to_vec()).into_iter().map(|row| (row.bidder, row.bid_extra));
    assert_eq!(won.collect::<Vec<_>>(), [(2, Text::constant("z"))]);
    let last: Vec<_> = q18(events.clone()).into_iter().map(|row| (row.bidder, row.extra)).collect();
    assert_eq!(last, [(1, Text::constant("b")), (2, Text::constant("z")), (3, Text::constant("e"))]);
    let mut top: Vec<_> = q19(events).into_iter().map(|row| (row.rank_number, row.extra)).collect();
    top.sort();
    let extras: Vec<_> = top.iter().map(|(_, extra)| extra.as_str()).collect();
    assert_eq!(extras, ["c", "e", "d", "z", "a", "b"]);
}

#[test]
fn no_more_than_ten_are_at_the_top() {
    let rows = q19((0..25).map(|n| bid_by(n, 1 + n / 12, n, 0, "")));
    let at =
        |auction| rows.iter().filter(|row| row.auction == auction).map(|row| row.bidder).collect::<Vec<_>>();
    assert_eq!(at(1), (2..12).collect::<Vec<_>>());
    assert_eq!((at(2).len(), at(3)), (10, vec![24]));
}

#[test]
fn what_is_distinct_is_counted_once_for_each_rank_and_in_all() {
    let day = 86_400_000;
    let events = [
        bid_by(1, 1, 9_999, 0, ""),
        bid_by(1, 2, 9_999, 61_000, ""),
        bid_by(2, 1, 10_000, 1, ""),
        bid_by(1, 1, 1_000_000, 2, ""),
        bid_by(1, 1, 7, day, ""),
    ];
    let rows = q16(events.clone());
    let first = &rows[0];
    assert_eq!((first.day.to_string(), first.minute.to_string()), ("1970-01-01".into(), "00:01".into()));
    assert_eq!([first.total_bids, first.rank1_bids, first.rank2_bids, first.rank3_bids], [4, 2, 1, 1]);
    assert_eq!(
        [first.total_bidders, first.rank1_bidders, first.rank2_bidders, first.rank3_bidders],
        [2, 1, 1, 1]
    );
    assert_eq!(
        [first.total_auctions, first.rank1_auctions, first.rank2_auctions, first.rank3_auctions],
        [2, 2, 1, 1]
    );
    assert_eq!((rows.len(), rows[1].total_bids), (2, 1));
    assert_eq!((q15(events.clone()).len(), q15(events.clone())[0].total_bidders), (2, 2));
    let prices = &q17(events)[0];
    assert_eq!(
        [prices.auction, prices.total_bids, prices.min_price, prices.max_price],
        [1, 3, 9_999, 1_000_000]
    );
    assert_eq!([prices.sum_price, prices.avg_price], [1_019_999, 339_999]);
}

#[test]
fn ids_of_channels_are_known_or_parameters() {
    let ids = |channel, url| q21([bid_through(channel, url)]).into_iter().map(|row| row.channel_id).next();
    let id = |id| Some(Text::constant(id));
    assert_eq!(ids("aPPle", "x&channel_id=5"), id("0"));
    assert_eq!(ids("Google", ""), id("1"));
    assert_eq!(ids("other", "x?y=1&channel_id=5&z"), id("5"));
    assert_eq!(ids("other", "channel_id=6&channel_id=5"), id("6"));
    assert_eq!(ids("other", "&channel_id="), id(""));
    assert_eq!(ids("other", "x?channel_id=5"), None);
}

#[test]
fn directories_are_those_after_the_host_if_there_are_any() {
    let rows = q22([bid_through("", "https://host/a/b/c/item.htm"), bid_through("", "https://host/a")]);
    let directories: Vec<_> = rows.into_iter().map(|row| [row.dir1, row.dir2, row.dir3]).collect();
    let [a, b, c] = ["a", "b", "c"].map(|name| Some(Text::constant(name)));
    assert_eq!(directories, [[a.clone(), None, None], [a, b, c]]);
}

#[test]
fn hours_are_of_three_kinds_and_bounds_are_excluded() {
    let kinds: Vec<_> =
        (0..24).map(|hour| q14([bid(1, 2_000_000, hour * 3_600_000)])[0].bid_time_type.clone()).collect();
    let count = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
    assert_eq!((count("dayTime"), count("nightTime"), count("otherTime")), (11, 11, 2));
    assert!(
        kinds[7] == "otherTime"
            && kinds[8] == "dayTime"
            && kinds[18] == "dayTime"
            && kinds[19] == "otherTime"
    );
    // 0.908 times these is just beside the bounds.
    let prices = [1_101_321, 1_101_322, 55_066_079, 55_066_080].map(|price| q14([bid(1, price, 0)]).len());
    assert_eq!(prices, [0, 1, 1, 0]);
}
