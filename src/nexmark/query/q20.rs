//! q20, bids with their auctions: every bid on an item of category 10, with what is known of the item.
//!
//! A join without bound in time: a bid may come before or after its auction is listed, so both are kept for
//! ever, and that is every bid, since nothing says that an auction which is not listed yet will be of another
//! category.

use serde::{Deserialize, Serialize};

use super::super::rows::Q20;
use super::super::{Auction, Bid, Event};
use super::bids;
use crate::data::Text;
use crate::stream::{Chain, Stream};
use crate::time::EventTime;

/// `SELECT auction, bidder, price, channel, url, B.dateTime, B.extra, itemName, description, initialBid, reserve, A.dateTime, expires, seller, category, A.extra FROM bid B JOIN auction A ON B.auction = A.id WHERE A.category = 10`
pub fn q20<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q20, impl Chain<Out = Q20>> {
    let items = events.clone().filter_map(|event| match event {
        Event::Auction(auction) if auction.category == 10 => Some(auction),
        _ => None,
    });
    let bids = bids(events).key_by(|bid| bid.auction).map_values(Offer::of);
    bids.join(items.key_by(|auction| auction.id), |_, offer, auction| row(offer.clone(), auction.clone()))
}

/// A bid without its auction, which it is kept by. The time comes first: rows are sorted, and it tells them
/// apart soonest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Offer {
    date_time: EventTime,
    bidder: u64,
    price: u64,
    channel: Text,
    url: Text,
    extra: Text,
}

impl Offer {
    fn of(bid: Bid) -> Offer {
        let Bid { auction: _, bidder, price, channel, url, date_time, extra } = bid;
        Offer { date_time, bidder, price, channel, url, extra }
    }
}

fn row(bid: Offer, auction: Auction) -> Q20 {
    Q20 {
        auction: auction.id,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel,
        url: bid.url,
        bid_date_time: bid.date_time,
        bid_extra: bid.extra,
        item_name: auction.item_name,
        description: auction.description,
        initial_bid: auction.initial_bid,
        reserve: auction.reserve,
        auction_date_time: auction.date_time,
        expires: auction.expires,
        seller: auction.seller,
        category: auction.category,
        auction_extra: auction.extra,
    }
}
