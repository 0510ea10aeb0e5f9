//! Sources that compute their records: an iterator, and a generator with a rate.
//!
//! A generator is *open loop*: when a record is due depends on its number alone, never on how fast the job
//! reads. A reader that is late emits all records that are due, at once and in order, and skips none. So the
//! time that a record waits shows in the latency instead of lowering the load.
//!
//! Record `n` is due `n / rate` seconds after the first read, which all splits share. After a restart from a
//! position, the next record is due at once.
//!
//! Costs a read of the clock for each call of a reader, and none without a rate.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::collection::Numbered;
use super::{Reader, Source, Status, Untimed};
use crate::clock::Clock;
use crate::data::{Data, Visit};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::stream::{Job, Stream};
use crate::time::Watermarks;

/// The longest wait that a reader asks for.
const LONGEST: Duration = Duration::from_secs(1);

/// A source over an iterator, in one split.
///
/// The position is the number of items consumed: a replay makes a new iterator and consumes as many, so the
/// iterator must give the same items each time. A worker waits while the iterator computes, so `next` should
/// not block.
pub struct Iter<I>(Arc<dyn Fn() -> I + Send + Sync>);

impl<I> Clone for Iter<I> {
    fn clone(&self) -> Iter<I> {
        Iter(Arc::clone(&self.0))
    }
}

impl<I: Iterator<Item: Data> + 'static> Iter<I> {
    /// The items of the iterator that `make` makes.
    ///
    /// ```
    /// use highwater::connector::Iter;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    ///
    /// let job = Job::new();
    /// let times = job.source(Iter::new(|| (0..3i64).map(|n| n * 10)), Watermarks::monotone(|t| *t)).collect();
    /// job.run()?;
    /// assert_eq!(times.values(), [0, 10, 20]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn new(make: impl Fn() -> I + Send + Sync + 'static) -> Iter<I> {
        Iter(Arc::new(make))
    }
}

impl<I: Iterator<Item: Data> + 'static> Source for Iter<I> {
    type Item = I::Item;
    type Split = Numbered;
    type Reader = IterReader<I>;

    fn name(&self) -> String {
        "iterator".to_owned()
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        Ok(vec![Numbered(0)])
    }

    fn open(&self, _: &Numbered, from: Option<u64>) -> Result<IterReader<I>> {
        let mut items = (self.0)();
        let consumed = from.unwrap_or(0);
        if consumed > 0 {
            // `nth` consumes one item more than its argument.
            items.nth(usize::try_from(consumed - 1).unwrap_or(usize::MAX));
        }
        Ok(IterReader { items, consumed })
    }
}

/// Reads an [`Iter`].
pub struct IterReader<I> {
    items: I,
    consumed: u64,
}

impl<I: Iterator<Item: Data> + 'static> Reader for IterReader<I> {
    type Item = I::Item;
    type Position = u64;

    fn read<V: Visit<I::Item>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        for _ in 0..limit {
            let Some(item) = self.items.next() else { return Ok(Status::Done) };
            self.consumed += 1;
            visit.visit(item);
        }
        Ok(Status::More)
    }

    fn position(&self) -> u64 {
        self.consumed
    }
}

impl Job {
    /// Reads the iterator that `make` makes, without event times. See [`Iter`].
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// let squares = job.iterator(|| (1..=3).map(|n| n * n)).collect();
    /// job.run()?;
    /// assert_eq!(squares.values(), [1, 4, 9]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn iterator<I: Iterator<Item: Data> + 'static>(
        &self,
        make: impl Fn() -> I + Send + Sync + 'static,
    ) -> Stream<I::Item, Untimed<Iter<I>>> {
        self.source(Iter::new(make), Watermarks::none())
    }
}

/// A source that computes each record from its number, at a rate if one is set.
///
/// ```
/// use highwater::connector::Generator;
/// use highwater::stream::Job;
/// use highwater::time::Watermarks;
///
/// let job = Job::new();
/// let generator = Generator::new(2, |n| Some(n * 10)).limit(4).rate(1000.0);
/// let numbers = job.source(generator, Watermarks::none()).collect();
/// job.run()?;
/// assert_eq!(numbers.sorted(), [0, 10, 20, 30]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub struct Generator<T> {
    splits: usize,
    make: Make<T>,
    limit: u64,
    pace: Option<Pace>,
    clock: Clock,
}

