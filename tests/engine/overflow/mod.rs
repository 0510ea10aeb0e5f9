//! What does not fit ends the job with an error that names the operator, in every build; nothing wraps, and
//! nobody sees what would have.

use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::data::Change;
use highwater::error::ErrorKind;
use highwater::harness::Driver;
use highwater::process::{Aggregating, Context, Process, States};
use highwater::stream::{AverageChanges, CountChanges, Job, Sum, SumChanges};
use highwater::time::{Epochs, Watermarks};
use highwater::window::{CountTrigger, Sessions, Sliding, Tumbling};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a job on some workers, and expects an error that names the operator "adds" and says the words.
fn refused<R>(words: &str, build: impl Fn(&Job) -> highwater::connector::Collected<R>)
where
    R: highwater::data::Data,
{
    for workers in [1, 3] {
        for epochs in [Epochs::records(1), Epochs::when_done()] {
            let job = Job::new();
            let told = build(&job);
            let error = job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
            for word in [words, "\"adds\""] {
                assert!(error.to_string().contains(word), "{word} is not in: {error}");
            }
            drop(told);
        }
    }
}

fn untimed() -> Watermarks<i64> {
    Watermarks::none()
}

#[test]
fn sums_of_all_types_that_do_not_fit_are_errors() {
    macro_rules! all {
        ($($Number:ty: $values:expr),*) => {$({
            let words = concat!("a sum does not fit in its type, ", stringify!($Number));
            let values = || -> Vec<$Number> { $values.to_vec() };
            refused(words, |job| job.collection(values()).key_by(|_| 1u8).sum(|n| n).uid("adds").collect());
        })*};
    }
    all!(
        i64: [i64::MAX, 1],
        u64: [u64::MAX, u64::MAX],
        i32: [i32::MIN, -1],
        u8: [200, 100],
        i128: [i128::MAX, 7],
        Duration: [Duration::MAX, Duration::MAX]
    );
}

#[test]
fn sums_that_do_not_fit_are_errors_in_every_operator() {
    let words = "a sum does not fit in its type, i64";
    let (tumbling, sliding) = (Tumbling::of(millis(10)), Sliding::of(millis(10), millis(2)));
    let sessions = || Sessions::with_gap(millis(5));
    let keyed = |job: &Job| job.collection([i64::MAX, 1, -1]).key_by(|_| 1u8);
    refused(words, |job| keyed(job).window(tumbling).sum(|n| n).uid("adds").collect());
    refused(words, |job| keyed(job).window(sliding).sum(|n| n).uid("adds").collect());
    refused(words, |job| {
        keyed(job).window(tumbling).allowed_lateness(millis(1)).sum(|n| n).uid("adds").collect()
    });
    refused(words, |job| {
        keyed(job).window(tumbling).correct_until(millis(5)).sum(|n| n).uid("adds").collect()
    });
    refused(words, |job| keyed(job).window(sessions()).sum(|n| n).uid("adds").collect());
    refused(words, |job| {
        keyed(job).window(sessions()).trigger(CountTrigger::of(2)).sum(|n| n).uid("adds").collect()
    });
}

#[test]
fn what_fits_is_exact() {
    let job = Job::new();
    let extremes = [i64::MIN, i64::MIN, i64::MIN, i64::MIN];
    let averages = job.collection(extremes).key_by(|_| 1u8).average(|n| n).map(|change| change.record.1);
    let windowed = job.collection(extremes).key_by(|_| 1u8).window(Tumbling::of(millis(10))).average(|n| n);
    let large = job.collection([1u64 << 62, (1 << 62) + 4, 1 << 62]).key_by(|_| 1u8).average(|n| n);
    let wide = job.collection([i64::MAX, i64::MAX, i64::MIN]).key_by(|_| 1u8).sum(i128::from);
    let floats =
        job.collection([f64::MAX, f64::MAX]).key_by(|_| 1u8).sum(|n| n).map(|change| change.record.1);
    let (averages, windowed) = (averages.collect(), windowed.map(|result| result.value).collect());
    let (large, wide) = (large.map(|c| c.record.1).collect(), wide.map(|c| c.record.1).collect());
    let floats = floats.collect();
    job.run().unwrap();
    assert_eq!(averages.values(), [i64::MIN]);
    assert_eq!(windowed.values(), [i64::MIN]);
    assert_eq!(large.values(), [(1 << 62) + 1]);
    assert_eq!(wide.values(), [i128::from(i64::MAX) - 1]);
    assert_eq!(floats.values(), [f64::INFINITY]);
}

#[test]
fn averages_that_do_not_fit_are_errors() {
    let words = "the average 18446744073709551615 does not fit in an i64";
    refused(words, |job| job.collection([u64::MAX; 2]).key_by(|_| 1u8).average(|n| n).uid("adds").collect());
    refused(words, |job| {
        let windows = job.collection([u64::MAX; 2]).key_by(|_| 1u8).window(Tumbling::of(millis(10)));
        windows.average(|n| n).uid("adds").collect()
    });
    refused("does not fit in", |job| {
        job.collection([i128::MIN; 4]).key_by(|_| 1u8).average(|n| n).uid("adds").collect()
    });
    refused("the average -170141183460469231731687303715884105728 does not fit", |job| {
        job.collection([i128::MIN]).key_by(|_| 1u8).average(|n| n).uid("adds").collect()
    });
}

#[test]
fn changes_that_do_not_fit_are_errors() {
    let many = || [Change { record: i128::MAX, diff: 1 }, Change { record: i128::MAX, diff: 1 }];
    refused("128 bits", |job| {
        job.collection(many()).key_by(|_| 1u8).aggregate(SumChanges).uid("adds").collect()
    });
    refused("128 bits", |job| {
        let twice = [Change { record: i128::MAX / 2, diff: 3 }];
        job.collection(twice).key_by(|_| 1u8).aggregate(AverageChanges).uid("adds").collect()
    });
    refused("a sum does not fit", |job| {
        let counts = [Change { record: 1i64, diff: i64::MAX }, Change { record: 1, diff: 2 }];
        job.collection(counts).key_by(|_| 1u8).aggregate(CountChanges).uid("adds").collect()
    });
}

/// Adds up in a state.
#[derive(Clone, Default)]
struct Adds(Option<Aggregating<i64, Sum>>);

impl Process<u8, i64> for Adds {
    type Out = i64;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0 = Some(states.aggregating("sum", Sum));
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
        let sum = self.0.as_ref().unwrap();
        sum.add(cx, value);
        let sum = sum.get(cx).unwrap();
        cx.emit(sum);
    }
}

#[test]
fn sums_in_the_state_of_a_function_are_checked() {
    refused("a sum does not fit in its type, i64", |job| {
        let numbers = job.source(Collection::splits([[i64::MAX, 5]]), untimed());
        numbers.key_by(|_| 1u8).process(Adds::default()).uid("adds").collect()
    });
}

#[test]
fn what_has_not_fitted_is_never_seen() {
    let mut driver = Driver::new(|values| {
        values.key_by(|_: &i64| 1u8).process(Adds::default()).uid("adds").map(|sum| sum)
    })
    .unwrap();
    driver.push(i64::MAX, 0).unwrap();
    assert_eq!(driver.take_output(), [i64::MAX]);
    let error = driver.push(1, 0).unwrap_err();
    assert!(error.to_string().contains("operator \"adds\""), "{error}");
    assert!(driver.push(-5, 0).is_err());
    assert!(driver.take_output().is_empty());
}
