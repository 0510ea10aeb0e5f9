//! State as of each epoch that is kept, against the records that had come by then.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::harness::Simulation;
use highwater::process::{Context, Map, Process, StateReader, States, Value};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

const KEYS: u64 = 40;

/// Counts by key, and by the last digits; forgets a key at each ninth record of it.
#[derive(Clone, Default)]
struct Tally {
    count: Value<u64>,
    digits: Map<u8, u64>,
}

/// What one key has.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    count: u64,
    digits: BTreeMap<u8, u64>,
}

impl Model {
    fn add(&mut self, n: u64) {
        self.count += 1;
        *self.digits.entry((n / KEYS % 3) as u8).or_default() += 1;
        if self.count == 9 {
            *self = Model::default();
        }
    }
}

impl Process<u64, u64> for Tally {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.count = states.value("count");
        self.digits = states.map("digits");
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, u64>) {
        self.count.update(cx, || 0, |count| *count += 1);
        self.digits.update(cx, (n / KEYS % 3) as u8, || 0, |count| *count += 1);
        if self.count.get(cx) == Some(&9) {
            self.count.clear(cx);
            self.digits.clear(cx);
        }
        cx.emit(n);
    }
}

/// The records of each epoch, in the order in which their keys saw them.
type Told = Arc<Mutex<BTreeMap<u64, Vec<u64>>>>;

type Readers = (StateReader<u64, (), u64>, StateReader<u64, u8, u64>);

fn build(job: &Job, numbers: Generator<u64>, told: &Told) -> Readers {
    let out = job.source(numbers, Watermarks::none()).key_by(|n| n % KEYS).process(Tally::default());
    let readers = (out.value_of::<u64, u64>("count"), out.map_of::<u64, u8, u64>("digits"));
    let told = Arc::clone(told);
    out.for_each(move |epoch, record| {
        told.lock().unwrap().entry(epoch).or_default().push(record.value);
    });
    readers
}

/// Compares what is kept with what had come by then, and says of how many epochs.
fn compare((counts, digits): &Readers, told: &Told) -> usize {
    let told = told.lock().unwrap();
    let (mut models, mut compared) = (BTreeMap::<u64, Model>::new(), 0);
    let (first, last) = counts.epochs().unwrap();
    let mut epochs = told.iter().peekable();
    for epoch in 0..=last {
        while let Some((_, numbers)) = epochs.next_if(|(of, _)| **of <= epoch) {
            numbers.iter().for_each(|n| models.entry(n % KEYS).or_default().add(*n));
        }
        if epoch < first {
            assert!(counts.as_of(epoch).is_err(), "{epoch} is before {first}");
            continue;
        }
        let (counts, digits) = (counts.as_of(epoch).unwrap(), digits.as_of(epoch).unwrap());
        assert_eq!((counts.epoch(), digits.epoch()), (epoch, epoch));
        for key in 0..KEYS {
            let model = models.get(&key).cloned().unwrap_or_default();
            assert_eq!(counts.get(&key).unwrap_or(0), model.count, "{key} as of {epoch}");
            assert_eq!(digits.items(&key), model.digits, "{key} as of {epoch}");
        }
        let there: BTreeMap<_, _> = models.iter().filter(|(_, model)| model.count > 0).collect();
        let expected = |keys: std::ops::Range<u64>| {
            let some = there.iter().filter(|(key, _)| keys.contains(key));
            some.map(|(key, model)| ((**key, ()), model.count)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(counts.all(), expected(0..KEYS));
        assert_eq!(counts.range(7..20), expected(7..20));
        let mut seen = 0;
        counts.scan(|key, (), count| {
            assert_eq!(Some(&count), expected(0..KEYS).get(&(key, ())));
            seen += 1;
            if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, there.len().min(5));
        compared += 1;
    }
    compared
}

#[test]
fn each_epoch_that_is_kept_is_what_had_come_by_then() {
    for seed in 0..12 {
        let workers = 1 + seed as usize % 3;
        let (job, told) = (Job::new(), Told::default());
        let numbers = Generator::new(2, |n| (n < 3_000).then_some(n * 7919 % 6_007));
        let readers = build(&job, numbers, &told);
        let history = [5, 1000][seed as usize % 2];
        let options = Options::default().workers(workers).epochs(Epochs::records(100));
        let options = options.state_history(history);
        let options = match seed % 4 {
            0 => options.state_memory(1 << 20, std::env::temp_dir()),
            _ => options,
        };
        let simulation = Simulation::seeded(seed).piece(16).options(options);
        let mut running = simulation.start(&job).unwrap();
        let mut views = Vec::new();
        while !running.is_finished() {
            running.steps(50).unwrap();
            let (counts, _) = &readers;
            if let Some((first, last)) = counts.epochs() {
                let middle = first + (last - first) / 2;
                views.push((middle, counts.as_of(middle).unwrap()));
            }
        }
        running.finish().unwrap();
        // At the end nothing is given up any more.
        let compared = compare(&readers, &told);
        assert!(compared >= 3, "{compared} epochs of {history}");
        // Views that were taken before stay what they were, though what they are of is given up.
        let totals: Vec<u64> = views.iter().map(|(_, view)| view.all().values().sum()).collect();
        for ((epoch, view), total) in views.iter().zip(&totals) {
            assert_eq!((view.epoch(), view.all().values().sum::<u64>()), (*epoch, *total));
        }
        assert!(views.is_sorted_by_key(|(epoch, _)| *epoch) && views.len() > 3, "{} views", views.len());
    }
}

#[test]
fn threads_read_while_the_job_runs() {
    let (job, told, stop) = (Job::new(), Told::default(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let numbers = Generator::new(1, move |n| (!stopped.load(SeqCst)).then_some(n)).rate(50_000.0);
    let readers = build(&job, numbers, &told);
    let options = Options::default().workers(2).epochs(Epochs::every(Duration::from_millis(2)));
    let running = job.start(options.state_history(50)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (counts, _) = &readers;
            scope.spawn(move || {
                let mut known = BTreeMap::new();
                while known.len() < 60 {
                    let Some((first, last)) = counts.epochs() else { continue };
                    let epoch = if thread == 0 { last } else { (first + last) / 2 };
                    // It may have been given up since.
                    let Ok(view) = counts.as_of(epoch) else { continue };
                    let all = view.all();
                    assert_eq!(*known.entry(epoch).or_insert_with(|| all.clone()), all, "as of {epoch}");
                }
            });
        }
    });
    stop.store(true, SeqCst);
    let summary = running.join().unwrap();
    assert!(summary.metrics.sum("history_bytes") >= 0);
    assert!(compare(&readers, &told) > 5);
    let (counts, _) = &readers;
    let (first, _) = counts.epochs().unwrap();
    let refused = counts.as_of(first - 1).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("is not there, but those of"), "{refused}");
}

#[test]
fn without_a_history_there_is_none() {
    let (job, told) = (Job::new(), Told::default());
    let readers = build(&job, Generator::new(1, |n| (n < 10).then_some(n)), &told);
    assert!(readers.0.as_of(1).is_err_and(|error| error.to_string().contains("start it first")));
    job.run().unwrap();
    assert!(readers.0.as_of(u64::MAX - 7).is_err());
}
