//! q5: bids are counted per auction and slice of two seconds, in the source for each epoch and then by
//! auction; a window is its five slices, of which one enters and one leaves at each step.
//!
//! Each worker finds the auctions with the most bids among its own; the best of those are the answer.

use std::collections::BTreeMap;

use highwater::nexmark::rows::Q5;
use highwater::nexmark::{Bid, Event, File};

use super::{Map, Outcome, Reduce, Size, State, execute, forget};

const SLICE: i64 = 2_000;
const SLICES: i64 = 5;

/// A slice, or the last slice of a window, with an auction and its number of bids.
type Count = (i64, u64, u64);

/// Counts the bids of an epoch in a table with one place for each auction; an auction that wants the place of
/// another sends that one on its way. Ids are dense, so that hardly happens, and nothing needs hashing.
struct Combine {
    slice: i64,
    places: Box<[(u64, u64); PLACES]>,
}

const PLACES: usize = 2048;

impl Combine {
    #[inline(always)]
    fn count(&mut self, auction: u64, date_time: i64, mut out: impl FnMut(Count)) {
        if date_time.wrapping_sub(self.slice * SLICE) as u64 >= SLICE as u64 {
            self.flush_all(&mut out);
            self.slice = date_time.div_euclid(SLICE);
        }
        let (held, count) = &mut self.places[auction as usize % PLACES];
        if *held != auction {
            if *count > 0 {
                out((self.slice, *held, *count));
            }
            (*held, *count) = (auction, 0);
        }
        *count += 1;
    }

    #[cold]
    #[inline(never)]
    fn flush_all(&mut self, mut out: impl FnMut(Count)) {
        for (auction, count) in self.places.iter_mut().filter(|(_, count)| *count > 0) {
            out((self.slice, *auction, std::mem::take(count)));
        }
    }
}

impl Reduce for Combine {
    type Out = Count;

    #[inline(always)]
    fn event(&mut self, event: Event, out: impl FnMut(Count)) {
        if let Event::Bid(Bid { auction, date_time, .. }) = event {
            self.count(auction, date_time, out);
        }
        forget(event);
    }

    fn flush(&mut self, out: impl FnMut(Count)) {
        self.flush_all(out);
    }
}

#[derive(Default)]
struct Windows {
    slices: BTreeMap<i64, Map<u64, u64>>,
    /// The counts of the five slices before `next`.
    window: Map<u64, u64>,
    next: i64,
}

impl Windows {
    /// The next slice enters, and the counts of the window that it completes are looked at.
    fn step(&mut self, mut out: impl FnMut(Count)) {
        for (&auction, &count) in self.slices.get(&self.next).into_iter().flatten() {
            *self.window.entry(auction).or_default() += count;
        }
        let most = self.window.values().copied().max();
        for (&auction, &count) in &self.window {
            if Some(count) == most {
                out((self.next, auction, count));
            }
        }
        for (auction, count) in self.slices.remove(&(self.next - SLICES + 1)).into_iter().flatten() {
            if let hashbrown::hash_map::Entry::Occupied(mut entry) = self.window.entry(auction) {
                *entry.get_mut() -= count;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        self.next += 1;
    }
}

impl State for Windows {
    type In = Count;
    type Out = Count;

    fn push(&mut self, (slice, auction, count): Count, _: impl FnMut(Count)) {
        *self.slices.entry(slice).or_default().entry(auction).or_default() += count;
    }

    fn advance(&mut self, watermark: i64, mut out: impl FnMut(Count)) {
        while let Some((&first, _)) = self.slices.first_key_value() {
            if self.window.is_empty() {
                self.next = first;
            }
            if (self.next + 1) * SLICE > watermark {
                break;
            }
            self.step(&mut out);
        }
    }
}

/// The auctions with the most bids in each window that is not over.
#[derive(Default)]
struct Best(BTreeMap<i64, (u64, Vec<u64>)>);

impl State for Best {
    type In = Count;
    type Out = Q5;

    fn push(&mut self, (window, auction, count): Count, _: impl FnMut(Q5)) {
        let (most, auctions) = self.0.entry(window).or_default();
        if count > *most {
            *most = count;
            auctions.clear();
        }
        if count == *most {
            auctions.push(auction);
        }
    }

    fn advance(&mut self, watermark: i64, mut out: impl FnMut(Q5)) {
        while let Some(first) = self.0.first_entry()
            && (first.key() + 1) * SLICE <= watermark
        {
            let (num, auctions) = first.remove();
            auctions.into_iter().for_each(|auction| out(Q5 { auction, num }));
        }
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let counts = job.source(scope, Combine { slice: 0, places: Box::new([(0, 0); PLACES]) });
        let best = job.keyed(counts, |count| count.1, Windows::default());
        job.sink(job.keyed(best, |count| count.0 as u64, Best::default()));
    })
}
