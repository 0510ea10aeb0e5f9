//! Emission: when windows emit results, as a type. It decides which operator a windowed stream is lowered to.
//!
//! The type parameter is `WindowedStream`'s last one. A program that sets no option instantiates the operator
//! that its windows have of their own and nothing else; the general operator is in a program only if an
//! option asks for it. That is decided by types and not when the job runs, since each operator is compiled
//! for each type of keys and values.
//!
//! | emission | operator | set by |
//! |---|---|---|
//! | [`AtEnd`] | that of [aligned](Aligned) windows, that of [sessions](Sessions) | nothing |
//! | [`ByTrigger`] | the general one, which adds values up as they come | any option but those below, and windows of other kinds |
//! | [`Evicting`] | the general one, which keeps records | `evictor` |
//! | [`Corrected`] | the general one, with results that it takes back | `correct_until` |

use std::sync::Arc;

use super::assigner::Aligned;
use super::general::{
    AsIs, Assigner, Evictor, General, OnEventTime, Settings, Summed, Trigger, WindowProcess,
};
use super::lower;
use super::mapped::MapInput;
use super::session::{self, Gap, Sessions};
use super::windowed::Windowed;
use crate::data::{Change, Data, Exchange, Key};
use crate::process::SideOutput;
use crate::stream::{Aggregate, Chain, KeyedStream, Stream};

/// Windows fire once, when the watermark has reached their end, and are dropped then: no option is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtEnd;

/// Windows fire when a trigger says so.
#[derive(Clone, Copy, Debug)]
pub struct ByTrigger<G>(pub(super) G);

/// Windows keep their records and fire when a trigger says so, and an [evictor](Evictor) drops records then.
#[derive(Clone, Copy, Debug)]
pub struct Evicting<G>(pub(super) G);

/// Windows fire when a trigger says so, and retract the results that they have emitted before.
#[derive(Clone, Copy, Debug)]
pub struct Corrected<G>(pub(super) G);

/// When windows emit results: [`AtEnd`], [`ByTrigger`], [`Evicting`] or [`Corrected`].
pub trait Emission: sealed::Sealed + Sized {
    /// What fires the windows.
    type Trigger;

    /// The same with an option, and another trigger.
    type By<G>: Emission;

    /// What fires the windows.
    #[doc(hidden)]
    fn into_trigger(self) -> Self::Trigger;

    /// Fires them by a trigger.
    #[doc(hidden)]
    fn by<G>(trigger: G) -> Self::By<G>;
}

/// An [`Emission`] whose results stand: all but [`Corrected`].
pub trait Uncorrected: Emission {}

impl Uncorrected for AtEnd {}
impl<G> Uncorrected for ByTrigger<G> {}
impl<G> Uncorrected for Evicting<G> {}

/// An [`Emission`] whose windows need no records once they have added them up: [`AtEnd`] and [`ByTrigger`].
#[diagnostic::on_unimplemented(
    message = "results of windows with an evictor cannot be corrected",
    note = "what it has dropped would have to be taken back: leave out `correct_until` or the evictor, which windows \
            of the last records have, too"
)]
pub trait Incremental: Uncorrected {}

impl Incremental for AtEnd {}
impl<G> Incremental for ByTrigger<G> {}

mod sealed {
    /// Keeps `Emission` to this file's types.
    pub trait Sealed {}
    impl Sealed for super::AtEnd {}
    impl<G> Sealed for super::ByTrigger<G> {}
    impl<G> Sealed for super::Evicting<G> {}
    impl<G> Sealed for super::Corrected<G> {}
}

impl Emission for AtEnd {
    type Trigger = OnEventTime;
    type By<G> = ByTrigger<G>;

    fn into_trigger(self) -> OnEventTime {
        OnEventTime::default()
    }

    fn by<G>(trigger: G) -> ByTrigger<G> {
        ByTrigger(trigger)
    }
}

impl<H> Emission for ByTrigger<H> {
    type Trigger = H;
    type By<G> = ByTrigger<G>;

    fn into_trigger(self) -> H {
        self.0
    }

    fn by<G>(trigger: G) -> ByTrigger<G> {
        ByTrigger(trigger)
    }
}

impl<H> Emission for Evicting<H> {
    type Trigger = H;
    type By<G> = Evicting<G>;

    fn into_trigger(self) -> H {
        self.0
    }

    fn by<G>(trigger: G) -> Evicting<G> {
        Evicting(trigger)
    }
}

impl<H> Emission for Corrected<H> {
    type Trigger = H;
    type By<G> = Corrected<G>;

    fn into_trigger(self) -> H {
        self.0
    }

    fn by<G>(trigger: G) -> Corrected<G> {
        Corrected(trigger)
    }
}

