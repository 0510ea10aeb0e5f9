//! Aggregates: how values of one key become one value.
//!
//! An [`Aggregate`] turns a first value into an accumulator, adds further values, merges accumulators, and
//! reads a result off. Merging must be associative and commutative and agree with adding: then it does not
//! matter which worker, which epoch or which batch a value was added in, and the engine is free to combine
//! values before they are sent and to keep accumulators in the differences of an arrangement.
//!
//! The named aggregates, which [`KeyedStream`](super::KeyedStream) offers as methods, are in this file too.
//! A sum that overflows ends the job with an error that names the operator, in every build: nothing wraps.

use std::any::Any;
use std::marker::PhantomData;
use std::time::Duration;

use crate::data::{Change, Data, Exchange};
use crate::stream::operator_fault;
use crate::time::EventTime;

/// How values of type `T` become one value: Flink's `AggregateFunction`.
///
/// ```
/// use highwater::stream::Aggregate;
///
/// /// The least and the greatest of integers.
/// #[derive(Clone)]
/// struct Range;
///
/// impl Aggregate<i64> for Range {
///     type Acc = (i64, i64);
///     type Out = i64;
///     fn start(&self, value: i64) -> (i64, i64) { (value, value) }
///     fn add(&self, acc: &mut (i64, i64), value: i64) {
///         *acc = (acc.0.min(value), acc.1.max(value));
///     }
///     fn merge(&self, acc: &mut (i64, i64), other: (i64, i64)) {
///         *acc = (acc.0.min(other.0), acc.1.max(other.1));
///     }
///     fn result(&self, acc: &(i64, i64)) -> i64 { acc.1 - acc.0 }
/// }
/// ```
pub trait Aggregate<T>: Clone + Send + Sync + 'static {
    /// The accumulator: what is kept for a key.
    type Acc: Exchange;
    /// The result.
    type Out: Data;

    /// True if values should be combined on the worker they come from before they are sent to their key's
    /// owner. That pays if accumulators stay small and keys repeat; it is right for everything but aggregates
    /// that collect.
    const COMBINES: bool = true;

    /// The accumulator of one value.
    fn start(&self, value: T) -> Self::Acc;

    /// Adds a value.
    fn add(&self, acc: &mut Self::Acc, value: T);

    /// True if adding the value would leave the accumulator as it is.
    ///
    /// Asked before a value is added. Aggregates that most values do not change (extremes, winners) gain by
    /// answering: such a value need not be moved, and its key does not count as changed.
    fn ignores(&self, _acc: &Self::Acc, _value: &T) -> bool {
        false
    }

    /// Adds what another accumulator holds. Associative and commutative.
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc);

    /// True if [`subtract`](Aggregate::subtract) undoes a merge, exactly. Overlapping windows then keep one
    /// accumulator for each key and take out what leaves; without, they keep two for each key and pane, and
    /// merge for each result.
    const SUBTRACTS: bool = false;

    /// Takes back what merging `other` has added. Called only if the aggregate
    /// [subtracts](Aggregate::SUBTRACTS).
    fn subtract(&self, _acc: &mut Self::Acc, _other: &Self::Acc) {}

    /// Reads the result.
    fn result(&self, acc: &Self::Acc) -> Self::Out;

    /// True if the accumulator is as if no value had been added, so that the key need not be kept. Only
    /// aggregates over changes can say so.
    fn is_empty(&self, _acc: &Self::Acc) -> bool {
        false
    }

    /// The event time at and after which no value can change the result.
    ///
    /// Once the watermark reaches it, the key is forgotten and its last result stands. A value from before it
    /// whose split had promised not to fall behind it is late: it is dropped and counted. Of a key that is
    /// forgotten the time is that of the value alone: an aggregate that needs other values to tell it begins
    /// the key anew. An aggregate that expires must not [combine](Self::COMBINES).
    fn expires(&self, _acc: &Self::Acc) -> Option<EventTime> {
        None
    }
}

/// The same aggregate over accumulators instead of values: the owner of a key merges what other workers have
/// combined.
#[derive(Clone)]
pub(crate) struct Merged<A, T>(pub(crate) A, PhantomData<fn() -> T>);

impl<A, T> Merged<A, T> {
    pub(crate) fn new(aggregate: A) -> Merged<A, T> {
        Merged(aggregate, PhantomData)
    }
}

impl<T: 'static, A: Aggregate<T>> Aggregate<A::Acc> for Merged<A, T>
where
    Merged<A, T>: Clone,
{
    type Acc = A::Acc;
    type Out = A::Out;

    fn start(&self, value: A::Acc) -> A::Acc {
        value
    }

    fn add(&self, acc: &mut A::Acc, value: A::Acc) {
        self.0.merge(acc, value);
    }

    fn merge(&self, acc: &mut A::Acc, other: A::Acc) {
        self.0.merge(acc, other);
    }

    fn result(&self, acc: &A::Acc) -> A::Out {
        self.0.result(acc)
    }

    fn is_empty(&self, acc: &A::Acc) -> bool {
        self.0.is_empty(acc)
    }

    fn expires(&self, acc: &A::Acc) -> Option<EventTime> {
        self.0.expires(acc)
    }
}

