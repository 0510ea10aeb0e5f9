//! The watermarks of several splits on one worker: each by itself, and the least of the active ones.
//!
//! A record is stamped with the watermark of its own split, so lateness depends on the split alone. The
//! combined watermark is the least of the splits' watermarks, and it never falls. A split without any record
//! so far is at the beginning of time and holds the others back.
//!
//! # Idle splits
//!
//! With an idle timeout, a split that was silent for longer than that, on the caller's clock, is not active.
//! When it comes back it takes on the watermark that advanced without it. If all are silent, nothing holds
//! event time back, and the watermark becomes the greatest of theirs, so it does not matter which fell silent
//! first. If there are splits on other workers, the caller decides when that is the case, and
//! [raises](SplitWatermarks::raise) the watermark.
//!
//! Costs a comparison for each record, and a pass over all splits when the one furthest behind advances.

use serde::{Deserialize, Serialize};

use super::{EventTime, Reach, SplitWatermark, Stamps, Strategy};
use crate::data::Stamp;

/// A reading of some clock, and a length of time on it.
pub(crate) type Ticks = i64;

/// The watermarks of some splits, numbered from 0.
pub(crate) struct SplitWatermarks<T> {
    splits: Vec<Member<T>>,
    /// The idle timeout: how long a split may be silent and still be active.
    silence: Option<Ticks>,
    /// No split falls silent before the clock has passed this.
    due: Ticks,
    watermark: EventTime,
    /// True if there are no other splits elsewhere.
    are_all: bool,
}

struct Member<T> {
    watermark: SplitWatermark<T>,
    /// When its last record came, or when it was opened.
    heard: Ticks,
    idle: bool,
}

/// The saved watermark of a split, which any worker may restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SplitMark {
    watermark: EventTime,
    /// The saved state of its generator.
    generator: Vec<u8>,
    /// True if it was silent; not used when it is restored.
    idle: bool,
}

impl<T> SplitWatermarks<T> {
    /// `count` splits under a strategy, all of which begin `now`.
    pub(crate) fn new(
        strategy: &Strategy<T>,
        count: usize,
        silence: Option<Ticks>,
        now: Ticks,
    ) -> SplitWatermarks<T> {
        let open = |_| Member { watermark: SplitWatermark::new(strategy), heard: now, idle: false };
        let mut splits = SplitWatermarks {
            splits: (0..count).map(open).collect(),
            silence,
            due: Ticks::MAX,
            watermark: EventTime::MIN,
            are_all: false,
        };
        splits.due = splits.next_due();
        splits
    }

    /// Declares that there are no other splits elsewhere.
    #[cfg(any(test, feature = "lab"))]
    pub(crate) fn being_all(mut self) -> SplitWatermarks<T> {
        self.are_all = true;
        self
    }

    /// The combined watermark: a record older than this is late.
    #[inline]
    pub(crate) fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Once the clock has passed this, the next split falls silent if no record comes from it.
    pub(crate) fn due(&self) -> Option<Ticks> {
        (self.due < Ticks::MAX).then_some(self.due)
    }

    /// True if splits can fall silent.
    pub(crate) fn has_limit(&self) -> bool {
        self.silence.is_some()
    }

    /// Their progress, to be published to other workers.
    pub(crate) fn reach(&self) -> Reach {
        let active = self.splits.iter().filter(|split| !split.idle);
        let least = active.map(|split| split.watermark.current().max(self.watermark)).min();
        let is_silent = self.splits.iter().any(|split| split.idle);
        Reach { least: least.unwrap_or(EventTime::MAX), greatest: self.greatest(), is_silent }
    }

    fn greatest(&self) -> EventTime {
        self.splits.iter().map(|split| split.watermark.current()).max().unwrap_or(EventTime::MIN)
    }

    /// Stamps a record of a split, and advances the watermarks by it.
    pub(crate) fn stamp(&mut self, split: usize, value: &T, timestamp: EventTime, now: Ticks) -> Stamp {
        let member = &mut self.splits[split];
        member.heard = now;
        let was_idle = std::mem::take(&mut member.idle);
        if was_idle {
            member.watermark.raise(self.watermark);
            // It was not in `next_due` while it was idle.
            self.due = self.due.min(self.silence.map_or(Ticks::MAX, |silence| now.saturating_add(silence)));
        }
        // No active split is behind the combined watermark, which is at the one furthest behind. A split that
        // comes back may be the only active one.
        let may_move = was_idle || member.watermark.current() <= self.watermark;
        let stamp = member.watermark.stamp(value, timestamp);
        if may_move && member.watermark.current() > self.watermark {
            self.settle();
        }
        stamp
    }