type Make<T> = Arc<dyn Fn(u64) -> Option<T> + Send + Sync>;

impl<T> Clone for Generator<T> {
    fn clone(&self) -> Generator<T> {
        Generator {
            make: Arc::clone(&self.make),
            pace: self.pace.clone(),
            clock: self.clock.clone(),
            ..*self
        }
    }
}

/// When records are due.
#[derive(Clone)]
struct Pace {
    rate: f64,
    /// A time and the number of the record that was due then; set by the reader that reads first.
    start: Arc<Mutex<Option<(Duration, u64)>>>,
}

impl Pace {
    /// How long until record `number` is due, if it is not.
    fn wait(&self, start: (Duration, u64), number: u64, now: Duration) -> Option<Duration> {
        let (start, first) = start;
        let seconds = number.saturating_sub(first) as f64 / self.rate;
        let due =
            Duration::try_from_secs_f64(seconds).map_or(Duration::MAX, |after| start.saturating_add(after));
        due.checked_sub(now).filter(|wait| !wait.is_zero())
    }
}

impl<T: Data> Generator<T> {
    /// `splits` splits: split `i` gives the records with the numbers `i`, `i + splits`, `i + 2 splits` and so
    /// on, and ends where `make` first gives `None`. `make` must give the same record for a number each time.
    pub fn new(splits: usize, make: impl Fn(u64) -> Option<T> + Send + Sync + 'static) -> Generator<T> {
        Generator { splits, make: Arc::new(make), limit: u64::MAX, pace: None, clock: Clock::system() }
    }

    /// Gives this many records in a second, over all splits together, however the job keeps up. Unless set,
    /// records come as fast as they are taken.
    ///
    /// A worker wakes once for each record it waits for, and at most about a thousand times in a second.
    pub fn rate(mut self, records_per_second: f64) -> Generator<T> {
        self.pace = Some(Pace { rate: records_per_second, start: Arc::default() });
        self
    }

    /// Only the records with numbers below `count`.
    pub fn limit(mut self, count: u64) -> Generator<T> {
        self.limit = count;
        self
    }

    /// The clock that the rate follows; the system's unless set.
    pub fn clock(mut self, clock: Clock) -> Generator<T> {
        self.clock = clock;
        self
    }
}

impl<T: Data> Source for Generator<T> {
    type Item = T;
    type Split = Numbered;
    type Reader = GeneratorReader<T>;

    fn name(&self) -> String {
        "generator".to_owned()
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        if self.splits == 0 {
            return Err(Error::config("a generator needs at least 1 split"));
        }
        if let Some(Pace { rate, start }) = &self.pace {
            if !rate.is_finite() || *rate <= 0.0 {
                return Err(Error::config(format!(
                    "a generator cannot give {rate} records in a second: choose more than 0"
                )));
            }
            // The start of an earlier run does not apply to this one.
            *lock(start) = None;
        }
        Ok((0..self.splits).map(Numbered).collect())
    }

    fn open(&self, split: &Numbered, from: Option<u64>) -> Result<GeneratorReader<T>> {
        let next = from.unwrap_or(split.0 as u64);
        Ok(GeneratorReader { generator: self.clone(), next, start: None })
    }
}

/// Reads a split of a [`Generator`].
pub struct GeneratorReader<T> {
    generator: Generator<T>,
    next: u64,
    start: Option<(Duration, u64)>,
}

impl<T: Data> Reader for GeneratorReader<T> {
    type Item = T;
    type Position = u64;

    fn read<V: Visit<T>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let Generator { splits, make, limit: end, pace, clock } = &self.generator;
        let splits = *splits as u64;
        let pace = pace.as_ref().map(|pace| {
            let now = clock.now();
            // The least number of any split in this round: the split that reads first need not have it.
            let first = self.next - self.next % splits;
            let start = *self.start.get_or_insert_with(|| *lock(&pace.start).get_or_insert((now, first)));
            (pace, start, now)
        });
        for _ in 0..limit {
            if self.next >= *end {
                return Ok(Status::Done);
            }
            if let Some((pace, start, now)) = &pace
                && let Some(wait) = pace.wait(*start, self.next, *now)
            {
                return Ok(Status::Wait(wait.clamp(SHORTEST, LONGEST)));
            }
            let Some(record) = make(self.next) else { return Ok(Status::Done) };
            self.next = self.next.saturating_add(splits);
            visit.visit(record);
        }
        Ok(Status::More)
    }

    fn position(&self) -> u64 {
        self.next
    }
}

