//! Every kind of state, under seeds: the input, the workers of each run, the steps, the epochs, the snapshots
//! and the crashes are drawn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use highwater::cep::{Match, Pattern};
use highwater::data::Change;
use highwater::join::{Interval, Offset, Outer};
use highwater::process::{BroadcastProcess, Context, List, Map, Process, States, Timer, Ttl, Value};
use highwater::stream::Rounds;
use highwater::window::{Sessions, Sliding, Tumbling};

use crate::draws::Event;
use crate::ledger::Ledger;
use crate::world::{millis, read, under_seeds};

type Key = u8;

/// What changes come to.
pub(crate) fn sum<T: Ord>(changes: Vec<(T, i64)>) -> BTreeMap<T, i64> {
    let mut sums = BTreeMap::new();
    for (record, diff) in changes {
        *sums.entry(record).or_default() += diff;
    }
    sums.retain(|_, diff| *diff != 0);
    sums
}

pub(crate) fn change<T>(change: Change<T>) -> (T, i64) {
    (change.record, change.diff)
}

#[test]
fn stateless_jobs() {
    under_seeds("stateless_jobs", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        world.check(|job, out: Ledger<i64>| read(job, &splits, disorder).map(|event| event.1 * 3).sink(out));
    });
}

#[test]
fn rolling_aggregates() {
    under_seeds("rolling_aggregates", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let build = |job: &_, out: Ledger<((Key, u64), i64)>| {
            read(job, &splits, disorder).key_by(|event| event.0).count().map(change).sink(out);
        };
        world.check_by(build, sum);
    });
}

#[test]
fn aligned_windows() {
    under_seeds("aligned_windows", |world| {
        let (splits, disorder) = (world.splits(30), world.disorder);
        let (slide, slides) = (1 + world.below(20), 1 + world.below(4));
        let windows = Sliding::of(millis(slide * slides), millis(slide));
        world.check(|job, out: Ledger<(Key, i64, i64)>| {
            let keyed = read(job, &splits, disorder).key_by(|event| event.0).map_values(|event| event.1);
            keyed.window(windows).sum(|value| value).map(|w| (w.key, w.window.end, w.value)).sink(out);
        });
    });
}

#[test]
fn sessions() {
    under_seeds("sessions", |world| {
        let (splits, disorder) = (world.splits(30), world.disorder);
        let gap = millis(1 + world.below(15));
        world.check(|job, out: Ledger<(Key, i64, i64, u64)>| {
            let keyed = read(job, &splits, disorder).key_by(|event| event.0);
            let sessions = keyed.window(Sessions::with_gap(gap)).count();
            sessions.map(|w| (w.key, w.window.start, w.window.end, w.value)).sink(out);
        });
    });
}

#[test]
fn triggered_windows() {
    under_seeds("triggered_windows", |world| {
        let (splits, disorder) = (world.splits(30), world.disorder);
        let (size, lateness) = (millis(1 + world.below(30)), millis(world.below(20)));
        let build = |job: &_, out: Ledger<(Key, i64, Vec<i64>)>| {
            let keyed = read(job, &splits, disorder).key_by(|event| event.0).map_values(|event| event.1);
            let windows = keyed.window(Tumbling::of(size)).allowed_lateness(lateness);
            let fired = windows.apply(|key: &Key, window, mut values: Vec<i64>| {
                values.sort();
                vec![(*key, window.end, values)]
            });
            fired.sink(out);
        };
        // In which order records of different splits come late is not for the job to say, and so what a
        // window has in it at each of its firings is not.
        world.check_by(build, |fired| {
            let mut windows = BTreeMap::<(Key, i64), (usize, Vec<i64>)>::new();
            for (key, end, values) in fired {
                let (firings, last) = windows.entry((key, end)).or_default();
                *firings += 1;
                if values.len() > last.len() {
                    *last = values;
                }
            }
            windows
        });
    });
}

#[test]
fn interval_joins() {
    under_seeds("interval_joins", |world| {
        let (left, right, disorder) = (world.splits(20), world.splits(20), world.disorder);
        let (lower, upper) = (-world.below(20), world.below(20));
        let outer = [Outer::None, Outer::Left, Outer::Right, Outer::Both][world.below(4) as usize];
        world.check(|job, out: Ledger<(Key, i64, i64)>| {
            let left = read(job, &left, disorder).key_by(|event| event.0).map_values(|event| event.1);
            let right = read(job, &right, disorder).key_by(|event| event.0).map_values(|event| event.1);
            let joined =
                left.interval_join(right, Interval::between(Offset::millis(lower), Offset::millis(upper)));
            let value = |side: Option<&i64>| side.copied().unwrap_or(-1);
            joined.outer(outer, move |key, left, right| Some((*key, value(left), value(right)))).sink(out);
        });
    });
}