    /// Advances the clock to `now`. Calls `moved` each time that the watermark advances without a split.
    pub(crate) fn pass(&mut self, now: Ticks, moved: &mut dyn FnMut(Ticks, EventTime)) {
        // One due time after the other, so that the watermark advances in the order in which splits fall
        // silent.
        while self.due < now {
            let (due, before) = (self.due, self.watermark);
            if let Some(silence) = self.silence {
                for split in &mut self.splits {
                    // Splits that are due at the same time fall silent together: which of them is first must
                    // not matter.
                    split.idle |= split.heard.saturating_add(silence) <= due;
                }
            }
            self.due = self.next_due();
            self.settle();
            if self.watermark > before {
                moved(due, self.watermark);
            }
        }
    }

    /// Raises the watermark of silent splits to that of others.
    pub(crate) fn raise(&mut self, to: EventTime) {
        self.watermark = self.watermark.max(to);
    }

    /// The saved watermarks of the splits, in order.
    pub(crate) fn save(&self) -> impl Iterator<Item = SplitMark> {
        self.splits.iter().map(|split| {
            let (watermark, generator) = split.watermark.save();
            SplitMark { watermark, generator, idle: split.idle }
        })
    }

    /// Restores the saved watermarks of these splits; the others are new. No watermark was behind `least`
    /// when they were saved.
    ///
    /// The idle timeout starts over, also for splits that were silent: what came meanwhile is not known yet.
    pub(crate) fn restore(&mut self, least: EventTime, marks: impl IntoIterator<Item = (usize, SplitMark)>) {
        for (split, SplitMark { watermark, generator, .. }) in marks {
            let member = &mut self.splits[split];
            member.watermark.restore(watermark, &generator);
            // It is not behind that already, unless it was silent.
            member.watermark.raise(least);
        }
        self.raise(least);
        self.due = self.next_due();
        self.settle();
    }

    fn settle(&mut self) {
        let active = self.splits.iter().filter(|split| !split.idle);
        let least = active.map(|split| split.watermark.current()).min();
        // Without an active split here, other workers may have some: the caller decides then, by `raise`.
        let reached = least.or_else(|| self.are_all.then(|| self.greatest()));
        self.watermark = self.watermark.max(reached.unwrap_or(self.watermark));
    }

