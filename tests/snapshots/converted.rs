//! Windows that are given lateness, a late output, a trigger or corrections, or lose them: another operator
//! takes them, and goes on from the snapshot of the one before.

use std::sync::Arc;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::Change;
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::process::SideOutput;
use highwater::snapshot::{Migrations, Repository, Restore, Selector, Snapshots};
use highwater::stream::{Chain, Job, KeyedStream, Sum};
use highwater::time::{Epochs, Watermarks};
use highwater::window::{
    Aligned, CountTrigger, Either, Evict, OnEventTime, ProcessingTime, Sessions, Sliding, Tumbling, Windowed,
};
use highwater::{Error, ErrorKind};

use crate::ledger::Ledger;

/// Key, value, time.
type Event = (u8, i64, i64);

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

fn store() -> Arc<dyn Store> {
    Arc::new(Memory::default())
}

fn options(store: &Arc<dyn Store>, workers: usize) -> Options {
    let snapshots = Snapshots::in_store(Arc::clone(store)).every_epochs(2).restore(Restore::Latest);
    Options::default().workers(workers).epochs(Epochs::records(100)).snapshots(snapshots)
}

fn latest(store: &Arc<dyn Store>) -> u64 {
    let found = Repository::open(Arc::clone(store)).find(&Selector::Latest).unwrap();
    found.map_or(0, |(_, manifest)| manifest.epoch)
}

/// Goes on from the store with what `build` builds, and crashes when it has taken some snapshots.
fn crash(store: &Arc<dyn Store>, workers: usize, build: impl Fn(&Job)) -> Result<(), Error> {
    let (job, wanted) = (Job::new(), latest(store) + 12);
    build(&job);
    let mut running = Simulation::seeded(wanted).options(options(store, workers)).start(&job)?;
    while latest(store) < wanted {
        assert!(!running.is_finished(), "it ends too early");
        running.steps(10)?;
    }
    assert!(Repository::open(Arc::clone(store)).verify()?.findings.is_empty());
    Ok(())
}

/// Goes on from the store to the end.
fn go_on(store: &Arc<dyn Store>, workers: usize, build: impl Fn(&Job)) -> Result<(), Error> {
    let job = Job::new();
    build(&job);
    Simulation::seeded(9).options(options(store, workers)).run(&job).map(drop)
}

/// Expects that a job does not go on from the store, for a reason in these words.
fn refused(store: &Arc<dyn Store>, words: &[&str], build: impl Fn(&Job)) {
    for workers in [1, 3] {
        let error = go_on(store, workers, &build).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{word} is not in: {error}");
        }
    }
}

/// Key, start, end, sum.
type Row = (u8, i64, i64, i64);

/// Three splits of different speed, whose records are at most so much out of order.
fn splits(disorder: i64) -> Vec<Vec<Event>> {
    let jitter = |n: i64| (n * 7_919 + 13) % (disorder + 1);
    let event = |split: i64, n: i64| {
        let pause = n / 97 * 40;
        ((n * 5 % 7 + split) as u8 % 5, 1 + n % 11, (2 + split) * n + pause - jitter(n))
    };
    (0..3).map(|split| (0..2_400 - 400 * split).map(|n| event(split, n)).collect()).collect()
}

/// Of these, records that are up to three milliseconds out of order are not behind the watermark.
const BOUND: u64 = 3;

fn keyed(job: &Job, disorder: i64) -> KeyedStream<u8, i64, impl Chain<Out = (u8, i64)> + use<>> {
    let watermarks = Watermarks::bounded(Duration::from_millis(BOUND), |event: &Event| event.2);
    let events = job.source(Collection::splits(splits(disorder)), watermarks).uid("events");
    events.key_by(|event| event.0).map_values(|event| event.1)
}

fn row(result: Windowed<u8, i64>) -> Row {
    (result.key, result.window.start, result.window.end, result.value)
}

/// The kinds of windows.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Aligned(Aligned),
    Sessions,
}

/// What is asked of them. None of it changes results, if no record is behind the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    General,
    Lateness(i64),
    LateOutput,
    Trigger,
    Corrections,
}

