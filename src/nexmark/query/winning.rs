//! Winning bids: the core that q4, q6 and q9 share.
//!
//! The winner of an auction is the highest bid that came while the auction was open; of several, the
//! earliest. Bids can lie before their auction in the input; these wait in the accumulator until the auction
//! says whether they count.

use serde::{Deserialize, Serialize};

use super::super::{Auction, Event};
use crate::data::{Change, Exchange};
use crate::stream::{Aggregate, Chain, Stream};
use crate::time::EventTime;

/// What an auction has brought so far: what a query wants to know of it, and the best bid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Sale<A, B> {
    pub(super) of: A,
    pub(super) best: Offer<B>,
}

/// A bid. The higher price is the better, then the earlier time, then the lesser of what else a query wants
/// to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Offer<B> {
    pub(super) price: u64,
    pub(super) time: EventTime,
    pub(super) by: B,
}

/// What happens to an auction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Lot<A, B> {
    Listed(Terms<A>),
    Offered(Offer<B>),
}

/// When bids on an auction count.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Terms<A> {
    pub(super) opens: EventTime,
    /// The last moment at which a bid counts.
    pub(super) expires: EventTime,
    pub(super) of: A,
}

/// What q4 and q6 want to know of an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Listing {
    pub(super) category: u64,
    pub(super) seller: u64,
}

/// The sale of each auction that has a winner, by the auction's id, as changes.
#[allow(clippy::type_complexity, reason = "what a stream consists of is told in its type")]
pub(super) fn sales<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
) -> Stream<Change<(u64, Sale<Listing, ()>)>, impl Chain<Out = Change<(u64, Sale<Listing, ()>)>>> {
    winners(events.filter_map(|event| match event {
        Event::Auction(auction) => {
            let Auction { id, date_time, expires, category, seller, .. } = auction;
            let of = Listing { category, seller };
            Some((id, Lot::Listed(Terms { opens: date_time, expires, of })))
        }
        Event::Bid(bid) => {
            Some((bid.auction, Lot::Offered(Offer { price: bid.price, time: bid.date_time, by: () })))
        }
        Event::Person(_) => None,
    }))
}

/// The sale of each auction that has a winner, by the auction's id, as changes; from what happens to each.
#[allow(clippy::type_complexity, reason = "what a stream consists of is told in its type")]
pub(super) fn winners<A, B, C>(
    lots: Stream<(u64, Lot<A, B>), C>,
) -> Stream<Change<(u64, Sale<A, B>)>, impl Chain<Out = Change<(u64, Sale<A, B>)>>>
where
    A: Exchange + PartialEq,
    B: Exchange + Ord,
    C: Chain<Out = (u64, Lot<A, B>)>,
{
    let by_auction = lots.key_by(|(auction, _)| *auction).map_values(|(_, lot)| lot);
    let won = by_auction.aggregate(Winning);
    won.filter_map(|change| change.filter_map(|(auction, sale)| Some((auction, sale?))))
}

impl<A> Terms<A> {
    #[inline]
    fn allow<B>(&self, offer: &Offer<B>) -> bool {
        self.opens <= offer.time && offer.time <= self.expires
    }
}

impl<B: Ord> Offer<B> {
    #[inline]
    fn beats(&self, other: &Offer<B>) -> bool {
        let sooner = || (self.time, &self.by) < (other.time, &other.by);
        self.price > other.price || (self.price == other.price && sooner())
    }
}

/// The aggregate that finds the winner.
#[derive(Clone)]
struct Winning;

/// What is known of an auction.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known<A, B> {
    terms: Option<Terms<A>>,
    best: Option<Offer<B>>,
    /// Bids from before the auction was listed; none is later than the last of them.
    early: Vec<Offer<B>>,
}

impl<A, B: Ord> Known<A, B> {
    /// True if the auction is known and the bid does not win it.
    #[inline]
    fn loses(&self, offer: &Offer<B>) -> bool {
        let beaten = || self.best.as_ref().is_some_and(|best| !offer.beats(best));
        self.terms.as_ref().is_some_and(|terms| !terms.allow(offer) || beaten())
    }

    fn offer(&mut self, offer: Offer<B>) {
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
    fn list(&mut self, terms: Terms<A>) {
        self.terms = Some(terms);
        for offer in std::mem::take(&mut self.early) {
            self.offer(offer);
        }
    }
}

impl<A: Exchange + PartialEq, B: Exchange + Ord> Aggregate<Lot<A, B>> for Winning {
    type Acc = Known<A, B>;
    type Out = Option<Sale<A, B>>;
    const COMBINES: bool = false;

    fn start(&self, lot: Lot<A, B>) -> Known<A, B> {
        let mut known = Known { terms: None, best: None, early: Vec::new() };
        self.add(&mut known, lot);
        known
    }

    #[inline]
    fn add(&self, known: &mut Known<A, B>, lot: Lot<A, B>) {
        match lot {
            Lot::Listed(terms) => known.list(terms),
            Lot::Offered(offer) => known.offer(offer),
        }
    }

    #[inline]
    fn ignores(&self, known: &Known<A, B>, lot: &Lot<A, B>) -> bool {
        matches!(lot, Lot::Offered(offer) if known.loses(offer))
    }

    fn merge(&self, known: &mut Known<A, B>, other: Known<A, B>) {
        if let Some(terms) = other.terms {
            known.list(terms);
        }
        other.best.into_iter().chain(other.early).for_each(|offer| known.offer(offer));
    }

    fn result(&self, known: &Known<A, B>) -> Option<Sale<A, B>> {
        let (terms, best) = known.terms.as_ref().zip(known.best.as_ref())?;
        Some(Sale { of: terms.of.clone(), best: best.clone() })
    }

    /// Once event time has passed the last moment of an auction, no bid can count. And a bid whose auction is
    /// unknown waits for it only as long as an auction that opened before the bid may come.
    fn expires(&self, known: &Known<A, B>) -> Option<EventTime> {
        let early = || known.early.last().map(|offer| offer.time);
        known.terms.as_ref().map(|terms| terms.expires).or_else(early).map(|last| last.saturating_add(1))
    }
}
