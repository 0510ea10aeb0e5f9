//! A job's graph: its operators in order of definition, and how they are connected.
//!
//! The graph is built once, in the main thread, from handles. It holds the static description of the job
//! (names, edges, the steps fused into them), and for each operator a recipe that every worker follows to
//! build its own instance. An operator is always defined after its inputs, so the order of definition is an
//! order in which to lower; the head of a loop has one more input, the feedback edge, and is finished
//! [at the end](Lowering::later).

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use serde::Serialize;
use timely::dataflow::Scope;
use timely::dataflow::operators::probe;

use super::Edge;
use super::context::WorkerContext;
use super::paths::{self, Paths};
use super::port::{Edges, OperatorBuilder};
use super::rounds::Counting;
use super::sides::{GivenSides, SideKey};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::notice::Notices;
use crate::snapshot::{Generations, Restored, RestoredOperator};
use crate::time::Time;

/// The number of an operator in its job.
pub type NodeId = usize;

/// A shared handle to a job's graph, or to the inside of one of its loops.
#[derive(Clone)]
pub struct Graph {
    shared: Arc<Mutex<Inner>>,
    /// The loop, counted from 1; 0 outside.
    scope: usize,
}

/// A handle that does not keep the graph alive.
#[derive(Clone)]
pub(crate) struct WeakGraph {
    shared: Weak<Mutex<Inner>>,
    scope: usize,
}

impl WeakGraph {
    /// The graph; if it was dropped, a new one that is part of no job.
    pub(crate) fn upgrade(&self) -> Graph {
        let scope = self.scope;
        self.shared.upgrade().map_or_else(Graph::new, |shared| Graph { shared, scope })
    }
}

/// The operators allowed in a loop: those that act when records arrive or an epoch closes, and do not wait
/// for event time.
const IN_LOOPS: [&str; 7] = ["aggregate", "call", "copy", "exchange", "join", "share", "union"];

#[derive(Default)]
struct Inner {
    nodes: Vec<Entry>,
    edges: Vec<EdgeInfo>,
    /// The readers of states from outside: the operator, the state's name, and the data that the reader
    /// shares with the workers.
    readers: Vec<(NodeId, &'static str, Reader)>,
    /// The side outputs that are read, with their operators.
    sides: Vec<(NodeId, SideKey)>,
    loops: usize,
    /// The first mistake in the job, reported when it is started.
    complaint: Option<String>,
}

/// The data that a reader of a state shares with the workers.
pub(crate) type Reader = Arc<dyn Any + Send + Sync>;

struct Entry {
    info: NodeInfo,
    operator: Arc<dyn Operator>,
    counting: Counting,
}

/// The static description of an operator.
#[derive(Clone, Debug)]
pub(crate) struct NodeInfo {
    /// Its kind, in one word: "window", "source", "sink".
    pub(crate) kind: &'static str,
    /// Its name, given by the user or made of its settings.
    pub(crate) name: String,
    /// The key of its state in snapshots, over restarts and new versions of the job.
    pub(crate) uid: Option<String>,
    pub(crate) inputs: Vec<InputInfo>,
    /// True if it keeps state.
    pub(crate) stateful: bool,
    /// The files that it reads or writes.
    pub(crate) paths: Paths,
    /// Whether its output has event time, if it assigns that. Otherwise its output has event time if any of
    /// its inputs has.
    pub(crate) gives_time: Option<bool>,
}

/// An edge as its consumer sees it.
#[derive(Clone, Debug)]
pub(crate) struct InputInfo {
    pub(crate) edge: usize,
    pub(crate) routing: Routing,
    /// The step on the sending side after the fused steps, such as "combine by key".
    pub(crate) terminal: Option<&'static str>,
}

/// Which worker a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Routing {
    /// It stays where it is.
    Forward,
    /// To the owner of its key.
    ByKey,
    /// To one after the other.
    Rebalance,
    /// To all.
    Broadcast,
    /// To the worker that a user's function returns.
    Custom,
}

/// An edge as its producer sees it.
#[derive(Clone, Debug)]
pub(crate) struct EdgeInfo {
    pub(crate) from: NodeId,
    /// The steps fused into the producer.
    pub(crate) steps: Vec<&'static str>,
}

/// The recipe for an operator.
pub(crate) trait Operator: Send + Sync {
    /// Prepares the operator in the main thread, before any worker starts, so that errors are early.
    fn prepare(&self, _workers: usize) -> Result<()> {
        Ok(())
    }

