//! Jobs of which another version goes on, with other types of state: what is visible in the end is what it
//! would have been.
//!
//! The first runs keep plain numbers, later ones keep them as [`Told`], whose order is another. All runs but
//! the last crash, on other numbers of workers each time, so the later version goes on from snapshots of the
//! first one and of its own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use highwater::data::{Change, Data, Key};
use highwater::process::{BroadcastProcess, Context, List, Map, Process, States, Timer, Ttl, Value};
use highwater::snapshot::Migrations;
use highwater::stream::{Aggregate, Job};
use highwater::window::{Element, Sessions, Sliding, Tumbling, Window};

use crate::draws::Event;
use crate::ledger::Ledger;
use crate::world::{World, millis, read, under_seeds};

/// What a version keeps numbers as.
trait Number: Key + Default {
    fn of(number: i64) -> Self;
    fn get(&self) -> i64;
}

impl Number for i64 {
    fn of(number: i64) -> i64 {
        number
    }

    fn get(&self) -> i64 {
        *self
    }
}

/// A number as the later version keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Told {
    digits: String,
    negative: Option<i128>,
}

impl Number for Told {
    fn of(number: i64) -> Told {
        Told { digits: number.to_string(), negative: Some(-i128::from(number)) }
    }

    fn get(&self) -> i64 {
        if self.digits.is_empty() { 0 } else { self.digits.parse().unwrap() }
    }
}

/// Counts what is converted.
type Count = Arc<AtomicUsize>;

/// A conversion that is counted.
fn counting<A, B>(
    count: &Count,
    f: impl Fn(A) -> B + Send + Sync + 'static,
) -> impl Fn(A) -> B + Send + Sync + 'static {
    let count = Arc::clone(count);
    move |old| {
        count.fetch_add(1, Ordering::Relaxed);
        f(old)
    }
}

/// Checks a job under seeds, of which a later version goes on; `build` is told if it is that one. Something
/// must have been converted.
fn check<T: Data + Ord + Debug, S: PartialEq + Debug>(
    name: &str,
    case: impl Fn(&mut World) -> Box<dyn Fn(&Job, Ledger<T>, Option<&Count>)>,
    tell: impl Fn(Vec<T>) -> S,
) {
    let count = Count::default();
    under_seeds(name, |world| {
        let build = case(world);
        let (runs, first) = (Cell::new(0), 1 + world.below(3));
        let build = |job: &Job, out: Ledger<T>| {
            // First comes the one that does not crash.
            let run = runs.replace(runs.get() + 1);
            build(job, out, (run == 0 || run > first).then_some(&count));
        };
        world.check_by(build, &tell);
    });
    assert!(
        count.load(Ordering::Relaxed) > 0 || std::env::var("HIGHWATER_SEED").is_ok(),
        "nothing was converted"
    );
}

/// The least and the greatest.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Extremes<N> {
    least: N,
    greatest: N,
}

fn extremes(old: Extremes<i64>) -> Extremes<Told> {
    Extremes { least: Told::of(old.least), greatest: Told::of(old.greatest) }
}

#[derive(Clone, Default)]
struct Range<N>(std::marker::PhantomData<fn() -> N>);

impl<N: Number> Aggregate<i64> for Range<N> {
    type Acc = Extremes<N>;
    type Out = (i64, i64);

    fn start(&self, value: i64) -> Extremes<N> {
        Extremes { least: N::of(value), greatest: N::of(value) }
    }

    fn add(&self, acc: &mut Extremes<N>, value: i64) {
        self.merge(acc, self.start(value));
    }

    fn merge(&self, acc: &mut Extremes<N>, other: Extremes<N>) {
        acc.least = N::of(acc.least.get().min(other.least.get()));
        acc.greatest = N::of(acc.greatest.get().max(other.greatest.get()));
    }

    fn result(&self, acc: &Extremes<N>) -> (i64, i64) {
        (acc.least.get(), acc.greatest.get())
    }
}

