//! q0: every bid goes from the source to the sink.

use highwater::nexmark::rows::Q0;
use highwater::nexmark::{Event, File};

use super::{Outcome, Reduce, Size, execute};

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Q0;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Q0)) {
        match event {
            Event::Bid(bid) => out(Q0 {
                auction: bid.auction,
                bidder: bid.bidder,
                price: bid.price,
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
