//! q1: every bid, with its price converted on the way out of the source.

use highwater::nexmark::rows::Q1;
use highwater::nexmark::{Event, File};

use super::{Outcome, Reduce, Size, execute};

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Q1;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Q1)) {
        match event {
            Event::Bid(bid) => out(Q1 {
                auction: bid.auction,
                bidder: bid.bidder,
                price_thousandths: Q1::convert(bid.price),
                date_time: bid.date_time,
                extra: bid.extra,
            }),
            _ => (),
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
