//! How the records of an interval join meet.
//!
//! The records of both sides of a key lie in one cell, each side in order of time. A record looks for its partners there and emits the
//! pairs while it looks; then it takes its place.
//!
//! # Who lets go of it
//!
//! A time is given to each record until which it is kept, and earlier records are kept until earlier or equal times. At all times, if a side of
//! a key has records, a timer is registered for exactly the time of its first one: by a record that becomes the first and is to go earlier
//! than the one before it; and by a timer that lets go of some and leaves others. So it matters not if a timer finds nothing to do, as one
//! may that both sides or several first ones have asked for; and no timer has to be remembered but by the agenda.
//!
//! A timer lets go of all that the watermark has passed, not only of what it was registered for. So when the watermark leaps, and it leaps far when the
//! input ends, one timer is enough for a key.
//!
//! Records of an outer side are kept exactly as long as a partner can come. Nobody is told of others, so they are kept a little longer, until
//! the end of a step: those of a key in a step are let go by one timer. Partners that would meet them then do not come: they
//! are late.

use serde::{Deserialize, Serialize};

use super::{Interval, Outer};
use crate::data::{Data, Exchange, Key};
use crate::process::{CoProcess, Context, States, Timed, Timer};
use crate::state::At;
use crate::time::EventTime;

/// The function of an interval join.
pub(super) struct Joining<L, R, F> {
    /// The first side and the second.
    sides: [Side; 2],
    f: F,
    kept: Timed<Kept<L, R>>,
    /// Partners that have met no one before.
    met: Vec<At>,
}

/// What is true of all records of a side.
#[derive(Clone, Copy)]
struct Side {
    is_second: bool,
    /// True if those that meet no one are told.
    is_outer: bool,
    /// Where its partners are.
    interval: Interval,
    /// The step at whose end records are let go, in milliseconds: a power of two.
    step: i64,
}

/// A record of one of the sides.
#[derive(Clone, Serialize, Deserialize)]
enum Either<L, R> {
    Left(L),
    Right(R),
}

/// A record that is kept, and whether it has met anyone. If its side is not outer that does not matter.
#[derive(Clone, Serialize, Deserialize)]
struct Kept<L, R> {
    record: Either<L, R>,
    has_met: bool,
}

/// The longest step: that of the agenda of timers.
const STEP: i64 = 64;

impl Side {
    fn new(is_second: bool, is_outer: bool, interval: Interval) -> Side {
        let step = match (is_outer, interval.last(0) / 8) {
            (false, most @ 1..) => 1 << most.min(STEP).ilog2(),
            _ => 1,
        };
        Side { is_second, is_outer, interval, step }
    }

    /// Records of a time are kept until the watermark has passed this.
    #[inline]
    fn until(self, time: EventTime) -> EventTime {
        // The watermark passes all times but the last one.
        (self.interval.last(time) | (self.step - 1)).min(EventTime::MAX - 1)
    }
}

impl<L, R, F> Joining<L, R, F> {
    pub(super) fn new(interval: Interval, outer: Outer, f: F) -> Joining<L, R, F> {
        let left = Side::new(false, matches!(outer, Outer::Left | Outer::Both), interval);
        let right = Side::new(true, matches!(outer, Outer::Right | Outer::Both), interval.turned());
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
        self.kept = states.timed("kept");
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
        for side in self.sides {
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
        for at in self.met.drain(..) {
            self.kept.change(cx, at, |partner| partner.has_met = true);
        }
        if own.is_outer {
            cx.hold(time);
        }
        let until = own.until(time);
        let first = self.kept.push(cx, own.is_second, time, Kept { record, has_met });
        if first.is_none_or(|first| until < own.until(first)) {
            cx.register_timer(until);
        }
    }

    /// Emits a record's pairs, and says whether there are any. Those of an outer side that have met no one before are to be marked.
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
        let (from, to) = own.interval.around(time);
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

    /// Forgets the records of a side that no partner can come for any more, and tells of those that have met no one.
    fn let_go<K: Key, O: Data>(&mut self, side: Side, cx: &mut Context<'_, K, O>)
    where
        F: Fn(&K, Option<&L>, Option<&R>) -> Option<O>,
    {
        let watermark = cx.watermark();
        let mut has_gone = false;
        while let Some((time, Kept { record, has_met })) =
            self.kept.pop(cx, side.is_second, |time| side.until(time) < watermark)
        {
            has_gone = true;
            if side.is_outer {
                let told = match &record {
                    _ if has_met => None,
                    Either::Left(left) => (self.f)(cx.key(), Some(left), None),
                    Either::Right(right) => (self.f)(cx.key(), None, Some(right)),
                };
                told.into_iter().for_each(|result| cx.emit_on_time(result, time));
                cx.release(time);
            }
        }
        if has_gone && let Some(first) = self.kept.first(cx, side.is_second) {
            cx.register_timer(side.until(first));
        }
    }
}
