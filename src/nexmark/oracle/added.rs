//! The answers to the queries that the public suite has added to the original ones: q9, q11 to q22.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::data::Text;
use crate::nexmark::calendar::{Day, Minute};
use crate::nexmark::event::{Auction, Bid, Event};
use crate::nexmark::oracle::shared::{WINDOW, average, bids, sorted, split, start_of, winners};
use crate::nexmark::rows::{Q9, Q11, Q12, Q13, Q14, Q15, Q16, Q17, Q18, Q19, Q20, Q21, Q22};

/// Each auction that was bid on between its opening and its close, both included, with the best of these
/// bids.
pub fn q9(events: impl IntoIterator<Item = Event>) -> Vec<Q9> {
    sorted(winners(events).into_iter().map(|(auction, bid)| {
        let Auction { id, item_name, description, initial_bid, reserve, .. } = auction;
        let Auction { date_time, expires, seller, category, extra, .. } = auction;
        let Bid { auction, bidder, price, date_time: bid_date_time, extra: bid_extra, .. } = bid;
        Q9 {
            id,
            item_name,
            description,
            initial_bid,
            reserve,
            date_time,
            expires,
            seller,
            category,
            extra,
            auction,
            bidder,
            price,
            bid_date_time,
            bid_extra,
        }
    }))
}

/// For each person, how many bids they placed in each session: a session ends when ten seconds have passed
/// since its last bid.
pub fn q11(events: impl IntoIterator<Item = Event>) -> Vec<Q11> {
    let mut times: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for bid in bids(events) {
        times.entry(bid.bidder).or_default().push(bid.date_time);
    }
    let mut rows = Vec::new();
    for (bidder, mut times) in times {
        times.sort_unstable();
        for session in times.chunk_by(|time, next| next - time < WINDOW) {
            let (start, end) = (session[0], session[session.len() - 1] + WINDOW);
            rows.push(Q11 { bidder, bid_count: session.len() as u64, start, end });
        }
    }
    sorted(rows)
}

/// For each person and each ten seconds of the wall clock, how many bids were processed in them: of events
/// with the times, in milliseconds since 1970, at which they were.
pub fn q12(events: impl IntoIterator<Item = (i64, Event)>) -> Vec<Q12> {
    let mut counts: BTreeMap<(u64, i64), u64> = BTreeMap::new();
    for (at, event) in events {
        if let Event::Bid(bid) = event {
            *counts.entry((bid.bidder, start_of(at, WINDOW))).or_default() += 1;
        }
    }
    sorted(counts.into_iter().map(|((bidder, start), bid_count)| Q12 {
        bidder,
        bid_count,
        start,
        end: start + WINDOW,
    }))
}

/// Every bid with the value that the suite's table of 10,000 rows has for its auction: the row's own number.
pub fn q13(events: impl IntoIterator<Item = Event>) -> Vec<Q13> {
    sorted(bids(events).map(|bid| {
        let Bid { auction, bidder, price, date_time, .. } = bid;
        Q13 { auction, bidder, price, date_time, value: Text::from((auction % 10_000).to_string()) }
    }))
}

/// The bids above a million and below fifty million cents in euros, the kind of hour that they came in, and
/// the letters c in their padding.
pub fn q14(events: impl IntoIterator<Item = Event>) -> Vec<Q14> {
    let mut rows = Vec::new();
    for bid in bids(events) {
        let Bid { auction, bidder, price, date_time, extra, .. } = bid;
        let price_thousandths = price * 908;
        if price_thousandths <= 1_000_000_000 || price_thousandths >= 50_000_000_000 {
            continue;
        }
        let hour = date_time.div_euclid(3_600_000).rem_euclid(24);
        let bid_time_type = Text::constant(if (8..=18).contains(&hour) {
            "dayTime"
        } else if hour <= 6 || hour >= 20 {
            "nightTime"
        } else {
            "otherTime"
        });
        let c_counts = extra.as_str().matches('c').count() as u64;
        rows.push(Q14 { auction, bidder, price_thousandths, bid_time_type, date_time, extra, c_counts });
    }
    sorted(rows)
}

