//! The receiving side of sessions: joins pieces, ends sessions, and seals those that are open.

use std::hint::black_box;
use std::marker::PhantomData;
use std::mem::size_of;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::operators::generic::OperatorInfo;

use super::assigner::{Gap, Sessions};
use super::entry::{Entry, Session};
use super::preaggregate::{Behind, Gathering, Piece, SETTINGS, waiting_in};
use crate::data::{Data, Exchange, Key, Record, Stamp, hash64};
use crate::error::Result;
use crate::metric::Metric;
use crate::snapshot::{RestoredOperator, SavedTables};
use crate::state::{
    Arrangement, Evictable, EvictedKeys, Footprint, Found, Hashed, INDEXED, KeyTable, Latest, MemoryBudget,
    SegmentedVec, Share, SharedBudget, Slot, SpillBudget, Spilling, TimerQueue, rows_to_write,
};
use crate::stream::{
    Aggregate, Chain, Consumers, Edge, Lowering, Node, NodeInfo, Operator, OperatorLogic, Outputs, Routing,
    Stream, epoch_driver,
};
use crate::time::{EventTime, Time};
use crate::window::assigner::{WINDOWS, Window};
use crate::window::key_and_window::PIECES;
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
        let memory = (worker.memory.as_ref(), worker.limit(uid), quota);
        let (aggregate, adopted) = (self.aggregate.clone(), Arc::clone(&self.adopted));
        let logic = SessionLogic::<K, T, A>::new(aggregate, adopted, builder.info(), late, memory);
        epoch_driver::build(builder, worker, vec![input], ports, logic);
    }
}

/// How many pieces are looked up together: their entries stay in a core's first cache until they are joined.
const CHUNK: usize = 64;

type SessionRows<K, Acc> = Spilling<Latest<Hashed<K>, Vec<Session<Acc>>>>;

/// While keys are evicted, timers fire in steps of this many milliseconds, so that not all come back at once.
const STEP: EventTime = 64;

