//! The matching of an interval join: how records meet, and when they are dropped.
//!
//! The records of both sides of a key lie in one cell, each side in order of time. A record looks for its
//! partners there and emits the pairs while it looks; then it takes its place.
//!
//! # When records are dropped
//!
//! A record is kept until no partner can come any more. A record of an outer side that has met none is
//! emitted then, so a timer must take it: if a key has records of an outer side, a timer is registered for
//! exactly the time until which the first one is kept, by a record that becomes the first, and by a timer
//! that takes some and leaves others. A timer that finds nothing to do does no harm, so only the timer queue
//! remembers them. And a timer takes all records that the watermark has passed, not only the one that it was
//! registered for: when the watermark leaps, and it leaps far when the input ends, one timer is enough for a
//! key.
//!
//! Records of other sides have no timers. They expire, and leave memory when the search for
//! [expired](crate::process::Ttl) entries comes to them. No partner can meet them meanwhile: it would be
//! late.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, Outer};
use crate::data::{Data, Exchange, Key};
use crate::process::core::Core;
use crate::process::{CoProcess, Context, States, Timed, Timer};
use crate::state::{At, NEVER};
use crate::time::EventTime;

/// The function of an interval join.
pub(super) struct Joining<L, R, F> {
    /// The first side and the second.
    sides: [Side; 2],
    f: F,
    kept: Timed<Kept<L, R>>,
    /// Partners that had met none before.
    met: Vec<At>,
}

/// What is true of all records of a side.
#[derive(Clone, Copy)]
struct Side {
    is_second: bool,
    /// True if records without a partner are emitted.
    is_outer: bool,
    /// Where its partners are.
    interval: Interval,
}

/// A record of one of the sides.
#[derive(Clone, Serialize, Deserialize)]
enum Either<L, R> {
    Left(L),
    Right(R),
}

/// A record that is kept, and whether it has met a partner. If its side is not outer that does not matter.
#[derive(Clone, Serialize, Deserialize)]
struct Kept<L, R> {
    record: Either<L, R>,
    has_met: bool,
}

impl Side {
    /// Records of a time are kept until the watermark has passed this.
    #[inline]
    fn until(self, time: EventTime) -> EventTime {
        // The watermark passes all times but the last one.
        self.interval.last(time).min(EventTime::MAX - 1)
    }
}

impl<L, R, F> Joining<L, R, F> {
    pub(super) fn new(interval: Interval, outer: Outer, f: F) -> Joining<L, R, F> {
        let is_outer = matches!(outer, Outer::Left | Outer::Both);
        let left = Side { is_second: false, is_outer, interval };
        let is_outer = matches!(outer, Outer::Right | Outer::Both);
        let right = Side { is_second: true, is_outer, interval: interval.turned() };
        Joining { sides: [left, right], f, kept: Timed::default(), met: Vec::new() }
    }
}

impl<L, R, F: Clone> Clone for Joining<L, R, F> {
    fn clone(&self) -> Self {
        Joining { f: self.f.clone(), met: Vec::new(), ..*self }
    }
}

impl<K, L, R, O, F> CoProcess<K, L, R> for Joining<L, R, F>
where
    K: Key,
    L: Exchange,
    R: Exchange,
    O: Data,
    F: Fn(&K, Option<&L>, Option<&R>) -> Option<O> + Clone + Send + Sync + 'static,
{
    type Out = O;

    fn open(&mut self, states: &mut States<'_, K>) {
        let lives = self.sides.iter().map(|side| side.until(0).saturating_add(1)).max();
        self.kept = states.timed("kept", lives.unwrap_or_default());
    }

    fn restored(&mut self, core: &mut Core<K>) {
        let slots: Vec<_> = core.store.occupied().collect();
        // Holds on the watermark are not in a snapshot: they follow from the records that may be emitted
        // alone.
        for side in self.sides.into_iter().filter(|side| side.is_outer) {
            for slot in &slots {
                core.slot = *slot;
                let kept = self.kept.between(core, side.is_second, EventTime::MIN, EventTime::MAX);
                let times: Vec<EventTime> = kept.map(|(at, _)| at.1).collect();
                times.into_iter().for_each(|time| *core.held.entry(time).or_default() += 1);
            }
        }
    }

    fn left(&mut self, value: L, cx: &mut Context<'_, K, O>) {
        let [left, right] = self.sides;
        self.meet(Either::Left(value), left, right, cx);
    }

    fn right(&mut self, value: R, cx: &mut Context<'_, K, O>) {
        let [left, right] = self.sides;
        self.meet(Either::Right(value), right, left, cx);
    }

    fn timer(&mut self, _: Timer, cx: &mut Context<'_, K, O>) {
        for side in self.sides.into_iter().filter(|side| side.is_outer) {
            self.let_go(side, cx);
        }
    }
}

