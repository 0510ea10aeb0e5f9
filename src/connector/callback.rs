//! A function as a sink.
//!
//! The function is called on the worker that has the record, as soon as the epochs before the record's are
//! complete. The record's own epoch is not complete then: more of its records may arrive, and if the job
//! fails they may never arrive. A worker waits while the function runs.

use super::{Sink, SinkHandle, Writer};
use crate::data::{Data, Record};
use crate::error::Result;
use crate::stream::{Chain, Stream};

struct Callback<F>(F);

impl<T: Data, F: FnMut(u64, &Record<T>) + Clone + Send + Sync + 'static> Sink<T> for Callback<F> {
    type Writer = Callback<F>;

    fn name(&self) -> String {
        "for_each".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> Result<Callback<F>> {
        Ok(Callback(self.0.clone()))
    }
}

impl<T: Data, F: FnMut(u64, &Record<T>) + 'static> Writer<T> for Callback<F> {
    type Prepared = ();

    fn write(&mut self, epoch: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        batch.drain(..).for_each(|record| (self.0)(epoch, &record));
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: u64, (): ()) -> Result<()> {
        Ok(())
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Calls `f` with the epoch and each record, epoch by epoch. Each worker has its own clone of `f`.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// use std::sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// let job = Job::new();
    /// job.collection([1, 2]).for_each(move |_epoch, record| sender.send(record.value).unwrap());
    /// job.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<i32>>(), [1, 2]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn for_each<F: FnMut(u64, &Record<T>) + Clone + Send + Sync + 'static>(self, f: F) -> SinkHandle {
        self.sink(Callback(f))
    }
}
