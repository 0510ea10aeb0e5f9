//! Windows that the operator of [all windows](crate::window::general) has kept, for those operators that only
//! add up.
//!
//! A job may no longer want the lateness, the trigger or the corrections that it had, and then an operator of
//! aligned windows or of sessions takes the place of the general one. It takes the contents of windows that
//! have not fired. Those that have were kept for late records, which there are none of any more.

use std::collections::BTreeMap;

use super::assigner::Window;
use super::key_and_window::{Merged, Scope, WAITING};
use crate::data::{Exchange, Key, Stamp, hash64};
use crate::error::{Error, Result};
use crate::snapshot::RestoredOperator;
use crate::state::{ItemRows, Share, read_entries, read_rows};
use crate::time::EventTime;

/// The tables of the general operator.
const CONTENT: &str = "window state window content";
const MERGED: &str = "key state merged";

/// The tables of timers. The operators that take its place derive these times from the windows.
const TIMES: [&str; 7] = [
    "window state over at",
    "window state event time alarm",
    "window event timers",
    "window wall timers",
    "ends",
    "key event timers",
    "key wall timers",
];

/// What a snapshot has of the general operator.
pub(super) struct Folded<'a> {
    pub(super) from: &'a RestoredOperator,
    pub(super) share: &'a Share,
}

impl Folded<'_> {
    /// True if it is of that operator.
    pub(super) fn is_there(&self) -> bool {
        self.from.has_table(CONTENT)
    }

    /// The windows that have not fired, with the key and what they add up to.
    pub(super) fn windows<K: Key, Acc: Exchange>(&self) -> Result<Vec<(K, Window, Acc)>> {
        self.from.ignore(&TIMES);
        let watermarks = self.from.notes_of_owners::<EventTime>("window watermark")?;
        let is_over = |key: &K, window: Window| {
            let hash = hash64(key);
            let found = watermarks.iter().find(|((first, last), _)| (*first..=*last).contains(&hash));
            found.is_some_and(|(_, watermark)| window.end <= *watermark)
        };
        let owner = |scope: &Scope<K>| hash64(&scope.key);
        let contents = self.latest::<Scope<K>, Acc>(CONTENT, owner)?;
        let merged = self.latest::<K, Vec<Merged>>(MERGED, hash64)?;
        // A window that others were merged into is kept by the first of them.
        let whole: BTreeMap<(&K, Window), Window> = merged
            .iter()
            .flat_map(|(key, merged)| merged.iter().map(move |merged| ((key, merged.state), merged.window)))
            .collect();
        let windows = contents.into_iter().filter_map(|(Scope { key, window }, acc)| {
            let window = whole.get(&(&key, window)).copied().unwrap_or(window);
            (!is_over(&key, window)).then_some((key, window, acc))
        });
        Ok(windows.collect())
    }

    /// The records that wait for their watermark.
    pub(super) fn waiting<K: Key, T: Exchange>(&self) -> Result<Vec<(K, T, Stamp)>> {
        Ok(read_entries(WAITING, self.from, self.share)?.into_iter().map(|(_, record)| record).collect())
    }

    /// An error if records are waiting, since their type is not known: windows that are only added up need
    /// not be able to read their records.
    pub(super) fn refuse_waiting(&self) -> Result<()> {
        match self.from.has_rows(WAITING) {
            false => Ok(()),
            true => Err(Error::data(format!(
                "the snapshot has records for the windows of operator {:?} that came behind the watermark and \
                 wait for it, and windows without options only add up: set an option that keeps them, as \
                 `allowed_lateness(Duration::ZERO)`, which changes no result and goes on from them",
                self.from.uid()
            ))),
        }
    }

    /// The latest values of a state.
    fn latest<K: Key, V: Exchange>(&self, table: &str, owner: fn(&K) -> u64) -> Result<BTreeMap<K, V>> {
        let mut latest = BTreeMap::new();
        let rows = ItemRows::<K, (), V>::new(owner);
        read_rows(&rows, (table, self.from), self.share, &mut |(key, ()), kept| match kept {
            Some((value, _)) => drop(latest.insert(key.key, value)),
            None => drop(latest.remove(&key.key)),
        })?;
        Ok(latest)
    }
}