fn sum<T: Ord>(changes: Vec<(T, i64)>) -> BTreeMap<T, i64> {
    let mut sums = BTreeMap::new();
    for (record, diff) in changes {
        *sums.entry(record).or_default() += diff;
    }
    sums.retain(|_, diff| *diff != 0);
    sums
}

type Splits = Vec<Vec<Event>>;

fn rolling<N: Number>(job: &Job, splits: &Splits, disorder: i64, out: Ledger<((u8, (i64, i64)), i64)>) {
    let keyed = read(job, splits, disorder).key_by(|event| event.0).map_values(|event| event.1);
    let changes = keyed.aggregate(Range::<N>::default()).uid("range");
    changes.map(|change: Change<_>| (change.record, change.diff)).sink(out);
}

#[test]
fn rolling_aggregates_of_another_type() {
    let case = |world: &mut World| -> Box<dyn Fn(&Job, Ledger<_>, Option<&Count>)> {
        let (splits, disorder) = (world.splits(20), world.disorder);
        Box::new(move |job, out, later| match later {
            None => rolling::<i64>(job, &splits, disorder, out),
            Some(count) => {
                rolling::<Told>(job, &splits, disorder, out);
                job.migrations(Migrations::new().convert("range", "aggregates", counting(count, extremes)));
            }
        })
    };
    check("rolling_aggregates_of_another_type", case, sum);
}

type Windowed = (u8, i64, i64, (i64, i64));

fn windows<N: Number>(job: &Job, splits: &Splits, (disorder, slide): (i64, i64), out: Ledger<Windowed>) {
    let keyed = read(job, splits, disorder).key_by(|event| event.0).map_values(|event| event.1);
    let windows =
        keyed.window(Sliding::of(millis(3 * slide), millis(slide))).aggregate(Range::<N>::default());
    windows.uid("windows").map(|w| (w.key, w.window.start, w.window.end, w.value)).sink(out);
}

#[test]
fn aligned_windows_of_another_type() {
    let case = |world: &mut World| -> Box<dyn Fn(&Job, Ledger<_>, Option<&Count>)> {
        let (splits, settings) = (world.splits(30), (world.disorder, 1 + world.below(20)));
        Box::new(move |job, out, later| match later {
            None => windows::<i64>(job, &splits, settings, out),
            Some(count) => {
                windows::<Told>(job, &splits, settings, out);
                job.migrations(Migrations::new().convert("windows", "panes", counting(count, extremes)));
            }
        })
    };
    check("aligned_windows_of_another_type", case, |told| told);
}

fn sessions<N: Number>(job: &Job, splits: &Splits, (disorder, gap): (i64, i64), out: Ledger<Windowed>) {
    let keyed = read(job, splits, disorder).key_by(|event| event.0).map_values(|event| event.1);
    let sessions = keyed.window(Sessions::with_gap(millis(gap))).aggregate(Range::<N>::default());
    sessions.uid("sessions").map(|w| (w.key, w.window.start, w.window.end, w.value)).sink(out);
}

#[test]
fn sessions_of_another_type() {
    let case = |world: &mut World| -> Box<dyn Fn(&Job, Ledger<_>, Option<&Count>)> {
        let (splits, settings) = (world.splits(30), (world.disorder, 1 + world.below(20)));
        Box::new(move |job, out, later| match later {
            None => sessions::<i64>(job, &splits, settings, out),
            Some(count) => {
                sessions::<Told>(job, &splits, settings, out);
                let all = |old: Vec<(Window, Extremes<i64>)>| -> Vec<(Window, Extremes<Told>)> {
                    old.into_iter().map(|(window, acc)| (window, extremes(acc))).collect()
                };
                let migrations = Migrations::new().convert("sessions", "sessions", counting(count, all));
                job.migrations(migrations.convert("sessions", "waiting", counting(count, extremes)));
            }
        })
    };
    check("sessions_of_another_type", case, |told| told);
}

