//! What a step of a chain costs: `cargo bench --bench chain`.
//!
//! One million and more integers go through `n` maps to a sink that drops them; through one map that does `n`
//! statements; and through a bare loop over the same vector. The time per element is the time per record. If
//! steps are fused, `n` maps cost what one does with `n` statements, and what a step adds is its statement.
//!
//! The byte limit is raised so that no number here is that of a source which waits for its epoch to end.
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::Watermarks;

const RECORDS: u64 = 8 << 20;
const ROUNDS: usize = 15;

/// Some arithmetic that the compiler cannot take together with the next.
#[inline(always)]
fn step(x: u64) -> u64 {
    (x ^ (x >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn steps<const N: usize>(x: u64) -> u64 {
    let mut x = x;
    for _ in 0..N {
        x = step(x);
    }
    x
}

/// As many maps as there are marks.
macro_rules! maps {
    ($stream:expr;) => { $stream };
    ($stream:expr; $mark:tt $($more:tt)*) => { maps!($stream.map(step); $($more)*) };
}

/// Runs a job over the numbers.
macro_rules! run {
    (|$stream:ident| $chain:expr) => {
        |numbers| {
            let job = Job::new();
            let $stream = job.source(numbers.clone(), Watermarks::none());
            $chain.discard();
            let options = Options::default().max_bytes_in_flight(4 << 30);
            job.run_with(options).expect("a job that can run");
        }
    };
}

fn loop_over<const N: usize>(numbers: &[u64]) {
    // Batches as the engine has them, so that results lie in memory but do not leave the cache.
    let mut batch = Vec::with_capacity(1024);
    for piece in numbers.chunks(1024) {
        batch.extend(piece.iter().map(|x| steps::<N>(*x)));
        black_box(&mut batch).clear();
    }
}

/// For a number of steps: the loop, one map with all of them, and a map for each.
struct Ways {
    steps: usize,
    by_hand: fn(&[u64]),
    one_map: fn(&Collection<u64>),
    maps: fn(&Collection<u64>),
}

macro_rules! ways {
    ($n:literal: $($mark:tt)*) => {
        Ways {
            steps: $n,
            by_hand: loop_over::<$n>,
            one_map: run!(|stream| stream.map(steps::<$n>)),
            maps: run!(|stream| maps!(stream; $($mark)*)),
        }
    };
}

const WAYS: [Ways; 5] = [
    ways!(1: x),
    ways!(2: x x),
    ways!(5: x x x x x),
    ways!(10: x x x x x x x x x x),
    ways!(20: x x x x x x x x x x x x x x x x x x x x),
];

fn chains(criterion: &mut Criterion) {
    let numbers: Vec<u64> = (0..RECORDS).collect();
    let source = Collection::new(numbers.iter().copied());
    let mut group = criterion.benchmark_group("chain");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(15).measurement_time(Duration::from_secs(2));
    for Ways { steps, by_hand, one_map, maps } in WAYS {
        group.bench_function(BenchmarkId::new("loop", steps), |b| b.iter(|| by_hand(&numbers)));
        group.bench_function(BenchmarkId::new("one map", steps), |b| b.iter(|| one_map(&source)));
        group.bench_function(BenchmarkId::new("maps", steps), |b| b.iter(|| maps(&source)));
    }
    group.finish();
}

/// All of it in turn, several times, so that a busy machine is busy for all; the best round of each counts.
fn interleaved() {
    let numbers: Vec<u64> = (0..RECORDS).collect();
    let source = Collection::new(numbers.iter().copied());
    let clock = Clock::system();
    let nanos = |run: &dyn Fn()| {
        let start = clock.now();
        run();
        (clock.now() - start).as_nanos() as f64 / RECORDS as f64
    };
    let mut best = [[f64::INFINITY; 3]; WAYS.len()];
    for _ in 0..ROUNDS {
        for (best, ways) in best.iter_mut().zip(&WAYS) {
            let round = [
                nanos(&|| (ways.by_hand)(&numbers)),
                nanos(&|| (ways.one_map)(&source)),
                nanos(&|| (ways.maps)(&source)),
            ];
            best.iter_mut().zip(round).for_each(|(best, round)| *best = best.min(round));
        }
    }
    println!("ns per record, the best of {ROUNDS} rounds\nsteps    loop   one map    maps");
    for (ways, [by_hand, one_map, maps]) in WAYS.iter().zip(best) {
        println!("{:>5}  {by_hand:>6.2}    {one_map:>6.2}  {maps:>6.2}", ways.steps);
    }
}

criterion_group!(benches, chains);

/// Without `--bench`, as in `cargo test --benches`, criterion runs each function once.
fn main() {
    if std::env::args().any(|arg| arg == "--bench") {
        interleaved();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
