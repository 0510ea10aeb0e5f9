//! How the operator of aligned windows is built on a worker.

use std::marker::PhantomData;
use std::sync::Arc;

use super::aligned_operator::Windows;
use super::assign_panes::{Assign, Paned};
use super::assigner::Aligned;
use super::windowed::Windowed;
use crate::data::{Data, Key};
use crate::error::Result;
use crate::metric::Metric;
use crate::stream::{
    Aggregate, Chain, Consumers, Edge, Lowering, Node, NodeInfo, Operator, Routing, Stream, epoch_driver,
};

/// Aggregates the values of each key and window.
pub(super) fn aggregate<K, T, C, A>(
    windows: Aligned,
    pairs: Stream<(K, T), C>,
    aggregate: A,
) -> Stream<Windowed<K, A::Out>>
where
    K: Key,
    T: Data,
    C: Chain<Out = (K, T)>,
    A: Aggregate<T>,
{
    let (graph, late) = (pairs.graph(), Metric::default());
    let edge = pairs.attach(Assign { windows, aggregate: aggregate.clone(), late: late.clone() });
    let info = NodeInfo::new("window", windows.to_string()).input(edge, Routing::ByKey).stateful();
    let info = if A::COMBINES { info.terminal("combine by pane") } else { info.terminal("assign panes") };
    let consumers = Consumers::new();
    let operator = WindowOperator {
        edge,
        windows,
        aggregate,
        late,
        consumers: Arc::clone(&consumers),
        value: PhantomData,
    };
    let id = graph.add(info, operator);
    Stream::new(Node::new(&graph, id, &consumers))
}

struct WindowOperator<K, T, A: Aggregate<T>> {
    edge: Edge<Paned<K, A::Acc>>,
    windows: Aligned,
    aggregate: A,
    late: Metric,
    consumers: Arc<Consumers<Windowed<K, A::Out>>>,
    value: PhantomData<fn() -> T>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Operator for WindowOperator<K, T, A> {
    fn prepare(&self, _: usize) -> Result<()> {
        self.windows.check()
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        cx.worker.shared.metrics.register(uid, "late_dropped", &self.late);
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let input = builder.by_key(self.edge, |paned| &paned.key);
        let ports = self.consumers.open(&mut builder);
        let quota = worker.quota(uid, "keys_evicted");
        let logic = Windows::<K, T, A>::new(self.windows, self.aggregate.clone(), quota);
        epoch_driver::build(builder, worker, vec![input], ports, logic);
    }
}