/// The logic of sessions on one worker.
struct SessionLogic<K: Key, T: Data, A: Aggregate<T>> {
    aggregate: A,
    adopted: Adopted<K, A::Acc>,
    table: KeyTable<K, Entry<A::Acc>>,
    alarms: TimerQueue<Slot, ()>,
    /// Pieces that are behind, by the watermarks in their stamps.
    waiting: TimerQueue<Behind<K, A::Acc>>,
    watermark: EventTime,
    arrangement: Arrangement<SessionRows<K, A::Acc>>,
    /// Keys that have left memory.
    evicted: EvictedKeys<K>,
    /// What of them the arrangement does not have yet.
    left: Vec<(Hashed<K>, Option<Vec<Session<A::Acc>>>)>,
    limit: Option<MemoryBudget>,
    footprint: Footprint,
    changed: SegmentedVec<Slot>,
    /// Keys that the arrangement knows and that have no session any more.
    tombstones: Vec<Hashed<K>>,
    /// Sessions that are over and on their way out.
    results: Vec<Record<Windowed<K, A::Out>>>,
    /// The slots of a batch's keys.
    found: Vec<Found>,
    late: Metric,
    value: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, A: Aggregate<T>> SessionLogic<K, T, A> {
    fn new(
        aggregate: A,
        adopted: Adopted<K, A::Acc>,
        operator: OperatorInfo,
        late: Metric,
        (memory, limit, quota): (Option<&Rc<SharedBudget>>, Option<MemoryBudget>, Option<SpillBudget>),
    ) -> SessionLogic<K, T, A> {
        let rows = Spilling::new(Latest::new(), memory, |key: &Hashed<K>| key.hash);
        SessionLogic {
            aggregate,
            adopted,
            value: PhantomData,
            table: KeyTable::default(),
            alarms: TimerQueue::default(),
            waiting: TimerQueue::of_records(operator.clone(), quota),
            watermark: EventTime::MIN,
            arrangement: Arrangement::new(rows, operator),
            evicted: EvictedKeys::default(),
            left: Vec::new(),
            limit,
            footprint: Footprint::new(memory.is_some()),
            changed: SegmentedVec::default(),
            tombstones: Vec::new(),
            results: Vec::new(),
            found: Vec::new(),
            late,
        }
    }

    /// Joins a piece that is not behind to the sessions that it overlaps. None of these is over.
    #[inline(always)]
    fn add(&mut self, found: Found, key: K, reach: Window, acc: A::Acc) {
        // The common case: one session, marked as changed already, whose timer is not later than the piece's
        // end.
        if let Some((_, entry)) = self.table.try_get_mut(found.slot)
            && entry.others.is_none()
            && entry.first.0.overlaps(reach)
            && entry.changed
            && entry.alarm <= reach.last()
        {
            entry.first.0 = entry.first.0.span(reach);
            self.aggregate.merge(&mut entry.first.1, acc);
            entry.touched = true;
            self.footprint.see(&entry.first.1);
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
        let slot = if slot == Slot::NONE { self.table.find(hash, &key) } else { Some(slot) };
        let slot = slot.or_else(|| self.evicted.take(hash, &key).then(|| self.enter(hash, key.clone()))?);
        let Some(slot) = slot else {
            if is_late {
                self.late.add(1);
                return;
            }
            let alarm = reach.last();
            self.footprint.see(&acc);
            let entry = Entry { alarm, changed: true, sealed: false, ..Entry::new((reach, acc), Vec::new()) };
            let slot = self.table.insert(hash, key, entry);
            self.changed.push(slot);
            self.alarms.add(alarm, slot);
            return;
        };
        let entry = &mut self.table.get_mut(slot).1;
        entry.touched = true;
        if !entry.join(&self.aggregate, reach, acc, is_late) {
            self.late.add(1);
            return;
        }
        if !entry.changed {
            entry.changed = true;
            self.changed.push(slot);
        }
        // A session that has grown is looked at when its old end comes; only one that ends before all others
        // needs to be looked at sooner.
        if reach.last() < entry.alarm && entry.ends() <= reach.last() {
            entry.alarm = reach.last();
            self.alarms.add(entry.alarm, slot);
        }
    }

    /// Brings a key back into memory that is no longer [evicted](EvictedKeys). `None` if its sessions cannot
    /// be read, which ends the job.
    fn enter(&mut self, hash: u64, key: K) -> Option<Slot> {
        let (key, mut found) = (Hashed { hash, key }, None);
        self.arrangement.range(hash, &|other| other.cmp(&key), &mut |_, sessions| found = sessions);
        let mut sessions = found?;
        let first = (!sessions.is_empty()).then(|| sessions.swap_remove(0))?;
        let entry = Entry::new(first, sessions);
        let alarm = entry.alarm;
        let slot = self.table.insert(hash, key.key, entry);
        self.alarms.add(alarm, slot);
        self.limit.iter_mut().for_each(MemoryBudget::entered);
        Some(slot)
    }

    /// Restores the sessions that another operator has kept. True if the snapshot is of that.
    fn adopt(&mut self, from: &RestoredOperator, share: Share) -> Result<bool> {
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

    /// No alarm of a key is earlier than this.
    fn next_alarm(&self) -> Option<EventTime> {
        self.alarms.next().into_iter().chain(self.evicted.next()).min()
    }

    /// Emits the sessions that are over at `watermark`.
    fn fire(&mut self, watermark: EventTime, from: Time, out: &mut Outputs<Windowed<K, A::Out>>) {
        while let Some(next) = self.next_alarm().filter(|next| *next < watermark) {
            let step = if self.evicted.is_empty() { EventTime::MAX } else { STEP };
            let until = watermark.min(next.saturating_add(step));
            for (hash, key) in self.evicted.due(until.saturating_sub(1)) {
                self.enter(hash, key);
            }
            self.ring_until(until);
            // Nearly sorted already, since alarms ring in order.
            self.results.sort_by_key(|record| record.stamp.timestamp);
            self.results.drain(..).for_each(|record| out.give(from, record));
            if until == watermark {
                break;
            }
        }
    }

    /// Takes the results of the sessions that are over at `watermark`.
    fn ring_until(&mut self, watermark: EventTime) {
        // An alarm that is moved may be due again at once.
        while self.alarms.next().is_some_and(|next| next < watermark) {
            let due = self.alarms.due(watermark);
            if due.is_empty() {
                break;
            }
            let rings = |(time, slot): &&(EventTime, Slot)| {
                self.table.try_get(*slot).is_some_and(|(_, entry)| entry.alarm == *time)
            };
            // The entries are all over memory; loads of a loop with nothing else in it do not wait for each
            // other.
            black_box(due.iter().filter(rings).count());
            due.into_iter().for_each(|(time, slot)| self.ring(time, slot, watermark));
        }
    }

    /// Takes the results of a key's sessions that are over.
    fn ring(&mut self, time: EventTime, slot: Slot, watermark: EventTime) {
        // The key may have had an earlier alarm since, or be another.
        let Some((key, entry)) = self.table.try_get_mut(slot).filter(|(_, entry)| entry.alarm == time) else {
            return;
        };
        let (aggregate, results) = (&self.aggregate, &mut self.results);
        let mut emit = |(window, acc): &Session<A::Acc>| {
            if !aggregate.is_empty(acc) {
                let stamp = Stamp { timestamp: window.last(), watermark: window.last() };
                let result = Windowed { key: key.clone(), window: *window, value: aggregate.result(acc) };
                results.push(Record::new(result, stamp));
            }
        };
        let is_over = |session: &Session<A::Acc>| session.0.end <= watermark;
        let over = entry.extract(is_over);
        over.iter().for_each(&mut emit);
        let mut changed = !over.is_empty();
        if is_over(&entry.first) {
            emit(&entry.first);
            match entry.pop() {
                Some(other) => (entry.first, changed) = (other, true),
                None => {
                    let removed = self.table.remove(slot);
                    self.tombstones
                        .extend(removed.filter(|(_, entry)| entry.sealed).map(|(key, _)| Hashed::new(key)));
                    return;
                }
            }
        }
        if changed && !entry.changed {
            entry.changed = true;
            self.changed.push(slot);
        }
        entry.alarm = entry.ends();
        self.alarms.add(entry.alarm, slot);
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> OperatorLogic<Piece<K, A::Acc>> for SessionLogic<K, T, A> {
    type Out = Windowed<K, A::Out>;

    fn batch(&mut self, _: Time, batch: &mut Vec<Piece<K, A::Acc>>, _: &mut Outputs<Self::Out>) {
        let mut found = std::mem::take(&mut self.found);
        let mut pieces = batch.drain(..);
        while !pieces.as_slice().is_empty() {
            let next = pieces.as_slice();
            self.table.find_all(next[..next.len().min(CHUNK)].iter().map(Piece::key), &mut found);
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
        self.table.trim(&mut self.changed, |entry| entry.changed);
    }

    fn seal(&mut self, epoch: u64) {
        let mut rows: Vec<_> = self.tombstones.drain(..).map(|key| (key, None)).collect();
        for slot in std::mem::take(&mut self.changed).into_list() {
            let Some((key, entry)) = self.table.try_get_mut(slot).filter(|(_, entry)| entry.changed) else {
                continue;
            };
            (entry.changed, entry.sealed) = (false, true);
            rows.push((Hashed::new(key.clone()), Some(entry.sessions())));
        }
        self.arrangement.seal_unsorted(epoch, rows);
        self.waiting.seal(epoch, |piece| (hash64(&piece.key), piece.clone()));
    }

    fn save(&mut self) -> Result<SavedTables> {
        let mut saved = SavedTables::default();
        saved.tables.push(self.arrangement.save("sessions"));
        saved.tables.extend(self.waiting.save("waiting"));
        saved.note("watermark", &self.watermark)?;
        saved.note_settings(WINDOWS, Some(SETTINGS.to_owned()))?;
        Ok(saved)
    }

    fn restore(&mut self, from: &RestoredOperator, share: Share) -> Result<()> {
        if self.adopt(from, share)? {
            return Ok(());
        }
        self.arrangement.restore("sessions", from, share)?;
        self.waiting.restore("waiting", from, share, Clone::clone)?;
        let (table, footprint) = (&mut self.table, &mut self.footprint);
        self.arrangement.each(&mut |Hashed { hash, key }, sessions| {
            let sessions = sessions.as_ref().and_then(|sessions| sessions.split_first());
            let entry = sessions.map(|(first, others)| {
                footprint.see(&first.1);
                Entry::new(first.clone(), others.to_vec())
            });
            table.replace(*hash, key, entry);
        });
        for slot in self.table.occupied() {
            self.alarms.add(self.table.get(slot).1.alarm, slot);
        }
        self.watermark = from.latest("watermark")?.unwrap_or(EventTime::MIN);
        Ok(())
    }

    fn owes(&self) -> Option<EventTime> {
        let owed = self.waiting.next().into_iter().chain(self.next_alarm()).min()?;
        // Buckets begin before what is in them.
        Some(owed.max(self.watermark))
    }

    fn evict(&mut self, epoch: u64) {
        self.waiting.evict(epoch, |piece| hash64(&piece.key), Clone::clone);
        self.evict_keys(epoch);
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Evictable for SessionLogic<K, T, A> {
    fn bytes(&self) -> usize {
        let entry = size_of::<Option<(K, Entry<A::Acc>)>>() + INDEXED + size_of::<(u8, Slot)>();
        self.table.len() * (entry + self.footprint.heap()) + self.evicted.bytes()
    }

    fn slots(&self) -> usize {
        self.table.slots()
    }

    fn limit(&mut self) -> &mut Option<MemoryBudget> {
        &mut self.limit
    }

    fn evict_key(&mut self, slot: Slot) -> bool {
        let Some((_, entry)) = self.table.try_get_mut(slot) else { return false };
        if std::mem::take(&mut entry.touched) {
            return false;
        }
        let Some((key, entry)) = self.table.remove(slot) else { return false };
        let key = Hashed::new(key);
        // Its timer is moved now: if the key came back only to find that it goes on, it would have come for
        // nothing.
        self.evicted.add(key.hash, key.key.clone(), Some(entry.ends()));
        if entry.changed || !entry.sealed {
            self.left.push((key, Some(entry.sessions())));
        }
        true
    }

    fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    fn write(&mut self, epoch: u64) {
        let rows = rows_to_write(self.tombstones.drain(..), &mut self.left);
        self.arrangement.seal_unsorted(epoch, rows);
    }
}