fn triggered<N: Number>(
    job: &Job,
    splits: &Splits,
    (disorder, size, lateness): (i64, i64, i64),
    out: Ledger<(u8, i64, Vec<i64>)>,
) {
    let keyed = read(job, splits, disorder).key_by(|event| event.0).map_values(|event| N::of(event.1));
    let windows = keyed.window(Tumbling::of(millis(size))).allowed_lateness(millis(lateness));
    let fired = windows.apply(|key: &u8, window, values: Vec<N>| {
        let mut values: Vec<i64> = values.iter().map(N::get).collect();
        values.sort();
        vec![(*key, window.end, values)]
    });
    fired.uid("windows").sink(out);
}

fn element(old: Element<i64>) -> Element<Told> {
    Element { timestamp: old.timestamp, value: Told::of(old.value) }
}

#[test]
fn triggered_windows_of_another_type() {
    let case = |world: &mut World| -> Box<dyn Fn(&Job, Ledger<_>, Option<&Count>)> {
        let (splits, disorder) = (world.splits(30), world.disorder);
        let settings = (disorder, 1 + world.below(30), world.below(20));
        Box::new(move |job, out, later| match later {
            None => triggered::<i64>(job, &splits, settings, out),
            Some(count) => {
                triggered::<Told>(job, &splits, settings, out);
                let migrations = Migrations::new();
                let migrations =
                    migrations.convert("windows", "window state window content", counting(count, element));
                job.migrations(migrations.convert("windows", "waiting", counting(count, Told::of)));
            }
        })
    };
    // See `kinds` for why it is the last firing that counts.
    check("triggered_windows_of_another_type", case, |fired| {
        let mut windows = BTreeMap::<(u8, i64), (usize, Vec<i64>)>::new();
        for (key, end, values) in fired {
            let (firings, last) = windows.entry((key, end)).or_default();
            *firings += 1;
            if values.len() > last.len() {
                *last = values;
            }
        }
        windows
    });
}

fn joined<N: Number>(job: &Job, splits: &[Splits; 2], disorder: i64, out: Ledger<((u8, i64, i64), i64)>) {
    let [left, right] = [0, 1].map(|side| {
        let keyed = read(job, &splits[side], disorder).key_by(|event| event.0);
        // Many of one side are alike.
        keyed.map_values(move |event| Change::insert(N::of(if side == 0 { event.1 % 7 } else { event.1 })))
    });
    let pairs = left.join_changes(right, |key, left, right| (*key, left.get(), right.get()));
    pairs.uid("join").map(|change| (change.record, change.diff)).sink(out);
}

#[test]
fn joins_of_another_type() {
    let case = |world: &mut World| -> Box<dyn Fn(&Job, Ledger<_>, Option<&Count>)> {
        let (splits, disorder) = ([world.splits(20), world.splits(20)], world.disorder);
        Box::new(move |job, out, later| match later {
            None => joined::<i64>(job, &splits, disorder, out),
            Some(count) => {
                joined::<Told>(job, &splits, disorder, out);
                let migrations = Migrations::new().convert("join", "left", counting(count, Told::of));
                job.migrations(migrations.convert("join", "right", counting(count, Told::of)));
            }
        })
    };
    check("joins_of_another_type", case, sum);
}

/// Uses every kind of state: what it tells depends on all that came before.
#[derive(Clone, Default)]
struct Ages<N> {
    count: Value<N>,
    seen: List<N>,
    by_rest: Map<i64, N>,
    recent: Value<N>,
}

impl<N: Number> Process<u8, (i64, N)> for Ages<N> {
    type Out = (u8, String);

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.count = states.value("count");
        self.seen = states.list("seen");
        self.by_rest = states.map("by rest");
        self.recent = states.value_with_ttl("recent", Ttl::of(millis(25)));
    }

    fn process(&mut self, (_, value): (i64, N), cx: &mut Context<'_, u8, Self::Out>) {
        let (value, time) = (value.get(), cx.timestamp());
        let count = self.count.get(cx).map_or(0, N::get) + 1;
        self.count.set(cx, N::of(count));
        self.seen.push(cx, N::of(value));
        self.by_rest.insert(cx, value % 3, N::of(value));
        let before = self.recent.get(cx).map(N::get);
        self.recent.set(cx, N::of(value));
        cx.register_timer(time + 10);
        cx.emit((*cx.key(), format!("{time}: {value} is number {count}, after {before:?}")));
        if count % 6 == 0 {
            self.seen.clear(cx);
            self.by_rest.remove(cx, &(value % 3));
        }
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u8, Self::Out>) {
        let seen: Vec<i64> = self.seen.iter(cx).map(N::get).collect();
        let by_rest: Vec<(i64, i64)> =
            self.by_rest.iter(cx).map(|(rest, value)| (*rest, value.get())).collect();
        cx.emit((*cx.key(), format!("timer of {}: {seen:?} {by_rest:?}", timer.time)));
    }
}

