//! q20: bids and the auctions of one category meet by the auction's id, whichever comes first.
//!
//! Every bid is kept, since its auction may come later and be of that category.

use highwater::nexmark::rows::Q20;
use highwater::nexmark::{Auction, Bid, Event, File};
use serde::{Deserialize, Serialize};

use super::{Map, Outcome, Reduce, Size, State, execute, forget};

/// One side of the join.
#[derive(Serialize, Deserialize)]
enum Side {
    Bid(Bid),
    Auction(Auction),
}

/// What is known of an auction.
#[derive(Default)]
struct Known {
    auction: Option<Auction>,
    bids: Vec<Bid>,
}

#[derive(Default)]
struct Join(Map<u64, Known>);

impl State for Join {
    type In = Side;
    type Out = Q20;

    #[inline]
    fn push(&mut self, side: Side, mut out: impl FnMut(Q20)) {
        match side {
            Side::Bid(bid) => {
                let known = self.0.entry(bid.auction).or_default();
                if let Some(auction) = &known.auction {
                    out(Q20::of(bid.clone(), auction.clone()));
                }
                known.bids.push(bid);
            }
            Side::Auction(auction) => {
                let known = self.0.entry(auction.id).or_default();
                known.bids.iter().for_each(|bid| out(Q20::of(bid.clone(), auction.clone())));
                known.auction = Some(auction);
            }
        }
    }
}

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Side;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Side)) {
        match event {
            Event::Bid(bid) => out(Side::Bid(bid)),
            Event::Auction(auction) if auction.category == 10 => out(Side::Auction(auction)),
            _ => forget(event),
        }
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let sides = job.source(scope, Project);
        let auction = |side: &Side| match side {
            Side::Bid(bid) => bid.auction,
            Side::Auction(auction) => auction.id,
        };
        job.sink(job.keyed(sides, auction, Join::default()));
    })
}