    /// Inspects what the operator's function registers, in the main thread, before anything else: reports its
    /// mistakes, and returns the side outputs that it emits to. `readers` are those of its states.
    fn inspect(&self, _readers: Vec<(&'static str, Reader)>) -> Result<GivenSides> {
        Ok(GivenSides::NONE)
    }

    /// Called instead of [`prepare`](Operator::prepare), if snapshots are taken, before the job takes the
    /// store over from a run that may have it: reports errors early, and changes nothing that another run can
    /// see.
    fn check(&self, beginning: &Beginning, _from: Option<&RestoredOperator>) -> Result<()> {
        self.prepare(beginning.workers)
    }

    /// Called after [`check`](Operator::check), when this run has the store: brings outputs into the state of
    /// the snapshot that the job is restored from.
    fn recover(&self, _beginning: &Beginning, _from: Option<&RestoredOperator>) -> Result<()> {
        Ok(())
    }

    /// Builds one worker's instance. Timely and the metrics know it by its uid.
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>);
}

/// How a run with snapshots begins.
pub(crate) struct Beginning {
    pub(crate) workers: usize,
    /// True if the user lets the job begin anew, whatever snapshots there are.
    pub(crate) anew: bool,
    /// The runs that the store knows; this one is among them once it has taken the store over.
    pub(crate) generations: Generations,
    /// The epoch of the last snapshot in the store.
    pub(crate) latest: Option<u64>,
    /// The snapshot that the run is restored from.
    pub(crate) restored: Option<Arc<Restored>>,
    pub(crate) notices: Notices,
}

impl NodeInfo {
    pub(crate) fn new(kind: &'static str, name: impl Into<String>) -> NodeInfo {
        NodeInfo {
            kind,
            name: name.into(),
            uid: None,
            inputs: Vec::new(),
            stateful: false,
            paths: Paths::default(),
            gives_time: None,
        }
    }

    /// Sets whether it assigns event times to its records.
    pub(crate) fn giving_time(mut self, gives: bool) -> NodeInfo {
        self.gives_time = Some(gives);
        self
    }

    /// The user's uid, or one made of the operator's number.
    pub(crate) fn uid(&self, id: NodeId) -> String {
        self.uid.clone().unwrap_or_else(|| format!("{}-{id}", self.kind))
    }

    pub(crate) fn input<E>(mut self, edge: Edge<E>, routing: Routing) -> NodeInfo {
        self.read(edge, routing);
        self
    }

    /// Adds an input that becomes known later.
    pub(crate) fn read<E>(&mut self, edge: Edge<E>, routing: Routing) {
        self.inputs.push(InputInfo { edge: edge.id, routing, terminal: None });
    }

    /// Names what the last input's sending side does after the fused steps.
    pub(crate) fn terminal(mut self, terminal: &'static str) -> NodeInfo {
        if let Some(input) = self.inputs.last_mut() {
            input.terminal = Some(terminal);
        }
        self
    }

    pub(crate) fn stateful(mut self) -> NodeInfo {
        self.stateful = true;
        self
    }
}

impl Graph {
    pub(crate) fn new() -> Graph {
        Graph { shared: Arc::default(), scope: 0 }
    }

    /// The inside of a new loop.
    pub(crate) fn in_loop(&self) -> Graph {
        let mut inner = lock(&self.shared);
        inner.loops += 1;
        Graph { shared: Arc::clone(&self.shared), scope: inner.loops }
    }

    pub(crate) fn downgrade(&self) -> WeakGraph {
        WeakGraph { shared: Arc::downgrade(&self.shared), scope: self.scope }
    }

    pub(crate) fn add(&self, info: NodeInfo, operator: impl Operator + 'static) -> NodeId {
        if self.scope > 0 && !IN_LOOPS.contains(&info.kind) {
            self.complain(
                "a loop can have stateless steps, exchanges, aggregates, joins and calls in it, but no windows, sinks, \
                 differential computations or other loops: let records leave it first",
            );
        }
        let counting = if self.scope > 0 { Counting::Rounds } else { Counting::Epochs };
        let mut inner = lock(&self.shared);
        inner.nodes.push(Entry { info, operator: Arc::new(operator), counting });
        inner.nodes.len() - 1
    }

    /// A connection from an operator, through fused steps, to the consumer of their output.
    pub(crate) fn edge<E>(&self, from: NodeId, steps: Vec<&'static str>) -> Edge<E> {
        let mut inner = lock(&self.shared);
        inner.edges.push(EdgeInfo { from, steps });
        Edge::new(inner.edges.len() - 1)
    }

