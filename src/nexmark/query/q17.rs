//! q17, auction statistics: for each auction and day, how many bids were placed, and at which prices?

use serde::{Deserialize, Serialize};

use super::super::rows::Q17;
use super::super::{Day, Event};
use super::bids;
use super::statistics::rank;
use crate::data::Change;
use crate::stream::{Aggregate, Chain, Stream};

/// `SELECT auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, COUNT(*), MIN(price), MAX(price), AVG(price), SUM(price) FROM bid GROUP BY auction, day`,
/// and the count also `FILTER (WHERE price ...)` of three ranks: below 10,000, below 1,000,000, above.
pub fn q17<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
) -> Stream<Change<Q17>, impl Chain<Out = Change<Q17>>> {
    let by_auction_and_day = bids(events).key_by(|bid| (bid.auction, Day::of(bid.date_time)));
    let prices = by_auction_and_day.map_values(|bid| bid.price).aggregate(Report);
    prices.map(|change| {
        change.map(|((auction, day), prices)| {
            let [rank1_bids, rank2_bids, rank3_bids] = prices.ranks;
            let total_bids = rank1_bids + rank2_bids + rank3_bids;
            Q17 {
                auction,
                day,
                total_bids,
                rank1_bids,
                rank2_bids,
                rank3_bids,
                min_price: prices.min,
                max_price: prices.max,
                avg_price: prices.sum / total_bids.max(1),
                sum_price: prices.sum,
            }
        })
    })
}

/// The aggregate that sums up prices.
#[derive(Clone)]
struct Report;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Prices {
    /// How many there are of each rank.
    ranks: [u64; 3],
    min: u64,
    max: u64,
    /// No more than fits: prices that add up to more are not of this world.
    sum: u64,
}

impl Aggregate<u64> for Report {
    type Acc = Prices;
    type Out = Prices;

    fn start(&self, price: u64) -> Prices {
        let mut ranks = [0; 3];
        ranks[rank(price)] = 1;
        Prices { ranks, min: price, max: price, sum: price }
    }

    fn add(&self, prices: &mut Prices, price: u64) {
        prices.ranks[rank(price)] += 1;
        prices.min = prices.min.min(price);
        prices.max = prices.max.max(price);
        prices.sum = prices.sum.saturating_add(price);
    }

    fn merge(&self, prices: &mut Prices, other: Prices) {
        prices.ranks.iter_mut().zip(other.ranks).for_each(|(count, other)| *count += other);
        prices.min = prices.min.min(other.min);
        prices.max = prices.max.max(other.max);
        prices.sum = prices.sum.saturating_add(other.sum);
    }

    fn result(&self, prices: &Prices) -> Prices {
        prices.clone()
    }
}
