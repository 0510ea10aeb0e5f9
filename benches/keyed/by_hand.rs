//! The floors: plain timely with hash maps, its times the event times, its frontiers the watermarks.
//!
//! There are no snapshots, no time to live and no late records, and what is done is written out for the case.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::operators::probe::{Handle, Probe};

use crate::numbers::{Numbers, mix, time};

pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// What a floor does with its records.
pub(crate) trait Hand: Default + 'static {
    /// Takes a key and a number in.
    fn take(&mut self, key: u64, n: u64, out: &mut Vec<u64>);

    /// No record is of before `watermark` any more.
    fn advance(&mut self, _watermark: u64, _out: &mut Vec<u64>) {}
}

/// Seconds that a floor takes, and the sum of what it says.
pub(crate) fn run<H: Hand>(numbers: Numbers) -> (f64, u64) {
    let clock = highwater::clock::Clock::system();
    let workers = numbers.workers as usize;
    let config = if workers > 1 { timely::Config::process(workers) } else { timely::Config::thread() };
    let total = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&total);
    let guards = timely::execute(config, move |worker| {
        let (index, probe) = (worker.index() as u64, Handle::new());
        let total = Arc::clone(&total);
        worker.dataflow::<u64, _, _>(|scope| {
            let done = probe.clone();
            let stream = source(scope, "Source", move |capability, info| {
                let activator = scope.activator_for(info.address);
                let (mut capability, mut numbers_of) = (Some(capability), numbers.of(index).peekable());
                move |output| {
                    let Some(held) = &mut capability else { return };
                    // No more than some batches ahead.
                    if done.less_than(&held.time().saturating_sub(64 * workers as u64)) {
                        return activator.activate();
                    }
                    let mut session = output.session(held);
                    for n in numbers_of.by_ref().take(16_384) {
                        session.give((numbers.key(n), n));
                    }
                    drop(session);
                    match numbers_of.peek() {
                        Some(next) => {
                            held.downgrade(&time(*next));
                            activator.activate();
                        }
                        None => capability = None,
                    }
                }
            });
            let (mut hand, mut out, mut reached) = (H::default(), Vec::new(), 0);
            let said = stream.unary_frontier::<CapacityContainerBuilder<Vec<u64>>, _, _, _>(
                Exchange::new(|(key, _): &(u64, u64)| mix(*key)),
                "Hand",
                move |capability, _| {
                    let mut held = Some(capability);
                    move |(input, frontier), output| {
                        input.for_each(|_, records| {
                            records.drain(..).for_each(|(key, n)| hand.take(key, n, &mut out));
                        });
                        let watermark = frontier.frontier().first().copied();
                        if watermark != Some(reached) {
                            reached = watermark.unwrap_or(u64::MAX);
                            hand.advance(reached, &mut out);
                        }
                        if let Some(held) = &held {
                            output.session(held).give_iterator(out.drain(..));
                        }
                        match (watermark, &mut held) {
                            (Some(watermark), Some(held)) => held.downgrade(&watermark),
                            _ => held = None,
                        }
                    }
                },
            );
            let mut sum = 0u64;
            let summed = said.unary_frontier::<CapacityContainerBuilder<Vec<u64>>, _, _, _>(
                Pipeline,
                "Sum",
                move |_, _| {
                    move |(input, frontier), _| {
                        input.for_each(|_, said| sum = said.drain(..).fold(sum, u64::wrapping_add));
                        if frontier.is_empty() {
                            total.fetch_add(std::mem::take(&mut sum), Ordering::Relaxed);
                        }
                    }
                },
            );
            summed.probe_with(&probe);
        });
        while worker.step_or_park(None) {}
    });
    drop(guards);
    (clock.now().as_secs_f64(), all.load(Ordering::Relaxed))
}

/// Counts by key; every thousandth is said.
#[derive(Default)]
pub(crate) struct Counts(Map<u64, u64>);

impl Hand for Counts {
    #[inline]
    fn take(&mut self, key: u64, _: u64, out: &mut Vec<u64>) {
        let count = self.0.entry(key).or_insert(0);
        *count += 1;
        if count.is_multiple_of(1000) {
            out.push(*count);
        }
    }
}

/// How long after its record a timer is due, in milliseconds.
pub(crate) fn delay(n: u64) -> u64 {
    mix(n) % 5000
}

/// A timer for each record; of those at whole seconds it is said.
#[derive(Default)]
pub(crate) struct Timers(BTreeMap<u64, Vec<u64>>);

impl Hand for Timers {
    #[inline]
    fn take(&mut self, key: u64, n: u64, _: &mut Vec<u64>) {
        self.0.entry(time(n) + delay(n)).or_default().push(key);
    }

    fn advance(&mut self, watermark: u64, out: &mut Vec<u64>) {
        while let Some(first) = self.0.first_entry().filter(|first| *first.key() < watermark) {
            let (at, mut keys) = first.remove_entry();
            // Two timers of one key and time are one.
            keys.sort_unstable();
            keys.dedup();
            if at % 1000 == 0 {
                out.extend(keys.iter().map(|_| 1));
            }
        }
    }
}

/// The gap of sessions in milliseconds.
pub(crate) const GAP: u64 = 300;

