//! State read from outside is the state as of the end of an epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::connector::Generator;
use highwater::process::{Context, Map, Process, States, Value};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

const KEYS: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts, and remembers which of each hundred it has seen.
#[derive(Clone, Default)]
struct Counts {
    count: Value<u64>,
    seen: Map<u64, u64>,
}

impl Process<u64, u64> for Counts {
    type Out = ();

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.count = states.value("count");
        self.seen = states.map("seen");
    }

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, ()>) {
        self.count.update(cx, || 0, |count| *count += 1);
        self.seen.update(cx, n / KEYS % 7, || 0, |seen| *seen += 1);
        if n / KEYS % 7 == 6 {
            self.seen.remove(cx, &0);
        }
    }
}

/// True if a map is what some number of records leave behind.
fn is_a_prefix(seen: &BTreeMap<u64, u64>) -> bool {
    // What is not removed tells all but whether the next record was seen, which is.
    let others: u64 = (1..7).filter_map(|bucket| seen.get(&bucket)).sum();
    let records = others / 6 * 7 + others % 6;
    (records..records + 3).any(|records| {
        let mut map = BTreeMap::new();
        for n in 0..records {
            *map.entry(n % 7).or_insert(0) += 1;
            if n % 7 == 6 {
                map.remove(&0);
            }
        }
        map == *seen
    })
}

fn reads(workers: usize, seals: Seals) {
    let stop = Arc::new(AtomicBool::new(false));
    let (job, stopped) = (Job::new(), Arc::clone(&stop));
    // One split: what has been read at any moment is a prefix.
    let numbers = Generator::new(1, move |n| (!stopped.load(SeqCst)).then_some(n)).rate(200_000.0);
    let out = job.source(numbers, Watermarks::none()).key_by(|n| *n % KEYS).process(Counts::default());
    let (counts, seen) = (out.value_of::<u64, u64>("count"), out.map_of::<u64, u64, u64>("seen"));
    out.discard();
    assert!(counts.read(Duration::ZERO).is_err(), "the job does not run yet");
    let epochs = Epochs::every(Duration::from_millis(1));
    let running = job.start(Options::default().workers(workers).epochs(epochs).seals(seals)).unwrap();
    let (mut last, mut totals) = (0, Vec::new());
    while totals.len() < 20 {
        let (Ok(view), Ok(seen)) = (counts.read(PATIENCE), seen.read(PATIENCE)) else {
            // The workers have not come so far that they know of the reader.
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        assert!(view.epoch() > last && seen.epoch() > view.epoch());
        last = seen.epoch();
        // A prefix of the numbers: the first keys have one more than the others.
        let all = view.all();
        let total: u64 = all.values().sum();
        for key in 0..KEYS {
            let expected = (total + KEYS - 1 - key) / KEYS;
            assert_eq!(view.get(&key).unwrap_or(0), expected, "key {key} of {total}");
            assert!(is_a_prefix(&seen.items(&key)), "{:?}", seen.items(&key));
        }
        totals.push(total);
    }
    assert!(totals.is_sorted() && totals[0] < totals[19]);
    stop.store(true, SeqCst);
    let summary = running.join().unwrap();
    let total: u64 = counts.read(PATIENCE).unwrap().all().values().sum();
    assert_eq!(total as i64, summary.metrics.sum("records_out"));
}

#[test]
fn a_view_is_the_state_of_a_prefix() {
    reads(1, Seals::OnDemand);
    reads(3, Seals::OnDemand);
    reads(2, Seals::EachEpoch);
}

#[test]
fn readers_must_know_name_and_type() {
    for wrong in ["name", "type"] {
        let job = Job::new();
        let out = job.collection(0..10u64).key_by(|n| *n).process(Counts::default());
        match wrong {
            "name" => drop(out.value_of::<u64, u64>("amount")),
            _ => drop(out.value_of::<u64, String>("count")),
        }
        out.discard();
        let error = job.run().unwrap_err();
        assert!(error.to_string().contains("is read"), "{error}");
    }
}
