//! The engine's rolling aggregate, by the public interface.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use highwater::config::{Options, Seals};
use highwater::connector::{Numbered, Reader, Source, Status};
use highwater::data::Visit;
use highwater::stream::{Aggregate, Job};
use highwater::time::{Epochs, Watermarks};

use super::load::Load;
use super::meter::{Measured, Meter};

/// Joins values.
#[derive(Clone)]
struct Join<L>(L);

impl<L: Load> Aggregate<L::Value> for Join<L> {
    type Acc = L::Value;
    type Out = L::Value;

    fn start(&self, value: L::Value) -> L::Value {
        value
    }

    fn add(&self, acc: &mut L::Value, value: L::Value) {
        L::join(acc, &value);
    }

    fn merge(&self, acc: &mut L::Value, other: L::Value) {
        L::join(acc, &other);
    }

    fn result(&self, acc: &L::Value) -> L::Value {
        acc.clone()
    }
}

/// The records, and what is measured while they are read.
struct Feed<L: Load> {
    records: Arc<Vec<(L::Key, L::Value)>>,
    state: Arc<Mutex<State>>,
}

struct State {
    meter: Meter,
    /// The epochs left and not complete, each with the position at its end.
    left: Vec<(u64, usize)>,
    /// The position up to which all is complete.
    complete: usize,
}

impl<L: Load> Clone for Feed<L> {
    fn clone(&self) -> Feed<L> {
        Feed { records: Arc::clone(&self.records), state: Arc::clone(&self.state) }
    }
}

impl<L: Load> Feed<L> {
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<L: Load> Source for Feed<L> {
    type Item = (L::Key, L::Value);
    type Split = Numbered;
    type Reader = FeedReader<L>;

    fn name(&self) -> String {
        "feed".to_owned()
    }

    fn splits(&self) -> highwater::Result<Vec<Numbered>> {
        Ok(vec![Numbered(0)])
    }

    fn open(&self, _: &Numbered, _: Option<usize>) -> highwater::Result<FeedReader<L>> {
        Ok(FeedReader { feed: self.clone(), position: 0 })
    }

    fn epoch_left(&self, _: usize, epoch: u64, positions: &[(Numbered, usize)]) {
        self.with(|state| state.left.extend(positions.iter().map(|(_, position)| (epoch, *position))));
    }

    fn epochs_completed(&self, _: usize, open: u64) {
        self.with(|state| {
            let done = state.left.iter().take_while(|(epoch, _)| *epoch < open).count();
            if let Some((_, position)) = state.left.drain(..done).next_back() {
                state.meter.complete(position - state.complete);
                state.complete = position;
            }
        });
    }
}

struct FeedReader<L: Load> {
    feed: Feed<L>,
    position: usize,
}

impl<L: Load> Reader for FeedReader<L> {
    type Item = (L::Key, L::Value);
    type Position = usize;

    fn read<V: Visit<Self::Item>>(&mut self, limit: usize, visit: &mut V) -> highwater::Result<Status> {
        let rest = &self.feed.records[self.position..];
        let taken = limit.min(rest.len());
        rest[..taken].iter().cloned().for_each(|record| visit.visit(record));
        self.position += taken;
        if taken == rest.len() || self.feed.with(|state| state.meter.is_over()) {
            self.feed.with(|state| state.meter.weigh());
            return Ok(Status::Done);
        }
        Ok(Status::More)
    }

    fn position(&self) -> usize {
        self.position
    }
}

/// A rolling aggregate that joins values.
pub(crate) fn rolling<L: Load>(
    records: Vec<(L::Key, L::Value)>,
    epoch: usize,
    seals: Seals,
) -> Result<Measured, Box<dyn Error>> {
    let state = State { meter: Meter::new(), left: Vec::new(), complete: 0 };
    let feed = Feed::<L> { records: Arc::new(records), state: Arc::new(Mutex::new(state)) };
    let job = Job::new();
    let pairs = job.source(feed.clone(), Watermarks::none());
    let keyed = pairs.key_by(|(key, _)| key.clone()).map_values(|(_, value)| value);
    keyed.aggregate(Join(L::default())).discard();
    job.run_with(Options::default().epochs(Epochs::records(epoch as u64)).seals(seals))?;
    Ok(feed.with(|state| state.meter.finish()))
}
