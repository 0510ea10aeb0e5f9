//! How windows are lowered to the operator of all windows.

use std::sync::Arc;

use super::assigner::Assigner;
use super::content::{Content, Folded, Listed, Restated};
use super::evictor::Evictor;
use super::function::WindowProcess;
pub(in crate::window) use super::operator::Settings;
use super::operator::WindowOperator;
use super::trigger::Trigger;
use crate::data::{Change, Exchange, Key};
use crate::stream::{Aggregate, ByKey, Chain, Consumers, Node, NodeInfo, Routing, Stream};
use crate::window::windowed::Windowed;

/// A stream, and what is asked of its windows.
pub(in crate::window) struct General<K, T, C, W, G> {
    pub(in crate::window) pairs: Stream<(K, T), C>,
    pub(in crate::window) settings: Settings<K, T, W, G>,
}

impl<K, T, C, W, G> General<K, T, C, W, G>
where
    K: Key,
    T: Exchange,
    C: Chain<Out = (K, T)>,
    W: Assigner<T>,
    G: Trigger<K, T>,
{
    fn build<B: Content<K, T>>(self, content: B) -> Stream<B::Out> {
        let graph = self.pairs.graph();
        let edge = self.pairs.attach(ByKey);
        let info = NodeInfo::new("window", "windows").input(edge, Routing::ByKey).stateful();
        let consumers = Consumers::new();
        let operator =
            WindowOperator { edge, settings: self.settings, content, consumers: Arc::clone(&consumers) };
        let id = graph.add(info, operator);
        Stream::new(Node::new(&graph, id, &consumers))
    }

    /// Adds values up as they come, and passes results to a function.
    pub(in crate::window) fn aggregate<A, P>(self, aggregate: A, function: P) -> Stream<P::Out>
    where
        A: Aggregate<T>,
        P: WindowProcess<K, A::Out>,
    {
        self.build(Folded::new(aggregate, function))
    }

    /// Keeps records, and passes those that an evictor leaves to a function.
    pub(in crate::window) fn process<P: WindowProcess<K, Vec<T>>>(
        self,
        evictor: Option<Arc<dyn Evictor<T>>>,
        function: P,
    ) -> Stream<P::Out> {
        self.build(Listed::new(evictor, function))
    }

    /// Adds values up, and takes results back when they are restated.
    pub(in crate::window) fn correct<A>(self, aggregate: A) -> Stream<Change<Windowed<K, A::Out>>>
    where
        A: Aggregate<T, Out: Exchange + PartialEq>,
    {
        self.build(Restated::new(aggregate))
    }
}
