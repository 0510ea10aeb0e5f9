//! q2: the source keeps the few bids that are asked for.

use highwater::nexmark::rows::Q2;
use highwater::nexmark::{Bid, Event, File};

use super::{Outcome, Reduce, Size, execute, forget};

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Q2;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Q2)) {
        if let Event::Bid(Bid { auction, price, .. }) = event
            && auction % 123 == 0
        {
            out(Q2 { auction, price });
        }
        forget(event);
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let rows = job.source(scope, Project);
        job.sink(rows);
    })
}
