//! The exit of a loop: where records leave it, at once, with the epoch that they entered in.
//!
//! Any worker may let out what another has let in, so every worker holds what the frontier of the loop says
//! may still come. It is a lower bound even when it is old.

use std::sync::Arc;

use crate::data::{Data, Record};
use crate::stream::Edge;
use crate::stream::consumers::Consumers;
use crate::stream::graph::{Lowering, Operator};
use crate::stream::rounds::outside;

/// Lets a stream out of a loop.
pub(super) struct ExitOperator<T> {
    pub(super) edge: Edge<Record<T>>,
    pub(super) consumers: Arc<Consumers<T>>,
}

impl<T: Data> Operator for ExitOperator<T> {
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let mut builder = cx.operator(uid);
        let mut ports = self.consumers.open(&mut builder);
        let mut input = builder.delayed(self.edge, None);
        builder.build(move |frontiers, holds| {
            while let Some((time, batch)) = input.next() {
                ports.give_batch(outside(time), batch);
                batch.clear();
            }
            ports.flush();
            holds.set(frontiers.of(0).iter().map(|time| outside(*time)));
            false
        });
    }
}
