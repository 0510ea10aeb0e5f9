//! Nexmark events as a source: from a file or generated on the way, as fast as possible or at a rate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pace::Deal;
use super::{BLOCK, Config, Cursor, Event, File, Generator, Pace};
use crate::connector::{Position, Reader, Source, Split, Status, Timestamps};
use crate::data::Visit;
use crate::error::{Error, Result};
use crate::stream::{Chain, Job, Stream};
use crate::time::Watermarks;

/// Nexmark events.
///
/// The events are dealt to the splits in turn, some at a time, so that all splits keep up with each other in
/// event time.
#[derive(Clone)]
pub struct Nexmark {
    origin: Origin,
    events: u64,
    splits: u64,
    /// Consecutive events that go to one split.
    turn: u64,
    pace: Option<Arc<Pace>>,
}

#[derive(Clone)]
enum Origin {
    File(File),
    Generator(Arc<Generator>),
}

impl Nexmark {
    /// The first `events` of a file, or all that it has.
    pub fn file(file: File, events: u64) -> Nexmark {
        let events = events.min(file.len());
        Nexmark { origin: Origin::File(file), events, splits: 1, turn: BLOCK, pace: None }
    }

    /// The first `events` of a generator.
    pub fn generate(config: Config, events: u64) -> Nexmark {
        let generator = Arc::new(Generator::new(config));
        Nexmark { origin: Origin::Generator(generator), events, splits: 1, turn: BLOCK, pace: None }
    }

    /// Deals the events to so many splits. A split is read by one worker, so there should be at least as many
    /// as workers.
    pub fn splits(mut self, splits: usize) -> Nexmark {
        self.splits = splits.max(1) as u64;
        self
    }

    /// Gives each event when it is due. Events are dealt singly then, so that no split waits for its turn,
    /// unless turns are over before that matters.
    pub fn paced(mut self, pace: Arc<Pace>) -> Nexmark {
        self.turn = if pace.rate() * SHORT_TURN.as_secs_f64() < BLOCK as f64 { 1 } else { BLOCK };
        self.pace = Some(pace);
        self
    }

    /// The number of events.
    pub fn len(&self) -> u64 {
        self.events
    }

    /// True if there is no event.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Reads the events in a job.
    pub fn read(self, job: &Job) -> Stream<Event, impl Chain<Out = Event> + use<>> {
        let watermarks = watermarks(self.config());
        job.source(self, watermarks)
    }

    /// The configuration that the events were made with.
    pub fn config(&self) -> &Config {
        match &self.origin {
            Origin::File(file) => file.config(),
            Origin::Generator(generator) => generator.config(),
        }
    }
}

/// The event times of Nexmark events: ordered, unless the configuration shuffles them.
///
/// No split runs further ahead than 16,000 events. A worker that does meets bids long before their auctions,
/// and has windows open that others are far from.
pub fn watermarks(config: &Config) -> Watermarks<Event, impl Timestamps<Event> + use<>> {
    watermarks_of(config, |event: &Event| event.timestamp())
}

pub(super) fn watermarks_of<T, F: Timestamps<T>>(config: &Config, timestamp: F) -> Watermarks<T, F> {
    let group = config.out_of_order_group_size;
    let disorder = if group > 1 { group * 1000 / config.rate.max(1) + 1 } else { 0 };
    let watermarks = Watermarks::bounded(Duration::from_millis(disorder), timestamp);
    watermarks.align(Duration::from_millis(16_000_000 / config.rate.max(1)))
}

/// A share of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    index: u64,
    of: u64,
}

/// Where a reader stands. Which events are a share's depends on how many make a turn, so a reader that goes
/// on keeps to the turns of the one before it, whatever this source would deal by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The number of the next event.
    pub(super) next: u64,
    turn: u64,
}

impl Share {
    fn deal(&self, turn: u64) -> Deal {
        Deal { index: self.index, shares: self.of, turn }
    }
}

impl Split for Share {
    fn id(&self) -> String {
        format!("{} of {}", self.index, self.of)
    }
}

impl Source for Nexmark {
    type Item = Event;
    type Split = Share;
    type Reader = ShareReader;