/// The shortest wait that a reader asks for, so that a high rate does not wake a worker for each record.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn read<R: Reader>(reader: &mut R, limit: usize) -> (Vec<R::Item>, Status) {
        let mut items = Vec::new();
        let status = reader.read(limit, &mut |item| items.push(item)).unwrap();
        (items, status)
    }

    #[test]
    fn an_iterator_is_replayed_from_any_position() {
        let source = Iter::new(|| 0..5u32);
        for from in 0..=6 {
            let mut reader = source.open(&Numbered(0), Some(from)).unwrap();
            assert_eq!(read(&mut reader, 9), ((from as u32..5).collect(), Status::Done));
        }
        let mut reader = source.open(&Numbered(0), None).unwrap();
        assert_eq!(read(&mut reader, 2), (vec![0, 1], Status::More));
        assert_eq!(reader.position(), 2);
    }

    #[test]
    fn splits_interleave_and_positions_are_numbers() {
        let source = Generator::new(3, Some).limit(8);
        assert_eq!(source.splits().unwrap().len(), 3);
        let mut reader = source.open(&Numbered(1), None).unwrap();
        assert_eq!(read(&mut reader, 2), (vec![1, 4], Status::More));
        assert_eq!(reader.position(), 7);
        let mut reader = source.open(&Numbered(1), Some(reader.position())).unwrap();
        assert_eq!(read(&mut reader, 9), (vec![7], Status::Done));
        let mut ends = Generator::new(1, |n| (n < 2).then_some(n)).open(&Numbered(0), None).unwrap();
        assert_eq!(read(&mut ends, 9), (vec![0, 1], Status::Done));
    }

    #[test]
    fn records_come_when_they_are_due_and_none_is_skipped() {
        let clock = Clock::manual();
        clock.advance(Duration::from_secs(7));
        let source = Generator::new(2, Some).rate(100.0).clock(clock.clone());
        let (mut even, mut odd) =
            (source.open(&Numbered(0), None).unwrap(), source.open(&Numbered(1), None).unwrap());
        let ms = Duration::from_millis;
        assert_eq!(read(&mut odd, 9), (vec![], Status::Wait(ms(10))));
        assert_eq!(read(&mut even, 9), (vec![0], Status::Wait(ms(20))));
        clock.advance(ms(15));
        assert_eq!(read(&mut odd, 9), (vec![1], Status::Wait(ms(15))));
        clock.advance(ms(85));
        assert_eq!(read(&mut even, 3), (vec![2, 4, 6], Status::More));
        assert_eq!(read(&mut even, 9), (vec![8, 10], Status::Wait(ms(20))));
        assert_eq!(read(&mut odd, 9), (vec![3, 5, 7, 9], Status::Wait(ms(10))));
    }

    #[test]
    fn a_restart_does_not_wait_for_what_was_given_before() {
        let clock = Clock::manual();
        let source = Generator::new(2, Some).rate(1.0).clock(clock.clone());
        let mut odd = source.open(&Numbered(1), Some(101)).unwrap();
        let mut even = source.open(&Numbered(0), Some(98)).unwrap();
        assert_eq!(read(&mut odd, 9), (vec![], Status::Wait(Duration::from_secs(1))));
        assert_eq!(read(&mut even, 9).0, [98, 100]);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        assert!(Generator::new(0, Some).splits().is_err());
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Generator::new(1, Some).rate(rate).splits().is_err());
        }
        let slow = Generator::new(1, Some).rate(f64::MIN_POSITIVE).clock(Clock::manual());
        let mut reader = slow.open(&Numbered(0), None).unwrap();
        assert_eq!(read(&mut reader, 9), (vec![0], Status::Wait(LONGEST)));
    }
}
