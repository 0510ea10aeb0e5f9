//! What a user can do wrong with state, and what comes of it.

use std::time::Duration;

use highwater::config::Options;
use highwater::process::{Context, List, Map, Process, SideOutput, States, Value};
use highwater::runtime::Running;
use highwater::stream::Job;
use highwater::window::Tumbling;
use highwater::{Error, ErrorKind};

/// Uses handles without registering them, or registers two of one name.
#[derive(Clone, Default)]
struct Careless {
    twice: bool,
    value: Value<i64>,
    list: List<i64>,
    map: Map<u8, i64>,
}

impl Process<u8, i64> for Careless {
    type Out = i64;

    fn open(&mut self, states: &mut States<'_, u8>) {
        if self.twice {
            self.value = states.value("value");
            self.list = states.list("value");
            self.map = states.map("map");
        }
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
        self.list.push(cx, value);
        self.map.insert(cx, 1, value);
        self.value.set(cx, value);
        assert!(
            self.twice || (self.value.get(cx).is_none() && self.list.is_empty(cx) && self.map.is_empty(cx))
        );
    }
}

fn run(function: impl Process<u8, i64>, workers: usize) -> Error {
    let job = Job::new();
    job.collection([1, 2, 3]).key_by(|n| *n as u8).map_values(i64::from).process(function).discard();
    let error = job.run_with(Options::default().workers(workers)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    error
}

#[test]
fn a_handle_must_be_registered_and_names_be_different() {
    for (twice, word) in [(false, "not registered"), (true, "\"value\"")] {
        for workers in [1, 3] {
            let error = run(Careless { twice, ..Careless::default() }, workers);
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(error.exit_code(), 64);
        }
    }
}

/// Has handles that it does not register, and does not use.
#[derive(Clone, Default)]
struct Forgetful<H> {
    count: Value<i64>,
    other: H,
}

impl<H: Clone + Send + Sync + 'static> Process<u8, i64> for Forgetful<H> {
    type Out = i64;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.count = states.value("count");
    }

    fn process(&mut self, _: i64, cx: &mut Context<'_, u8, i64>) {
        let _ = &self.other;
        self.count.set(cx, 1);
    }
}

/// Starts a job with a function, which is not run.
fn start(function: impl Process<u8, i64>) -> Result<(), Error> {
    let job = Job::new();
    job.collection([1i64]).key_by(|_| 1u8).process(function).discard();
    job.start(Options::default())?.join().map(drop)
}

#[test]
fn a_handle_that_is_not_registered_is_found_before_the_job_starts() {
    let refused = |function: Result<Running, Error>, word: &str| {
        let told = function.err().unwrap().to_string();
        assert!(told.contains(word) && told.contains("is not registered"), "{told}");
    };
    let begin = |job: Job| job.start(Options::default());
    let with = |job: &Job| job.collection([1i64]).key_by(|_| 1u8);
    let job = Job::new();
    with(&job).process(Forgetful::<Value<String>>::default()).discard();
    refused(begin(job), "Value<alloc::string::String>");
    let job = Job::new();
    with(&job).process_in_order(Forgetful::<(u8, List<u64>)>::default()).discard();
    refused(begin(job), "List<u64>");
    let job = Job::new();
    with(&job)
        .process(Forgetful::<[Map<u8, i64>; 1]> { count: Value::default(), other: [Map::default()] })
        .discard();
    refused(begin(job), "Map<u8, i64>");
    // What is needed only at times is kept in an Option.
    start(Forgetful::<Option<Value<i64>>>::default()).unwrap();
}

/// Gives to a side output that it has not registered.
#[derive(Clone)]
struct Secretive(SideOutput<i64>);

impl Process<u8, i64> for Secretive {
    type Out = i64;

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
        cx.side(&self.0, value);
    }
}

#[test]
fn a_side_output_that_is_given_to_must_be_registered() {
    let error = run(Secretive(SideOutput::named("odd")), 2);
    assert!(error.to_string().contains("side output \"odd\", which is not registered"), "{error}");
}

/// Registers side outputs.
#[derive(Clone)]
struct Sided(Vec<SideOutput<i64>>);

impl Process<u8, i64> for Sided {
    type Out = i64;

    fn open(&mut self, states: &mut States<'_, u8>) {
        self.0.iter().for_each(|side| states.side(side));
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
        self.0.iter().for_each(|side| cx.side(side, value));
    }
}

/// A side output that an operator does not have is refused before the job starts.
#[test]
fn a_side_output_that_is_read_must_be_there() {
    let [one, two, other] = ["one", "two", "other"].map(SideOutput::named);
    let refused = |told: &str, read: &dyn Fn(&Job)| {
        let job = Job::new();
        read(&job);
        let error = job.start(Options::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(told), "{error}");
    };
    let keyed = |job: &Job| job.collection([1i64]).key_by(|_| 1u8);
    refused("the operator \"sided\" has no side output \"other\": it has \"one\" and \"two\"", &|job| {
        keyed(job).process(Sided(vec![one, two])).uid("sided").side(&other).discard();
    });
    refused("no side output \"one\": it has none", &|job| keyed(job).count().side(&one).discard());
    refused("no side output \"i64\": it has none", &|job| {
        keyed(job).count().side(&SideOutput::<i64>::new()).discard();
    });
    let windows = |job: &Job| keyed(job).window(Tumbling::of(Duration::from_millis(1)));
    let late = SideOutput::named("late");
    refused("no side output \"late\": it has none", &|job| windows(job).count().side(&late).discard());
    refused("no side output \"one\": it has \"late\"", &|job| {
        windows(job).late_output(late).count().side(&one).discard();
    });
    let job = Job::new();
    windows(&job).late_output(late).count().side(&late).discard();
    let all = keyed(&job).process(Sided(vec![one, two]));
    let both = all.side(&one).union(all.side(&two)).collect();
    all.discard();
    job.run().unwrap();
    assert_eq!(both.values(), [1, 1]);
}
