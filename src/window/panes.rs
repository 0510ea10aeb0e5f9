//! The content of panes: a table of the open epoch, and rows of what has been sealed.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::assigner::Pane;
use crate::data::{Data, Hashed, Key};
use crate::error::Result;
use crate::snapshot::{Codec, Schema};
use crate::state::{Encoded, KeyTable, Prefix, Rows, decode, encode, prefix_of_time};
use crate::stream::Aggregate;

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
    row: PhantomData<fn() -> (K, T)>,
}

impl<K, T, A> PaneRows<K, T, A> {
    pub(super) fn new(aggregate: A) -> PaneRows<K, T, A> {
        PaneRows { aggregate, row: PhantomData }
    }
}

/// What comes first in the order of a pane's rows.
pub(super) fn prefix_of(pane: Pane) -> Prefix {
    (prefix_of_time(pane.last), prefix_of_time(pane.first))
}

impl<K, T, A: Clone> Clone for PaneRows<K, T, A> {
    fn clone(&self) -> Self {
        PaneRows::new(self.aggregate.clone())
    }
}

/// A row of a pane.
type PaneRow<K, Acc> = ((Pane, Hashed<K>), Acc);

impl<K: Key, T: Data, A: Aggregate<T>> Rows for PaneRows<K, T, A> {
    type Key = (Pane, Hashed<K>);
    type Value = A::Acc;
    type Part = A::Acc;

    const BY_TIME: bool = true;
    const ADDS_UP: bool = true;

    fn schema_of<P: DeserializeOwned + 'static>() -> Schema {
        Schema::of::<(Pane, K, P)>(PANES)
    }

    fn prefix((pane, _): &(Pane, Hashed<K>)) -> Prefix {
        prefix_of(*pane)
    }

    fn owner((_, key): &(Pane, Hashed<K>)) -> u64 {
        key.hash
    }

    fn absorb(&self, earlier: &mut A::Acc, later: &A::Acc) {
        self.aggregate.merge(earlier, later.clone());
    }

    fn encode_key(&self, (pane, key): &(Pane, Hashed<K>), bytes: &mut Vec<u8>) -> Result<()> {
        encode(&(pane, &key.key), bytes)
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<(Pane, Hashed<K>)> {
        let (pane, key) = decode(bytes)?;
        Ok((pane, Hashed::new(key)))
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
