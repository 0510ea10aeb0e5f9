//! The named aggregates over windows.

use super::builder::WindowedStream;
use super::emission::{Corrected, Results, Uncorrected};
use super::general::{Assigner, Trigger};
use super::mapped::MapInput;
use super::windowed::Windowed;
use crate::data::{Change, Data, Exchange, Key};
use crate::stream::{Aggregate, Average, Chain, Count, Fold, Reduce, Stream, Sum};

impl<K, T, C, W, E> WindowedStream<K, T, C, W, E>
where
    K: Key,
    T: Data,
    C: Chain<Out = (K, T)>,
    E: Uncorrected + Results<K, T, W>,
{
    /// Aggregates the values of each key and window.
    pub fn aggregate<A: Aggregate<T>>(self, aggregate: A) -> Stream<Windowed<K, A::Out>> {
        self.emission.aggregate(self.definition, aggregate)
    }

    fn aggregate_mapped<N, F, A>(self, map: F, aggregate: A) -> Stream<Windowed<K, A::Out>>
    where
        N: Data,
        F: Fn(T) -> N + Clone + Send + Sync + 'static,
        A: Aggregate<N>,
    {
        self.emission.aggregate_mapped(self.definition, map, aggregate)
    }
}

impl<K, T, C, W, G> WindowedStream<K, T, C, W, Corrected<G>>
where
    K: Key,
    T: Exchange,
    C: Chain<Out = (K, T)>,
    W: Assigner<T>,
    G: Trigger<K, T>,
{
    /// Aggregates the values of each key and window.
    ///
    /// At each moment the changes so far add up to one result for each window that has fired. When sessions
    /// that have been told of become one, their results are taken back when the one they have become is told.
    pub fn aggregate<A>(self, aggregate: A) -> Stream<Change<Windowed<K, A::Out>>>
    where
        A: Aggregate<T, Out: Exchange + PartialEq>,
    {
        self.definition.correct(self.emission.0, aggregate)
    }

    fn aggregate_mapped<N, F, A>(self, map: F, aggregate: A) -> Stream<Change<Windowed<K, A::Out>>>
    where
        N: Data,
        F: Fn(T) -> N + Clone + Send + Sync + 'static,
        A: Aggregate<N, Out: Exchange + PartialEq>,
    {
        self.aggregate(MapInput::new(map, aggregate))
    }
}

/// What is counted.
fn nothing<T>(_: T) {}

/// The named aggregates: once for results, and once for changes, whose values must be comparable.
macro_rules! named_aggregates {
    ([$($parameter:ident)*] $Emission:ty, { $($bounds:tt)* }, $Out:ident $(, $equal:path)?) => {
        impl<K, T, C, W, $($parameter)*> WindowedStream<K, T, C, W, $Emission>
        where
            K: Key,
            C: Chain<Out = (K, T)>,
            $($bounds)*
        {
            /// The number of records.
            pub fn count(self) -> Stream<$Out<K, u64>> {
                self.aggregate_mapped(nothing::<T>, Count)
            }

            /// The sum of what `f` reads off the records.
            pub fn sum<N, F>(self, f: F) -> Stream<$Out<K, N>>
            where
                N: Exchange + Copy + std::ops::AddAssign $(+ $equal)?,
                F: Fn(T) -> N + Clone + Send + Sync + 'static,
            {
                self.aggregate_mapped(f, Sum)
            }

            /// The mean of the integers that `f` reads off the records, rounded toward zero.
            pub fn average<N, F>(self, f: F) -> Stream<$Out<K, i64>>
            where
                N: Exchange + Into<i128>,
                F: Fn(T) -> N + Clone + Send + Sync + 'static,
            {
                self.aggregate_mapped(f, Average)
            }

            /// The least of what `f` reads off the records.
            pub fn min<M, F>(self, f: F) -> Stream<$Out<K, M>>
            where
                M: Exchange + Ord,
                F: Fn(T) -> M + Clone + Send + Sync + 'static,
            {
                self.aggregate_mapped(f, Reduce(|least: &M, value: M| least.clone().min(value)))
            }

            /// The greatest of what `f` reads off the records.
            pub fn max<M, F>(self, f: F) -> Stream<$Out<K, M>>
            where
                M: Exchange + Ord,
                F: Fn(T) -> M + Clone + Send + Sync + 'static,
            {
                self.aggregate_mapped(f, Reduce(|greatest: &M, value: M| greatest.clone().max(value)))
            }

            /// Joins the values by an associative and commutative function.
            pub fn reduce<F>(self, f: F) -> Stream<$Out<K, T>>
            where
                T: Exchange $(+ $equal)?,
                F: Fn(&T, T) -> T + Clone + Send + Sync + 'static,
            {
                self.aggregate(Reduce(f))
            }

            /// Adds the values to an initial value; `merge` adds what several have added up.
            pub fn fold<I, F, M>(self, initial: I, add: F, merge: M) -> Stream<$Out<K, I>>
            where
                I: Exchange $(+ $equal)?,
                F: Fn(&mut I, T) + Clone + Send + Sync + 'static,
                M: Fn(&mut I, I) + Clone + Send + Sync + 'static,
            {
                self.aggregate(Fold(initial, add, merge))
            }
        }
    };
}

/// The change of a result.
type Restated<K, R> = Change<Windowed<K, R>>;

named_aggregates!([E] E, { T: Data, E: Uncorrected + Results<K, T, W> }, Windowed);
named_aggregates!([G] Corrected<G>, { T: Exchange, W: Assigner<T>, G: Trigger<K, T> }, Restated, PartialEq);
