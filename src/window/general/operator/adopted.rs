//! Windows that go on from what [another operator](crate::window::general::other_operators) has kept.

use super::super::assigner::Assigner;
use super::super::content::Content;
use super::super::trigger::{Trigger, TriggerContext};
use super::{Cause, Windows};
use crate::data::{Exchange, Key, Stamp};
use crate::error::Result;
use crate::snapshot::RestoredOperator;
use crate::state::{Share, TimerQueue};
use crate::stream::Outputs;
use crate::time::{EventTime, Time};
use crate::window::assigner::Window;
use crate::window::general::other_operators::Foreign;
use crate::window::key_and_window::{Merged, Scope};
use crate::window::session::Behind;

impl<K, T, W, G, B> Windows<K, T, W, G, B>
where
    K: Key,
    T: Exchange,
    W: Assigner<T>,
    G: Trigger<K, T>,
    B: Content<K, T>,
{
    /// Restores what a snapshot has of another operator. True if it is of one.
    pub(super) fn adopt(&mut self, from: &RestoredOperator, share: &Share) -> Result<bool> {
        let aligned = self.settings.assigner.aligned();
        if !self.is_by_event_time() || aligned.is_none() && !self.settings.assigner.merges() {
            return Ok(false);
        }
        let snapshot = Foreign { from, share, aligned };
        let is_there = snapshot.is_there();
        if !is_there && !snapshot.is_waiting() {
            return Ok(false);
        }
        let parts = self.content.read(&snapshot)?;
        if !parts.waiting.is_empty() {
            // They are written anew: their table has another name here.
            let mut pieces = TimerQueue::of_records(None);
            parts.waiting.into_iter().for_each(|piece| pieces.add(piece.watermark, piece));
            self.pieces = Some(pieces);
        }
        for (key, window, acc) in parts.open {
            if self.has_keyed_state {
                self.keys.slot = self.keys.store.slot(&key);
            }
            if self.settings.assigner.merges() {
                let merged = Merged { window, state: window };
                self.merged.update(&mut self.keys, Vec::new, |known| known.push(merged));
            }
            self.windows.slot = self.windows.store.slot(&Scope { key, window });
            self.see_to_end(window);
            // No record has brought the content, so no watermark makes it late.
            let stamp = Stamp { timestamp: window.start, watermark: EventTime::MIN };
            let mut cx = TriggerContext {
                core: &mut self.windows,
                window,
                stamp,
                clock: self.settings.assigner.clock(),
            };
            self.settings.trigger.on_content(&mut cx);
            self.content.merge(&mut self.windows, acc);
        }
        // Event time comes with the first watermark: workers had come differently far, and what is open here
        // may be of those that had not come as far as others.
        Ok(is_there)
    }

    /// Takes the pieces of sessions whose watermark is before a time, or all, the last one first.
    pub(super) fn due_pieces(&mut self, before: Option<EventTime>) -> Vec<Behind<K, B::Acc>> {
        let mut due = Vec::new();
        while let Some(some) = self.pieces.as_mut().and_then(|pieces| pieces.draw(before)) {
            due.extend(some.into_iter().map(|(_, piece)| piece));
        }
        due.sort_by_key(|piece| std::cmp::Reverse((piece.watermark, piece.reach)));
        due
    }

    /// Adds those of the pieces that come before a record in order of watermarks, then of times, or all.
    pub(super) fn take_pieces(
        &mut self,
        pieces: &mut Vec<Behind<K, B::Acc>>,
        until: Option<(EventTime, EventTime)>,
        from: Time,
        out: &mut Outputs<B::Out>,
    ) {
        while let Some(piece) =
            pieces.pop_if(|piece| until.is_none_or(|until| (piece.watermark, piece.reach.start) <= until))
        {
            self.pass(piece.watermark, from, out);
            self.take_piece(piece, from, out);
        }
    }

    fn take_piece(&mut self, piece: Behind<K, B::Acc>, from: Time, out: &mut Outputs<B::Out>) {
        let Behind { key, reach, acc, watermark } = piece;
        let stamp = Stamp { timestamp: reach.start, watermark };
        let mut scope = Scope { key, window: Window::GLOBAL };
        self.keys.slot = self.keys.store.slot(&scope.key);
        let Some(window) = self.merge(&mut scope, reach, &stamp) else {
            // What it was made of is no more, so that no side output can have it.
            return self.counters.add("late_dropped", 1);
        };
        let mut cx =
            TriggerContext { core: &mut self.windows, window, stamp, clock: self.settings.assigner.clock() };
        let fire = self.settings.trigger.on_content(&mut cx);
        self.content.merge(&mut self.windows, acc);
        self.react(fire, window, Cause::Record(stamp), from, out);
    }
}
