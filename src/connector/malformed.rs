//! Malformed input as a stream of its own.
//!
//! [`Checked`] wraps a source, so that malformed input is an item like the others, an `Err`. It comes after
//! the records that were read in the same call, and the position is after both, so a replay emits it again,
//! once. The event time of an `Err` is the beginning of time, and no watermark rule sees it: malformed input
//! does not change which records are late.
//!
//! Costs what [`Result`] adds to the size of a record.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::origin::Timestamps;
use super::source::Position;
use super::{Earlier, Malformed, Reader, Source, Status};
use crate::data::Visit;
use crate::error::Result as Outcome;
use crate::stream::{Chain, Job, Stream};
use crate::time::{EventTime, Strategy, WatermarkGenerator, Watermarks};

/// A source that emits the records of another and also its malformed input.
#[derive(Clone, Debug)]
pub struct Checked<S>(pub S);

impl<S: Source> Source for Checked<S> {
    type Item = Result<S::Item, Malformed>;
    type Split = S::Split;
    type Reader = CheckedReader<S::Reader>;

    fn name(&self) -> String {
        self.0.name()
    }

    fn splits(&self) -> Outcome<Vec<S::Split>> {
        self.0.splits()
    }

    fn resume(&self, splits: Vec<S::Split>, earlier: Vec<Earlier<Position<Self>>>) -> Outcome<Vec<S::Split>> {
        self.0.resume(splits, earlier)
    }

    fn open(&self, split: &S::Split, from: Option<Position<Self>>) -> Outcome<CheckedReader<S::Reader>> {
        Ok(CheckedReader(self.0.open(split, from)?))
    }

    fn epoch_left(&self, worker: usize, epoch: u64, positions: &[(S::Split, Position<Self>)]) {
        self.0.epoch_left(worker, epoch, positions);
    }

    fn epochs_completed(&self, worker: usize, open: u64) {
        self.0.epochs_completed(worker, open);
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.0.paths()
    }

    fn max_open_readers(&self) -> usize {
        self.0.max_open_readers()
    }

    fn discovers_every(&self) -> Option<Duration> {
        self.0.discovers_every()
    }
}

/// Reads a split of a [`Checked`] source.
pub struct CheckedReader<R>(R);

impl<R: Reader> Reader for CheckedReader<R> {
    type Item = Result<R::Item, Malformed>;
    type Position = R::Position;

    fn read<V: Visit<Self::Item>>(&mut self, limit: usize, visit: &mut V) -> Outcome<Status> {
        let status = self.0.read(limit, &mut |item| visit.visit(Ok(item)))?;
        self.0.malformed().into_iter().map(Err).for_each(|item| visit.visit(item));
        Ok(status)
    }

    fn position(&self) -> R::Position {
        self.0.position()
    }
}

/// A user's watermark generator, which sees only records.
struct OfRecords<T>(Box<dyn WatermarkGenerator<T>>);

impl<T> WatermarkGenerator<Result<T, Malformed>> for OfRecords<T> {
    fn on_record(&mut self, value: &Result<T, Malformed>, timestamp: EventTime) -> Option<EventTime> {
        value.as_ref().ok().and_then(|value| self.0.on_record(value, timestamp))
    }
}

/// The same watermarks for a [`Checked`] source.
fn of_records<T: 'static, F: Timestamps<T>>(
    watermarks: Watermarks<T, F>,
) -> Watermarks<Result<T, Malformed>, impl Timestamps<Result<T, Malformed>>> {
    let Watermarks { timestamp, strategy, idle_after, max_drift } = watermarks;
    let strategy = match strategy {
        Strategy::None => Strategy::None,
        Strategy::Behind(distance) => Strategy::Behind(distance),
        Strategy::Punctuated(rule) => {
            Strategy::Punctuated(Arc::new(move |value: &Result<T, Malformed>, at| {
                value.as_ref().ok().and_then(|value| rule(value, at))
            }))
        }
        Strategy::Custom(make) => Strategy::Custom(Arc::new(move || Box::new(OfRecords(make())))),
    };
    let timestamp = move |value: &Result<T, Malformed>| value.as_ref().map_or(EventTime::MIN, &timestamp);
    Watermarks { timestamp, strategy, idle_after, max_drift }
}

impl Job {
    /// Reads a source, and returns its records and its malformed input as two streams.
    ///
    /// With both streams in use, each item is examined twice. Malformed input has no event time.
    ///
    /// ```
    /// use highwater::connector::JsonFile;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    ///
    /// let path = std::env::temp_dir().join(format!("highwater-checked-{}.json", std::process::id()));
    /// std::fs::write(&path, "1\ntwo\n3\n").unwrap();
    /// let job = Job::new();
    /// let (good, bad) = job.source_checked(JsonFile::<u32>::new(&path), Watermarks::none());
    /// let (good, bad) = (good.collect(), bad.collect());
    /// job.run()?;
    /// assert_eq!(good.values(), [1, 3]);
    /// assert_eq!(bad.values()[0].input, "two");
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn source_checked<S, F>(
        &self,
        source: S,
        watermarks: Watermarks<S::Item, F>,
    ) -> (
        Stream<S::Item, impl Chain<Out = S::Item> + use<S, F>>,
        Stream<Malformed, impl Chain<Out = Malformed> + use<S, F>>,
    )
    where
        S: Source,
        F: Timestamps<S::Item>,
    {
        let all = self.source(Checked(source), of_records(watermarks));
        (all.clone().filter_map(Result::ok), all.filter_map(Result::err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SplitWatermark;
    use crate::time::Stamps;

    #[test]
    fn malformed_input_does_not_move_the_watermark() {
        let bad = || Err(Malformed { place: String::new(), reason: String::new(), input: String::new() });
        let items = [Ok(5), bad(), Ok(9), bad()];
        let stamps = |watermarks: Watermarks<i64, fn(&i64) -> i64>| {
            let watermarks = of_records(watermarks);
            let mut split = SplitWatermark::new(&watermarks.strategy);
            let stamps = items.iter().map(|item| split.stamp(item, (watermarks.timestamp)(item)).watermark);
            stamps.collect::<Vec<_>>()
        };
        let want = [i64::MIN, 5, 5, 9];
        assert_eq!(stamps(Watermarks::monotone(|t| *t)), want);
        assert_eq!(stamps(Watermarks::punctuated(|t| *t, |t, _| Some(*t))), want);
        struct Same;
        impl WatermarkGenerator<i64> for Same {
            fn on_record(&mut self, _: &i64, timestamp: EventTime) -> Option<EventTime> {
                Some(timestamp)
            }
        }
        assert_eq!(stamps(Watermarks::custom(|t| *t, || Same)), want);
    }
}
