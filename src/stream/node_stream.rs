//! Streams that come straight from an operator: its further outputs, and readers of its states.

use std::any::Any;
use std::sync::Arc;

use super::sides::SideKey;
use super::stateless::Stream;
use crate::data::Data;
use crate::stream::consumers::{Consumers, Node};

impl<T: Data> Stream<T, Node<T>> {
    /// Makes a state of the operator that this stream comes from known to a reader.
    pub(crate) fn read_by(&self, state: &'static str, reader: Arc<dyn Any + Send + Sync>) {
        self.chain.graph.upgrade().add_reader(self.chain.id, state, reader);
    }

    /// A side output of the operator that this stream comes from.
    pub(crate) fn side_output<S: Data>(&self, side: SideKey) -> Stream<S> {
        let Node { graph, id: node, consumers } = &self.chain;
        let (graph, further) = (graph.upgrade(), Consumers::new());
        if let Some(consumers) = consumers.upgrade() {
            consumers.add_side(side.id, &further);
        }
        graph.read_side(*node, side);
        Stream::new(Node::new(&graph, *node, &further))
    }
}
