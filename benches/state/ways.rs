//! State without the engine: differential as it is, its spines by hand, and a hash table alone.

use std::hint::black_box;
use std::rc::Rc;

use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::input::InputSession;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::trace::cursor::Cursor;
use differential_dataflow::trace::implementations::ord_neu::{
    OrdKeySpine, OrdValSpine, RcOrdKeyBuilder, RcOrdValBuilder,
};
use differential_dataflow::trace::{Builder, Description, Trace, TraceReader};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use timely::dataflow::ProbeHandle;
use timely::dataflow::operators::generic::OperatorInfo;
use timely::progress::Antichain;

use super::load::Load;
use super::meter::{Measured, Meter};

type Records<L> = [(<L as Load>::Key, <L as Load>::Value)];
type Map<L> = HashMap<<L as Load>::Key, <L as Load>::Value, foldhash::fast::FixedState>;

/// A value as a difference: adding is joining.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(bound = "")]
struct Joined<L: Load>(L::Value);

impl<L: Load> IsZero for Joined<L> {
    fn is_zero(&self) -> bool {
        false
    }
}

impl<L: Load> Semigroup for Joined<L> {
    fn plus_equals(&mut self, other: &Joined<L>) {
        L::join(&mut self.0, &other.0);
    }
}

/// Takes changes as a channel would: some at a time, and then they are gone.
struct Changes<L: Load>(Vec<(L::Key, L::Value, isize)>);

impl<L: Load> Changes<L> {
    fn new() -> Changes<L> {
        Changes(Vec::with_capacity(1024))
    }

    fn give(&mut self, key: &L::Key, old: Option<L::Value>, new: L::Value) {
        self.0.extend(old.map(|old| (key.clone(), old, -1)));
        self.0.push((key.clone(), new, 1));
        if self.0.len() > 1022 {
            black_box(&mut self.0).clear();
        }
    }
}

/// Differential as it is.
pub(crate) fn stock<L: Load>(records: Vec<(L::Key, L::Value)>, epoch: usize) -> Measured {
    timely::execute_directly(move |worker| {
        let mut input = InputSession::<u64, L::Key, Joined<L>>::new();
        let probe = ProbeHandle::new();
        worker.dataflow(|scope| {
            let values = input.to_collection(scope).count_total();
            let changes = values.inspect_container(|changes| {
                black_box(changes.is_ok());
            });
            changes.probe_with(&probe);
        });
        let mut meter = Meter::new();
        for (number, records) in records.chunks(epoch).enumerate() {
            for (key, value) in records {
                input.update(key.clone(), Joined(value.clone()));
            }
            input.advance_to(number as u64 + 1);
            input.flush();
            worker.step_while(|| probe.less_than(input.time()));
            meter.complete(records.len());
            if meter.is_over() {
                break;
            }
        }
        meter.weigh();
        meter.finish()
    })
}

fn operator() -> OperatorInfo {
    OperatorInfo::new(0, 0, Rc::from([0]))
}

fn at(epoch: u64) -> Antichain<u64> {
    Antichain::from_elem(epoch)
}

fn description(epoch: u64) -> Description<u64> {
    Description::new(at(epoch), at(epoch + 1), at(0))
}

/// Sorts the epoch's records, reads and writes in one pass.
pub(crate) fn sorted<L: Load>(records: &Records<L>, epoch: usize) -> Measured {
    let mut spine = OrdKeySpine::<L::Key, u64, Joined<L>>::new(operator(), None, None);
    let mut changes = Changes::<L>::new();
    let mut meter = Meter::new();
    for (number, records) in records.chunks(epoch).enumerate() {
        let number = number as u64;
        let mut rows: Vec<_> = records.to_vec();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.dedup_by(|later, row| {
            let same = later.0 == row.0;
            if same {
                L::join(&mut row.1, &later.1);
            }
            same
        });
        if let Some((mut cursor, storage)) = spine.cursor_through(at(number).borrow()) {
            for (key, value) in &rows {
                let mut old: Option<L::Value> = None;
                cursor.seek_key(&storage, key);
                if cursor.get_key(&storage) == Some(key) {
                    cursor.map_times(&storage, |_, kept| match &mut old {
                        Some(old) => L::join(old, &kept.0),
                        None => old = Some(kept.0.clone()),
                    });
                }
                let mut new = value.clone();
                old.iter().for_each(|old| L::join(&mut new, old));
                changes.give(key, old, new);
            }
        }
        let rows = rows.into_iter().map(|(key, value)| ((key, ()), number, Joined(value))).collect();
        spine.insert(RcOrdKeyBuilder::seal(&mut vec![rows], description(number)));
        spine.set_logical_compaction(at(number + 1).borrow());
        spine.set_physical_compaction(at(number + 1).borrow());
        meter.complete(records.len());
        if meter.is_over() {
            break;
        }
    }
    meter.weigh();
    meter.finish()
}

