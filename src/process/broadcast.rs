//! Broadcast state: a stream of rules that every worker receives, beside a keyed stream that is processed by
//! them.
//!
//! Each worker keeps the state of the rules, and all workers receive the same rules. Records and rules are
//! processed in order of arrival: how they interleave, and how the rules of several splits do, is not
//! deterministic, so rules should have the same effect in any order (as numbered versions have) wherever that
//! matters.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::operator::{Processing, inspect};
use super::{Context, Process, States, Timer};
use crate::data::{Data, Exchange, Key, Record};
use crate::error::Result;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Arrangement, Latest, OperatorState, Share};
use crate::stream::{
    Chain, Consumers, Edge, Emit, GivenSides, KeyedStream, Lowering, Node, NodeInfo, Operator, OperatorLogic,
    Outputs, Reader, Routing, Stream, epoch_driver,
};
use crate::time::{EventTime, Time};

/// A function of the records of a key, by rules that all keys share: Flink's `KeyedBroadcastProcessFunction`.
///
/// ```
/// use highwater::process::{BroadcastProcess, Context};
/// use highwater::stream::Job;
/// use std::collections::BTreeSet;
///
/// /// Lets nothing through that is forbidden.
/// #[derive(Clone)]
/// struct Censor;
///
/// impl BroadcastProcess<char, String, String> for Censor {
///     type Out = String;
///     type Rules = BTreeSet<String>;
///
///     fn process(&mut self, word: String, forbidden: &BTreeSet<String>, cx: &mut Context<'_, char, String>) {
///         if !forbidden.contains(&word) {
///             cx.emit(word);
///         }
///     }
///
///     fn rule(&mut self, word: String, forbidden: &mut BTreeSet<String>) {
///         forbidden.insert(word);
///     }
/// }
///
/// let job = Job::new();
/// let words = job.collection(["to", "be"].map(String::from)).key_by(|word| word.chars().next().unwrap_or(' '));
/// let forbidden = job.collection(Vec::<String>::new());
/// let allowed = words.connect_broadcast(forbidden).process(Censor).collect();
/// job.run()?;
/// assert_eq!(allowed.sorted(), ["be", "to"]);
/// # Ok::<(), highwater::Error>(())
/// ```
pub trait BroadcastProcess<K: Key, T, R>: Clone + Send + Sync + 'static {
    /// What it emits.
    type Out: Data;
    /// What the rules come to. Every worker has one.
    type Rules: Exchange + Default;

    /// Registers states and side outputs. Called once on each worker, before anything else, and once before
    /// that on a clone that is dropped, to see what it registers.
    fn open(&mut self, _states: &mut States<'_, K>) {}

    /// A record, by the rules that have arrived.
    fn process(&mut self, value: T, rules: &Self::Rules, cx: &mut Context<'_, K, Self::Out>);

    /// A rule. Every worker hears it.
    fn rule(&mut self, rule: R, rules: &mut Self::Rules);

    /// A timer that was registered for the key at hand.
    fn timer(&mut self, _timer: Timer, _rules: &Self::Rules, _cx: &mut Context<'_, K, Self::Out>) {}
}

/// A keyed stream and one that every worker hears: Flink's `BroadcastConnectedStream`.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct Ruled<K, T, R, C, D> {
    keyed: KeyedStream<K, T, C>,
    rules: Stream<R, D>,
}

impl<K: Key, T: Exchange, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Puts a stream of rules beside this one, each of which goes to all workers.
    pub fn connect_broadcast<R: Exchange, D: Chain<Out = R>>(
        self,
        rules: Stream<R, D>,
    ) -> Ruled<K, T, R, C, D> {
        if !self.graph().is_same(&rules.graph()) {
            self.graph().complain("streams of different jobs cannot be connected: build both from one Job");
        }
        Ruled { keyed: self, rules }
    }
}

/// A record, or a rule.
#[derive(Clone, Serialize, Deserialize)]
enum Heard<K, T, R> {
    Record(K, T),
    Rule(R),
}

impl<K, T, R, C, D> Ruled<K, T, R, C, D>
where
    K: Key,
    T: Exchange,
    R: Exchange,
    C: Chain<Out = (K, T)>,
    D: Chain<Out = R>,
{
    /// Gives records and rules to a function, in order of arrival.
    pub fn process<P: BroadcastProcess<K, T, R>>(self, function: P) -> Stream<P::Out> {
        let graph = self.keyed.graph();
        let records = self.keyed.pairs.map(|(key, value)| Heard::<K, T, R>::Record(key, value)).attach(Emit);
        let rules = self.rules.broadcast().map(Heard::<K, T, R>::Rule).attach(Emit);
        let info = NodeInfo::new("process", "process with rules").stateful();
        let info = info.input(records, Routing::ByKey).input(rules, Routing::Forward);
        let consumers = Consumers::new();
        let operator = RuledOperator { records, rules, function, consumers: Arc::clone(&consumers) };
        let id = graph.add(info, operator);
        Stream::new(Node::new(&graph, id, &consumers))
    }
}

struct RuledOperator<K: Key, T, R, P: BroadcastProcess<K, T, R>> {
    records: Edge<Record<Heard<K, T, R>>>,
    rules: Edge<Record<Heard<K, T, R>>>,
    function: P,
    consumers: Arc<Consumers<P::Out>>,
}