    fn name(&self) -> String {
        match &self.origin {
            Origin::File(file) => format!("nexmark {}", PathBuf::from(file.path()).display()),
            Origin::Generator(_) => "nexmark generator".to_owned(),
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        match &self.origin {
            Origin::File(file) => vec![file.path().to_owned()],
            Origin::Generator(_) => Vec::new(),
        }
    }

    fn splits(&self) -> Result<Vec<Share>> {
        if self.splits > MOST_SPLITS {
            return Err(Error::config(format!(
                "events cannot be dealt to {} splits: choose at most {MOST_SPLITS}",
                self.splits
            )));
        }
        Ok((0..self.splits).map(|index| Share { index, of: self.splits }).collect())
    }

    fn epoch_left(&self, worker: usize, epoch: u64, positions: &[(Share, Position<Self>)]) {
        if let Some(pace) = &self.pace {
            for (share, place) in positions {
                pace.left(worker, epoch, share.deal(place.turn), place.next);
            }
        }
    }

    fn epochs_completed(&self, worker: usize, open: u64) {
        if let Some(pace) = &self.pace {
            pace.completed(worker, open);
        }
    }

    fn open(&self, share: &Share, from: Option<Place>) -> Result<ShareReader> {
        let origin = match &self.origin {
            Origin::File(file) => Events::File(Box::new(file.cursor())),
            Origin::Generator(generator) => Events::Generator(Arc::clone(generator)),
        };
        let begin = Place { next: share.index * self.turn, turn: self.turn };
        let Place { next, turn } = from.unwrap_or(begin);
        if let Some(pace) = self.pace.as_ref().filter(|_| from.is_some()) {
            pace.go_on(share.deal(turn), next);
        }
        let mut reader = ShareReader {
            origin,
            next,
            turn,
            skip: (share.of - 1) * turn,
            end: self.events,
            pace: self.pace.clone(),
        };
        reader.go_to(next);
        Ok(reader)
    }
}

/// Reads a share.
pub struct ShareReader {
    origin: Events,
    /// The number of the next event.
    next: u64,
    turn: u64,
    /// Events of others between two turns.
    skip: u64,
    end: u64,
    pace: Option<Arc<Pace>>,
}

enum Events {
    File(Box<Cursor>),
    Generator(Arc<Generator>),
}

impl ShareReader {
    fn go_to(&mut self, next: u64) {
        self.next = next;
        if let Events::File(cursor) = &mut self.origin {
            let ahead = next.saturating_sub(cursor.position());
            if !next.is_multiple_of(BLOCK) && ahead > 0 && ahead <= BLOCK {
                cursor.read(ahead, &mut |_| {});
            } else if ahead != 0 || next < cursor.position() {
                cursor.seek(next);
            }
        }
    }

    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Events of the current turn, from the next one on: these have consecutive numbers.
    pub(super) fn left_in_turn(&self) -> u64 {
        (self.turn - self.next % self.turn).min(self.end.saturating_sub(self.next))
    }
}

impl Reader for ShareReader {
    type Item = Event;
    type Position = Place;

    #[inline]
    fn read<V: Visit<Event>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let due = self.pace.as_ref().map_or(u64::MAX, |pace| pace.count());
        let mut left = limit as u64;
        while left > 0 && self.next < self.end && self.next < due {
            let count = self.left_in_turn().min(left).min(due - self.next);
            match &mut self.origin {
                Events::File(cursor) => {
                    if cursor.read(count, visit) < count {
                        let error =
                            cursor.error().unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into());
                        return Err(Error::io("cannot read Nexmark events", error));
                    }
                }
                Events::Generator(generator) => {
                    (self.next..self.next + count).for_each(|number| visit.visit(generator.event(number)));
                }
            }
            left -= count;
            let next = self.next + count;
            self.next = next;
            if next.is_multiple_of(self.turn) && self.skip > 0 {
                self.go_to(next + self.skip);
            }
        }
        if self.next >= self.end
            && let Events::File(cursor) = &self.origin
        {
            cursor.check().map_err(|error| Error::io("cannot read Nexmark events", error))?;
        }
        Ok(match &self.pace {
            _ if self.next >= self.end => Status::Done,
            Some(pace) if self.next >= due => {
                let until = pace.due(self.next).map(|at| at.saturating_sub(pace.clock().now()));
                Status::Wait(until.unwrap_or_default().clamp(MIN_WAIT, MAX_WAIT))
            }
            _ => Status::More,
        })
    }

    fn position(&self) -> Place {
        Place { next: self.next, turn: self.turn }
    }
}

/// A turn that takes no longer than this is no reason to wait.
const SHORT_TURN: Duration = Duration::from_micros(250);

/// An event may be due in a thousand years. That is no time to wait for.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Each split takes memory on each worker.
const MOST_SPLITS: u64 = 1 << 20;

/// Waking up more often than this costs more than it gives.
const MIN_WAIT: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(source: &Nexmark, share: Share, from: Option<Place>, limit: usize) -> (Vec<Event>, Place) {
        let mut reader = source.open(&share, from).unwrap();
        let mut events = Vec::new();
        while events.len() < limit {
            let left = limit - events.len();
            match reader.read(left, &mut |event| events.push(event)).unwrap() {
                Status::Done => break,
                _ => continue,
            }
        }
        (events, reader.position())
    }

    #[test]
    fn a_reader_goes_on_with_the_turns_of_the_one_before_it() {
        let by_turns = Nexmark::generate(Config::default(), 30_000).splits(2);
        let one_by_one = Nexmark { turn: 1, ..by_turns.clone() };
        for (first, second) in [(&by_turns, &one_by_one), (&one_by_one, &by_turns)] {
            for index in 0..2 {
                let share = Share { index, of: 2 };
                let (mut events, place) = numbers(first, share, None, 7_000);
                events.extend(numbers(second, share, Some(place), usize::MAX).0);
                assert!(events == numbers(first, share, None, usize::MAX).0, "share {index}");
            }
        }
    }
}