    fn next_due(&self) -> Ticks {
        let Some(silence) = self.silence else { return Ticks::MAX };
        let active = self.splits.iter().filter(|split| !split.idle);
        active.map(|split| split.heard.saturating_add(silence)).min().unwrap_or(Ticks::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Watermarks;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn splits(count: usize, silence: Option<Ticks>) -> SplitWatermarks<i64> {
        let monotone = Watermarks::monotone(|time: &i64| *time);
        SplitWatermarks::new(&monotone.strategy, count, silence, 0)
    }

    fn record(splits: &mut SplitWatermarks<i64>, split: usize, time: i64, now: Ticks) -> Stamp {
        splits.pass(now, &mut |_, _| {});
        splits.stamp(split, &time, time, now)
    }

    #[test]
    fn the_least_watermark_counts_and_lateness_is_a_split_s_own() {
        let mut two = splits(2, None);
        record(&mut two, 0, 50, 0);
        assert_eq!(two.watermark(), EventTime::MIN, "the other split has said nothing");
        assert_eq!(record(&mut two, 1, 20, 0).watermark, EventTime::MIN);
        assert_eq!(two.watermark(), 20);
        assert_eq!(record(&mut two, 0, 30, 0).watermark, 50, "late, though all together are at 20");
    }

    #[test]
    fn silence_lets_the_others_go_on_and_a_return_finds_them_ahead() {
        let mut two = splits(2, Some(10));
        record(&mut two, 0, 100, 5);
        record(&mut two, 1, 10, 6);
        let mut moves = Vec::new();
        two.pass(15, &mut |now, watermark| moves.push((now, watermark)));
        record(&mut two, 0, 200, 15);
        assert_eq!(moves, [], "at 15 and at 16 the second split still counts");
        two.pass(17, &mut |now, watermark| moves.push((now, watermark)));
        assert_eq!(moves, [(16, 200)]);
        assert_eq!(record(&mut two, 1, 50, 17).watermark, 200, "it is judged by what went on without it");
        two.pass(1_000, &mut |_, _| {});
        assert!(two.reach().least == EventTime::MAX && two.due().is_none() && two.watermark() == 200);
        two.raise(300);
        assert_eq!((two.watermark(), record(&mut two, 0, 1, 1_000).watermark), (300, 300));
    }

    /// Splits fall silent in whatever order, and come back: all that is told in the end is the same.
    #[test]
    fn when_all_are_silent_the_greatest_watermark_counts_whoever_was_first() {
        for (last, times) in [(0, [40, 100]), (1, [40, 100]), (0, [100, 40]), (1, [100, 40])] {
            let mut two = splits(2, Some(10)).being_all();
            record(&mut two, 1 - last, times[1 - last], 0);
            record(&mut two, last, times[last], 5);
            let mut moves = Vec::new();
            two.pass(100, &mut |_, watermark| moves.push(watermark));
            assert_eq!((two.watermark(), moves.last()), (100, Some(&100)), "the last is {last} of {times:?}");
            assert_eq!(record(&mut two, last, 60, 100).watermark, 100);
        }
    }

    #[test]
    fn who_comes_back_alone_leads() {
        let mut two = splits(2, Some(1));
        record(&mut two, 0, 50, 0);
        record(&mut two, 0, 40, 14);
        assert_eq!(two.watermark(), 50, "the other split has been silent");
    }

    /// One record: its split, its event time, and how much later than the last it came.
    fn steps() -> impl proptest::strategy::Strategy<Value = Vec<(usize, i64, i64)>> {
        vec((0..3usize, 0..100i64, 0..15i64), 0..120)
    }

    /// Moves splits to other keepers, of which each has those whose number leaves the same rest.
    fn move_to(
        keepers: &[SplitWatermarks<i64>],
        count: usize,
        silence: Option<Ticks>,
        now: Ticks,
    ) -> Vec<SplitWatermarks<i64>> {
        let least = keepers.iter().map(SplitWatermarks::watermark).min().unwrap();
        let marks: Vec<_> = keepers.iter().map(|keeper| keeper.save().collect::<Vec<_>>()).collect();
        let all: Vec<SplitMark> =
            (0..6).map(|split| marks[split % keepers.len()][split / keepers.len()].clone()).collect();
        let monotone = Watermarks::monotone(|time: &i64| *time);
        let open = |keeper: usize| {
            let mut own =
                SplitWatermarks::new(&monotone.strategy, (6 - keeper).div_ceil(count), silence, now);
            own.restore(
                least,
                (keeper..6).step_by(count).enumerate().map(|(place, split)| (place, all[split].clone())),
            );
            own
        };
        (0..count.min(6)).map(open).collect()
    }

    /// The least of those that count, or the greatest if none does.
    fn reached(own: &[EventTime; 3], idle: &[bool; 3]) -> EventTime {
        let least = (0..3).filter(|s| !idle[*s]).map(|s| own[s]).min();
        least.or_else(|| own.iter().copied().max()).unwrap()
    }

    proptest! {
        /// Stamps do not tell that splits were moved, unless they may be silent; no record is behind what its
        /// keeper holds, and no keeper behind what all held.
        #[test]
        fn splits_can_be_moved_to_other_keepers(
            steps in vec((0..6usize, 0..100i64), 0..60),
            moves in vec((0..60usize, 1..8usize), 0..4),
            silence in proptest::option::of(1..20i64),
        ) {
            let monotone = Watermarks::monotone(|time: &i64| *time);
            let mut whole = SplitWatermarks::new(&monotone.strategy, 6, silence, 0);
            let mut keepers = vec![SplitWatermarks::new(&monotone.strategy, 6, silence, 0)];
            for (now, (split, time)) in steps.into_iter().enumerate() {
                for (_, count) in moves.iter().filter(|(at, _)| *at == now) {
                    let least = keepers.iter().map(SplitWatermarks::watermark).min().unwrap();
                    keepers = move_to(&keepers, *count, silence, now as i64);
                    prop_assert!(keepers.iter().all(|keeper| keeper.watermark() >= least));
                }
                let count = keepers.len();
                let keeper = &mut keepers[split % count];
                keeper.pass(now as i64, &mut |_, _| {});
                let held = keeper.watermark();
                let stamp = record(keeper, split / count, time, now as i64);
                prop_assert!(stamp.watermark >= held, "{stamp:?} is behind {held}");
                if silence.is_none() {
                    prop_assert_eq!(stamp, record(&mut whole, split, time, now as i64));
                    let least = keepers.iter().map(SplitWatermarks::watermark).min();
                    prop_assert_eq!(least, Some(whole.watermark()));
                }
            }
        }

        /// Against the definition, recomputed for every record from all before it.
        #[test]
        fn watermarks_are_those_of_the_definition(steps in steps(), silence in proptest::option::of(1..20i64)) {
            let mut subject = splits(3, silence).being_all();
            let (mut now, mut merged) = (0, EventTime::MIN);
            let (mut own, mut heard, mut idle) = ([EventTime::MIN; 3], [0i64; 3], [false; 3]);
            for (split, time, later) in steps {
                now += later;
                // Splits fall silent one after the other, before the record comes.
                let mut due: Vec<(i64, usize)> = (0..3)
                    .filter(|s| !idle[*s])
                    .filter_map(|s| Some((heard[s] + silence?, s)))
                    .filter(|(at, _)| *at < now)
                    .collect();
                due.sort_unstable();
                while let Some((at, _)) = due.first().copied() {
                    due.retain(|(other, s)| { idle[*s] |= *other == at; *other != at });
                    merged = merged.max(reached(&own, &idle));
                }
                if std::mem::take(&mut idle[split]) {
                    own[split] = own[split].max(merged);
                }
                heard[split] = now;
                let stamp = record(&mut subject, split, time, now);
                prop_assert_eq!(stamp, Stamp { timestamp: time, watermark: own[split] });
                own[split] = own[split].max(time);
                merged = merged.max(reached(&own, &idle));
                prop_assert_eq!(subject.watermark(), merged);
            }
        }
    }
}
