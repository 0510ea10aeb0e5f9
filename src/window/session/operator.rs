//! The receiving side of sessions: joins pieces, ends sessions, and seals those that are open.

use std::marker::PhantomData;
use std::sync::Arc;

use super::assigner::{Gap, Sessions};
use super::entry::{Open, Session};
use super::preaggregate::{Behind, Gathering, Piece, SETTINGS, waiting_in};
use crate::data::{Data, Exchange, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::metric::Metric;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{Found, KeyedState, OperatorState, Share, Slot, TimerQueue};
use crate::stream::{
    Aggregate, Chain, Consumers, Edge, Lowering, Node, NodeInfo, Operator, OperatorLogic, Outputs, Routing,
    Stream, epoch_driver,
};
use crate::time::{EventTime, Time};
use crate::window::assigner::{WINDOWS, Window};
use crate::window::key_and_window::{PIECES, WAITING};
use crate::window::restored_from_general::Folded;
use crate::window::windowed::Windowed;

/// Aggregates the values of each key and session. Where records are read, `sender` adds them up; the owner of
/// a key adds up what has been sent, by `owner`, whose values may be what a function has made of records.
pub(in crate::window) fn aggregate<K, T, N, C, G, S, A>(
    sessions: Sessions<G>,
    pairs: Stream<(K, T), C>,
    sender: S,
    owner: A,
) -> Stream<Windowed<K, A::Out>>
where
    K: Key,
    T: Exchange,
    N: Data,
    C: Chain<Out = (K, T)>,
    G: Gap<T>,
    S: Aggregate<T, Acc = A::Acc>,
    A: Aggregate<N>,
{
    let graph = pairs.graph();
    if let Err(error) = sessions.check::<T>() {
        graph.refuse(error);
    }
    let edge = pairs.attach(Gathering { sessions: sessions.clone(), aggregate: sender.clone() });
    let info = NodeInfo::new("window", "sessions").input(edge, Routing::ByKey).stateful();
    let info = if A::COMBINES { info.terminal("combine by session") } else { info };
    let consumers = Consumers::new();
    let adopted = adopter(sessions, sender);
    let operator = SessionOperator {
        edge,
        aggregate: owner,
        adopted,
        consumers: Arc::clone(&consumers),
        value: PhantomData,
    };
    let id = graph.add(info, operator);
    Stream::new(Node::new(&graph, id, &consumers))
}

/// Reads the records that wait in a snapshot of the general operator, as pieces.
type Adopted<K, Acc> = Arc<dyn Fn(&Folded<'_>) -> Result<Vec<Behind<K, Acc>>> + Send + Sync>;

fn adopter<K, T, G, S>(sessions: Sessions<G>, aggregate: S) -> Adopted<K, S::Acc>
where
    K: Key,
    T: Exchange,
    G: Gap<T>,
    S: Aggregate<T>,
{
    Arc::new(move |folded: &Folded<'_>| {
        let piece = |(key, value, stamp): (K, T, Stamp)| {
            let reach = sessions.reach(&value, stamp.timestamp);
            Behind { key, reach, acc: aggregate.start(value), watermark: stamp.watermark }
        };
        Ok(folded.waiting()?.into_iter().map(piece).collect())
    })
}

struct SessionOperator<K, T, A: Aggregate<T>> {
    edge: Edge<Piece<K, A::Acc>>,
    aggregate: A,
    adopted: Adopted<K, A::Acc>,
    consumers: Arc<Consumers<Windowed<K, A::Out>>>,
    value: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, A: Aggregate<T>> Operator for SessionOperator<K, T, A> {
    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let late = cx.worker.shared.metrics.metric(uid, "late_dropped");
        let worker = cx.worker.clone();
        let mut builder = cx.operator(uid);
        let input = builder.by_key(self.edge, Piece::key);
        let ports = self.consumers.open(&mut builder);
        let quota = worker.quota(uid, "records_spilled");
        let logic = SessionLogic::<K, T, A> {
            aggregate: self.aggregate.clone(),
            adopted: Arc::clone(&self.adopted),
            state: KeyedState::new((), &worker.state_readers(), worker.limit(uid)),
            waiting: TimerQueue::of_records(quota),
            watermark: EventTime::MIN,
            results: Vec::new(),
            found: Vec::new(),
            late,
            value: PhantomData,
        };
        epoch_driver::build(builder, worker, vec![input], ports, logic);
    }
}

/// How many pieces are looked up together: their entries stay in a core's first cache until they are joined.
const CHUNK: usize = 64;

/// While keys are evicted, timers fire in steps of this many milliseconds, so that not all come back at once.
const STEP: EventTime = 64;

/// The logic of sessions on one worker.
struct SessionLogic<K: Key, T: Data, A: Aggregate<T>> {
    aggregate: A,
    adopted: Adopted<K, A::Acc>,
    state: KeyedState<K, Open<A::Acc>>,
    /// Pieces that are behind, by the watermarks in their stamps.
    waiting: TimerQueue<Behind<K, A::Acc>>,
    watermark: EventTime,
    /// Sessions that are over and on their way out.
    results: Vec<Record<Windowed<K, A::Out>>>,
    /// The slots of a batch's keys.
    found: Vec<Found>,
    late: Metric,
    value: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, A: Aggregate<T>> SessionLogic<K, T, A> {
    /// Joins a piece that is not behind to the sessions that it overlaps. None of these is over.
    #[inline(always)]
    fn add(&mut self, found: Found, key: K, reach: Window, acc: A::Acc) {
        // The common case: one session, marked as changed already, which is looked at before the piece ends.
        if let Some(open) = self.state.touched(found.slot, reach.last())
            && open.others.is_none()
            && open.first.0.overlaps(reach)
        {
            open.first.0 = open.first.0.span(reach);
            self.aggregate.merge(&mut open.first.1, acc);
            return;
        }
        self.join(found, Behind { key, reach, acc, watermark: EventTime::MIN });
    }

    /// Joins a piece to the sessions that it overlaps.
    #[inline(never)]
    fn join(&mut self, Found { hash, slot }: Found, piece: Behind<K, A::Acc>) {
        let Behind { key, reach, acc, watermark } = piece;
        let is_late = reach.end <= watermark;
        // A key that was not found may have come meanwhile.
        let slot = if slot == Slot::NONE { self.state.find(hash, &key) } else { Some(slot) };
        match slot {
            None if is_late => self.late.add(1),
            None => {
                self.state.insert(hash, key, Open::new((reach, acc)));
            }
            Some(slot) => {
                if self.state.touch(slot).join(&self.aggregate, reach, acc, is_late) {
                    // A session that has grown is looked at when its old end comes; only one that ends before
                    // all others needs to be looked at sooner.
                    self.state.settle(slot);
                } else {
                    self.late.add(1);
                }
            }
        }
    }

    /// Restores the sessions that another operator has kept. True if the snapshot is of that.
    fn adopt(&mut self, from: &RestoredOperator, share: &Share) -> Result<bool> {
        let folded = Folded { from, share };
        from.check_settings(WINDOWS, Some(SETTINGS.to_owned()))?;
        if !folded.is_there() {
            return Ok(false);
        }
        let sessions = folded.windows()?;
        // Those that it had from this operator before.
        for piece in waiting_in(PIECES, from, share)? {
            self.waiting.add(piece.watermark, piece);
        }
        // Records that waited in the general operator.
        for piece in (self.adopted)(&folded)? {
            self.waiting.add(piece.watermark, piece);
        }
        for (key, reach, acc) in sessions {
            let found = Found { hash: hash64(&key), slot: Slot::NONE };
            self.join(found, Behind { key, reach, acc, watermark: EventTime::MIN });
        }
        self.watermark = from.latest("window watermark")?.unwrap_or(EventTime::MIN);
        Ok(true)
    }

    /// Emits the sessions that are over at `watermark`.
    fn fire(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<Windowed<K, A::Out>>) {
        while let Some(next) = self.state.next_deadline().filter(|next| *next < watermark) {
            let step = if self.state.is_resident() { EventTime::MAX } else { STEP };
            let until = watermark.min(next.saturating_add(step));
            self.state.recall(until.saturating_sub(1));
            self.end_sessions(until);
            // Nearly sorted already, since alarms ring in order.
            self.results.sort_by_key(|record| record.stamp.timestamp);
            self.results.drain(..).for_each(|record| out.give(from, record));
            if until == watermark {
                break;
            }
        }
    }

    /// Takes the results of the sessions that are over at `watermark`.
    fn end_sessions(&mut self, watermark: EventTime) {
        let due = self.state.due(watermark.saturating_sub(1));
        due.into_iter().for_each(|(_, slot)| self.end_sessions_of(slot, watermark));
    }

    /// Takes the results of a key's sessions that are over, one of which is.
    fn end_sessions_of(&mut self, slot: Slot, watermark: EventTime) {
        // The common case: the only session, and the key goes with it.
        if self.state.get(slot).1.others.is_none() {
            if let Some((key, open)) = self.state.remove(slot) {
                self.emit(&key, &open.first);
            }
            return;
        }
        let is_over = |session: &Session<A::Acc>| session.0.end <= watermark;
        let open = self.state.touch(slot);
        let mut over = open.extract(is_over);
        let mut is_left = true;
        if is_over(&open.first) {
            match open.pop() {
                Some(other) => over.push(std::mem::replace(&mut open.first, other)),
                None => is_left = false,
            }
        }
        let key = self.state.get(slot).0.clone();
        over.iter().for_each(|session| self.emit(&key, session));
        if is_left {
            self.state.settle(slot);
        } else if let Some((key, open)) = self.state.remove(slot) {
            self.emit(&key, &open.first);
        }
    }

    /// Takes the result of a session.
    fn emit(&mut self, key: &K, (window, acc): &Session<A::Acc>) {
        if !self.aggregate.is_empty(acc) {
            let stamp = Stamp { timestamp: window.last(), watermark: window.last() };
            let value = self.aggregate.result(acc);
            self.results.push(Record::new(Windowed { key: key.clone(), window: *window, value }, stamp));
        }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> OperatorLogic<Piece<K, A::Acc>> for SessionLogic<K, T, A> {
    type Out = Windowed<K, A::Out>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Piece<K, A::Acc>>, _: &mut Outputs<Self::Out>) {
        let mut found = std::mem::take(&mut self.found);
        let mut pieces = batch.drain(..);
        while !pieces.as_slice().is_empty() {
            let next = pieces.as_slice();
            self.state.find_all(next[..next.len().min(CHUNK)].iter().map(Piece::key), &mut found);
            for (found, piece) in found.drain(..).zip(pieces.by_ref()) {
                match piece {
                    Piece::InTime { key, start, length, acc } => {
                        self.add(
                            found,
                            key,
                            Window { start, end: start.wrapping_add_unsigned(length.get()) },
                            acc,
                        );
                    }
                    // Not behind, but boxed because its length does not fit into the other variant.
                    Piece::Behind(piece) if piece.watermark == EventTime::MIN => self.join(found, *piece),
                    Piece::Behind(piece) => self.waiting.add(piece.watermark, *piece),
                }
            }
        }
        drop(pieces);
        self.found = found;
    }

    fn advance(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<Self::Out>) {
        let is_end = watermark == EventTime::MAX;
        while let Some(mut behind) = self.waiting.draw((!is_end).then_some(watermark)) {
            // Those of one watermark in an order of their own.
            behind.sort_by_key(|(at, piece)| (*at, piece.reach));
            for (at, piece) in behind {
                self.fire(at, from, out);
                // The key is looked up when it is added.
                self.join(Found { hash: hash64(&piece.key), slot: Slot::NONE }, piece);
            }
        }
        self.fire(watermark, from, out);
        self.watermark = watermark;
    }

    fn close(&mut self, _: u64, _: Option<Time>, _: &mut Outputs<Self::Out>) {
        self.state.trim();
    }

    fn states(&mut self, visit: &mut dyn FnMut(&mut dyn OperatorState)) {
        visit(&mut self.waiting.as_state(WAITING, |piece| hash64(&piece.key)));
        visit(&mut self.state);
    }

    fn save(&self, saved: &mut SavedTables) -> Result<()> {
        saved.note("watermark", &self.watermark)?;
        saved.note_settings(WINDOWS, Some(SETTINGS.to_owned()))
    }

    fn restore(&mut self, from: &RestoredOperator, share: &Share) -> Result<()> {
        if self.adopt(from, share)? {
            return Ok(());
        }
        self.restore_states(from, share)?;
        self.watermark = from.latest("watermark")?.unwrap_or(EventTime::MIN);
        Ok(())
    }

    fn owes(&self) -> Option<EventTime> {
        let owed = self.waiting.next().into_iter().chain(self.state.next_deadline()).min()?;
        // Buckets begin before what is in them.
        Some(owed.max(self.watermark))
    }
}