/// The definition of windows without their emission.
pub struct Definition<K, T, C, W> {
    pub(super) pairs: Stream<(K, T), C>,
    pub(super) assigner: W,
    /// For how long after its end a window takes late records, in milliseconds.
    pub(super) lateness: i64,
    pub(super) late: Option<SideOutput<(K, T)>>,
    pub(super) evictor: Option<Arc<dyn Evictor<T>>>,
}

impl<K, T, C, W> Definition<K, T, C, W>
where
    K: Key,
    T: Exchange,
    C: Chain<Out = (K, T)>,
    W: Assigner<T>,
{
    /// Adds values up as they come, and passes results to a function.
    fn fold<G, A, P>(self, trigger: G, aggregate: A, function: P) -> Stream<P::Out>
    where
        G: Trigger<K, T>,
        A: Aggregate<T>,
        P: WindowProcess<K, A::Out>,
    {
        self.general(trigger).0.aggregate(aggregate, function)
    }

    /// Keeps records, and passes those that the evictor leaves to a function.
    pub(super) fn process<G, P>(self, trigger: G, function: P) -> Stream<P::Out>
    where
        G: Trigger<K, T>,
        P: WindowProcess<K, Vec<T>>,
    {
        let (general, evictor) = self.general(trigger);
        general.process(evictor, function)
    }

    pub(super) fn correct<G, A>(self, trigger: G, aggregate: A) -> Stream<Change<Windowed<K, A::Out>>>
    where
        G: Trigger<K, T>,
        A: Aggregate<T, Out: Exchange + PartialEq>,
    {
        self.general(trigger).0.correct(aggregate)
    }

    fn general<G>(self, trigger: G) -> (General<K, T, C, W, G>, Option<Arc<dyn Evictor<T>>>) {
        let Definition { pairs, assigner, lateness, late, evictor } = self;
        (General { pairs, settings: Settings { assigner, trigger, lateness, late } }, evictor)
    }
}

/// How an emission is lowered: [`AtEnd`] for windows that have an operator of their own, [`ByTrigger`] and
/// [`Evicting`] for all.
#[diagnostic::on_unimplemented(
    message = "these windows give no results in this way",
    note = "corrected results are changes: evictors, firings and functions of windows are for windows without `correct_until`"
)]
pub trait Results<K, T, W>: Uncorrected {
    /// Aggregates the values of each key and window.
    #[doc(hidden)]
    fn aggregate<C, A>(self, windows: Definition<K, T, C, W>, aggregate: A) -> Stream<Windowed<K, A::Out>>
    where
        C: Chain<Out = (K, T)>,
        A: Aggregate<T>;

    /// Aggregates what `map` makes of the values of each key and window.
    #[doc(hidden)]
    fn aggregate_mapped<C, N, F, A>(
        self,
        windows: Definition<K, T, C, W>,
        map: F,
        aggregate: A,
    ) -> Stream<Windowed<K, A::Out>>
    where
        C: Chain<Out = (K, T)>,
        N: Data,
        F: Fn(T) -> N + Clone + Send + Sync + 'static,
        A: Aggregate<N>;

    /// Aggregates the values of each key and window, and passes results to a function.
    #[doc(hidden)]
    fn aggregate_with<C, A, P>(
        self,
        windows: Definition<K, T, C, W>,
        aggregate: A,
        function: P,
    ) -> Stream<P::Out>
    where
        K: Key,
        T: Exchange,
        W: Assigner<T>,
        Self::Trigger: Trigger<K, T>,
        C: Chain<Out = (K, T)>,
        A: Aggregate<T>,
        P: WindowProcess<K, A::Out>;
}

impl<K: Key, T: Data, W: Specialized<T>> Results<K, T, W> for AtEnd {
    fn aggregate<C, A>(self, windows: Definition<K, T, C, W>, aggregate: A) -> Stream<Windowed<K, A::Out>>
    where
        C: Chain<Out = (K, T)>,
        A: Aggregate<T>,
    {
        windows.assigner.aggregate(windows.pairs, aggregate)
    }

    fn aggregate_mapped<C, N, F, A>(
        self,
        windows: Definition<K, T, C, W>,
        map: F,
        aggregate: A,
    ) -> Stream<Windowed<K, A::Out>>
    where
        C: Chain<Out = (K, T)>,
        N: Data,
        F: Fn(T) -> N + Clone + Send + Sync + 'static,
        A: Aggregate<N>,
    {
        windows.assigner.aggregate_mapped(windows.pairs, map, aggregate)
    }

    fn aggregate_with<C, A, P>(
        self,
        windows: Definition<K, T, C, W>,
        aggregate: A,
        function: P,
    ) -> Stream<P::Out>
    where
        T: Exchange,
        C: Chain<Out = (K, T)>,
        A: Aggregate<T>,
        P: WindowProcess<K, A::Out>,
    {
        windows.fold(self.into_trigger(), aggregate, function)
    }
}

