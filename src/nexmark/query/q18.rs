//! q18, last bid: the last bid of each person on each auction.
//!
//! A person may bid twice within a millisecond, and `ROW_NUMBER` leaves open which of the two is the last
//! one. Nothing in a bid tells. Here it is the one that came last, as in Flink; so the events come with their
//! numbers.

use super::super::rows::Q18;
use super::super::{Bid, Event};
use super::numbered_bids;
use crate::data::Change;
use crate::stream::{Chain, Stream};

/// `SELECT auction, bidder, price, channel, url, dateTime, extra FROM bid` of the first by
/// `ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC)`
pub fn q18<C: Chain<Out = (u64, Event)>>(
    events: Stream<(u64, Event), C>,
) -> Stream<Change<Q18>, impl Chain<Out = Change<Q18>>> {
    let by_bidder_and_auction = numbered_bids(events).key_by(|(_, bid)| (bid.bidder, bid.auction));
    let last = by_bidder_and_auction.max_by(|(number, bid)| (bid.date_time, *number));
    last.map(|change| {
        change.map(|(_, (_, bid))| {
            let Bid { auction, bidder, price, channel, url, date_time, extra } = bid;
            Q18 { auction, bidder, price, channel, url, date_time, extra }
        })
    })
}
