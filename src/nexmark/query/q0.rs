//! q0, pass through: every bid as it is.
//!
//! It measures what it costs to carry an event from the source to the sink.

use super::super::Event;
use super::super::rows::Q0;
use super::bids;
use crate::stream::{Chain, Stream};

/// `SELECT auction, bidder, price, dateTime, extra FROM bid`
pub fn q0<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q0, impl Chain<Out = Q0>> {
    bids(events).map(|bid| Q0 {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        date_time: bid.date_time,
        extra: bid.extra,
    })
}