#[test]
fn joins_of_all_that_has_come() {
    under_seeds("joins_of_all_that_has_come", |world| {
        let (left, right, disorder) = (world.splits(20), world.splits(20), world.disorder);
        let build = |job: &_, out: Ledger<((Key, i64, i64), i64)>| {
            let left = read(job, &left, disorder).key_by(|event| event.0).map_values(|event| event.1);
            let right = read(job, &right, disorder).key_by(|event| event.0).map_values(|event| event.1);
            left.join(right, |key, left, right| ((*key, *left, *right), 1)).sink(out);
        };
        world.check_by(build, sum);
    });
}

/// Uses every kind of state: what it tells depends on all that came before.
#[derive(Clone, Default)]
pub(crate) struct Everything {
    count: Value<u64>,
    seen: List<i64>,
    by_rest: Map<i64, i64>,
    recent: Value<i64>,
}

/// What is remembered for a while only.
const RECENT: i64 = 25;

impl Process<Key, Event> for Everything {
    type Out = (Key, String);

    fn open(&mut self, states: &mut States<'_, Key>) {
        self.count = states.value("count");
        self.seen = states.list("seen");
        self.by_rest = states.map("by rest");
        self.recent = states.value_with_ttl("recent", Ttl::of(millis(RECENT)));
    }

    fn process(&mut self, (key, value, time): Event, cx: &mut Context<'_, Key, Self::Out>) {
        let count = self.count.update(
            cx,
            || 0,
            |count| {
                *count += 1;
                *count
            },
        );
        let count = count.unwrap_or_default();
        self.seen.push(cx, value);
        self.by_rest.insert(cx, value % 3, value);
        let before = self.recent.get(cx).copied();
        self.recent.set(cx, value);
        cx.register_timer(time + 10);
        if value % 5 == 0 {
            cx.register_timer(time + 1000);
        }
        if value % 7 == 0 {
            cx.delete_timer(time + 10);
        }
        cx.emit((key, format!("{time}: {value} is number {count}, after {before:?}")));
        if count.is_multiple_of(6) {
            self.seen.clear(cx);
            self.by_rest.remove(cx, &(value % 3));
        }
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, Key, Self::Out>) {
        let seen: Vec<i64> = self.seen.iter(cx).copied().collect();
        let by_rest: Vec<(i64, i64)> = self.by_rest.iter(cx).map(|(rest, value)| (*rest, *value)).collect();
        cx.emit((*cx.key(), format!("timer of {}: {seen:?} {by_rest:?}", timer.time)));
    }
}

#[test]
fn process_functions_in_order() {
    under_seeds("process_functions_in_order", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        world.check(|job, out: Ledger<(Key, String)>| {
            read(job, &splits, disorder)
                .key_by(|event| event.0)
                .process_in_order(Everything::default())
                .sink(out);
        });
    });
}

#[test]
fn patterns_with_little_memory() {
    let left = AtomicI64::new(0);
    under_seeds("patterns_with_little_memory", |world| {
        world.memory = Some(1 << 20);
        let (splits, disorder) = (world.splits(20), world.disorder);
        let within = millis(5 + world.below(400));
        world.check(|job, out: Ledger<(i64, i64, Vec<i64>)>| {
            // Each drags something along, so that some of the state must leave.
            let long = |event: Event| (event, format!("{:>20000}", event.1));
            let low = |event: &(Event, String)| event.0.1 % 3 != 0;
            let ended = Pattern::begin("low", low)
                .followed_by("end", |event| event.0.1 % 11 == 1)
                .iterative(|end, earlier| earlier.last().is_some_and(|last| last.1 != end.1))
                .within(within)
                .skip_to_next();
            let found = read(job, &splits, disorder).map(long).key_by(|event| event.0.1 % 20).detect(ended);
            let told = |found: Match<i64, (Event, String)>| {
                (found.key, found.timestamp, found.events.iter().map(|event| event.0.1).collect::<Vec<_>>())
            };
            found.matches().map(told).union(found.timed_out().map(told)).sink(out);
        });
        left.fetch_add(world.left, Ordering::Relaxed);
    });
    let is_one = std::env::var("HIGHWATER_SEED").is_ok();
    let left = left.into_inner();
    assert!(is_one || left > 100, "{left} keys have left memory");
}

