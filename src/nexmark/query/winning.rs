//! Winning bids: the core that q4 and q6 share.
//!
//! The winner of an auction is the highest bid that came while the auction was open. Bids can lie before their auction in
//! the input; these wait in the accumulator until the auction says whether they count.

use serde::{Deserialize, Serialize};

use super::super::{Auction, Bid, Event};
use crate::data::Change;
use crate::stream::{Aggregate, Chain, Stream};
use crate::time::EventTime;

/// What an auction has brought so far.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Sale {
    pub(super) category: u64,
    pub(super) seller: u64,
    pub(super) best: Offer,
}

/// A bid. The higher price is the better, then the earlier time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) price: u64,
    pub(super) time: EventTime,
}

/// The sale of each auction that has a winner, by the auction's id, as changes.
pub(super) fn sales<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
) -> Stream<Change<(u64, Sale)>, impl Chain<Out = Change<(u64, Sale)>>> {
    let lots = events.filter_map(|event| match event {
        Event::Auction(auction) => Some((auction.id, Lot::Listed(Terms::of(&auction)))),
        Event::Bid(bid) => Some((bid.auction, Lot::Offered(Offer::of(&bid)))),
        Event::Person(_) => None,
    });
    let by_auction = lots.key_by(|(auction, _)| *auction).map_values(|(_, lot)| lot);
    let won = by_auction.aggregate(Winning);
    won.filter_map(|change| change.filter_map(|(auction, sale)| Some((auction, sale?))))
}

/// What happens to an auction.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Lot {
    Listed(Terms),
    Offered(Offer),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Terms {
    opens: EventTime,
    /// The last moment at which a bid counts.
    expires: EventTime,
    category: u64,
    seller: u64,
}

impl Terms {
    fn of(auction: &Auction) -> Terms {
        let Auction { date_time, expires, category, seller, .. } = *auction;
        Terms { opens: date_time, expires, category, seller }
    }

    #[inline]
    fn allow(&self, offer: &Offer) -> bool {
        self.opens <= offer.time && offer.time <= self.expires
    }
}

impl Offer {
    fn of(bid: &Bid) -> Offer {
        Offer { price: bid.price, time: bid.date_time }
    }

    #[inline]
    fn beats(&self, other: &Offer) -> bool {
        self.price > other.price || (self.price == other.price && self.time < other.time)
    }
}

/// The aggregate that finds the winner.
#[derive(Clone)]
struct Winning;

/// What is known of an auction.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    terms: Option<Terms>,
    best: Option<Offer>,
    /// Bids from before the auction was listed; none is later than the last of them.
    early: Vec<Offer>,
}

impl Known {
    /// True if the auction is known and the bid does not win it.
    #[inline]
    fn loses(&self, offer: &Offer) -> bool {
        let beaten = || self.best.is_some_and(|best| !offer.beats(&best));
        self.terms.is_some_and(|terms| !terms.allow(offer) || beaten())
    }

    fn offer(&mut self, offer: Offer) {
        match self.terms {
            None => {
                let place = match self.early.last() {
                    Some(last) if offer.time < last.time => self.early.len() - 1,
                    _ => self.early.len(),
                };
                self.early.insert(place, offer);
            }
            Some(_) if self.loses(&offer) => {}
            Some(_) => self.best = Some(offer),
        }
    }

    #[inline(never)]
    fn list(&mut self, terms: Terms) {
        self.terms = Some(terms);
        for offer in std::mem::take(&mut self.early) {
            self.offer(offer);
        }
    }
}

impl Aggregate<Lot> for Winning {
    type Acc = Known;
    type Out = Option<Sale>;
    const COMBINES: bool = false;

    fn start(&self, lot: Lot) -> Known {
        let mut known = Known::default();
        self.add(&mut known, lot);
        known
    }

    #[inline]
    fn add(&self, known: &mut Known, lot: Lot) {
        match lot {
            Lot::Listed(terms) => known.list(terms),
            Lot::Offered(offer) => known.offer(offer),
        }
    }

    #[inline]
    fn ignores(&self, known: &Known, lot: &Lot) -> bool {
        matches!(lot, Lot::Offered(offer) if known.loses(offer))
    }

    fn merge(&self, known: &mut Known, other: Known) {
        if let Some(terms) = other.terms {
            known.list(terms);
        }
        other.best.into_iter().chain(other.early).for_each(|offer| known.offer(offer));
    }

    fn result(&self, known: &Known) -> Option<Sale> {
        let (Terms { category, seller, .. }, best) = (known.terms?, known.best?);
        Some(Sale { category, seller, best })
    }

    /// Once event time has passed the last moment of an auction, no bid can count. And a bid whose auction is unknown
    /// waits for it only as long as an auction that opened before the bid may come.
    fn expires(&self, known: &Known) -> Option<EventTime> {
        let early = || known.early.last().map(|offer| offer.time);
        known.terms.map(|terms| terms.expires).or_else(early).map(|last| last + 1)
    }
}