/// The number of values, whatever they are.
#[derive(Clone, Copy, Debug)]
pub struct Count;

impl<T> Aggregate<T> for Count {
    type Acc = u64;
    type Out = u64;
    const SUBTRACTS: bool = true;

    fn start(&self, _: T) -> u64 {
        1
    }

    fn add(&self, acc: &mut u64, _: T) {
        *acc += 1;
    }

    fn merge(&self, acc: &mut u64, other: u64) {
        *acc += other;
    }

    fn subtract(&self, acc: &mut u64, other: &u64) {
        *acc -= other;
    }

    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

/// The sum, as its values' own type.
///
/// If a sum of integers or durations does not fit in their type, be it that of some values on their way to
/// all, the job ends with an error that names the operator. Other types add up as their `+=` does:
/// floating-point numbers become infinite.
#[derive(Clone, Copy, Debug)]
pub struct Sum;

/// Adds a value, and records a fault if the sum overflows. The branch on the type is resolved at compile
/// time.
#[inline]
fn add_up<T: Copy + std::ops::AddAssign + 'static>(acc: &mut T, value: T) {
    macro_rules! checked {
        ($($Number:ty)*) => {$({
            // `T` is generic over `+=`, which has no checked form. The types are constants here, so all arms
            // but one are removed.
            let (sum, value): (&mut dyn Any, &dyn Any) = (acc, &value);
            if let (Some(sum), Some(value)) = (sum.downcast_mut::<$Number>(), value.downcast_ref::<$Number>()) {
                match sum.checked_add(*value) {
                    Some(more) => *sum = more,
                    None => operator_fault::note(concat!(
                        "a sum does not fit in its type, ", stringify!($Number),
                        ": sum as a larger type, or as f64 if it need not be exact"
                    )),
                }
                return;
            }
        })*};
    }
    checked!(i64 u64 i32 u32 i128 u128 usize isize i16 u16 i8 u8 Duration);
    // No integer and no duration: the type's own `+=` decides.
    *acc += value;
}

impl<T: Exchange + Copy + std::ops::AddAssign> Aggregate<T> for Sum {
    type Acc = T;
    type Out = T;

    fn start(&self, value: T) -> T {
        value
    }

    fn add(&self, acc: &mut T, value: T) {
        add_up(acc, value);
    }

    fn merge(&self, acc: &mut T, other: T) {
        add_up(acc, other);
    }

    fn result(&self, acc: &T) -> T {
        *acc
    }
}

/// An associative and commutative function of two values.
#[derive(Clone, Copy, Debug)]
pub struct Reduce<F>(pub F);

impl<T, F> Aggregate<T> for Reduce<F>
where
    T: Exchange,
    F: Fn(&T, T) -> T + Clone + Send + Sync + 'static,
{
    type Acc = T;
    type Out = T;

    fn start(&self, value: T) -> T {
        value
    }

    fn add(&self, acc: &mut T, value: T) {
        *acc = (self.0)(acc, value);
    }

    fn merge(&self, acc: &mut T, other: T) {
        *acc = (self.0)(acc, other);
    }

    fn result(&self, acc: &T) -> T {
        acc.clone()
    }
}

/// An initial value, a function that adds a value, and one that merges.
#[derive(Clone, Copy, Debug)]
pub struct Fold<I, F, M>(pub I, pub F, pub M);

impl<T, I, F, M> Aggregate<T> for Fold<I, F, M>
where
    I: Exchange,
    F: Fn(&mut I, T) + Clone + Send + Sync + 'static,
    M: Fn(&mut I, I) + Clone + Send + Sync + 'static,
{
    type Acc = I;
    type Out = I;

    fn start(&self, value: T) -> I {
        let mut acc = self.0.clone();
        (self.1)(&mut acc, value);
        acc
    }

    fn add(&self, acc: &mut I, value: T) {
        (self.1)(acc, value);
    }

    fn merge(&self, acc: &mut I, other: I) {
        (self.2)(acc, other);
    }

    fn result(&self, acc: &I) -> I {
        acc.clone()
    }
}

/// An exact sum of integers, and their number.
type Mean = (i128, i64);

/// Stores the sum and the number of two accumulators, or records a fault if one has overflowed.
#[inline]
fn join(acc: &mut Mean, sum: Option<i128>, count: Option<i64>) {
    match (sum, count) {
        (Some(sum), Some(count)) => *acc = (sum, count),
        _ => operator_fault::note("a sum of integers does not fit in 128 bits, or their number in 64"),
    }
}

