//! The traces of the arrangements of one worker, by the operators that keep them.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::data::{Exchange, Key};
use crate::state::StateTrace;

/// The number of an operator, its uid, and what it keeps.
type Kept = BTreeMap<usize, (String, Rc<dyn Any>)>;

/// A worker's traces.
#[derive(Clone, Default)]
pub(crate) struct Traces(Rc<RefCell<Kept>>);

/// A trace that its operator lets go on.
pub(crate) type SharedTrace<K, V> = Rc<RefCell<StateTrace<K, V>>>;

impl Traces {
    /// Keeps the trace of an operator.
    pub(crate) fn keep<K: Key, V: Exchange + Ord>(&self, node: usize, uid: &str, trace: SharedTrace<K, V>) {
        self.0.borrow_mut().insert(node, (uid.to_owned(), Rc::new(trace)));
    }

    /// The trace of an operator, which was kept.
    pub(crate) fn of<K: Key, V: Exchange + Ord>(&self, node: usize) -> SharedTrace<K, V> {
        let kept = self.0.borrow().get(&node).cloned();
        match kept.and_then(|(_, kept)| kept.downcast_ref::<SharedTrace<K, V>>().cloned()) {
            Some(trace) => trace,
            None => unreachable!("an arrangement is lowered before it is used"),
        }
    }

    /// The uid of an operator whose trace was kept.
    pub(crate) fn uid(&self, node: usize) -> String {
        self.0.borrow().get(&node).map(|(uid, _)| uid.clone()).unwrap_or_default()
    }
}
