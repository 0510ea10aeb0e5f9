//! q16, channel statistics: for each channel and day, how many bids came through it, by how many persons and
//! on how many auctions, at which prices?

use super::super::rows::Q16;
use super::super::{Day, Event};
use super::statistics::statistics;
use crate::data::Change;
use crate::stream::{Chain, Stream};

/// `SELECT channel, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, MAX(DATE_FORMAT(dateTime, 'HH:mm')) AS minute, COUNT(*), COUNT(DISTINCT bidder), COUNT(DISTINCT auction) FROM bid GROUP BY channel, day`,
/// and each count also `FILTER (WHERE price ...)` of three ranks: below 10,000, below 1,000,000, above.
pub fn q16<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
) -> Stream<Change<Q16>, impl Chain<Out = Change<Q16>>> {
    let by_channel_and_day = statistics(events, |bid| (bid.channel.clone(), Day::of(bid.date_time)));
    by_channel_and_day.map(|change| {
        change.map(|((channel, day), of)| {
            let [rank1_bids, rank2_bids, rank3_bids] = of.bids.ranks;
            let [rank1_bidders, rank2_bidders, rank3_bidders] = of.bidders.ranks;
            let [rank1_auctions, rank2_auctions, rank3_auctions] = of.auctions.ranks;
            Q16 {
                channel,
                day,
                minute: of.minute,
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
