//! q7: the source keeps the highest bids of a window so far and sends them when an epoch ends; they meet
//! the other workers' by window.
//!
//! A bid at the very moment at which a window ends also joins that window if it equals its highest price, so
//! those bids are sent to it as well.

use std::collections::BTreeMap;

use highwater::nexmark::rows::Q7;
use highwater::nexmark::{Bid, Event, File};
use serde::{Deserialize, Serialize};

use super::{Outcome, Reduce, Size, State, execute, forget};

const WINDOW: i64 = 10_000;

/// A bid for a window: of it, or just after it.
#[derive(Serialize, Deserialize)]
struct Candidate {
    window: i64,
    member: bool,
    row: Q7,
}

#[derive(Default)]
struct Highest {
    window: i64,
    price: u64,
    held: Vec<Candidate>,
}

impl Highest {
    /// Out of line: seldom called, and an event should not be kept for it.
    #[cold]
    #[inline(never)]
    fn keep(&mut self, row: Q7) {
        let Q7 { price, date_time, .. } = row;
        let window = date_time.div_euclid(WINDOW);
        if date_time == window * WINDOW {
            self.held.push(Candidate { window: window - 1, member: false, row: row.clone() });
        }
        if window != self.window {
            (self.window, self.price) = (window, 0);
        }
        if price >= self.price {
            if price > self.price {
                self.held.retain(|held| held.window != window);
            }
            self.price = price;
            self.held.push(Candidate { window, member: true, row });
        }
    }
}

impl Reduce for Highest {
    type Out = Candidate;

    #[inline(always)]
    fn event(&mut self, event: Event, _: impl FnMut(Candidate)) {
        if let Event::Bid(Bid { auction, bidder, price, date_time, ref extra, .. }) = event {
            let since = date_time.wrapping_sub(self.window * WINDOW);
            if price >= self.price || since <= 0 || since >= WINDOW {
                self.keep(Q7 { auction, bidder, price, date_time, extra: extra.clone() });
            }
        }
        forget(event);
    }

    fn flush(&mut self, out: impl FnMut(Candidate)) {
        self.held.drain(..).for_each(out);
    }
}

#[derive(Default)]
struct Window {
    price: u64,
    members: Vec<Q7>,
    after: Vec<Q7>,
}

#[derive(Default)]
struct Windows(BTreeMap<i64, Window>);

impl State for Windows {
    type In = Candidate;
    type Out = Q7;

    fn push(&mut self, Candidate { window, member, row }: Candidate, _: impl FnMut(Q7)) {
        let window = self.0.entry(window).or_default();
        if !member {
            return window.after.push(row);
        }
        if row.price > window.price {
            window.price = row.price;
            window.members.clear();
        }
        if row.price == window.price {
            window.members.push(row);
        }
    }

    fn advance(&mut self, watermark: i64, mut out: impl FnMut(Q7)) {
        while let Some(first) = self.0.first_entry()
            && (first.key() + 1) * WINDOW < watermark
        {
            let Window { price, members, after } = first.remove();
            let known = !members.is_empty();
            members
                .into_iter()
                .chain(after.into_iter().filter(|row| known && row.price == price))
                .for_each(&mut out);
        }
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let candidates = job.source(scope, Highest::default());
        job.sink(job.keyed(candidates, |candidate| candidate.window as u64, Windows::default()));
    })
}
