//! q5, hot items: which auctions have had the most bids in the last ten seconds, asked every two?
//!
//! Two stages of windows. The first counts per auction. Its results, whose event time is the last moment of
//! their window, fall into one tumbling window of the second for each of the first; there the largest counts
//! win, ties included.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Event;
use super::super::rows::Q5;
use super::bids;
use crate::stream::{Aggregate, Chain, Stream};
use crate::window::{Sliding, Tumbling};

const SIZE: Duration = Duration::from_secs(10);
const SLIDE: Duration = Duration::from_secs(2);

/// `SELECT auction, num` of those per `HOP(bid, 2 s, 10 s)` whose `num = COUNT(*)` is the greatest of the
/// window.
pub fn q5<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q5, impl Chain<Out = Q5>> {
    let counts = bids(events).key_by(|bid| bid.auction).window(Sliding::of(SIZE, SLIDE)).count();
    let counts = counts.map(|count| Q5 { auction: count.key, num: count.value });
    let hottest = counts.window_all(Tumbling::of(SLIDE)).aggregate(Hottest);
    hottest.flat_map(|window| window.value)
}

/// The rows with the greatest number.
#[derive(Clone)]
struct Hottest;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Leaders {
    num: u64,
    auctions: Vec<u64>,
}

impl Aggregate<Q5> for Hottest {
    type Acc = Leaders;
    type Out = Vec<Q5>;

    fn start(&self, row: Q5) -> Leaders {
        Leaders { num: row.num, auctions: vec![row.auction] }
    }

    fn add(&self, leaders: &mut Leaders, row: Q5) {
        if row.num > leaders.num {
            leaders.num = row.num;
            leaders.auctions.clear();
        }
        if row.num == leaders.num {
            leaders.auctions.push(row.auction);
        }
    }

    #[inline]
    fn ignores(&self, leaders: &Leaders, row: &Q5) -> bool {
        row.num < leaders.num
    }

    fn merge(&self, leaders: &mut Leaders, other: Leaders) {
        for auction in other.auctions {
            self.add(leaders, Q5 { auction, num: other.num });
        }
    }

    fn result(&self, leaders: &Leaders) -> Vec<Q5> {
        leaders.auctions.iter().map(|auction| Q5 { auction: *auction, num: leaders.num }).collect()
    }
}