/// For each day, the numbers of bids, bidders and auctions, in all and by rank of price.
pub fn q15(events: impl IntoIterator<Item = Event>) -> Vec<Q15> {
    let mut days: BTreeMap<Day, Vec<Bid>> = BTreeMap::new();
    for bid in bids(events) {
        days.entry(Day::of(bid.date_time)).or_default().push(bid);
    }
    let rows = days.into_iter().map(|(day, bids)| {
        let [total, rank1, rank2, rank3] = ranked(&bids);
        Q15 {
            day,
            total_bids: total.bids,
            rank1_bids: rank1.bids,
            rank2_bids: rank2.bids,
            rank3_bids: rank3.bids,
            total_bidders: total.bidders,
            rank1_bidders: rank1.bidders,
            rank2_bidders: rank2.bidders,
            rank3_bidders: rank3.bidders,
            total_auctions: total.auctions,
            rank1_auctions: rank1.auctions,
            rank2_auctions: rank2.auctions,
            rank3_auctions: rank3.auctions,
        }
    });
    sorted(rows)
}

/// For each channel and day, the numbers of bids, bidders and auctions, in all and by rank of price, and the
/// minute of the last bid.
pub fn q16(events: impl IntoIterator<Item = Event>) -> Vec<Q16> {
    let mut groups: BTreeMap<(Text, Day), Vec<Bid>> = BTreeMap::new();
    for bid in bids(events) {
        groups.entry((bid.channel.clone(), Day::of(bid.date_time))).or_default().push(bid);
    }
    let rows = groups.into_iter().map(|((channel, day), bids)| {
        let [total, rank1, rank2, rank3] = ranked(&bids);
        Q16 {
            channel,
            day,
            minute: bids.iter().map(|bid| Minute::of(bid.date_time)).max().unwrap_or_default(),
            total_bids: total.bids,
            rank1_bids: rank1.bids,
            rank2_bids: rank2.bids,
            rank3_bids: rank3.bids,
            total_bidders: total.bidders,
            rank1_bidders: rank1.bidders,
            rank2_bidders: rank2.bidders,
            rank3_bidders: rank3.bidders,
            total_auctions: total.auctions,
            rank1_auctions: rank1.auctions,
            rank2_auctions: rank2.auctions,
            rank3_auctions: rank3.auctions,
        }
    });
    sorted(rows)
}

/// For each auction and day, the number of bids, in all and by rank of price, and what can be said of their
/// prices.
pub fn q17(events: impl IntoIterator<Item = Event>) -> Vec<Q17> {
    let mut groups: BTreeMap<(u64, Day), Vec<Bid>> = BTreeMap::new();
    for bid in bids(events) {
        groups.entry((bid.auction, Day::of(bid.date_time))).or_default().push(bid);
    }
    let rows = groups.into_iter().map(|((auction, day), bids)| {
        let [total, rank1, rank2, rank3] = ranked(&bids);
        let prices: Vec<u64> = bids.iter().map(|bid| bid.price).collect();
        Q17 {
            auction,
            day,
            total_bids: total.bids,
            rank1_bids: rank1.bids,
            rank2_bids: rank2.bids,
            rank3_bids: rank3.bids,
            min_price: prices.iter().copied().min().unwrap_or_default(),
            max_price: prices.iter().copied().max().unwrap_or_default(),
            avg_price: average(&prices),
            sum_price: prices.iter().sum(),
        }
    });
    sorted(rows)
}

/// The last bid of each person on each auction; of those in the same millisecond, the last to come.
pub fn q18(events: impl IntoIterator<Item = Event>) -> Vec<Q18> {
    let mut last: BTreeMap<(u64, u64), Bid> = BTreeMap::new();
    for bid in bids(events) {
        let key = (bid.bidder, bid.auction);
        if last.get(&key).is_none_or(|last| bid.date_time >= last.date_time) {
            last.insert(key, bid);
        }
    }
    sorted(last.into_values().map(|bid| {
        let Bid { auction, bidder, price, channel, url, date_time, extra } = bid;
        Q18 { auction, bidder, price, channel, url, date_time, extra }
    }))
}

