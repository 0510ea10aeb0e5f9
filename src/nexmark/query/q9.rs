//! q9, winning bids: each auction with the bid that wins it.
//!
//! `ROW_NUMBER` leaves open which of two rows comes first that are alike in what it orders by. Here it is the
//! bid that came first, as in Flink; so the events come with their numbers.

use serde::{Deserialize, Serialize};

use super::super::rows::Q9;
use super::super::{Auction, Event};
use super::winning::{Lot, Offer, Sale, Terms, winners};
use crate::data::{Change, Text};
use crate::stream::{Chain, Stream};

/// `SELECT A.*, B.auction, B.bidder, B.price, B.dateTime, B.extra` of the first by
/// `ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC, B.dateTime ASC)` in
/// `FROM auction A, bid B WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires`
pub fn q9<C: Chain<Out = (u64, Event)>>(
    events: Stream<(u64, Event), C>,
) -> Stream<Change<Q9>, impl Chain<Out = Change<Q9>>> {
    let lots = events.filter_map(|(number, event)| match event {
        Event::Auction(auction) => {
            let (opens, expires) = (auction.date_time, auction.expires);
            Some((auction.id, Lot::Listed(Terms { opens, expires, of: auction })))
        }
        Event::Bid(bid) => {
            let by = Bidding { number, bidder: bid.bidder, extra: bid.extra };
            Some((bid.auction, Lot::Offered(Offer { price: bid.price, time: bid.date_time, by })))
        }
        Event::Person(_) => None,
    });
    winners(lots).map(|change| change.map(|(_, sale)| row(sale)))
}

/// What a row tells of a bid besides its price and time. The number comes first: it orders bids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Bidding {
    number: u64,
    bidder: u64,
    extra: Text,
}

fn row(Sale { of, best }: Sale<Auction, Bidding>) -> Q9 {
    Q9 {
        id: of.id,
        item_name: of.item_name,
        description: of.description,
        initial_bid: of.initial_bid,
        reserve: of.reserve,
        date_time: of.date_time,
        expires: of.expires,
        seller: of.seller,
        category: of.category,
        extra: of.extra,
        auction: of.id,
        bidder: best.by.bidder,
        price: best.price,
        bid_date_time: best.time,
        bid_extra: best.by.extra,
    }
}