    pub(crate) fn describe(&self, id: NodeId, change: impl FnOnce(&mut NodeInfo)) {
        change(&mut lock(&self.shared).nodes[id].info);
    }

    pub(crate) fn add_reader(&self, id: NodeId, state: &'static str, reader: Reader) {
        lock(&self.shared).readers.push((id, state, reader));
    }

    pub(crate) fn read_side(&self, id: NodeId, side: SideKey) {
        lock(&self.shared).sides.push((id, side));
    }

    /// True if both are handles to the same job and, if they are in loops, to the same loop.
    pub(crate) fn is_same(&self, other: &Graph) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.scope == other.scope
    }

    /// Takes note of a mistake that makes the job impossible to run.
    pub(crate) fn complain(&self, complaint: &'static str) {
        self.refuse(Error::config(complaint));
    }

    /// Takes note of a mistake that makes the job impossible to run.
    pub(crate) fn refuse(&self, mistake: Error) {
        lock(&self.shared).complaint.get_or_insert_with(|| mistake.to_string());
    }

    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        lock(&self.shared).nodes.iter().map(|entry| entry.info.clone()).collect()
    }

    pub(crate) fn edges(&self) -> Vec<EdgeInfo> {
        lock(&self.shared).edges.clone()
    }

    /// Rejects a job that cannot run as it was built. `snapshots` is given if any are taken: the directory
    /// that they are kept in, if it is one.
    pub(crate) fn check(&self, snapshots: Option<Option<&Path>>) -> Result<()> {
        let inner = lock(&self.shared);
        if let Some(complaint) = &inner.complaint {
            return Err(Error::config(complaint.as_str()));
        }
        let mut uids = BTreeSet::new();
        for (id, entry) in inner.nodes.iter().enumerate() {
            let uid = entry.info.uid(id);
            if uids.contains(&uid) {
                return Err(Error::config(format!(
                    "two operators have the uid {uid:?}, which their state is known by: give each one of its own"
                )));
            }
            uids.insert(uid);
        }
        let operators: Vec<Paths> = inner.nodes.iter().map(|entry| entry.info.paths.clone()).collect();
        paths::check(&operators, snapshots)?;
        // `inspect` locks it again.
        drop(inner);
        self.inspect()
    }

    /// Rejects functions with invalid registrations, and reads of side outputs that the operator does not
    /// have.
    fn inspect(&self) -> Result<()> {
        let inner = lock(&self.shared);
        let nodes = inner.nodes.iter().enumerate();
        let nodes: Vec<_> =
            nodes.map(|(id, entry)| (id, entry.info.uid(id), Arc::clone(&entry.operator))).collect();
        let (readers, sides) = (inner.readers.clone(), inner.sides.clone());
        // `inspect` calls user code, which may lock the graph through a handle.
        drop(inner);
        for (id, uid, operator) in nodes {
            let readers = readers.iter().filter(|(node, ..)| *node == id);
            let readers = readers.map(|(_, state, reader)| (*state, Arc::clone(reader))).collect();
            let given = operator.inspect(readers)?;
            let mut read = sides.iter().filter(|(node, _)| *node == id);
            read.try_for_each(|(_, side)| given.check(&uid, *side))?;
        }
        Ok(())
    }

    /// Prepares all operators to run on so many workers without snapshots.
    pub(crate) fn prepare(&self, workers: usize) -> Result<()> {
        lock(&self.shared).nodes.iter().try_for_each(|entry| entry.operator.prepare(workers))
    }

    /// Checks with all operators that they can begin so, before the store is taken over.
    pub(crate) fn check_beginning(&self, beginning: &Beginning) -> Result<()> {
        self.begin(beginning, |operator, from| operator.check(beginning, from))
    }

    /// Recovers all operators, when this run has the store.
    pub(crate) fn recover(&self, beginning: &Beginning) -> Result<()> {
        self.begin(beginning, |operator, from| operator.recover(beginning, from))
    }

    fn begin(
        &self,
        beginning: &Beginning,
        each: impl Fn(&dyn Operator, Option<&RestoredOperator>) -> Result<()>,
    ) -> Result<()> {
        lock(&self.shared).nodes.iter().enumerate().try_for_each(|(id, entry)| {
            let from =
                beginning.restored.as_ref().and_then(|restored| restored.operator(&entry.info.uid(id)));
            each(&*entry.operator, from.as_ref())
        })
    }

    /// For each operator, whether any of its inputs has event time, or whether it assigns event time.
    fn with_event_time(&self) -> Vec<bool> {
        let inner = lock(&self.shared);
        let mut timed: Vec<bool> = Vec::with_capacity(inner.nodes.len());
        for (id, entry) in inner.nodes.iter().enumerate() {
            let NodeInfo { inputs, gives_time, .. } = &entry.info;
            let from = inputs.iter().map(|input| inner.edges[input.edge].from);
            // The feedback edge of a loop has event time if its entry has; its producer is not computed yet.
            let mut from = from.filter(|from| *from < id).peekable();
            let reads = from.peek().is_none() || from.any(|from| timed[from]);
            timed.push(gives_time.unwrap_or(reads));
        }
        timed
    }

    /// The recipes of all operators as they are now.
    pub(crate) fn recipes(&self) -> Recipes {
        let timed = self.with_event_time();
        let inner = lock(&self.shared);
        let uids = inner.nodes.iter().enumerate().map(|(id, entry)| entry.info.uid(id));
        let reads = |(id, entry): (usize, &Entry)| {
            let uid: Arc<str> = Arc::from(entry.info.uid(id));
            entry.info.inputs.iter().map(|input| (input.edge, Arc::clone(&uid))).collect::<Vec<_>>()
        };
        let consumers = inner.nodes.iter().enumerate().flat_map(reads).collect();
        let recipe = |((uid, entry), is_timed): ((String, &Entry), bool)| {
            (uid, Arc::clone(&entry.operator), entry.counting, is_timed)
        };
        let operators = uids.zip(&inner.nodes).zip(timed).map(recipe).collect();
        Recipes { operators, readers: inner.readers.clone(), edges: inner.edges.len(), consumers }
    }
}

