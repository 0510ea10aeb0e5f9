//! What a step of a chain costs: `cargo bench --bench chain`.
//!
//! One million and more integers go through `n` maps to a sink that drops them; through one map that does `n` statements; and
//! through a bare loop over the same vector. The time per element is the time per record. If steps are fused, `n`
//! maps cost what one does with `n` statements, and what a step adds is its statement.
//!
//! The byte limit is raised so that no number here is that of a source which waits for its epoch to end.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use highwater::config::Options;
use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::Watermarks;

const RECORDS: u64 = 8 << 20;

/// Some arithmetic that the compiler cannot take together with the next.
#[inline(always)]
fn step(x: u64) -> u64 {
    (x ^ (x >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn steps<const N: usize>(x: u64) -> u64 {
    (0..N).fold(x, |x, _| step(x))
}

/// As many maps as there are marks.
macro_rules! maps {
    ($stream:expr;) => { $stream };
    ($stream:expr; $mark:tt $($more:tt)*) => { maps!($stream.map(step); $($more)*) };
}

/// Runs a job over the numbers.
macro_rules! run {
    ($numbers:expr, |$stream:ident| $chain:expr) => {{
        let job = Job::new();
        let $stream = job.source($numbers.clone(), Watermarks::none());
        $chain.discard();
        let options = Options::default().max_bytes_in_flight(4 << 30);
        job.run_with(options).expect("a job that can run")
    }};
}

fn loop_over<const N: usize>(numbers: &[u64]) {
    // Batches as the engine has them, so that results lie in memory but do not leave the cache.
    let mut batch = Vec::with_capacity(1024);
    for piece in numbers.chunks(1024) {
        batch.extend(piece.iter().map(|x| steps::<N>(*x)));
        black_box(&mut batch).clear();
    }
}

fn chains(criterion: &mut Criterion) {
    let numbers: Vec<u64> = (0..RECORDS).collect();
    let source = Collection::new(numbers.iter().copied());
    let mut group = criterion.benchmark_group("chain");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(15).measurement_time(Duration::from_secs(2));
    macro_rules! measure {
        ($n:literal: $($mark:tt)*) => {
            group.bench_function(BenchmarkId::new("loop", $n), |b| b.iter(|| loop_over::<$n>(&numbers)));
            group.bench_function(BenchmarkId::new("one map", $n), |b| {
                b.iter(|| run!(source, |stream| stream.map(steps::<$n>)))
            });
            group.bench_function(BenchmarkId::new("maps", $n), |b| {
                b.iter(|| run!(source, |stream| maps!(stream; $($mark)*)))
            });
        };
    }
    group.bench_function("no map", |b| b.iter(|| run!(source, |stream| stream)));
    measure!(1: x);
    measure!(2: x x);
    measure!(5: x x x x x);
    measure!(10: x x x x x x x x x x);
    measure!(20: x x x x x x x x x x x x x x x x x x x x);
    group.finish();
}

criterion_group!(benches, chains);
criterion_main!(benches);