impl<L: Exchange, R: Exchange, F> Joining<L, R, F> {
    /// A record meets its partners on the other side and joins its own.
    fn meet<K: Key, O: Data>(
        &mut self,
        record: Either<L, R>,
        own: Side,
        other: Side,
        cx: &mut Context<'_, K, O>,
    ) where
        F: Fn(&K, Option<&L>, Option<&R>) -> Option<O>,
    {
        let stamp = cx.stamp();
        if stamp.timestamp < stamp.watermark {
            return cx.count("late_dropped", 1);
        }
        let time = stamp.timestamp;
        let has_met = self.pair(&record, time, own, other, cx);
        // After the look-up, which borrows the state that this changes.
        for at in self.met.drain(..) {
            self.kept.change(cx, at, |partner| partner.has_met = true);
        }
        let (until, kept) = (own.until(time), Kept { record, has_met });
        if !own.is_outer {
            return self.kept.push(cx, (own.is_second, time), kept, until + 1);
        }
        // The record may be emitted alone later, at its own time, so the watermark must not pass that.
        cx.hold(time);
        // Before the record is pushed: only one that is to go before it needs a timer of its own.
        let first = self.kept.first(cx, own.is_second);
        self.kept.push(cx, (own.is_second, time), kept, NEVER);
        if first.is_none_or(|first| until < own.until(first)) {
            cx.register_timer(until);
        }
    }

    /// Emits a record's pairs, and returns whether there are any. Partners of an outer side that had met none
    /// before are collected in `met`.
    #[inline]
    fn pair<K: Key, O: Data>(
        &mut self,
        record: &Either<L, R>,
        time: EventTime,
        own: Side,
        other: Side,
        cx: &mut Context<'_, K, O>,
    ) -> bool
    where
        F: Fn(&K, Option<&L>, Option<&R>) -> Option<O>,
    {
        let (core, mut emit) = cx.read_and_emit();
        let Some((from, to)) = own.interval.around(time) else { return false };
        let mut has_met = false;
        for (at, partner) in self.kept.between(core, other.is_second, from, to) {
            let pair = match (record, &partner.record) {
                (Either::Left(left), Either::Right(right)) | (Either::Right(right), Either::Left(left)) => {
                    (self.f)(core.store.key(core.slot), Some(left), Some(right))
                }
                // No record meets one of its own side.
                _ => None,
            };
            if let Some(pair) = pair {
                emit(pair, time.max(at.1));
                has_met = true;
                if other.is_outer && !partner.has_met {
                    self.met.push(at);
                }
            }
        }
        has_met
    }

    /// Takes out the records of an outer side that no partner can come for any more, and emits those that
    /// have met none.
    fn let_go<K: Key, O: Data>(&mut self, side: Side, cx: &mut Context<'_, K, O>)
    where
        F: Fn(&K, Option<&L>, Option<&R>) -> Option<O>,
    {
        let watermark = cx.watermark();
        while let Some((time, Kept { record, has_met })) =
            self.kept.pop(cx, side.is_second, |time| side.until(time) < watermark)
        {
            let told = match &record {
                _ if has_met => None,
                Either::Left(left) => (self.f)(cx.key(), Some(left), None),
                Either::Right(right) => (self.f)(cx.key(), None, Some(right)),
            };
            told.into_iter().for_each(|result| cx.emit_on_time(result, time));
            // After the emission at this time, which the hold allows.
            cx.release(time);
        }
        if let Some(first) = self.kept.first(cx, side.is_second) {
            cx.register_timer(side.until(first));
        }
    }
}