/// Emissions of the general operator, which differ in what it keeps.
macro_rules! general_results {
    ($emission:ident, |$windows:ident, $trigger:ident, $aggregate:ident, $function:ident| $lower:expr) => {
        impl<K: Key, T: Exchange, W: Assigner<T>, G: Trigger<K, T>> Results<K, T, W> for $emission<G> {
            fn aggregate<C, A>(
                self,
                windows: Definition<K, T, C, W>,
                aggregate: A,
            ) -> Stream<Windowed<K, A::Out>>
            where
                C: Chain<Out = (K, T)>,
                A: Aggregate<T>,
            {
                self.aggregate_with(windows, aggregate, AsIs)
            }

            fn aggregate_mapped<C, N, F, A>(
                self,
                windows: Definition<K, T, C, W>,
                map: F,
                aggregate: A,
            ) -> Stream<Windowed<K, A::Out>>
            where
                C: Chain<Out = (K, T)>,
                N: Data,
                F: Fn(T) -> N + Clone + Send + Sync + 'static,
                A: Aggregate<N>,
            {
                self.aggregate_with(windows, MapInput::new(map, aggregate), AsIs)
            }

            fn aggregate_with<C, A, P>(
                self,
                windows: Definition<K, T, C, W>,
                aggregate: A,
                function: P,
            ) -> Stream<P::Out>
            where
                C: Chain<Out = (K, T)>,
                A: Aggregate<T>,
                P: WindowProcess<K, A::Out>,
            {
                let ($windows, $trigger, $aggregate, $function) = (windows, self.0, aggregate, function);
                $lower
            }
        }
    };
}

general_results!(ByTrigger, |windows, trigger, aggregate, function| {
    windows.fold(trigger, aggregate, function)
});
general_results!(Evicting, |windows, trigger, aggregate, function| {
    windows.process(trigger, Summed(aggregate, function))
});

/// Windows that have an operator of their own, for aggregates whose results come once.
pub trait Specialized<T: Data>: Assigner<T> {
    /// Aggregates the values of each key and window.
    #[doc(hidden)]
    fn aggregate<K, C, A>(self, pairs: Stream<(K, T), C>, aggregate: A) -> Stream<Windowed<K, A::Out>>
    where
        K: Key,
        C: Chain<Out = (K, T)>,
        A: Aggregate<T>;

    /// Aggregates what `map` makes of the values. It is applied where records are read, and the owner of a
    /// key knows nothing of it: the operator is the same for all functions.
    #[doc(hidden)]
    fn aggregate_mapped<K, C, N, F, A>(
        self,
        pairs: Stream<(K, T), C>,
        map: F,
        aggregate: A,
    ) -> Stream<Windowed<K, A::Out>>
    where
        K: Key,
        C: Chain<Out = (K, T)>,
        N: Data,
        F: Fn(T) -> N + Clone + Send + Sync + 'static,
        A: Aggregate<N>;
}

impl<T: Data> Specialized<T> for Aligned {
    fn aggregate<K, C, A>(self, pairs: Stream<(K, T), C>, aggregate: A) -> Stream<Windowed<K, A::Out>>
    where
        K: Key,
        C: Chain<Out = (K, T)>,
        A: Aggregate<T>,
    {
        lower::aggregate(self, pairs, aggregate)
    }

    fn aggregate_mapped<K, C, N, F, A>(
        self,
        pairs: Stream<(K, T), C>,
        map: F,
        aggregate: A,
    ) -> Stream<Windowed<K, A::Out>>
    where
        K: Key,
        C: Chain<Out = (K, T)>,
        N: Data,
        F: Fn(T) -> N + Clone + Send + Sync + 'static,
        A: Aggregate<N>,
    {
        lower::aggregate(self, KeyedStream::new(pairs).map_values(map).pairs, aggregate)
    }
}

impl<T: Exchange, G: Gap<T>> Specialized<T> for Sessions<G> {
    fn aggregate<K, C, A>(self, pairs: Stream<(K, T), C>, aggregate: A) -> Stream<Windowed<K, A::Out>>
    where
        K: Key,
        C: Chain<Out = (K, T)>,
        A: Aggregate<T>,
    {
        session::aggregate(self, pairs, aggregate.clone(), aggregate)
    }

    fn aggregate_mapped<K, C, N, F, A>(
        self,
        pairs: Stream<(K, T), C>,
        map: F,
        aggregate: A,
    ) -> Stream<Windowed<K, A::Out>>
    where
        K: Key,
        C: Chain<Out = (K, T)>,
        N: Data,
        F: Fn(T) -> N + Clone + Send + Sync + 'static,
        A: Aggregate<N>,
    {
        session::aggregate(self, pairs, MapInput::new(map, aggregate.clone()), aggregate)
    }
}
