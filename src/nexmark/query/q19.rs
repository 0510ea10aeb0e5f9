//! q19, top ten: the ten highest bids on each auction, with their ranks.
//!
//! `ROW_NUMBER` leaves open which of two bids at one price ranks higher. Here it is the one that came first,
//! as in Flink; so the events come with their numbers.
//!
//! A bid that enters the ten moves those below it one rank down, and each rank is part of a row. So an
//! auction that an epoch touches costs up to ten rows taken back and ten new ones, whichever of them differ.

use std::cmp::Reverse;

use super::super::rows::Q19;
use super::super::{Bid, Event};
use super::numbered_bids;
use crate::data::Change;
use crate::stream::{Aggregate, Chain, Stream};

const TOP: usize = 10;

/// `SELECT *, rank_number FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM bid) WHERE rank_number <= 10`
pub fn q19<C: Chain<Out = (u64, Event)>>(
    events: Stream<(u64, Event), C>,
) -> Stream<Change<Q19>, impl Chain<Out = Change<Q19>>> {
    let top = numbered_bids(events).key_by(|(_, bid)| bid.auction).aggregate(Highest);
    top.flat_map(|Change { record: (_, top), diff }| {
        let ranked = top.into_iter().zip(1..);
        ranked.map(move |((_, bid), rank_number)| Change { record: row(bid, rank_number), diff })
    })
}

fn row(bid: Bid, rank_number: u64) -> Q19 {
    let Bid { auction, bidder, price, channel, url, date_time, extra } = bid;
    Q19 { auction, bidder, price, channel, url, date_time, extra, rank_number }
}

/// A bid with its number.
type Numbered = (u64, Bid);

/// The ten highest, the best first.
#[derive(Clone)]
struct Highest;

/// What bids are ordered by: the highest price first, then the lowest number.
fn order((number, bid): &Numbered) -> (Reverse<u64>, u64) {
    (Reverse(bid.price), *number)
}

impl Aggregate<Numbered> for Highest {
    type Acc = Vec<Numbered>;
    type Out = Vec<Numbered>;
    // What is kept is larger than what comes, and most auctions have few bids at a time.
    const COMBINES: bool = false;

    fn start(&self, bid: Numbered) -> Vec<Numbered> {
        vec![bid]
    }

    fn add(&self, top: &mut Vec<Numbered>, bid: Numbered) {
        let place = top.partition_point(|other| order(other) < order(&bid));
        if place < TOP {
            top.truncate(TOP - 1);
            top.insert(place, bid);
        }
    }

    #[inline]
    fn ignores(&self, top: &Vec<Numbered>, bid: &Numbered) -> bool {
        top.get(TOP - 1).is_some_and(|last| order(last) < order(bid))
    }

    fn merge(&self, top: &mut Vec<Numbered>, other: Vec<Numbered>) {
        other.into_iter().for_each(|bid| self.add(top, bid));
    }

    fn result(&self, top: &Vec<Numbered>) -> Vec<Numbered> {
        top.clone()
    }
}
