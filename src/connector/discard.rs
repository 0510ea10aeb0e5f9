//! A sink that drops all records.

use crate::connector::sink::{Sink, Writer};
use crate::data::{Data, Key, Record};
use crate::error::Result;
use crate::stream::{ArrangedStream, Chain, Stream};

/// Writes nothing.
struct Discard;

impl<T: Data> Sink<T> for Discard {
    type Writer = Discard;

    fn name(&self) -> String {
        "discard".to_owned()
    }

    fn open(&self, _: usize, _: usize) -> Result<Discard> {
        Ok(Discard)
    }
}

impl<T> Writer<T> for Discard {
    type Prepared = ();
    const IN_ORDER: bool = false;

    fn write(&mut self, _: u64, _: &mut Vec<Record<T>>) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: u64, (): ()) -> Result<()> {
        Ok(())
    }
}

impl<K: Key, V: Key> ArrangedStream<K, V> {
    /// Ends the arrangement in a sink that drops everything. So it is kept for what will be
    /// [attached](crate::runtime::Running::attach), though nothing else in the job reads it. Costs next to
    /// nothing.
    pub fn discard(&self) {
        self.batches().discard();
    }
}

impl<T: Data, C: Chain<Out = T>> Stream<T, C> {
    /// Drops the records at the end of the stream. The operators before it still run.
    pub fn discard(self) {
        self.sink(Discard);
    }
}
