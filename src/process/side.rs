//! Side outputs.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::{Data, Record};
use crate::stream::{Node, Outlets, SideOutlets, Stream};
use crate::time::Time;

/// A further output of a process function, of a type of its own: Flink's `OutputTag`.
///
/// A function keeps one for each side output and gives records to it by
/// [`Context::side`](super::Context::side); the stream of these is [`Stream::side`] of the function's output.
/// What goes to a side that no one reads is dropped.
pub struct Side<T> {
    pub(crate) id: u64,
    record: PhantomData<fn() -> T>,
}

impl<T> Clone for Side<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Side<T> {}

impl<T: Data> Side<T> {
    /// A side output like no other.
    #[allow(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Side<T> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Side { id: NEXT.fetch_add(1, Ordering::Relaxed), record: PhantomData }
    }
}

impl<O: Data> Stream<O, Node<O>> {
    /// The records that the process function whose output this is gives to one of its sides. For any other
    /// operator's output it stays empty.
    pub fn side<T: Data>(&self, side: &Side<T>) -> Stream<T> {
        self.further(side.id)
    }
}

/// The sides of a running function that someone reads.
pub(crate) struct Sides(pub(crate) Vec<(u64, Box<dyn SideOutlets>)>);

impl Sides {
    pub(crate) fn give<T: Data>(&mut self, side: &Side<T>, from: Time, record: Record<T>) {
        let wanted = self.0.iter_mut().filter(|(id, _)| *id == side.id);
        let mut outlets = wanted.filter_map(|(_, outlets)| outlets.as_any_mut().downcast_mut::<Outlets<T>>());
        if let Some(first) = outlets.next() {
            outlets.for_each(|other| other.give(from, record.clone()));
            first.give(from, record);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.0.iter_mut().for_each(|(_, outlets)| outlets.flush());
    }
}