impl<K, T, R, P> Operator for RuledOperator<K, T, R, P>
where
    K: Key,
    T: Exchange,
    R: Exchange,
    P: BroadcastProcess<K, T, R>,
{
    fn inspect(&self, readers: Vec<(&'static str, Reader)>) -> Result<GivenSides> {
        inspect(&self.by_rules(), readers)
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let (worker, readers) = (cx.worker.clone(), cx.readers());
        let mut builder = cx.operator(uid);
        let records = builder.exchange_by(self.records, |record| match &record.value {
            Heard::Record(key, _) => Some(key),
            Heard::Rule(_) => None,
        });
        let inputs = vec![records, builder.pipeline(self.rules)];
        let ports = self.consumers.open(&mut builder);
        let sides = self.consumers.open_sides(&mut builder);
        let function = self.by_rules();
        let records = Processing::open(function, None, sides, readers, (uid, &worker));
        let logic = ProcessingByRules { records, changed: false, arrangement: arrangement() };
        epoch_driver::build(builder, worker, inputs, ports, logic);
    }
}

impl<K, T, R, P> RuledOperator<K, T, R, P>
where
    K: Key,
    P: BroadcastProcess<K, T, R>,
{
    fn by_rules(&self) -> ByRules<P, P::Rules, R> {
        ByRules { function: self.function.clone(), rules: P::Rules::default(), rule: PhantomData }
    }
}

fn arrangement<V: Exchange>() -> Arrangement<Latest<(), V>> {
    Arrangement::new(Latest::new(), Rc::new(Cell::new(i64::MIN)), None)
}

/// A function with its rules as a function of records.
struct ByRules<P, U, R> {
    function: P,
    rules: U,
    rule: PhantomData<fn(R)>,
}

impl<P: Clone, U: Clone, R> Clone for ByRules<P, U, R> {
    fn clone(&self) -> Self {
        ByRules { function: self.function.clone(), rules: self.rules.clone(), rule: PhantomData }
    }
}

impl<K, T, R, P> Process<K, T> for ByRules<P, P::Rules, R>
where
    K: Key,
    R: 'static,
    P: BroadcastProcess<K, T, R>,
{
    type Out = P::Out;

    fn open(&mut self, states: &mut States<'_, K>) {
        self.function.open(states);
    }

    fn process(&mut self, value: T, cx: &mut Context<'_, K, P::Out>) {
        self.function.process(value, &self.rules, cx);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, K, P::Out>) {
        self.function.timer(timer, &self.rules, cx);
    }
}

/// The name of the table of rules. All workers have all of them.
pub(crate) const RULES: &str = "rules";

struct ProcessingByRules<K: Key, T: Exchange, R, P: BroadcastProcess<K, T, R>> {
    records: Processing<K, T, ByRules<P, P::Rules, R>>,
    /// True if the rules have changed since the last seal.
    changed: bool,
    arrangement: Arrangement<Latest<(), P::Rules>>,
}

impl<K: Key, T: Exchange, R: 'static, P: BroadcastProcess<K, T, R>> ProcessingByRules<K, T, R, P> {
    fn rules(&mut self) -> RulesState<'_, P::Rules> {
        RulesState {
            is_first: self.records.is_first(),
            rules: &mut self.records.function.rules,
            changed: &mut self.changed,
            arrangement: &mut self.arrangement,
        }
    }
}

/// The rules, as a state.
struct RulesState<'a, U: Exchange> {
    is_first: bool,
    rules: &'a mut U,
    changed: &'a mut bool,
    arrangement: &'a mut Arrangement<Latest<(), U>>,
}

impl<U: Exchange> OperatorState for RulesState<'_, U> {
    fn seal(&mut self, epoch: u64) {
        if std::mem::take(self.changed) {
            self.arrangement.seal(epoch, &[((), Some(self.rules.clone()))]);
        }
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        // All workers have the same rules, so only the first one saves them.
        let mut rules = self.arrangement.save(RULES)?;
        if !self.is_first {
            rules.runs.clear();
        }
        saved.tables.push(rules);
        Ok(())
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.arrangement.restore(RULES, from, share)?;
        let known = &mut *self.rules;
        self.arrangement.each(&mut |(), rules| rules.into_iter().for_each(|rules| *known = rules));
        Ok(())
    }
}

impl<K, T, R, P> OperatorLogic<Record<Heard<K, T, R>>> for ProcessingByRules<K, T, R, P>
where
    K: Key,
    T: Exchange,
    R: Exchange,
    P: BroadcastProcess<K, T, R>,
{
    type Out = P::Out;

    fn batch(&mut self, time: Time, batch: &mut Vec<Record<Heard<K, T, R>>>, out: &mut Outputs<P::Out>) {
        self.records.look_at_clock();
        for Record { value, stamp } in batch.drain(..) {
            match value {
                Heard::Record(key, value) => self.records.take(time, key, value, stamp, out),
                Heard::Rule(rule) => {
                    let ByRules { function, rules, .. } = &mut self.records.function;
                    function.rule(rule, rules);
                    self.changed = true;
                }
            }
        }
        self.records.report();
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<P::Out>) {
        self.records.advance(watermark, from, out);
    }

    fn close(&mut self, epoch: u64, since: Option<Time>, out: &mut Outputs<P::Out>) {
        self.records.close(epoch, since, out);
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        self.records.states(visit);
        visit(&mut self.rules());
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        self.records.save(saved)
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        self.records.restore(from, share)?;
        self.rules().restore(from, share)
    }

    fn owes(&self) -> Option<EventTime> {
        self.records.owes()
    }

    fn due(&self) -> Option<i64> {
        self.records.due()
    }

    fn tick(&mut self, millis: i64, from: Time, out: &mut Outputs<P::Out>) {
        self.records.tick(millis, from, out);
    }

    fn flush(&mut self) {
        self.records.flush();
    }
}
