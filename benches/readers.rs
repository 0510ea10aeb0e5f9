//! What it costs to read state from outside and to share it: `cargo bench --bench readers`.
//!
//! Views: a job counts a million keys at 300,000 records a second, in epochs of 10 milliseconds, on two
//! workers, and keeps its state as of the last thousand epochs. Beside it a thread opens views and looks keys
//! up. Printed are nanoseconds at the median, at 99 % and at 99.9 %.
//!
//! Arrangements: a job arranges a million records and waits. Printed is how long it takes until a computation
//! that is attached then has told its first results, and what the process has gained in memory: for a join
//! with one key, which reads that key, and for the count of all records, which reads all of them.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::{Duration, Instant};

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::data::Change;
use highwater::differential::AsCollection;
use highwater::process::{Context, Process, States, Value};
use highwater::stream::{ArrangedStream, Job};
use highwater::time::{Epochs, Time, Watermarks};
use timely::dataflow::operators::vec::ToStream;

const KEYS: u64 = 1_000_000;
const READS: usize = 200_000;
const WAIT: Duration = Duration::from_secs(60);

/// Counts the records of a key.
#[derive(Clone, Default)]
struct Count(Value<u64>);

impl Process<u64, ()> for Count {
    type Out = ();

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("count");
    }

    fn process(&mut self, (): (), cx: &mut Context<'_, u64, ()>) {
        self.0.update(cx, || 0, |count| *count += 1);
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// A number without much order.
fn mix(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
}

fn print(what: &str, mut nanos: Vec<u64>) {
    nanos.sort_unstable();
    let at = |share: f64| nanos[(nanos.len() as f64 * share) as usize];
    println!("{what:<24} {:>8} {:>8} {:>8}", at(0.5), at(0.99), at(0.999));
}

fn views() -> Result<(), Box<dyn Error>> {
    let job = Job::new();
    let numbers = Generator::new(2, |n| Some(if n < KEYS { n } else { mix(n) % KEYS }));
    let numbers = job.source(numbers.rate(300_000.0), Watermarks::none());
    let counted = numbers.key_by(|n| *n).map_values(|_| ()).process(Count::default());
    let counts = counted.value_of::<u64, u64>("count");
    counted.discard();
    let options = Options::default().workers(2).epochs(Epochs::every(Duration::from_millis(10)));
    let running = job.start(options.state_history(1000))?;
    // Until all keys have come, and as much again.
    std::thread::sleep(Duration::from_secs(9));
    let (mut open, mut look) = (Vec::with_capacity(READS), Vec::with_capacity(READS));
    let mut found = 0;
    for n in 0..READS as u64 {
        let Some((first, last)) = counts.epochs() else { return Err("no epoch has ended".into()) };
        let began = now();
        let view = counts.as_of(last - mix(n) % (last - first + 1).min(100))?;
        open.push(began.elapsed().as_nanos() as u64);
        let key = mix(n + READS as u64) % KEYS;
        let began = now();
        found += usize::from(view.get(&key).is_some());
        look.push(began.elapsed().as_nanos() as u64);
    }
    println!("state as of an epoch beside a running job, nanoseconds at 50, 99 and 99.9 %");
    print("opening a view", open);
    print("looking a key up", look);
    println!("{found} of {READS} keys were there");
    running.stop();
    running.join()?;
    Ok(())
}

/// Megabytes of memory of this process.
fn memory() -> Result<f64, Box<dyn Error>> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = pages.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096.0 / 1e6)
}

/// A million records, and one more of no key among them in each tenth of a second.
fn records(job: &Job) -> ArrangedStream<u64, u64> {
    let numbers = Generator::new(2, Some).rate(20.0);
    let later = job.source(numbers, Watermarks::none()).map(|n| Change::insert((KEYS + n, n)));
    let first = Generator::new(2, |n| (n < KEYS).then_some(n));
    let first = job.source(first, Watermarks::none()).map(|n| Change::insert((n, mix(n))));
    first.union(later).arrange()
}

fn arrangements() -> Result<(), Box<dyn Error>> {
    let job = Job::new();
    let before = memory()?;
    let arranged = records(&job);
    arranged.discard();
    let options = Options::default().workers(2).epochs(Epochs::every(Duration::from_millis(10)));
    let running = job.start(options)?;
    std::thread::sleep(Duration::from_secs(5));
    let kept = memory()?;
    println!("an arrangement of {KEYS} records: {:.1} MB", kept - before);
    println!("attached: milliseconds to the first results, and megabytes gained");
    for round in 0..3 {
        let began = now();
        let mut one = running.attach(&arranged, |computation, arranged| {
            let own = (computation.scope().index() == 0).then_some(((77u64, ()), Time::new(0, i64::MIN), 1));
            let own = own.to_stream(computation.scope()).as_collection();
            arranged.join_core(computation.arrange(own), |key, record, ()| Some((*key.key(), *record)))
        })?;
        let first = one.next(WAIT).ok_or("no results")?;
        let (took, gained) = (began.elapsed().as_secs_f64() * 1e3, memory()? - kept);
        println!("  a join with one key, {} rows     {took:>8.1} {gained:>8.1}", first.changes.len());
        drop(one);
        let began = now();
        let mut all = running.attach(&arranged, |_, arranged| arranged.as_collection(|_, _| ()).count())?;
        let first = all.next(WAIT).ok_or("no results")?;
        let (took, gained) = (began.elapsed().as_secs_f64() * 1e3, memory()? - kept);
        println!(
            "  the count of all, {:?}  {took:>8.1} {gained:>8.1}  (round {round})",
            first.changes.first()
        );
    }
    running.stop();
    running.join()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    arrangements()?;
    views()
}