fn process<N: Number>(job: &Job, splits: &Splits, disorder: i64, out: Ledger<(u8, String)>) {
    // Records of one time come in their order, which must be the same in both.
    let keyed =
        read(job, splits, disorder).key_by(|event| event.0).map_values(|event| (event.1, N::of(event.1)));
    keyed.process_in_order(Ages::<N>::default()).uid("ages").sink(out);
}

#[test]
fn process_functions_of_another_type() {
    let case = |world: &mut World| -> Box<dyn Fn(&Job, Ledger<_>, Option<&Count>)> {
        let (splits, disorder) = (world.splits(20), world.disorder);
        Box::new(move |job, out, later| match later {
            None => process::<i64>(job, &splits, disorder, out),
            Some(count) => {
                process::<Told>(job, &splits, disorder, out);
                let states = ["count", "seen", "by rest", "recent"];
                let converted = |migrations: Migrations, state: &str| {
                    migrations.convert("ages", state, counting(count, Told::of))
                };
                let migrations = states.into_iter().fold(Migrations::new(), converted);
                let record = |(number, old): (i64, i64)| (number, Told::of(old));
                job.migrations(migrations.convert("ages", "waiting", counting(count, record)));
            }
        })
    };
    check("process_functions_of_another_type", case, |told| told);
}

/// Tells each key's number of records and the sum of all rules, when the input has ended.
#[derive(Clone, Default)]
struct Judge<N>(Value<N>);

impl<N: Number> BroadcastProcess<u8, Event, i64> for Judge<N> {
    type Out = (u8, i64, i64);
    type Rules = N;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0 = states.value("records");
    }

    fn process(&mut self, _: Event, _: &N, cx: &mut Context<'_, u8, Self::Out>) {
        let count = self.0.get(cx).map_or(0, N::get) + 1;
        self.0.set(cx, N::of(count));
        cx.register_timer(1_000_000);
    }

    fn rule(&mut self, rule: i64, rules: &mut N) {
        *rules = N::of(rules.get() + rule);
    }

    fn timer(&mut self, _: Timer, rules: &N, cx: &mut Context<'_, u8, Self::Out>) {
        let count = self.0.get(cx).map_or(0, N::get);
        cx.emit((*cx.key(), count, rules.get()));
    }
}

fn judged<N: Number>(job: &Job, [events, rules]: &[Splits; 2], disorder: i64, out: Ledger<(u8, i64, i64)>) {
    let rules = read(job, rules, disorder).map(|event| event.1);
    let keyed = read(job, events, disorder).key_by(|event| event.0);
    keyed.connect_broadcast(rules).process(Judge::<N>::default()).uid("judge").sink(out);
}

#[test]
fn rules_of_another_type() {
    let case = |world: &mut World| -> Box<dyn Fn(&Job, Ledger<_>, Option<&Count>)> {
        let (splits, disorder) = ([world.splits(20), world.splits(20)], world.disorder);
        Box::new(move |job, out, later| match later {
            None => judged::<i64>(job, &splits, disorder, out),
            Some(count) => {
                judged::<Told>(job, &splits, disorder, out);
                let migrations = Migrations::new().convert("judge", "rules", counting(count, Told::of));
                job.migrations(migrations.convert("judge", "records", counting(count, Told::of)));
            }
        })
    };
    check("rules_of_another_type", case, |told| told);
}
