//! The exit of a loop: records leave it at once, with the epoch that they entered in.
//!
//! A record may leave on another worker than it entered on, so every worker holds the frontier of the loop.
//! That is a lower bound even when it is out of date.

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
        // Inside and outside count epochs differently, so no path summary connects the two. The holds below
        // cover what may still leave.
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
