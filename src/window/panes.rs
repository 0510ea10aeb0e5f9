//! The content of panes: a table of the open epoch, and rows of what has been sealed.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::assigner::Pane;
use crate::data::{Data, Key};
use crate::error::Result;
use crate::snapshot::{Codec, Schema};
use crate::state::{Encoded, Hashed, KeyTable, Rows, Saves};
use crate::stream::Aggregate;
use crate::time::EventTime;

/// The kind of rows of panes, the first word of their schema, and the name of the table that they are in.
pub(crate) const PANES: &str = "panes";

/// What there is of a pane.
pub(super) struct Content<K, Acc> {
    /// What has been added since the last seal.
    pub(super) open: KeyTable<K, Acc>,
    /// The number of rows that seals have written of it, at least if the arrangement has any.
    pub(super) sealed: usize,
}

/// Rows of accumulators by pane and key, which add up, and expire when the pane's last window has fired.
pub(super) struct PaneRows<K, T, A> {
    aggregate: A,
    fired: Rc<Cell<EventTime>>,
    row: PhantomData<fn() -> (K, T)>,
}

impl<K, T, A> PaneRows<K, T, A> {
    pub(super) fn new(aggregate: A, fired: Rc<Cell<EventTime>>) -> PaneRows<K, T, A> {
        PaneRows { aggregate, fired, row: PhantomData }
    }
}

impl<K, T, A: Clone> Clone for PaneRows<K, T, A> {
    fn clone(&self) -> Self {
        PaneRows { aggregate: self.aggregate.clone(), fired: Rc::clone(&self.fired), row: PhantomData }
    }
}

impl<K: Key, T: Data, A: Aggregate<T>> Rows for PaneRows<K, T, A> {
    type Key = (Pane, Hashed<K>);
    type Value = A::Acc;

    fn absorb(&self, older: &mut A::Acc, newer: &A::Acc) {
        self.aggregate.merge(older, newer.clone());
    }

    fn is_vacant(&self, _: &A::Acc, _: bool) -> bool {
        false
    }

    fn is_expired((pane, _): &(Pane, Hashed<K>), clock: i64) -> bool {
        pane.last <= clock
    }

    fn clock(&self) -> i64 {
        self.fired.get()
    }

    fn reach(&self, time: i64) {
        self.fired.set(time);
    }
}

/// A row of a pane.
type PaneRow<K, Acc> = ((Pane, Hashed<K>), Acc);

impl<K: Key, T: Data, A: Aggregate<T>> Saves for PaneRows<K, T, A> {
    type Part = A::Acc;
    type Resident = Self;

    fn resident(&self) -> &Self {
        self
    }

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(Pane, K, P)>(PANES)
    }

    fn owner((_, key): &(Pane, Hashed<K>)) -> u64 {
        key.hash
    }

    fn encode(rows: &[PaneRow<K, A::Acc>], codec: Codec) -> Result<Vec<u8>> {
        let rows: Vec<_> = rows.iter().map(|((pane, key), acc)| (pane, &key.key, acc)).collect();
        codec.encode_views(&rows)
    }

    fn decode_of<P: DeserializeOwned + 'static>(
        &self,
        page: Encoded<'_>,
        own: impl Fn(P) -> A::Acc,
    ) -> Result<Vec<PaneRow<K, A::Acc>>> {
        let row = |(pane, key, acc): (Pane, K, P)| ((pane, Hashed::new(key)), own(acc));
        Ok(page.rows()?.into_iter().map(row).collect())
    }
}