#[inline]
fn add_mean(acc: &mut Mean, other: &Mean) {
    join(acc, acc.0.checked_add(other.0), acc.1.checked_add(other.1));
}

#[inline]
fn take_mean(acc: &mut Mean, other: &Mean) {
    join(acc, acc.0.checked_sub(other.0), acc.1.checked_sub(other.1));
}

/// The mean, rounded toward zero.
fn mean((sum, count): Mean) -> i64 {
    let mean = sum.checked_div(i128::from(count)).unwrap_or_default();
    i64::try_from(mean).unwrap_or_else(|_| {
        operator_fault::note(&format!(
            "the average {mean} does not fit in an i64: average what is smaller, or fold into a sum and a count"
        ));
        // Any value will do: the fault ends the worker before this leaves the operator.
        if mean < 0 { i64::MIN } else { i64::MAX }
    })
}

/// The mean of integers, rounded toward zero as SQL does. It is exact: sums have 128 bits. One that does not
/// fit in an `i64`, as that of great `u64`s, ends the job with an error that names the operator.
#[derive(Clone, Copy, Debug)]
pub struct Average;

impl<T: Into<i128> + Data> Aggregate<T> for Average {
    type Acc = (i128, i64);
    type Out = i64;
    const SUBTRACTS: bool = true;

    fn start(&self, value: T) -> (i128, i64) {
        (value.into(), 1)
    }

    fn add(&self, acc: &mut (i128, i64), value: T) {
        add_mean(acc, &(value.into(), 1));
    }

    fn merge(&self, acc: &mut (i128, i64), other: (i128, i64)) {
        add_mean(acc, &other);
    }

    fn subtract(&self, acc: &mut (i128, i64), other: &(i128, i64)) {
        take_mean(acc, other);
    }

    fn result(&self, acc: &(i128, i64)) -> i64 {
        mean(*acc)
    }
}

/// An aggregate over changes, for those that can take a value back: [`CountChanges`], [`SumChanges`] and
/// [`AverageChanges`].
///
/// The number of values that are present.
#[derive(Clone, Copy, Debug)]
pub struct CountChanges;

impl<T: Data> Aggregate<Change<T>> for CountChanges {
    type Acc = i64;
    type Out = i64;
    const SUBTRACTS: bool = true;

    fn start(&self, change: Change<T>) -> i64 {
        change.diff
    }

    fn add(&self, acc: &mut i64, change: Change<T>) {
        add_up(acc, change.diff);
    }

    fn merge(&self, acc: &mut i64, other: i64) {
        add_up(acc, other);
    }

    fn subtract(&self, acc: &mut i64, other: &i64) {
        match acc.checked_sub(*other) {
            Some(less) => *acc = less,
            None => operator_fault::note("a number of changes does not fit in 64 bits"),
        }
    }

    fn result(&self, acc: &i64) -> i64 {
        *acc
    }

    fn is_empty(&self, acc: &i64) -> bool {
        *acc == 0
    }
}

/// The sum of the integers that are present.
#[derive(Clone, Copy, Debug)]
pub struct SumChanges;

/// The mean of the integers that are present, rounded toward zero as SQL does. It must fit in an `i64`, as
/// [`Average`] must.
#[derive(Clone, Copy, Debug)]
pub struct AverageChanges;

macro_rules! over_changes {
    ($Aggregate:ident, $Out:ty, |$acc:ident| $result:expr) => {
        impl<T: Into<i128> + Data> Aggregate<Change<T>> for $Aggregate {
            type Acc = (i128, i64);
            type Out = $Out;
            const SUBTRACTS: bool = true;

            fn start(&self, change: Change<T>) -> (i128, i64) {
                let sum = change.record.into().checked_mul(i128::from(change.diff));
                if sum.is_none() {
                    operator_fault::note("a sum of integers does not fit in 128 bits");
                }
                // The default never leaves the operator: the fault ends the worker first.
                (sum.unwrap_or_default(), change.diff)
            }

            fn add(&self, acc: &mut (i128, i64), change: Change<T>) {
                let other = Aggregate::<Change<T>>::start(self, change);
                Aggregate::<Change<T>>::merge(self, acc, other);
            }

            fn merge(&self, acc: &mut (i128, i64), other: (i128, i64)) {
                add_mean(acc, &other);
            }

            fn subtract(&self, acc: &mut (i128, i64), other: &(i128, i64)) {
                take_mean(acc, other);
            }

            fn result(&self, $acc: &(i128, i64)) -> $Out {
                $result
            }

            fn is_empty(&self, acc: &(i128, i64)) -> bool {
                acc.1 == 0
            }
        }
    };
}

over_changes!(SumChanges, i128, |acc| acc.0);
over_changes!(AverageChanges, i64, |acc| mean(*acc));
