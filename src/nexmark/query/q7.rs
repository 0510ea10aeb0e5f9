//! q7, highest bid: the bids at the highest price of each ten seconds.
//!
//! The SQL takes the maximum over `[start, end)` and joins it with the bids in `[start, end]`: a bid at the
//! very end counts as a candidate for the window that it is not part of. So the windows here are a
//! millisecond longer than they follow each other, and the few bids on the border are kept apart until the
//! window says which of its two borders they lie on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::rows::Q7;
use super::super::{Bid, Event};
use super::bids;
use crate::stream::{Aggregate, Chain, Stream};
use crate::time::EventTime;
use crate::window::{Sliding, Windowed};

const SLIDE: Duration = Duration::from_secs(10);
const SIZE: Duration = Duration::from_millis(10_001);

/// `SELECT auction, bidder, price, dateTime, extra FROM bid JOIN (SELECT MAX(price) AS maxprice, window_end FROM TUMBLE(bid, 10 s) GROUP BY window) ON price = maxprice WHERE dateTime BETWEEN window_end - 10 s AND window_end`
pub fn q7<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q7, impl Chain<Out = Q7>> {
    let windows = bids(events).window_all(Sliding::of(SIZE, SLIDE)).aggregate(Highest);
    windows.flat_map(|Windowed { window, value: Candidates { inside, border, .. }, .. }| {
        let first = border.iter().filter(|bid| bid.date_time == window.start);
        let highest = inside.iter().chain(first).map(|bid| bid.price).max();
        inside.into_iter().chain(border).filter(move |bid| Some(bid.price) == highest)
    })
}

/// The highest bids between the borders, and all bids on them.
#[derive(Clone)]
struct Highest;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Candidates {
    price: u64,
    /// All at that price.
    inside: Vec<Q7>,
    border: Vec<Q7>,
}

impl Candidates {
    /// True if a bid cannot be the highest: nearly all can be told to be so at a glance.
    #[inline(always)]
    fn outbids(&self, price: u64, date_time: EventTime) -> bool {
        price < self.price && date_time % SLIDE.as_millis() as i64 != 0
    }

    #[cold]
    fn insert(&mut self, bid: Q7) {
        if bid.date_time % SLIDE.as_millis() as i64 == 0 {
            self.border.push(bid);
            return;
        }
        if bid.price > self.price {
            self.price = bid.price;
            self.inside.clear();
        }
        if bid.price == self.price {
            self.inside.push(bid);
        }
    }
}

impl Aggregate<Bid> for Highest {
    type Acc = Candidates;
    type Out = Candidates;

    // What `row` leaves of a bid can be in registers where it is inlined; called, it would want all bids in
    // memory.
    #[inline(always)]
    fn start(&self, bid: Bid) -> Candidates {
        let mut candidates = Candidates::default();
        candidates.insert(row(bid));
        candidates
    }

    #[inline(always)]
    fn add(&self, candidates: &mut Candidates, bid: Bid) {
        candidates.insert(row(bid));
    }

    #[inline(always)]
    fn ignores(&self, candidates: &Candidates, bid: &Bid) -> bool {
        candidates.outbids(bid.price, bid.date_time)
    }

    fn merge(&self, candidates: &mut Candidates, other: Candidates) {
        other.inside.into_iter().chain(other.border).for_each(|bid| candidates.insert(bid));
    }

    fn result(&self, candidates: &Candidates) -> Candidates {
        candidates.clone()
    }
}

#[inline(always)]
fn row(bid: Bid) -> Q7 {
    let Bid { auction, bidder, price, date_time, extra, .. } = bid;
    Q7 { auction, bidder, price, date_time, extra }
}