/// The ten highest bids on each auction, with their ranks; of those at one price, the first to come.
pub fn q19(events: impl IntoIterator<Item = Event>) -> Vec<Q19> {
    let mut auctions: BTreeMap<u64, Vec<Bid>> = BTreeMap::new();
    for bid in bids(events) {
        auctions.entry(bid.auction).or_default().push(bid);
    }
    let mut rows = Vec::new();
    for mut bids in auctions.into_values() {
        // A sort that leaves those of one price as they came.
        bids.sort_by_key(|bid| Reverse(bid.price));
        rows.extend(bids.into_iter().zip(1..=10).map(|(bid, rank_number)| {
            let Bid { auction, bidder, price, channel, url, date_time, extra } = bid;
            Q19 { auction, bidder, price, channel, url, date_time, extra, rank_number }
        }));
    }
    sorted(rows)
}

/// Every bid on an auction of category 10, with the auction.
pub fn q20(events: impl IntoIterator<Item = Event>) -> Vec<Q20> {
    let (_, auctions, bids) = split(events);
    let mut rows = Vec::new();
    for bid in bids {
        let Some(item) = auctions.get(&bid.auction).filter(|auction| auction.category == 10) else {
            continue;
        };
        rows.push(Q20::of(bid, item.clone()));
    }
    sorted(rows)
}

/// Every bid whose channel has an id: four have one of their own, for others it is in the address of the
/// page.
pub fn q21(events: impl IntoIterator<Item = Event>) -> Vec<Q21> {
    let mut rows = Vec::new();
    for bid in bids(events) {
        let Bid { auction, bidder, price, channel, url, .. } = bid;
        let url = url.as_str().into_owned();
        let in_url = match url.strip_prefix("channel_id=") {
            Some(rest) => Some(rest),
            None => url.split_once("&channel_id=").map(|(_, rest)| rest),
        };
        let channel_id = match channel.as_str().to_lowercase().as_str() {
            "apple" => Some("0"),
            "google" => Some("1"),
            "facebook" => Some("2"),
            "baidu" => Some("3"),
            _ => in_url.and_then(|rest| rest.split('&').next()),
        };
        if let Some(channel_id) = channel_id.map(Text::from) {
            rows.push(Q21 { auction, bidder, price, channel, channel_id });
        }
    }
    sorted(rows)
}

/// Every bid with the three parts of its page's address that follow the third slash.
pub fn q22(events: impl IntoIterator<Item = Event>) -> Vec<Q22> {
    sorted(bids(events).map(|bid| {
        let Bid { auction, bidder, price, channel, url, .. } = bid;
        let parts: Vec<Text> = url.as_str().split('/').map(Text::from).collect();
        let [dir1, dir2, dir3] = [3, 4, 5].map(|index| parts.get(index).cloned());
        Q22 { auction, bidder, price, channel, dir1, dir2, dir3 }
    }))
}

/// How many bids, distinct bidders and distinct auctions.
struct Numbers {
    bids: u64,
    bidders: u64,
    auctions: u64,
}

/// The numbers of all bids, and of those below 10,000 cents, below 1,000,000, and above.
fn ranked(bids: &[Bid]) -> [Numbers; 4] {
    [0..=u64::MAX, 0..=9_999, 10_000..=999_999, 1_000_000..=u64::MAX].map(|prices| {
        let bids: Vec<&Bid> = bids.iter().filter(|bid| prices.contains(&bid.price)).collect();
        let bidders: BTreeSet<u64> = bids.iter().map(|bid| bid.bidder).collect();
        let auctions: BTreeSet<u64> = bids.iter().map(|bid| bid.auction).collect();
        Numbers { bids: bids.len() as u64, bidders: bidders.len() as u64, auctions: auctions.len() as u64 }
    })
}
