//! Stateless steps, fused at compile time.
//!
//! A [`Stream`](super::Stream) that was mapped and filtered is not an operator yet. It is a chain: where its
//! records come from, and the steps they go through, all in its type. When something that needs an operator
//! of its own is attached (an exchange, state, a sink), the chain becomes one [`Collector`], a stack of
//! closures that each call the next one by value. It is compiled into the loop of the operator that
//! *produces* the records, so a record that a filter drops never lies in memory, and between two steps there
//! is neither a buffer nor a virtual call.
//!
//! Collectors push rather than pull because one record in may be none, one or many out.

use crate::data::{Data, Stamp};

use super::{Edge, Graph, NodeId};

/// Takes records one at a time.
pub trait Collector<T>: Ends {
    /// Takes a record.
    fn push(&mut self, value: T, stamp: Stamp);
}

/// Leads somewhere.
pub trait Ends: 'static {
    /// What all the steps lead to.
    type End;

    /// What all the steps lead to.
    fn end(&mut self) -> &mut Self::End;
}

/// What a chain ends in: makes the [`SendBuffer`] of each worker.
pub trait ChainSink<T>: Clone + Send + Sync + 'static {
    /// What is sent.
    type Element: Data;
    /// What gathers it.
    type Gather: Collector<T, End = Self::Gather> + SendBuffer<Element = Self::Element>;

    /// The gatherer of one worker.
    fn open(&self) -> Self::Gather;
}

/// Gathers elements until they are sent on.
pub trait SendBuffer: 'static {
    /// What is sent.
    type Element: Data;

    /// True if so much is gathered that it should be sent before more comes.
    fn is_full(&self) -> bool;

    /// Hands over what is gathered, in batches: `all` of it, or as much as makes it less full.
    fn drain(&mut self, all: bool, send: &mut dyn FnMut(&mut Vec<Self::Element>));
}

/// The connection from where a chain starts to whoever will read what comes out of it.
pub(crate) fn edge_of<E>(chain: &impl Chain) -> Edge<E> {
    let mut steps = Vec::new();
    chain.steps(&mut steps);
    chain.origin().graph().edge(chain.origin().id(), steps)
}

/// Where a chain starts: an operator that produces records.
pub trait Origin: Clone + Send + Sync + 'static {
    /// What it produces.
    type Item: Data;

    /// The job it belongs to.
    #[doc(hidden)]
    fn graph(&self) -> Graph;

    /// The operator's number in it.
    #[doc(hidden)]
    fn id(&self) -> NodeId;

    /// Has the operator push its records through a chain, and gives the edge on which they come out.
    #[doc(hidden)]
    fn attach<C, N>(chain: C, terminal: N) -> Edge<N::Element>
    where
        C: Chain<From = Self>,
        N: ChainSink<C::Out>;
}

/// An origin and the steps after it: the type of a stream that has not been made an operator.
///
/// Users meet this trait only in signatures, as in
/// `fn bids(events: Stream<Event, impl Chain<Out = Event>>) -> Stream<Bid, impl Chain<Out = Bid>>`.
pub trait Chain: Clone + Send + Sync + 'static {
    /// Where the records come from.
    type From: Origin;
    /// What comes out.
    type Out: Data;

    /// Where the records come from.
    #[doc(hidden)]
    fn origin(&self) -> &Self::From;

    /// The names of the steps, first to last.
    #[doc(hidden)]
    fn steps(&self, names: &mut Vec<&'static str>);

    /// The steps as one collector that ends in `end`.
    #[doc(hidden)]
    fn collector<E: Collector<Self::Out>>(
        self,
        end: E,
    ) -> impl Collector<<Self::From as Origin>::Item, End = E::End>;
}

/// One stateless step from `T` on.
pub trait Step<T>: Clone + Send + Sync + 'static {
    /// What comes out.
    type Out: Data;
    /// The step's name, for `explain`.
    const NAME: &'static str;

    /// Takes a record and passes on what becomes of it.
    fn apply<N: Collector<Self::Out>>(&mut self, value: T, stamp: Stamp, next: &mut N);
}

/// A chain with one step more.
#[derive(Clone)]
pub struct Then<C, S> {
    chain: C,
    step: S,
}

impl<C, S> Then<C, S> {
    pub(crate) fn new(chain: C, step: S) -> Then<C, S> {
        Then { chain, step }
    }
}

impl<C: Chain, S: Step<C::Out>> Chain for Then<C, S> {
    type From = C::From;
    type Out = S::Out;

    fn origin(&self) -> &C::From {
        self.chain.origin()
    }

    fn steps(&self, names: &mut Vec<&'static str>) {
        self.chain.steps(names);
        names.push(S::NAME);
    }

    fn collector<E: Collector<S::Out>>(
        self,
        end: E,
    ) -> impl Collector<<C::From as Origin>::Item, End = E::End> {
        self.chain.collector(Apply { step: self.step, next: end })
    }
}

struct Apply<S, N> {
    step: S,
    next: N,
}

impl<S: 'static, N: Ends> Ends for Apply<S, N> {
    type End = N::End;

    #[inline]
    fn end(&mut self) -> &mut N::End {
        self.next.end()
    }
}

impl<T, S: Step<T>, N: Collector<S::Out>> Collector<T> for Apply<S, N> {
    #[inline(always)]
    fn push(&mut self, value: T, stamp: Stamp) {
        self.step.apply(value, stamp, &mut self.next);
    }
}
