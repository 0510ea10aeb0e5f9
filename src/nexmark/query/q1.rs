//! q1, currency conversion: every bid with its price in euros.

use super::super::Event;
use super::super::rows::Q1;
use super::bids;
use crate::stream::{Chain, Stream};

/// `SELECT auction, bidder, 0.908 * price, dateTime, extra FROM bid`
pub fn q1<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q1, impl Chain<Out = Q1>> {
    bids(events).map(|bid| Q1 {
        auction: bid.auction,
        bidder: bid.bidder,
        price_thousandths: Q1::convert(bid.price),
        date_time: bid.date_time,
        extra: bid.extra,
    })
}
