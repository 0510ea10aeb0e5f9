//! Second jobs from the snapshot of a first: with other workers they give the same, with another watermark
//! strategy or more lateness what those give.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{Collected, Generator};
use highwater::object::{Memory, Store};
use highwater::snapshot::{Repository, Restore, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::window::Tumbling;

use crate::world::millis;

const COUNT: u64 = 4_000;

/// One record each ten milliseconds of event time, and every tenth half a second late.
fn time(number: u64) -> i64 {
    number as i64 * 10 - if number % 10 == 9 { 500 } else { 0 }
}

/// How a job takes what is out of order.
#[derive(Clone, Copy, Default)]
struct Waits {
    disorder: Duration,
    lateness: Duration,
}

/// The key, the end of the window, and how many records are in it.
type Row = (u64, i64, u64);

fn job(waits: Waits, rate: Option<f64>) -> (Job, Collected<Row>) {
    let job = Job::new();
    let numbers = Generator::new(2, Some).limit(COUNT);
    let numbers = rate.map_or(numbers.clone(), |rate| numbers.rate(rate));
    let watermarks = Watermarks::bounded(waits.disorder, |number: &u64| time(*number));
    let rows = job
        .source(numbers, watermarks)
        .uid("numbers")
        .key_by(|number| number % 3)
        .window(Tumbling::of(Duration::from_secs(1)))
        .allowed_lateness(waits.lateness)
        .count()
        .uid("windows")
        .map(|count| (count.key, count.window.end, count.value))
        .collect();
    (job, rows)
}

fn options(store: &Arc<dyn Store>, workers: usize) -> Options {
    let snapshots = Snapshots::in_store(Arc::clone(store)).every(millis(20)).restore(Restore::Latest);
    Options::default().workers(workers).snapshots(snapshots)
}

/// What a job gives from the snapshot in a store on.
fn rest(store: &Arc<dyn Store>, waits: Waits, workers: usize) -> Vec<Row> {
    let (job, rows) = job(waits, None);
    job.run_with(options(store, workers)).unwrap();
    assert_eq!(Repository::open(Arc::clone(store)).verify().unwrap().findings, []);
    rows.sorted()
}

/// How many records are in the windows, each as it was told last.
fn records(rows: &[Row]) -> u64 {
    let last: BTreeMap<(u64, i64), u64> =
        rows.iter().map(|(key, end, count)| ((*key, *end), *count)).collect();
    last.values().sum()
}

#[test]
fn forks_go_on_with_other_workers_watermarks_and_lateness() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let running = job(Waits::default(), Some(4_000.0)).0.start(options(&store, 2)).unwrap();
    thread::sleep(Duration::from_millis(200));
    running.suspend().unwrap();
    let repository = Repository::open(Arc::clone(&store));
    let fork = || -> Arc<dyn Store> {
        let into = Arc::new(Memory::default());
        repository.fork(&Selector::Latest, into.clone()).unwrap();
        into
    };
    let (same, patient, lenient) = (fork(), fork(), fork());
    let first = rest(&store, Waits::default(), 1);
    assert!(!first.is_empty());
    assert_eq!(rest(&same, Waits::default(), 3), first);
    let patient = rest(&patient, Waits { disorder: Duration::from_secs(1), ..Waits::default() }, 1);
    let lenient = rest(&lenient, Waits { lateness: Duration::from_secs(10), ..Waits::default() }, 2);
    // Of the records that are late, most are so after the snapshot.
    let (first, patient, lenient) = (records(&first), records(&patient), records(&lenient));
    assert!(patient > first + COUNT / 100, "{patient} {first}");
    assert!(lenient > first + COUNT / 100, "{lenient} {first}");
}
