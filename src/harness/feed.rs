//! The feed: a source to which a test pushes records while the job runs.
//!
//! A reader that finds nothing polls again a millisecond later, by the job's clock. So in a
//! [`Simulation`](super::Simulation) a record is read once the clock has moved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::connector::{Numbered, Reader, Source, Status};
use crate::data::{Data, Visit};
use crate::error::Result;
use crate::lock::lock;

/// How long a reader that finds nothing waits.
const WAIT: Duration = Duration::from_millis(1);

/// A source to which records are pushed while its job runs. It ends when it is [closed](Feed::close).
///
/// All records stay in memory, so that the source can be replayed from any position.
///
/// ```
/// use highwater::config::Options;
/// use highwater::harness::Feed;
/// use highwater::stream::Job;
/// use highwater::time::Watermarks;
///
/// let (job, feed) = (Job::new(), Feed::new(1));
/// let doubled = job.source(feed.clone(), Watermarks::none()).map(|n: i32| n * 2).collect();
/// let running = job.start(Options::default())?;
/// feed.push(0, 21);
/// feed.close();
/// running.join()?;
/// assert_eq!(doubled.values(), [42]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub struct Feed<T>(Arc<Mutex<Fed<T>>>);

struct Fed<T> {
    splits: Vec<Vec<T>>,
    is_closed: bool,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Feed<T> {
        Feed(Arc::clone(&self.0))
    }
}

impl<T: Data> Feed<T> {
    /// A source with this many splits, all empty.
    pub fn new(splits: usize) -> Feed<T> {
        let splits = (0..splits).map(|_| Vec::new()).collect();
        Feed(Arc::new(Mutex::new(Fed { splits, is_closed: false })))
    }

    /// Adds a record to the split of this number, modulo the number of splits. Has no effect if there are no
    /// splits, or if the feed is closed.
    pub fn push(&self, split: usize, value: T) {
        let mut fed = lock(&self.0);
        let splits = fed.splits.len();
        if splits > 0 && !fed.is_closed {
            fed.splits[split % splits].push(value);
        }
    }

    /// Ends all splits after the records that they have.
    pub fn close(&self) {
        lock(&self.0).is_closed = true;
    }
}

impl<T: Data> Source for Feed<T> {
    type Item = T;
    type Split = Numbered;
    type Reader = FeedReader<T>;

    fn name(&self) -> String {
        "feed".to_owned()
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        Ok((0..lock(&self.0).splits.len()).map(Numbered).collect())
    }

    fn open(&self, split: &Numbered, from: Option<usize>) -> Result<FeedReader<T>> {
        Ok(FeedReader { feed: self.clone(), split: split.0, position: from.unwrap_or(0) })
    }
}

/// Reads a split of a [`Feed`].
pub struct FeedReader<T> {
    feed: Feed<T>,
    split: usize,
    position: usize,
}

impl<T: Data> Reader for FeedReader<T> {
    type Item = T;
    type Position = usize;

    fn read<V: Visit<T>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let fed = lock(&self.feed.0);
        let rest = &fed.splits[self.split][self.position..];
        let taken = limit.min(rest.len());
        rest[..taken].iter().cloned().for_each(|value| visit.visit(value));
        self.position += taken;
        Ok(match (taken == rest.len(), fed.is_closed) {
            (false, _) => Status::More,
            (true, false) => Status::Wait(WAIT),
            (true, true) => Status::Done,
        })
    }

    fn position(&self) -> usize {
        self.position
    }
}
