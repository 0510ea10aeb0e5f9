//! What the tests of flow and epochs are made of: a source that does what a function says, and a sink that
//! logs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use highwater::Result;
use highwater::connector::{Numbered, Reader, Sink, Source, Status, Writer};
use highwater::data::{Data, Record, Visit};
use highwater::stream::{Chain, Stream};

/// What a reader does next.
pub(crate) enum Turn<T> {
    /// Gives a record.
    Give(T),
    /// Gives a record and then has no more for a millisecond.
    GiveAndWait(T),
    /// Has no more for so long.
    Wait(Duration),
    /// Ends.
    Done,
}

/// A source whose splits do what a function of the split and the number of records given so far says.
pub(crate) struct Scripted<T> {
    splits: usize,
    script: Arc<Script<T>>,
    /// For each split, where it stood at the end of each epoch in which it was read.
    left: Arc<Mutex<BTreeMap<(usize, u64), usize>>>,
}

type Script<T> = dyn Fn(usize, usize) -> Turn<T> + Send + Sync;

impl<T> Clone for Scripted<T> {
    fn clone(&self) -> Scripted<T> {
        Scripted { splits: self.splits, script: Arc::clone(&self.script), left: Arc::clone(&self.left) }
    }
}

impl<T: Data> Scripted<T> {
    pub(crate) fn new(
        splits: usize,
        script: impl Fn(usize, usize) -> Turn<T> + Send + Sync + 'static,
    ) -> Scripted<T> {
        Scripted { splits, script: Arc::new(script), left: Arc::default() }
    }

    /// Gives the records of `splits`, and has none for a millisecond after each `pause`-th of a split.
    pub(crate) fn with_pauses(splits: Vec<Vec<T>>, pause: usize) -> Scripted<T> {
        Scripted::new(splits.len(), move |split, number| match splits[split].get(number) {
            Some(item) if (number + 1) % pause == 0 => Turn::GiveAndWait(item.clone()),
            Some(item) => Turn::Give(item.clone()),
            None => Turn::Done,
        })
    }

    /// The epochs in which something was read.
    pub(crate) fn epochs(&self) -> Vec<u64> {
        self.left.lock().unwrap().keys().map(|(_, epoch)| *epoch).collect()
    }

    /// How many records a split had given at the end of an epoch.
    pub(crate) fn given(&self, split: usize, epoch: u64) -> usize {
        self.left
            .lock()
            .unwrap()
            .range((split, 0)..=(split, epoch))
            .next_back()
            .map_or(0, |(_, given)| *given)
    }
}

impl<T: Data> Source for Scripted<T> {
    type Item = T;
    type Split = Numbered;
    type Reader = ScriptedReader<T>;

    fn name(&self) -> String {
        "scripted".to_owned()
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        Ok((0..self.splits).map(Numbered).collect())
    }

    fn open(&self, split: &Numbered, from: Option<usize>) -> Result<ScriptedReader<T>> {
        Ok(ScriptedReader { script: Arc::clone(&self.script), split: split.0, given: from.unwrap_or(0) })
    }

    fn epoch_left(&self, _: usize, epoch: u64, positions: &[(Numbered, usize)]) {
        let mut left = self.left.lock().unwrap();
        for (split, given) in positions {
            let again = left.insert((split.0, epoch), *given);
            assert_eq!(again, None, "split {} left epoch {epoch} twice", split.0);
        }
    }
}

pub(crate) struct ScriptedReader<T> {
    script: Arc<Script<T>>,
    split: usize,
    given: usize,
}

impl<T: Data> Reader for ScriptedReader<T> {
    type Item = T;
    type Position = usize;

    fn read<V: Visit<T>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        for _ in 0..limit {
            let turn = (self.script)(self.split, self.given);
            let waits = matches!(turn, Turn::GiveAndWait(_));
            match turn {
                Turn::Give(item) | Turn::GiveAndWait(item) => visit.visit(item),
                Turn::Wait(wait) => return Ok(Status::Wait(wait)),
                Turn::Done => return Ok(Status::Done),
            }
            self.given += 1;
            if waits {
                return Ok(Status::Wait(Duration::from_millis(1)));
            }
        }
        Ok(Status::More)
    }

    fn position(&self) -> usize {
        self.given
    }
}

/// A sink that logs what is committed, with its epochs, and wants epochs in order.
pub(crate) struct Log<T> {
    rows: Arc<Mutex<Vec<(u64, T)>>>,
    /// True if a writer was given records of an epoch before the one before it was committed.
    mixed: Arc<AtomicBool>,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log { rows: Arc::clone(&self.rows), mixed: Arc::clone(&self.mixed) }
    }
}

impl<T: Data> Log<T> {
    /// Logs a stream.
    pub(crate) fn of<C: Chain<Out = T>>(stream: Stream<T, C>) -> Log<T> {
        let log = Log { rows: Arc::default(), mixed: Arc::default() };
        stream.sink(log.clone());
        log
    }

    /// What was logged in epochs up to this one.
    pub(crate) fn up_to(&self, epoch: u64) -> Vec<T> {
        let rows = self.rows.lock().unwrap();
        rows.iter().filter(|(e, _)| *e <= epoch).map(|(_, value)| value.clone()).collect()
    }

    /// The epochs in which something was logged.
    pub(crate) fn epochs(&self) -> Vec<u64> {
        self.rows.lock().unwrap().iter().map(|(epoch, _)| *epoch).collect()
    }

    /// True if some writer had more than one epoch to write at a time.
    pub(crate) fn is_mixed(&self) -> bool {
        self.mixed.load(SeqCst)
    }
}

impl<T: Data> Sink<T> for Log<T> {
    type Writer = LogWriter<T>;

    fn name(&self) -> String {
        "log".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> Result<LogWriter<T>> {
        Ok(LogWriter { log: self.clone(), open: BTreeMap::new(), committed: None })
    }
}

/// Logs what is committed, and checks that it is asked to in order.
pub(crate) struct LogWriter<T> {
    log: Log<T>,
    open: BTreeMap<u64, Vec<T>>,
    committed: Option<u64>,
}

impl<T: Data> Writer<T> for LogWriter<T> {
    type Prepared = u64;

    fn write(&mut self, epoch: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        assert!(self.committed.is_none_or(|committed| committed < epoch), "written after the commit");
        self.open.entry(epoch).or_default().extend(batch.drain(..).map(|record| record.value));
        self.log.mixed.fetch_or(self.open.len() > 1, SeqCst);
        Ok(())
    }

    fn prepare(&mut self, epoch: u64) -> Result<u64> {
        assert_eq!(self.open.keys().next(), Some(&epoch));
        Ok(epoch)
    }

    fn commit(&mut self, epoch: u64, prepared: u64) -> Result<()> {
        assert_eq!(epoch, prepared);
        self.committed = Some(epoch);
        let rows = self.open.remove(&epoch).unwrap_or_default();
        self.log.rows.lock().unwrap().extend(rows.into_iter().map(|row| (epoch, row)));
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        assert!(self.open.is_empty(), "an epoch was not committed");
        Ok(())
    }
}

/// Waits until something is so, at most for ten seconds.
#[allow(clippy::disallowed_methods)]
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: not after ten seconds");
        std::thread::sleep(Duration::from_millis(1));
    }
}
