//! q6, average selling price by seller: over a seller's last auctions, what did they bring on average?
//!
//! There is one row for each auction that was bid on: the truncated average of its winning price and the ten
//! before it. A seller's auctions are ordered by the time of their winning bids, then by id. Flink cannot run
//! this query, since its `OVER` aggregates do not accept corrections; here a winning bid that is beaten is
//! taken back like any other change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::Event;
use super::super::rows::Q6;
use super::winning::{Listing, Sale, sales};
use crate::data::{Change, Diff};
use crate::stream::{Aggregate, Chain, Stream};
use crate::time::EventTime;

/// `SELECT seller, AVG(price) OVER (PARTITION BY seller ORDER BY dateTime ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)`
/// of the winning bids.
pub fn q6<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
) -> Stream<Change<Q6>, impl Chain<Out = Change<Q6>>> {
    let by_seller = sales(events).key_by(|change| change.record.1.of.seller);
    by_seller.aggregate(Recent).flat_map(|Change { record: (seller, averages), diff }| {
        averages.into_iter().map(move |average| Change { record: Q6 { seller, average }, diff })
    })
}

type Sold = Sale<Listing, ()>;

/// The averages over each of a seller's auctions and the ten before it.
#[derive(Clone)]
struct Recent;

/// Winning prices by time and auction, each with how often it is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Prices(BTreeMap<(EventTime, u64, u64), Diff>);

impl Aggregate<Change<(u64, Sold)>> for Recent {
    type Acc = Prices;
    type Out = Vec<u64>;
    const COMBINES: bool = false;

    fn start(&self, change: Change<(u64, Sold)>) -> Prices {
        let mut prices = Prices::default();
        self.add(&mut prices, change);
        prices
    }

    fn add(&self, prices: &mut Prices, Change { record: (auction, sale), diff }: Change<(u64, Sold)>) {
        let key = (sale.best.time, auction, sale.best.price);
        let count = prices.0.entry(key).or_default();
        *count += diff;
        if *count == 0 {
            prices.0.remove(&key);
        }
    }

    fn merge(&self, prices: &mut Prices, other: Prices) {
        for (key, diff) in other.0 {
            *prices.0.entry(key).or_default() += diff;
        }
        prices.0.retain(|_, diff| *diff != 0);
    }

    fn result(&self, prices: &Prices) -> Vec<u64> {
        let prices: Vec<u64> = prices.0.keys().map(|(_, _, price)| *price).collect();
        let recent = (0..prices.len()).map(|last| &prices[last.saturating_sub(10)..=last]);
        recent.map(|recent| recent.iter().sum::<u64>() / recent.len() as u64).collect()
    }

    fn is_empty(&self, prices: &Prices) -> bool {
        prices.0.is_empty()
    }
}