const ALL: [Asked; 6] = [
    Asked::Nothing,
    Asked::General,
    Asked::Lateness(40),
    Asked::LateOutput,
    Asked::Trigger,
    Asked::Corrections,
];

fn build(job: &Job, stage: &Ledger<Row>, (disorder, kind, asked): (i64, Kind, Asked)) {
    let keyed = keyed(job, disorder);
    let late = SideOutput::new();
    // What never fires makes no difference.
    let trigger = Either(OnEventTime::default(), CountTrigger::of(1 << 40));
    let restated = |change: Change<Windowed<u8, i64>>| row(change.record);
    macro_rules! asked {
        ($windows:expr, $general:expr) => {
            match asked {
                Asked::Nothing => {
                    $windows.aggregate(Sum).uid("windows").map(row).sink(stage.clone());
                }
                Asked::General => {
                    $general.aggregate(Sum).uid("windows").map(row).sink(stage.clone());
                }
                Asked::Lateness(lateness) => {
                    let windows = $windows.allowed_lateness(millis(lateness));
                    windows.aggregate(Sum).uid("windows").map(row).sink(stage.clone());
                }
                Asked::LateOutput => {
                    $general.late_output(late).aggregate(Sum).uid("windows").map(row).sink(stage.clone());
                }
                Asked::Trigger => {
                    $windows.trigger(trigger).aggregate(Sum).uid("windows").map(row).sink(stage.clone());
                }
                Asked::Corrections => {
                    let windows = $windows.correct_until(millis(30));
                    windows.aggregate(Sum).uid("windows").map(restated).sink(stage.clone());
                }
            }
        };
    }
    match kind {
        Kind::Aligned(windows) => {
            asked!(keyed.window(windows), keyed.window(windows).trigger(OnEventTime::default()))
        }
        Kind::Sessions => asked!(
            keyed.window(Sessions::with_gap(millis(20))),
            keyed.window(Sessions::with_gap(millis(20))).allowed_lateness(millis(0))
        ),
    }
}

fn tumbling() -> Aligned {
    Tumbling::of(millis(50))
}

fn kinds() -> [Kind; 4] {
    let sliding = |size, slide| Kind::Aligned(Sliding::of(millis(size), millis(slide)));
    [Kind::Aligned(tumbling()), sliding(90, 20), sliding(30, 45), Kind::Sessions]
}

/// What is told without interruption.
fn expected(disorder: i64, kind: Kind, asked: Asked) -> Vec<Row> {
    let out = Ledger::new();
    go_on(&store(), 1, |job| build(job, &out, (disorder, kind, asked))).unwrap();
    out.visible()
}

/// What makes windows fire has been asked for and no longer is: its state may go.
fn forgetting(job: &Job, from: Asked, to: Asked) {
    let migrations = Migrations::new();
    // A state of the function of windows has another name in snapshots than in the program.
    if from == Asked::Trigger && to != Asked::Trigger {
        job.migrations(migrations.forget_state("windows", "window state count"));
    } else if from == Asked::Corrections && to != Asked::Corrections {
        job.migrations(migrations.forget_state("windows", "window state standing"));
    }
}

#[test]
fn windows_go_on_whatever_is_asked_of_them() {
    for kind in kinds() {
        let all = expected(BOUND as i64, kind, Asked::Nothing);
        assert!(all.len() > 100);
        for from in ALL {
            for to in ALL {
                // Between operators of all kinds of windows; within the general one of one kind.
                let is_between = from != to && [from, to].contains(&Asked::Nothing);
                if !is_between && !matches!(kind, Kind::Aligned(windows) if windows == tumbling()) {
                    continue;
                }
                let (store, out) = (store(), Ledger::new());
                let run = |job: &Job, asked| build(job, &out, (BOUND as i64, kind, asked));
                crash(&store, 2, |job| run(job, from)).unwrap();
                // From one to the other and, when that has taken snapshots of its own, back.
                let there = crash(&store, 3, |job| {
                    forgetting(job, from, to);
                    run(job, to);
                });
                let back = there.and_then(|()| {
                    go_on(&store, 2, |job| {
                        forgetting(job, to, from);
                        run(job, from);
                    })
                });
                back.unwrap_or_else(|error| panic!("{kind:?} from {from:?} to {to:?}: {error}"));
                assert!(out.visible() == all, "{kind:?} from {from:?} to {to:?}");
            }
        }
    }
}