/// The number of records in each session.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Map<u64, (u64, u64)>,
    /// Keys by a time at which their sessions may be over.
    ends: BTreeMap<u64, Vec<u64>>,
}

impl Hand for Sessions {
    #[inline]
    fn take(&mut self, key: u64, n: u64, out: &mut Vec<u64>) {
        let now = time(n);
        match self.open.entry(key) {
            hashbrown::hash_map::Entry::Occupied(mut open) => {
                let (last, count) = open.get_mut();
                if now >= *last + GAP {
                    out.push(std::mem::take(count));
                }
                (*last, *count) = (now, *count + 1);
            }
            hashbrown::hash_map::Entry::Vacant(vacant) => {
                vacant.insert((now, 1));
                self.ends.entry(now + GAP).or_default().push(key);
            }
        }
    }

    fn advance(&mut self, watermark: u64, out: &mut Vec<u64>) {
        while let Some(first) = self.ends.first_entry().filter(|first| *first.key() <= watermark) {
            for key in first.remove() {
                let Some((last, count)) = self.open.get(&key).copied() else { continue };
                if last + GAP <= watermark {
                    self.open.remove(&key);
                    out.push(count);
                } else {
                    self.ends.entry(last + GAP).or_default().push(key);
                }
            }
        }
    }
}

/// The slide of sliding windows in milliseconds.
pub(crate) const SLIDE: u64 = 100;

/// Counts by key in windows of so many slides: what enters is added, what leaves subtracted.
pub(crate) struct Sliding<const SLIDES: u64> {
    slices: VecDeque<(u64, Map<u64, u64>)>,
    running: Map<u64, u64>,
    /// The end of the next window.
    end: u64,
}

impl<const SLIDES: u64> Default for Sliding<SLIDES> {
    fn default() -> Self {
        Sliding { slices: VecDeque::new(), running: Map::default(), end: SLIDE }
    }
}

impl<const SLIDES: u64> Hand for Sliding<SLIDES> {
    #[inline]
    fn take(&mut self, key: u64, n: u64, _: &mut Vec<u64>) {
        let slice = time(n) / SLIDE;
        let place = self.slices.iter().rposition(|(other, _)| *other == slice);
        let place = place.unwrap_or_else(|| {
            let place = self.slices.partition_point(|(other, _)| *other < slice);
            self.slices.insert(place, (slice, Map::default()));
            place
        });
        *self.slices[place].1.entry(key).or_insert(0) += 1;
    }

    fn advance(&mut self, watermark: u64, out: &mut Vec<u64>) {
        while self.end <= watermark && !self.slices.is_empty() {
            let slice = self.end / SLIDE - 1;
            if let Some((_, entering)) = self.slices.iter().find(|(other, _)| *other == slice) {
                entering.iter().for_each(|(key, count)| *self.running.entry(*key).or_insert(0) += count);
            }
            out.extend(self.running.values());
            if let Some((_, leaving)) = self.slices.pop_front_if(|(first, _)| *first + SLIDES <= slice + 1) {
                for (key, count) in leaving {
                    if let hashbrown::hash_map::Entry::Occupied(mut left) = self.running.entry(key) {
                        *left.get_mut() -= count;
                        if *left.get() == 0 {
                            left.remove();
                        }
                    }
                }
            }
            self.end += SLIDE;
        }
    }
}

/// How far apart the two records of a pair are at most, in milliseconds.
pub(crate) const APART: u64 = 500;

/// Pairs of even and odd numbers of a key, not too far apart. Keys without any are forgotten, or else stay
/// for ever.
#[derive(Default)]
pub(crate) struct Pairs<const FORGETS: bool> {
    sides: Map<u64, [VecDeque<u64>; 2]>,
    /// Keys by a time at which they may be without records.
    ends: BTreeMap<u64, Vec<u64>>,
}

impl<const FORGETS: bool> Hand for Pairs<FORGETS> {
    #[inline]
    fn take(&mut self, key: u64, n: u64, out: &mut Vec<u64>) {
        let (now, side) = (time(n), (n & 1) as usize);
        let sides = match self.sides.entry(key) {
            hashbrown::hash_map::Entry::Occupied(known) => known.into_mut(),
            hashbrown::hash_map::Entry::Vacant(vacant) => {
                if FORGETS {
                    self.ends.entry(now + APART + 1).or_default().push(key);
                }
                vacant.insert(Default::default())
            }
        };
        let others = &mut sides[1 - side];
        while others.pop_front_if(|first| *first + APART < now).is_some() {}
        out.extend(others.iter().map(|then| now - then));
        sides[side].push_back(now);
    }

    fn advance(&mut self, watermark: u64, _: &mut Vec<u64>) {
        while let Some(first) = self.ends.first_entry().filter(|first| *first.key() <= watermark) {
            for key in first.remove() {
                let Some(sides) = self.sides.get_mut(&key) else { continue };
                for side in sides.iter_mut() {
                    while side.pop_front_if(|first| *first + APART < watermark).is_some() {}
                }
                match sides.iter().filter_map(|side| side.front()).min() {
                    Some(first) => self.ends.entry(first + APART + 1).or_default().push(key),
                    None => drop(self.sides.remove(&key)),
                }
            }
        }
    }
}