/// The recipes of a job when it starts. Each worker follows these, whatever is added to the job meanwhile:
/// all of them must build the same dataflow.
pub(crate) struct Recipes {
    /// With whether an input has event time.
    operators: Vec<(String, Arc<dyn Operator>, Counting, bool)>,
    readers: Vec<(NodeId, &'static str, Reader)>,
    edges: usize,
    /// The edges that are read, and by which operators.
    consumers: BTreeMap<usize, Arc<str>>,
}

impl Recipes {
    /// The number of operators.
    pub(crate) fn len(&self) -> usize {
        self.operators.len()
    }

    /// Builds the whole dataflow on one worker.
    pub(crate) fn lower(&self, scope: Scope<'_, Time>, worker: WorkerContext) {
        let edges = Edges::new(self.edges, self.consumers.clone(), &worker.shared.ownership);
        let readers = self.readers.clone();
        let mut cx = Lowering { scope, edges, worker, node: 0, readers, unfinished: Vec::new() };
        for (node, (uid, operator, counting, is_timed)) in self.operators.iter().enumerate() {
            (cx.node, cx.worker.counting, cx.worker.has_event_time) = (node, *counting, *is_timed);
            operator.lower(uid, &mut cx);
        }
        // Now all producers exist, those of feedback edges included.
        for finish in std::mem::take(&mut cx.unfinished) {
            finish(&mut cx);
        }
    }
}

/// A dataflow being built on one worker.
pub(crate) struct Lowering<'s> {
    pub(crate) scope: Scope<'s, Time>,
    pub(crate) edges: Edges,
    pub(crate) worker: WorkerContext,
    /// The operator being built.
    node: NodeId,
    readers: Vec<(NodeId, &'static str, Reader)>,
    unfinished: Vec<Box<Finish<'s>>>,
}

/// The rest of an operator, to be built when all others are.
type Finish<'s> = dyn FnOnce(&mut Lowering<'s>) + 's;

impl<'s> Lowering<'s> {
    /// The readers of the states of the operator being built.
    pub(crate) fn readers(&self) -> Vec<(&'static str, Reader)> {
        let readers = self.readers.iter().filter(|(node, ..)| *node == self.node);
        readers.map(|(_, state, reader)| (*state, Arc::clone(reader))).collect()
    }

    /// The number of the operator being built.
    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// Postpones the rest of an operator that reads one that is defined after it.
    pub(crate) fn later(&mut self, finish: impl FnOnce(&mut Lowering<'s>) + 's) {
        self.unfinished.push(Box::new(finish));
    }

    pub(crate) fn operator(&mut self, name: &str) -> OperatorBuilder<'_, 's> {
        OperatorBuilder::new(name, self.scope, &mut self.edges)
    }

    /// The progress of the sinks of the whole job.
    pub(crate) fn probe(&self) -> probe::Handle<Time> {
        self.worker.probe.clone()
    }
}
