//! q4: bids meet their auction and raise its price; when the watermark has passed its close, the price
//! counts for its category.
//!
//! A bid whose auction is unknown waits for as long as the auction may yet come, which is until the watermark
//! has passed the bid. A category's sum leaves each worker once per epoch; averages are made at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use highwater::nexmark::rows::Q4;
use highwater::nexmark::{Auction, Bid, Event, File};
use serde::{Deserialize, Serialize};

use super::{Map, Outcome, Reduce, Size, State, execute, forget};

#[derive(Serialize, Deserialize)]
enum Side {
    Auction { id: u64, category: u64, date_time: i64, expires: i64 },
    Bid { auction: u64, price: u64, date_time: i64 },
}

struct Open {
    category: u64,
    date_time: i64,
    expires: i64,
    /// The highest offer in time.
    price: Option<u64>,
}

impl Open {
    #[inline]
    fn bid(&mut self, price: u64, date_time: i64) {
        if (self.date_time..=self.expires).contains(&date_time) {
            self.price = self.price.max(Some(price));
        }
    }
}

/// A category with the sum and the number of some of its prices.
type Sum = (u64, u64, u64);

#[derive(Default)]
struct Prices {
    open: Map<u64, Open>,
    closing: BinaryHeap<Reverse<(i64, u64)>>,
    early: Map<u64, Vec<(u64, i64)>>,
    watermark: i64,
}

impl State for Prices {
    type In = Side;
    type Out = Sum;

    #[inline]
    fn push(&mut self, side: Side, _: impl FnMut(Sum)) {
        match side {
            Side::Bid { auction, price, date_time } => match self.open.get_mut(&auction) {
                Some(open) => open.bid(price, date_time),
                None if date_time < self.watermark => (),
                None => self.early.entry(auction).or_default().push((price, date_time)),
            },
            Side::Auction { id, category, date_time, expires } => {
                let mut open = Open { category, date_time, expires, price: None };
                for (price, date_time) in self.early.remove(&id).unwrap_or_default() {
                    open.bid(price, date_time);
                }
                self.open.insert(id, open);
                self.closing.push(Reverse((expires, id)));
            }
        }
    }

    fn advance(&mut self, watermark: i64, out: impl FnMut(Sum)) {
        self.watermark = watermark;
        let mut sums: Map<u64, (u64, u64)> = Map::default();
        while let Some(&Reverse((expires, id))) = self.closing.peek()
            && expires < watermark
        {
            self.closing.pop();
            if let Some(Open { category, price: Some(price), .. }) = self.open.remove(&id) {
                let (sum, count) = sums.entry(category).or_default();
                *sum += price;
                *count += 1;
            }
        }
        self.early.retain(|_, bids| {
            bids.retain(|&(_, date_time)| date_time >= watermark);
            !bids.is_empty()
        });
        sums.into_iter().map(|(category, (sum, count))| (category, sum, count)).for_each(out);
    }
}

#[derive(Default)]
struct Averages(Map<u64, (u64, u64)>);

impl State for Averages {
    type In = Sum;
    type Out = Q4;

    fn push(&mut self, (category, more, prices): Sum, _: impl FnMut(Q4)) {
        let (sum, count) = self.0.entry(category).or_default();
        *sum += more;
        *count += prices;
    }

    fn advance(&mut self, watermark: i64, out: impl FnMut(Q4)) {
        if watermark == i64::MAX {
            self.0.drain().map(|(id, (sum, count))| Q4 { id, average: sum / count }).for_each(out);
        }
    }
}

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Side;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Side)) {
        match event {
            Event::Bid(Bid { auction, price, date_time, .. }) => {
                out(Side::Bid { auction, price, date_time });
            }
            Event::Auction(Auction { id, category, date_time, expires, .. }) => {
                out(Side::Auction { id, category, date_time, expires });
            }
            Event::Person(_) => (),
        }
        forget(event);
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let sides = job.source(scope, Project);
        let auction = |side: &Side| match side {
            Side::Auction { id, .. } => *id,
            Side::Bid { auction, .. } => *auction,
        };
        let sums = job.keyed(sides, auction, Prices::default());
        job.sink(job.keyed(sums, |sum| sum.0, Averages::default()));
    })
}