#[test]
fn patterns() {
    under_seeds("patterns", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let within = millis(5 + world.below(40));
        world.check(|job, out: Ledger<(Key, Vec<i64>)>| {
            let rising = Pattern::begin("low", |event: &Event| event.1 % 3 == 0)
                .followed_by("high", |event: &Event| event.1 % 2 == 1)
                .within(within);
            let keyed = read(job, &splits, disorder).key_by(|event| event.0);
            let found = keyed.detect(rising).select(|found| {
                let values: [Vec<i64>; 2] =
                    ["low", "high"].map(|name| found.events.of(name).iter().map(|event| event.1).collect());
                (found.key, values.concat())
            });
            found.sink(out);
        });
    });
}

#[test]
fn two_operators_after_each_other() {
    under_seeds("two_operators_after_each_other", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        let size = millis(5 + world.below(20));
        world.check(|job, out: Ledger<(u64, i64, u64)>| {
            let keyed = read(job, &splits, disorder).key_by(|event| event.0);
            let counts = keyed.window(Tumbling::of(size)).count();
            // How many keys have the same count in a window.
            let alike = counts.key_by(|window| window.value).window(Tumbling::of(size)).count();
            alike.map(|window| (window.key, window.window.end, window.value)).sink(out);
        });
    });
}

#[test]
fn loops() {
    under_seeds("loops", |world| {
        let (splits, disorder) = (world.splits(20), world.disorder);
        world.check(|job, out: Ledger<(i64, i64)>| {
            let numbers = read(job, &splits, disorder).map(|event| (event.1, event.1));
            // Each number halved until it is odd.
            let odd = numbers.iterate(Rounds::at_most(100), |numbers, _| {
                let again = numbers.clone().filter(|n| n.1 % 2 == 0).map(|n| (n.0, n.1 / 2));
                (again, numbers.filter(|n| n.1 % 2 != 0))
            });
            odd.sink(out);
        });
    });
}

/// Tells each key's number of records and the sum of all rules, when the input has ended.
#[derive(Clone, Default)]
struct Judge(Value<u64>);

impl BroadcastProcess<Key, Event, i64> for Judge {
    type Out = (Key, u64, i64);
    type Rules = i64;

    fn open(&mut self, states: &mut States<'_, Key>) {
        self.0 = states.value("records");
    }

    fn process(&mut self, _: Event, _: &i64, cx: &mut Context<'_, Key, Self::Out>) {
        self.0.update(cx, || 0, |count| *count += 1);
        cx.register_timer(1_000_000);
    }

    fn rule(&mut self, rule: i64, rules: &mut i64) {
        *rules += rule;
    }

    fn timer(&mut self, _: Timer, rules: &i64, cx: &mut Context<'_, Key, Self::Out>) {
        let count = self.0.get(cx).copied().unwrap_or_default();
        cx.emit((*cx.key(), count, *rules));
    }
}

#[test]
fn rules() {
    under_seeds("rules", |world| {
        let (splits, rules, disorder) = (world.splits(20), world.splits(20), world.disorder);
        world.check(|job, out: Ledger<(Key, u64, i64)>| {
            let rules = read(job, &rules, disorder).map(|event| event.1);
            read(job, &splits, disorder)
                .key_by(|event| event.0)
                .connect_broadcast(rules)
                .process(Judge::default())
                .sink(out);
        });
    });
}

#[test]
fn windows_of_records_that_an_outer_join_tells_late() {
    under_seeds("windows_of_records_that_an_outer_join_tells_late", |world| {
        let (left, right, disorder) = (world.splits(20), world.splits(20), world.disorder);
        let (upper, size) = (world.below(20), millis(1 + world.below(10)));
        world.check(|job, out: Ledger<(Key, i64, u64)>| {
            let left = read(job, &left, disorder).key_by(|event| event.0);
            let right = read(job, &right, disorder).key_by(|event| event.0);
            let joined =
                left.interval_join(right, Interval::between(Offset::millis(0), Offset::millis(upper)));
            // Those who have met no one are told behind the watermark that let them go, and no window may
            // have fired before.
            let alone = joined
                .outer(Outer::Both, |key, left, right| (left.is_none() || right.is_none()).then_some(*key));
            let counts = alone.key_by(|key| *key).window(Tumbling::of(size)).count();
            counts.map(|w| (w.key, w.window.end, w.value)).sink(out);
        });
    });
}
