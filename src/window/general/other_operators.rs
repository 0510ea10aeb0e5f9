//! Windows that another operator has kept: those of the operators for aligned windows and for sessions, which
//! a snapshot has.
//!
//! A job may be given lateness, a trigger or corrections that it did not have, and then the general operator
//! takes the place of one of those. What that has added up becomes content of windows: each pane that of all
//! its windows that have not fired, each session that of its own. Pieces of sessions that wait for their
//! watermark wait here too. There is no more to it, for those operators have neither triggers nor functions
//! with state. If the content of windows is records, it cannot be made of sums.

use std::collections::BTreeMap;

use crate::data::{Data, Exchange, Hashed, Key, hash64};
use crate::error::{Error, Result};
use crate::snapshot::RestoredOperator;
use crate::state::{Share, each_row, read_rows};
use crate::stream::Aggregate;
use crate::time::EventTime;
use crate::window::assigner::{Aligned, Window};
use crate::window::key_and_window::{PIECES, WAITING};
use crate::window::panes::{PANES, PaneRows};
use crate::window::session::{Behind, SESSIONS, waiting_in};

/// What a snapshot has of another operator.
pub(in crate::window) struct Foreign<'a> {
    pub(in crate::window) from: &'a RestoredOperator,
    pub(in crate::window) share: &'a Share,
    /// The windows, if they do not merge.
    pub(in crate::window) aligned: Option<Aligned>,
}

/// Parts of windows: those that are open, and those that wait for a watermark.
pub(in crate::window) struct Parts<K: Key, Acc: Exchange> {
    pub(in crate::window) open: Vec<(K, Window, Acc)>,
    pub(in crate::window) waiting: Vec<Behind<K, Acc>>,
}

impl Foreign<'_> {
    /// True if it is of another operator.
    pub(in crate::window) fn is_there(&self) -> bool {
        match self.aligned {
            Some(_) => self.from.has_table(PANES),
            None => self.from.has_table(SESSIONS),
        }
    }

    /// True if some of it waits here since.
    pub(in crate::window) fn is_waiting(&self) -> bool {
        self.from.has_table(PIECES)
    }

    /// The error that no content can be made of it.
    pub(in crate::window) fn refuse<T>(&self) -> Result<T> {
        Err(Error::data(format!(
            "the snapshot has sums of the windows of operator {:?}, and the program wants their records, for an evictor or a function of all of them: go on without, or give the \
             operator another uid to begin anew",
            self.from.uid()
        )))
    }

    /// Reads it. There is nothing open in what [waits](Foreign::is_waiting) here.
    pub(in crate::window) fn read<K: Key, T: Data, A: Aggregate<T>>(
        &self,
        aggregate: &A,
    ) -> Result<Parts<K, A::Acc>> {
        Ok(match (self.is_there(), self.aligned) {
            (true, Some(aligned)) => {
                Parts { open: self.panes::<K, T, A>(aggregate, aligned)?, waiting: Vec::new() }
            }
            (true, None) => {
                Parts { open: self.sessions()?, waiting: waiting_in(WAITING, self.from, self.share)? }
            }
            (false, _) => Parts { open: Vec::new(), waiting: waiting_in(PIECES, self.from, self.share)? },
        })
    }

    fn panes<K: Key, T: Data, A: Aggregate<T>>(
        &self,
        aggregate: &A,
        aligned: Aligned,
    ) -> Result<Vec<(K, Window, A::Acc)>> {
        // On each worker, the windows up to this end have fired.
        let fired = self.from.clocks(PANES)?;
        let fired_for = |key: &K| {
            let hash = hash64(key);
            let found = fired.iter().find(|((first, last), _)| (*first..=*last).contains(&hash));
            found.map_or(EventTime::MIN, |(_, fired)| *fired)
        };
        let rows = PaneRows::<K, T, A>::new(aggregate.clone());
        let mut open = Vec::new();
        read_rows(&rows, (PANES, self.from), self.share, &mut |(pane, Hashed { key, .. }), acc| {
            let (mut end, fired) = (pane.first, fired_for(&key));
            loop {
                // The others have given their results in the earlier run.
                if end > fired {
                    open.push((key.clone(), aligned.ending_at(end), acc.clone()));
                }
                if end >= pane.last {
                    break;
                }
                end = aligned.next_end(end);
            }
        })?;
        Ok(open)
    }

    fn sessions<K: Key, Acc: Exchange>(&self) -> Result<Vec<(K, Window, Acc)>> {
        let mut latest = BTreeMap::<K, Vec<(Window, Acc)>>::new();
        each_row(SESSIONS, self.from, self.share, &mut |key, sessions| match sessions {
            Some(sessions) => drop(latest.insert(key, sessions)),
            None => drop(latest.remove(&key)),
        })?;
        let of_key = |(key, sessions): (K, Vec<(Window, Acc)>)| {
            sessions.into_iter().map(move |(window, acc)| (key.clone(), window, acc))
        };
        Ok(latest.into_iter().flat_map(of_key).collect())
    }
}
