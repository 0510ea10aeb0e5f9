//! Nexmark events with their numbers.
//!
//! The events of a split come in turns of consecutive ones, and a reader knows the number of the next. So it
//! is enough to read no further than to the end of a turn at a time and to count. Splits, positions and the
//! pace are those of the source without numbers.

use super::Event;
use super::source::{Nexmark, Place, Share, ShareReader, watermarks_of};
use crate::connector::{Position, Reader, Source, Status};
use crate::data::Visit;
use crate::error::Result;
use crate::stream::{Chain, Job, Stream};

impl Nexmark {
    /// Reads the events in a job, each with its number: its place in the order of all events, counted from 0,
    /// whatever split it comes from.
    ///
    /// ```
    /// # use highwater::{stream::Job, nexmark::{Config, Generator, Nexmark}};
    /// let job = Job::new();
    /// let events = Nexmark::generate(Config::default(), 10_000).splits(3).read_numbered(&job).collect();
    /// job.run()?;
    /// let generator = Generator::new(Config::default());
    /// assert!(events.values().iter().all(|(number, event)| *event == generator.event(*number)));
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn read_numbered(self, job: &Job) -> Stream<(u64, Event), impl Chain<Out = (u64, Event)> + use<>> {
        let watermarks = watermarks_of(self.config(), |(_, event): &(u64, Event)| event.timestamp());
        job.source(Numbered(self), watermarks)
    }
}

/// A source of events with their numbers.
#[derive(Clone)]
pub(super) struct Numbered(pub(super) Nexmark);

impl Source for Numbered {
    type Item = (u64, Event);
    type Split = Share;
    type Reader = NumberedReader;

    fn name(&self) -> String {
        self.0.name()
    }

    fn splits(&self) -> Result<Vec<Share>> {
        Source::splits(&self.0)
    }

    fn epoch_left(&self, worker: usize, epoch: u64, positions: &[(Share, Position<Self>)]) {
        self.0.epoch_left(worker, epoch, positions);
    }

    fn epochs_completed(&self, worker: usize, open: u64) {
        self.0.epochs_completed(worker, open);
    }

    fn open(&self, share: &Share, from: Option<Place>) -> Result<NumberedReader> {
        self.0.open(share, from).map(NumberedReader)
    }
}

/// Reads a share, and counts.
pub(super) struct NumberedReader(ShareReader);

impl Reader for NumberedReader {
    type Item = (u64, Event);
    type Position = Place;

    #[inline]
    fn read<V: Visit<(u64, Event)>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let most = self.0.left_in_turn().min(limit as u64);
        let mut counting = Counting { next: self.0.next(), visit };
        self.0.read(most as usize, &mut counting)
    }

    fn position(&self) -> Place {
        self.0.position()
    }
}

/// Shows each event with the next number.
struct Counting<'a, V> {
    next: u64,
    visit: &'a mut V,
}

impl<V: Visit<(u64, Event)>> Visit<Event> for Counting<'_, V> {
    #[inline(always)]
    fn visit(&mut self, event: Event) {
        let number = self.next;
        self.next += 1;
        self.visit.visit((number, event));
    }
}