/// More out of order than the watermarks allow for: records are behind, and some are late.
const DISORDER: i64 = 60;

#[test]
fn records_that_wait_as_late_ones_go_over() {
    let none = Asked::Lateness(0);
    for kind in kinds() {
        let all = expected(DISORDER, kind, Asked::Nothing);
        assert!(all == expected(DISORDER, kind, none));
        for workers in 1..4 {
            let (store, out) = (store(), Ledger::new());
            let run = |job: &Job, asked| build(job, &out, (DISORDER, kind, asked));
            crash(&store, workers, |job| run(job, Asked::Nothing)).unwrap();
            crash(&store, 4 - workers, |job| run(job, none)).unwrap();
            let back = match kind {
                Kind::Sessions => Asked::Nothing,
                Kind::Aligned(_) => {
                    let words = ["\"windows\"", "`allowed_lateness(Duration::ZERO)`"];
                    refused(&store, &words, |job| run(job, Asked::Nothing));
                    Asked::General
                }
            };
            crash(&store, 2, |job| run(job, back)).unwrap();
            go_on(&store, workers, |job| run(job, none)).unwrap();
            assert!(out.visible() == all, "{kind:?} on {workers} workers");
        }
    }
}

/// Windows that had not fired when lateness was asked for take late records, as if they always would have.
#[test]
fn lateness_that_is_new_takes_late_records() {
    for kind in kinds() {
        let (store, out) = (store(), Ledger::new());
        crash(&store, 2, |job| build(job, &out, (DISORDER, kind, Asked::Nothing))).unwrap();
        go_on(&store, 3, |job| build(job, &out, (DISORDER, kind, Asked::Lateness(1_000)))).unwrap();
        let full = expected(DISORDER, kind, Asked::Lateness(1_000));
        // The last result of each window, which has all of its records.
        let last = out.visible().iter().map(|row| row.2).max().unwrap();
        let recent =
            |rows: Vec<Row>| -> Vec<Row> { rows.into_iter().filter(|row| row.2 > last - 500).collect() };
        assert!(recent(out.visible()) == recent(full), "{kind:?}");
    }
}

#[test]
fn what_cannot_be_converted_is_told() {
    let (first, out, tumbling) = (store(), Ledger::new(), Tumbling::of(millis(50)));
    crash(&first, 2, |job| build(job, &out, (3, Kind::Aligned(tumbling), Asked::Nothing))).unwrap();
    refused(&first, &["wants their records"], |job| {
        let lists = keyed(job, 3).window(tumbling).apply(|key, _, values| [(*key, values.len())]);
        lists.uid("windows").discard();
    });
    // An evictor wants records too, and what it has cannot be made of sums nor they of it.
    let evicting = |job: &Job| {
        let windows = keyed(job, 3).window(tumbling).evictor(Evict::count(1 << 40)).aggregate(Sum);
        windows.uid("windows").map(row).sink(out.clone());
    };
    refused(&first, &["wants their records"], evicting);
    let records = store();
    crash(&records, 2, evicting).unwrap();
    for asked in ALL {
        refused(&records, &["window state window content"], |job| {
            build(job, &out, (3, Kind::Aligned(tumbling), asked));
        });
    }
    let second = store();
    crash(&second, 2, |job| {
        let windows = keyed(job, 3).window(ProcessingTime(Sessions::with_gap(millis(1_000_000))));
        windows.aggregate(Sum).uid("windows").discard();
    })
    .unwrap();
    refused(&second, &["by the wall clock"], |job| build(job, &out, (3, Kind::Sessions, Asked::Nothing)));
}
