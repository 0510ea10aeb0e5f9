//! What is refused, with a sentence that says why.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::ErrorKind;
use highwater::cep::Pattern;
use highwater::config::Options;
use highwater::data::Change;
use highwater::join::{Interval, Offset};
use highwater::process::{Context, List, Process, States, Ttl, Value};
use highwater::stream::{Chain, Job, KeyedStream, Rounds, Sum};
use highwater::time::{Epochs, Watermarks};
use highwater::window::{CountTrigger, CountWindows, ProcessingTime, Sessions, Sliding, Tumbling};

use super::ends_in;

const ZERO: Duration = Duration::ZERO;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn keyed(job: &Job) -> KeyedStream<u8, i64, impl Chain<Out = (u8, i64)> + use<>> {
    let numbers = job.timed_collection(0..20i64, Watermarks::monotone(|n: &i64| *n));
    numbers.key_by(|n| (n % 3) as u8)
}

fn refused(what: &str, words: &str, build: fn(&Job)) {
    ends_in(ErrorKind::Config, what, words, build);
}

#[test]
fn windows_without_extent() {
    let words = "at least 1 ms";
    refused("tumbling", words, |job| keyed(job).window(Tumbling::of(ZERO)).count().discard());
    refused("sliding", words, |job| keyed(job).window(Sliding::of(millis(5), ZERO)).count().discard());
    refused("all", words, |job| keyed(job).values().window_all(Tumbling::of(ZERO)).count().discard());
    refused("with a trigger", words, |job| {
        keyed(job).window(Tumbling::of(ZERO)).trigger(CountTrigger::of(2)).count().discard();
    });
    refused("wall clock", words, |job| {
        keyed(job).window(ProcessingTime(Tumbling::of(ZERO))).count().discard()
    });
    refused("co-group", words, |job| {
        keyed(job).co_group(keyed(job), Tumbling::of(ZERO), |_| vec![()]).discard();
    });
    refused("less than a millisecond", words, |job| {
        keyed(job).window(Tumbling::of(Duration::from_micros(999))).count().discard();
    });
    let words = "two million years";
    refused("longest", words, |job| keyed(job).window(Tumbling::of(Duration::MAX)).count().discard());
}

#[test]
fn sessions_without_a_gap() {
    let words = "gap of 0 ms";
    refused("sessions", words, |job| keyed(job).window(Sessions::with_gap(ZERO)).count().discard());
    refused("with a trigger", words, |job| {
        keyed(job).window(Sessions::with_gap(ZERO)).trigger(CountTrigger::of(2)).count().discard();
    });
    refused("touching", words, |job| {
        keyed(job).window(Sessions::with_gap(ZERO).touching()).count().discard();
    });
    refused("wall clock", words, |job| {
        keyed(job).window(ProcessingTime(Sessions::with_gap(ZERO))).count().discard();
    });
}

#[test]
fn windows_of_no_records() {
    let words = "at least 1";
    refused("count", words, |job| keyed(job).window(CountWindows::of(0)).count().discard());
    refused("slide", words, |job| keyed(job).window(CountWindows::sliding(2, 0)).sum(|n| n).discard());
    refused("size", words, |job| keyed(job).window(CountWindows::sliding(0, 2)).sum(|n| n).discard());
}

#[test]
fn patterns_that_cannot_be() {
    refused("within", "less than a millisecond", |job| {
        keyed(job).detect(Pattern::begin("a", |_: &i64| true).within(ZERO)).matches().discard();
    });
    refused("names", "name of two stages", |job| {
        let pattern = Pattern::begin("a", |_: &i64| true).next("a", |_| true);
        keyed(job).detect(pattern).matches().discard();
    });
    refused("skip", "no stage \"b\"", |job| {
        keyed(job).detect(Pattern::begin("a", |_: &i64| true).skip_to_first("b")).matches().discard();
    });
    refused("negation", "needs a bound", |job| {
        let pattern = Pattern::begin("a", |_: &i64| true).not_followed_by("b", |_| true);
        keyed(job).detect(pattern).matches().discard();
    });
}

#[test]
fn streams_of_different_jobs() {
    refused("union", "different jobs", |job| {
        job.collection([1]).union(Job::new().collection([2])).discard();
    });
    refused("join", "different jobs", |job| {
        keyed(job).join(keyed(&Job::new()), |_, a, b| a + b).discard();
    });
    refused("interval", "different jobs", |job| {
        let other = keyed(&Job::new());
        keyed(job)
            .interval_join(other, Interval::between(Offset::millis(0), Offset::millis(1)))
            .inner(|_, a, b| a + b)
            .discard();
    });
    refused("differential", "different jobs", |job| {
        let one = job.collection([(1, 2)]).map(Change::insert);
        let other = Job::new().collection([1]).map(Change::insert);
        one.differential_with(other, |_, pairs, keys| pairs.semijoin(keys)).discard();
    });
}

