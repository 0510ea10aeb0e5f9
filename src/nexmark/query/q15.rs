//! q15, bidding statistics: for each day, how many bids were placed, by how many persons and on how many
//! auctions, at which prices?

use super::super::rows::Q15;
use super::super::{Day, Event};
use super::statistics::statistics;
use crate::data::Change;
use crate::stream::{Chain, Stream};

/// `SELECT DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, COUNT(*), COUNT(DISTINCT bidder), COUNT(DISTINCT auction) FROM bid GROUP BY day`,
/// and each count also `FILTER (WHERE price ...)` of three ranks: below 10,000, below 1,000,000, above.
pub fn q15<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
) -> Stream<Change<Q15>, impl Chain<Out = Change<Q15>>> {
    let by_day = statistics(events, |bid| Day::of(bid.date_time));
    by_day.map(|change| {
        change.map(|(day, of)| {
            let [rank1_bids, rank2_bids, rank3_bids] = of.bids.ranks;
            let [rank1_bidders, rank2_bidders, rank3_bidders] = of.bidders.ranks;
            let [rank1_auctions, rank2_auctions, rank3_auctions] = of.auctions.ranks;
            Q15 {
                day,
                total_bids: of.bids.total,
                rank1_bids,
                rank2_bids,
                rank3_bids,
                total_bidders: of.bidders.total,
                rank1_bidders,
                rank2_bidders,
                rank3_bidders,
                total_auctions: of.auctions.total,
                rank1_auctions,
                rank2_auctions,
                rank3_auctions,
            }
        })
    })
}