/// Combines the epoch's records in a hash table, then replaces rows.
pub(crate) fn hashed<L: Load>(records: &Records<L>, epoch: usize) -> Measured {
    let mut spine = OrdValSpine::<L::Key, L::Value, u64, isize>::new(operator(), None, None);
    let mut open = Map::<L>::default();
    let mut changes = Changes::<L>::new();
    let mut meter = Meter::new();
    for (number, records) in records.chunks(epoch).enumerate() {
        let number = number as u64;
        join_all::<L>(&mut open, records);
        let mut rows: Vec<_> = open.drain().collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let mut updates = Vec::with_capacity(2 * rows.len());
        if let Some((mut cursor, storage)) = spine.cursor_through(at(number).borrow()) {
            for (key, mut value) in rows {
                let old = value_of::<L>(&mut cursor, &storage, &key);
                old.iter().for_each(|old| L::join(&mut value, old));
                changes.give(&key, old.clone(), value.clone());
                match old {
                    Some(old) if old == value => {}
                    Some(old) => {
                        // A batch is sorted by value too.
                        let mut both = [(old, -1), (value, 1)];
                        both.sort();
                        updates.extend(both.map(|(value, diff)| ((key.clone(), value), number, diff)));
                    }
                    None => updates.push(((key, value), number, 1)),
                }
            }
        }
        spine.insert(RcOrdValBuilder::seal(&mut vec![updates], description(number)));
        spine.set_logical_compaction(at(number + 1).borrow());
        spine.set_physical_compaction(at(number + 1).borrow());
        meter.complete(records.len());
        if meter.is_over() {
            break;
        }
    }
    meter.weigh();
    meter.finish()
}

/// The row of a key whose diffs do not cancel out.
fn value_of<L: Load>(
    cursor: &mut impl for<'a> Cursor<
        Storage = Vec<Batch<L>>,
        Key<'a> = &'a L::Key,
        Val<'a> = &'a L::Value,
        DiffGat<'a> = &'a isize,
    >,
    storage: &Vec<Batch<L>>,
    key: &L::Key,
) -> Option<L::Value> {
    cursor.seek_key(storage, key);
    if cursor.get_key(storage) != Some(key) {
        return None;
    }
    let mut found = None;
    while let Some(value) = cursor.get_val(storage) {
        let mut count = 0;
        cursor.map_times(storage, |_, diff| count += *diff);
        if count != 0 {
            found = Some(value.clone());
        }
        cursor.step_val(storage);
    }
    found
}

type Batch<L> = <OrdValSpine<<L as Load>::Key, <L as Load>::Value, u64, isize> as TraceReader>::Batch;

fn join_all<L: Load>(map: &mut Map<L>, records: &Records<L>) {
    for (key, value) in records {
        match map.get_mut(key) {
            Some(kept) => L::join(kept, value),
            None => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A hash table alone.
pub(crate) fn table<L: Load>(records: &Records<L>, epoch: usize) -> Measured {
    let mut map = Map::<L>::default();
    let mut meter = Meter::new();
    for records in records.chunks(epoch) {
        join_all::<L>(&mut map, records);
        meter.complete(records.len());
        if meter.is_over() {
            break;
        }
    }
    meter.weigh();
    black_box(&map);
    meter.finish()
}
