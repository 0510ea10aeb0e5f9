//! q2, selection: the bids on some auctions.

use super::super::Event;
use super::super::rows::Q2;
use super::bids;
use crate::stream::{Chain, Stream};

/// `SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0`
pub fn q2<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q2, impl Chain<Out = Q2>> {
    bids(events).filter(|bid| bid.auction % 123 == 0).map(|bid| Q2 { auction: bid.auction, price: bid.price })
}