#[test]
fn jobs_and_options() {
    let run = |options: Options| {
        let job = Job::new();
        job.collection([1]).discard();
        job.run_with(options).unwrap_err().to_string()
    };
    assert!(run(Options::default().workers(0)).contains("choose 1 to"));
    assert!(run(Options::default().epochs(Epochs::records(0))).contains("at least 1 record"));
    assert!(run(Options::default().epochs(Epochs::every(ZERO))).contains("1 ms or more"));
    assert!(run(Options::default().max_epochs_in_flight(0)).contains("at least 1 epoch"));
    assert!(run(Options::default().max_bytes_in_flight(0)).contains("1 byte"));
    refused("nothing to do", "no sink", |job| drop(job.collection([1])));
    refused("splits", "at least 1 split", |job| {
        job.collection([1]).with_watermarks(Watermarks::monotone(|n: &i64| *n), 0, |_| 0).discard();
    });
    refused("uid", "the uid \"sum\"", |job| {
        keyed(job).aggregate(Sum).uid("sum").discard();
        keyed(job).aggregate(Sum).uid("sum").discard();
    });
}

#[test]
fn loops_without_rest() {
    ends_in(ErrorKind::Data, "no rest", "not ended after 50 rounds", |job| {
        let edges = job.collection([(1, 1)]).map(Change::insert);
        let restless = edges.differential(|computation, edges| {
            computation
                .iterate(edges, Rounds::at_most(50), |_, edges| edges.map(|(a, n)| (a, n + 1)).distinct())
        });
        restless.discard();
    });
}

/// A state that is known to another function.
type Lent = Arc<Mutex<Option<Value<i64>>>>;

/// Registers a value, and lends its handle or uses a lent one.
#[derive(Clone)]
struct Careless {
    own: Value<i64>,
    lent: Lent,
    borrows: bool,
}

impl Process<u8, i64> for Careless {
    type Out = i64;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.own = states.value("own");
        match self.borrows {
            true => self.own = self.lent.lock().unwrap().unwrap_or_default(),
            false => *self.lent.lock().unwrap() = Some(self.own),
        }
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
        self.own.set(cx, value);
        cx.emit(value);
    }
}

#[test]
fn handles_of_other_functions() {
    // Both have one column of one type: the handle would lead somewhere.
    refused("foreign", "register each handle in `open`", |job| {
        let lent = Lent::default();
        let lender = Careless { own: Value::default(), lent: Arc::clone(&lent), borrows: false };
        let borrower = Careless { own: Value::default(), lent, borrows: true };
        keyed(job).process(lender).key_by(|n| (n % 3) as u8).process(borrower).discard();
    });
}

/// Registers states as it is told to.
#[derive(Clone, Copy)]
struct Registers(fn(&mut States<'_, u8>));

impl Process<u8, i64> for Registers {
    type Out = i64;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0(states);
    }

    fn process(&mut self, _: i64, _: &mut Context<'_, u8, i64>) {}
}

#[test]
fn states_that_are_registered_wrongly() {
    refused("twice", "a name of its own", |job| {
        let function = Registers(|states| {
            let _: (Value<i64>, Value<i64>) = (states.value("n"), states.value("n"));
        });
        keyed(job).process(function).discard();
    });
    refused("twice, of other types", "a name of its own", |job| {
        let function = Registers(|states| {
            let _: (Value<i64>, List<u8>) = (states.value("n"), states.list("n"));
        });
        keyed(job).process(function).discard();
    });
    refused("no life", "at least 1 ms", |job| {
        let function = Registers(|states| {
            let _: Value<i64> = states.value_with_ttl("n", Ttl::of(ZERO));
        });
        keyed(job).process(function).discard();
    });
    refused("read as another type", "another type", |job| {
        let out = keyed(job).process(Registers(|states| {
            let _ = states.value::<i64>("n");
        }));
        let _reader = out.value_of::<u8, u64>("n");
        out.discard();
    });
    refused("read, but not there", "none of that name", |job| {
        let out = keyed(job).process(Registers(|states| {
            let _ = states.value::<i64>("n");
        }));
        let _reader = out.value_of::<u8, i64>("m");
        out.discard();
    });
}
