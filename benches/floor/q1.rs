//! q1: every bid, with its price converted on the way out of the source.

use highwater::nexmark::rows::Q1;
use highwater::nexmark::{Bid, Event, File};

use super::{Outcome, Reduce, Size, execute, forget};

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Q1;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Q1)) {
        match event {
            Event::Bid(Bid { auction, bidder, price, date_time, extra, .. }) => {
                out(Q1 { auction, bidder, price_thousandths: Q1::convert(price), date_time, extra });
            }
            Event::Auction(_) | Event::Person(_) => forget(event),
        }
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let rows = job.source(scope, Project);
        job.sink(rows);
    })
}
