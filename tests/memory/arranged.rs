//! Collections that are arranged once: a further reader takes next to nothing, and what is no more goes, as
//! soon as no reader holds it.

use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::data::Change;
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

use crate::heap::{alone, peak};
use crate::mix;

/// The most memory of a job with so many joins that read one arrangement of texts.
fn joined(readers: usize) -> usize {
    const RECORDS: u64 = 60_000;
    let ((), most) = peak(|| {
        let job = Job::new();
        let numbers = Generator::new(1, |n| (n < RECORDS).then_some(n));
        let texts = job.source(numbers, Watermarks::none());
        let texts = texts.map(|n| Change::insert((mix(n), format!("{n:>100}")))).arrange();
        let others = job.collection([(1u64, 2u64)]).map(Change::insert).arrange();
        for _ in 0..readers {
            texts.join(&others, |_, _, number| *number).discard();
        }
        job.run_with(Options::default().epochs(Epochs::records(2_000)).max_bytes_in_flight(64 << 10))
            .unwrap();
    });
    assert!(most > 100 * RECORDS as usize, "{most}");
    most
}

#[test]
fn a_further_reader_takes_a_tenth_at_most() {
    let _alone = alone();
    let (one, three) = (joined(1), joined(3));
    assert!(three < one + one / 5, "{one} bytes with one reader, {three} with three");
}

/// The most memory of a job that replaces the records of a thousand keys again and again, while readers come
/// and go.
fn replaced(rounds: u64) -> usize {
    let ((), most) = peak(|| {
        let job = Job::new();
        let numbers = Generator::new(1, move |n| (n < 1000 * rounds).then_some(n));
        let changes = job.source(numbers, Watermarks::none()).flat_map(|n| {
            let before = n.checked_sub(1000).map(|before| Change::retract((n % 1000, before)));
            [Some(Change::insert((n % 1000, n))), before].into_iter().flatten()
        });
        let arranged = changes.arrange();
        let greatest = arranged.reduce(|_, numbers| numbers.last().map(|(number, _)| **number));
        greatest.discard();
        arranged.join(&arranged, |key, _, _| *key).discard();
        let options =
            Options::default().workers(2).epochs(Epochs::records(2_000)).max_bytes_in_flight(256 << 10);
        let running = job.start(options).unwrap();
        while !running.is_finished() {
            let attached = running
                .attach(&arranged, |_, arranged| arranged.as_collection(|key, _| *key.key()).distinct());
            let Ok(mut attached) = attached else { break };
            let first = attached.next(Duration::from_secs(20));
            assert!(first.is_none_or(|first| first.changes.len() <= 1000));
            std::thread::sleep(Duration::from_millis(5));
        }
        running.join().unwrap();
    });
    most
}

#[test]
fn what_is_no_more_goes_though_readers_come_and_go() {
    let _alone = alone();
    let (short, long) = (replaced(60), replaced(600));
    // Each of half a million records would take more than ten bytes.
    assert!(long < short + (4 << 20), "{short} bytes in a short run, {long} in a long one");
}
