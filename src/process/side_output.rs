//! Side outputs.

use std::any::type_name;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::{Data, Record};
use crate::stream::{Node, Outputs, SideKey, SidePorts, Stream};
use crate::time::Time;

/// A further output of an operator, of a type of its own: Flink's `OutputTag`.
///
/// A process function keeps one for each side output, registers it in its `open` by
/// [`States::side`](super::States::side), and gives records to it by [`Context::side`](super::Context::side);
/// the stream of these is [`Stream::side`] of the function's output. What goes to a side output that no one
/// reads is dropped.
///
/// ```
/// use highwater::prelude::*;
///
/// /// Numbers that are even, and beside them those that are odd.
/// #[derive(Clone)]
/// struct Even { odd: SideOutput<u64> }
///
/// impl Process<u64, u64> for Even {
///     type Out = u64;
///
///     fn open(&mut self, states: &mut States<'_, u64>) {
///         states.side(&self.odd);
///     }
///
///     fn process(&mut self, number: u64, cx: &mut Context<'_, u64, u64>) {
///         if number % 2 == 0 { cx.emit(number) } else { cx.side(&self.odd, number) }
///     }
/// }
///
/// let job = Job::new();
/// let odd = SideOutput::named("odd");
/// let even = job.collection(1..=5).key_by(|n: &u64| *n).process(Even { odd });
/// let odd = even.side(&odd).collect();
/// let even = even.collect();
/// job.run()?;
/// assert_eq!((even.sorted(), odd.sorted()), (vec![2, 4], vec![1, 3, 5]));
/// # Ok::<(), highwater::Error>(())
/// ```
pub struct SideOutput<T> {
    pub(crate) key: SideKey,
    record: PhantomData<fn() -> T>,
}

impl<T> Clone for SideOutput<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SideOutput<T> {}

impl<T: Data> SideOutput<T> {
    /// A new side output. In messages it is named by its type.
    #[allow(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> SideOutput<T> {
        SideOutput::named(type_name::<T>())
    }

    /// A new side output, with a name for messages.
    pub fn named(name: &'static str) -> SideOutput<T> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = SideKey { id: NEXT.fetch_add(1, Ordering::Relaxed), name };
        SideOutput { key, record: PhantomData }
    }
}

impl<O: Data> Stream<O, Node<O>> {
    /// The records that the operator whose output this is gives to one of its side outputs.
    ///
    /// If the operator has no such one, the job is refused when it starts. Those of functions that register
    /// nothing, which [`Stream::process`] takes, cannot be known: there the stream stays empty.
    pub fn side<T: Data>(&self, side: &SideOutput<T>) -> Stream<T> {
        self.side_output(side.key)
    }
}

/// The side outputs of a running function that have consumers.
pub(crate) struct Sides(pub(crate) Vec<(u64, Box<dyn SidePorts>)>);

impl Sides {
    pub(crate) fn give<T: Data>(&mut self, side: &SideOutput<T>, from: Time, record: Record<T>) {
        let wanted = self.0.iter_mut().filter(|(id, _)| *id == side.key.id);
        let mut ports = wanted.filter_map(|(_, ports)| ports.as_any_mut().downcast_mut::<Outputs<T>>());
        if let Some(first) = ports.next() {
            ports.for_each(|other| other.give(from, record.clone()));
            first.give(from, record);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.0.iter_mut().for_each(|(_, ports)| ports.flush());
    }
}
