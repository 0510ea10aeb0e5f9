//! What keyed state and timers cost: `cargo bench --bench process -- [RECORDS [WORKERS]]`.
//!
//! Each case is run by the engine and by hand (plain timely with hash maps), in turn, on the same numbers: million records per second of both, as
//! medians of some rounds, and the median of the rounds' ratios. By hand means: the numbers are exchanged by a hash, and what a
//! key has lies in a hash map; there are no snapshots, no time to live and no late records.
#![allow(clippy::print_stdout)]

use std::error::Error;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::process::{Context, Process, States, Timer, Value};
use highwater::stream::Job;
use highwater::time::Watermarks;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::operators::probe::{Handle, Probe};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// Numbers that look random, and their keys.
#[derive(Clone, Copy)]
struct Numbers {
    records: u64,
    keys: u64,
    workers: u64,
}

impl Numbers {
    fn key(self, n: u64) -> u64 {
        mix(n) % self.keys
    }

    /// The numbers of one worker.
    fn of(self, worker: u64) -> impl Iterator<Item = u64> {
        (worker..self.records).step_by(self.workers as usize)
    }
}

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (n ^ (n >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) ^ (n >> 33)
}

/// Emits every thousandth count of a key.
#[derive(Clone, Default)]
struct Counting(Value<u64>);

impl Process<u64, u64> for Counting {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("count");
    }

    fn process(&mut self, _: u64, cx: &mut Context<'_, u64, u64>) {
        let count = self.0.update(
            cx,
            || 0,
            |count| {
                *count += 1;
                *count
            },
        );
        if let Some(count) = count.filter(|count| count % 1000 == 0) {
            cx.emit(count);
        }
    }
}

/// Registers a timer for each record, which fires.
#[derive(Clone)]
struct Timing;

impl Process<u64, u64> for Timing {
    type Out = u64;

    fn process(&mut self, n: u64, cx: &mut Context<'_, u64, u64>) {
        cx.register_timer(cx.timestamp() + (mix(n) % 5000) as i64);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, u64, u64>) {
        if timer.time % 1000 == 0 {
            cx.emit(1);
        }
    }
}

fn engine<P: Process<u64, u64, Out = u64>>(numbers: Numbers, function: P) -> Result<f64, Box<dyn Error>> {
    let job = Job::new();
    let workers = numbers.workers;
    let splits = Generator::new(workers as usize, move |n| (n < numbers.records).then_some(n));
    // A thousand records in each millisecond of event time.
    let records = job.source(splits, Watermarks::monotone(|n: &u64| (*n / 1000) as i64));
    records.key_by(move |n| numbers.key(*n)).process(function).discard();
    let summary = job.run_with(Options::default().workers(workers as usize))?;
    Ok(summary.elapsed.as_secs_f64())
}

fn by_hand(numbers: Numbers) -> f64 {
    let clock = highwater::clock::Clock::system();
    let workers = numbers.workers as usize;
    let config = if workers > 1 { timely::Config::process(workers) } else { timely::Config::thread() };
    let guards = timely::execute(config, move |worker| {
        let (index, probe) = (worker.index() as u64, Handle::new());
        worker.dataflow::<u64, _, _>(|scope| {
            let done = probe.clone();
            let stream = source(scope, "Source", move |capability, info| {
                let activator = scope.activator_for(info.address);
                let (mut capability, mut numbers_of) = (Some(capability), numbers.of(index));
                move |output| {
                    let Some(held) = &mut capability else { return };
                    let epoch = *held.time();
                    if done.less_than(&epoch.saturating_sub(4)) {
                        return activator.activate();
                    }
                    let mut session = output.session(held);
                    let mut sent = 0;
                    for n in numbers_of.by_ref().take(16_384) {
                        session.give((numbers.key(n), n));
                        sent += 1;
                    }
                    drop(session);
                    if sent < 16_384 {
                        capability = None;
                    } else {
                        held.downgrade(&(epoch + 1));
                        activator.activate();
                    }
                }
            });
            let mut counts: Map<u64, u64> = Map::default();
            let counted = stream.unary::<timely::container::CapacityContainerBuilder<Vec<u64>>, _, _, _>(
                Exchange::new(|(key, _): &(u64, u64)| mix(*key)),
                "Count",
                move |_, _| {
                    move |input, output| {
                        input.for_each(|time, records| {
                            let mut session = output.session(&time);
                            for (key, _) in records.drain(..) {
                                let count = counts.entry(key).or_insert(0);
                                *count += 1;
                                if *count % 1000 == 0 {
                                    session.give(*count);
                                }
                            }
                        });
                    }
                },
            );
            counted.probe_with(&probe);
        });
        while worker.step_or_park(None) {}
    });
    drop(guards);
    clock.now().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (records, workers) = (args.first().copied().unwrap_or(20_000_000), args.get(1).copied().unwrap_or(1));
    println!("{records} records, {workers} workers, median of {ROUNDS} rounds, million records per second");
    println!("case                      by hand    engine   engine/hand");
    for (name, keys) in
        [("count, 1,000 keys", 1_000), ("count, 1 M keys", 1_000_000), ("count, unique keys", u64::MAX)]
    {
        let records = if keys == u64::MAX { records / 4 } else { records };
        let numbers = Numbers { records, keys, workers };
        let (mut hand, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (floor, engine) = (by_hand(numbers), engine(numbers, Counting::default())?);
            hand.push(records as f64 / floor / 1e6);
            ours.push(records as f64 / engine / 1e6);
            ratios.push(floor / engine);
        }
        println!("{name:<22} {:>10.1} {:>9.1} {:>13.2}", median(hand), median(ours), median(ratios));
    }
    let numbers = Numbers { records: records / 2, keys: 100_000, workers };
    let rounds = (0..ROUNDS).map(|_| engine(numbers, Timing)).collect::<Result<Vec<f64>, _>>()?;
    println!("a timer for each record, 100,000 keys: {:.1}", numbers.records as f64 / median(rounds) / 1e6);
    Ok(())
}
