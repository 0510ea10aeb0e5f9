//! Statistics of bids by group: the core that q15 and q16 share, `COUNT(*)` and `COUNT(DISTINCT ...)` with
//! filters.
//!
//! A count of what is distinct needs to know what it has counted. That is not kept in the group's
//! accumulator, which would grow with all the persons and auctions in the group and be copied at each epoch
//! that touches it, but as rolling state of its own: for each group and each bidder or auction in it, the
//! ranks of price that it was seen with. Of most bids that says nothing new. What is new becomes changes, and
//! the group adds up their signs. Both stages speak when an epoch closes and in that epoch, so the counts of
//! bids and those of what is distinct are always of the same bids.

use serde::{Deserialize, Serialize};

use super::super::{Bid, Event, Minute};
use super::bids;
use crate::data::{Change, Diff, Key};
use crate::stream::{Aggregate, Chain, Stream};

/// The numbers of bids of a group, of the persons who placed them and of the auctions they are on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Statistics {
    pub(super) bids: Ranked,
    pub(super) bidders: Ranked,
    pub(super) auctions: Ranked,
    /// The minute of the last bid.
    pub(super) minute: Minute,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ranked {
    pub(super) total: u64,
    /// How many with prices of each rank.
    pub(super) ranks: [u64; 3],
}

impl Ranked {
    /// There are so many more, or fewer, with these ranks.
    fn add(&mut self, ranks: Ranks, diff: Diff) {
        self.total = self.total.wrapping_add_signed(diff);
        for (rank, count) in self.ranks.iter_mut().enumerate() {
            *count = count.wrapping_add_signed(if ranks.contain(rank) { diff } else { 0 });
        }
    }

    fn merge(&mut self, other: Ranked) {
        self.total = self.total.wrapping_add(other.total);
        self.ranks.iter_mut().zip(other.ranks).for_each(|(count, other)| *count = count.wrapping_add(other));
    }
}

/// The statistics of each group, as changes. `group` says which one a bid belongs to.
pub(super) fn statistics<G, C, F>(events: Stream<Event, C>, group: F) -> Stream<Change<(G, Statistics)>>
where
    G: Key,
    C: Chain<Out = Event>,
    F: Fn(&Bid) -> G + Clone + Send + Sync + 'static,
{
    let bids = bids(events).map(move |bid| Placed::new(group(&bid), &bid)).share();
    let parties = bids.clone().flat_map(|bid| {
        let [bidder, auction] = [Party::Bidder(bid.bidder), Party::Auction(bid.auction)];
        [((bid.group.clone(), bidder), bid.ranks), ((bid.group, auction), bid.ranks)]
    });
    let seen = parties.key_by(|(party, _)| party.clone()).map_values(|(_, ranks)| ranks).aggregate(Seen);
    let seen = seen.map(|Change { record: ((group, party), ranks), diff }| {
        let kind = party.kind();
        (group, Fact { kind, ranks, diff, minute: Minute::default() })
    });
    let placed = bids.map(|bid| {
        let Placed { group, ranks, minute, .. } = bid;
        (group, Fact { kind: Kind::Bid, ranks, diff: 1, minute })
    });
    let facts = placed.union(seen).key_by(|(group, _)| group.clone());
    facts.map_values(|(_, fact)| fact).aggregate(Totals)
}

/// The rank of a price, from 0 on: below 10,000 cents, below 1,000,000, or above.
#[inline]
pub(super) fn rank(price: u64) -> usize {
    match price {
        ..10_000 => 0,
        10_000..1_000_000 => 1,
        _ => 2,
    }
}

/// Some ranks, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ranks(u8);

impl Ranks {
    fn contain(self, rank: usize) -> bool {
        self.0 >> rank & 1 == 1
    }
}

/// What is wanted of a bid.
#[derive(Clone)]
struct Placed<G> {
    group: G,
    bidder: u64,
    auction: u64,
    minute: Minute,
    ranks: Ranks,
}

impl<G> Placed<G> {
    fn new(group: G, bid: &Bid) -> Placed<G> {
        let Bid { bidder, auction, price, date_time, .. } = *bid;
        Placed { group, bidder, auction, minute: Minute::of(date_time), ranks: Ranks(1 << rank(price)) }
    }
}

/// Who or what has part in a bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Party {
    Bidder(u64),
    Auction(u64),
}

impl Party {
    fn kind(self) -> Kind {
        match self {
            Party::Bidder(_) => Kind::Bidder,
            Party::Auction(_) => Kind::Auction,
        }
    }
}

/// The ranks that a party was seen with.
#[derive(Clone)]
struct Seen;

impl Aggregate<Ranks> for Seen {
    type Acc = Ranks;
    type Out = Ranks;

    fn start(&self, ranks: Ranks) -> Ranks {
        ranks
    }

    fn add(&self, seen: &mut Ranks, ranks: Ranks) {
        seen.0 |= ranks.0;
    }

    #[inline]
    fn ignores(&self, seen: &Ranks, ranks: &Ranks) -> bool {
        seen.0 | ranks.0 == seen.0
    }

    fn merge(&self, seen: &mut Ranks, other: Ranks) {
        seen.0 |= other.0;
    }

    fn result(&self, seen: &Ranks) -> Ranks {
        *seen
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Bid,
    Bidder,
    Auction,
}

/// There is one more, or one fewer, with these ranks.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fact {
    kind: Kind,
    ranks: Ranks,
    diff: Diff,
    /// Of a bid. Other facts have the first one of the day, which says nothing.
    minute: Minute,
}

/// Adds up the facts of a group. What workers have combined may be below zero in part; the sum is not.
#[derive(Clone)]
struct Totals;

impl Aggregate<Fact> for Totals {
    type Acc = Statistics;
    type Out = Statistics;

    fn start(&self, fact: Fact) -> Statistics {
        let mut totals = Statistics::default();
        self.add(&mut totals, fact);
        totals
    }

    fn add(&self, totals: &mut Statistics, fact: Fact) {
        let ranked = match fact.kind {
            Kind::Bid => &mut totals.bids,
            Kind::Bidder => &mut totals.bidders,
            Kind::Auction => &mut totals.auctions,
        };
        ranked.add(fact.ranks, fact.diff);
        totals.minute = totals.minute.max(fact.minute);
    }

    fn merge(&self, totals: &mut Statistics, other: Statistics) {
        totals.bids.merge(other.bids);
        totals.bidders.merge(other.bidders);
        totals.auctions.merge(other.auctions);
        totals.minute = totals.minute.max(other.minute);
    }

    fn result(&self, totals: &Statistics) -> Statistics {
        totals.clone()
    }
}
