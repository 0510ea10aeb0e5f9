//! Snapshots in a bucket: the client of S3 against a service in this process that fails as services do, and
//! jobs on top.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

#[path = "../snapshots/ledger.rs"]
#[allow(dead_code)]
mod ledger;
mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use highwater::ErrorKind;
use highwater::clock::Clock;
use highwater::config::Options;
use highwater::connector::Generator;
use highwater::object::{PutError, Remote, Store, check};
use highwater::process::{Context, Process, States, Value};
use highwater::snapshot::{Repository, Restore, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;

use ledger::Ledger;
use service::{Fate, Request, Service};

fn store(service: &Service) -> Remote {
    Remote::s3("s3://bucket/jobs/a", service.settings()).unwrap()
}

/// One fate for the first so many puts, and then none.
fn first_puts(count: u64, fate: Fate) -> Service {
    let puts = AtomicU64::new(0);
    Service::start(move |request| match request.method.as_str() {
        "PUT" if puts.fetch_add(1, Ordering::SeqCst) < count => fate,
        _ => Fate::Well,
    })
}

fn failure(put: Result<(), PutError>) -> String {
    match put {
        Err(PutError::Failed(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bucket_is_a_store() {
    let service = Service::start(|_| Fate::Well);
    let store = store(&service);
    check(&store).unwrap();
    assert_eq!(service.keys(), [""; 0], "the probe is removed");
    for n in 0..8 {
        store.create(&format!("log/{n}"), format!("entry {n}").as_bytes()).unwrap();
    }
    assert!(matches!(store.create("log/3", b"another"), Err(PutError::Exists)));
    assert_eq!(service.keys()[0], "jobs/a/log/0");
    assert_eq!(store.read("log/3").unwrap().as_deref(), Some(&b"entry 3"[..]));
    assert_eq!(store.read("log/9").unwrap(), None);
    assert_eq!(store.read_range("log/3", 2, 3).unwrap().as_deref(), Some(&b"try"[..]));
    assert_eq!(store.read_range("log/3", 7, 0).unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(store.read_range("log/9", 0, 1).unwrap(), None);
    for (offset, len) in [(0, 8), (6, 2), (7, 1), (8, 0), (u64::MAX, 2)] {
        let told = store.read_range("log/3", offset, len).unwrap_err().to_string();
        assert!(told.contains("log/3 has no") && told.contains("ends at 7"), "{told}");
    }
    store.delete("log/0").unwrap();
    store.delete("log/0").unwrap();
    let expected: Vec<_> = (1..8).map(|n| (format!("log/{n}"), 7)).collect();
    assert_eq!(store.list("log/").unwrap(), expected, "in three pages");
    assert_eq!(store.list("log/5").unwrap(), [("log/5".to_owned(), 7)]);
    assert_eq!(store.list("").unwrap(), expected);
    assert_eq!(Remote::s3("s3://bucket", service.settings()).unwrap().list("jobs/").unwrap().len(), 7);
}

#[test]
fn a_put_that_failed_after_it_was_done_is_known_for_ones_own() {
    for fate in [Fate::FailsAfter, Fate::Fails, Fate::Breaks, Fate::Conflict] {
        // The probe is two puts, and the claim is the next; then come those of segment and manifest.
        for spared in 0..5 {
            let puts = AtomicU64::new(0);
            let service = Service::start(move |request: &Request| {
                let is_log = request.key.contains("/log/") || request.key.contains("/pages/");
                let is_put = request.method == "PUT" && (is_log || fate == Fate::FailsAfter);
                if is_put && puts.fetch_add(1, Ordering::SeqCst) == spared { fate } else { Fate::Well }
            });
            let out = Ledger::new();
            job(out.clone()).run_with(options(Arc::new(store(&service)), 1)).unwrap();
            assert!(out.visible().into_iter().eq(0..COUNT), "{fate:?} of put {spared}");
            let report = Repository::open(Arc::new(store(&service))).verify().unwrap();
            assert!(report.findings.is_empty(), "{fate:?} of put {spared}: {report:?}");
        }
    }
}

#[test]
fn a_conflict_is_no_proof_that_the_name_is_taken() {
    let service = first_puts(1, Fate::Conflict);
    let store = store(&service);
    assert!(failure(store.create("log/1", b"one")).contains("not there yet"));
    store.create("log/1", b"one").unwrap();
    assert!(matches!(store.create("log/1", b"one"), Err(PutError::Exists)));
}

#[test]
fn a_service_without_conditional_puts_is_refused() {
    let service = Service::start(|_| Fate::Unconditional);
    let refused = Repository::open(Arc::new(store(&service))).claim("job").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("creates one name twice"), "{refused}");
    let settings = service.settings().into_iter().chain([("AWS_CONDITIONAL_PUT", "disabled".to_owned())]);
    let refused = check(&Remote::s3("s3://bucket/x", settings).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("only if there is none of its name"), "{refused}");
}

#[test]
fn an_answer_that_repeats_credentials_is_not_passed_on() {
    let service = Service::start(|_| Fate::Denied);
    let store = store(&service);
    let error = store.read("log/1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let told = format!("{error} {error:?} {store:?}");
    assert!(told.contains("SignatureDoesNotMatch") && told.contains("s3://bucket/jobs/a"), "{told}");
    assert!(!told.contains("secret") && !told.contains("AKIDEXAMPLE"), "{told}");
    assert!(!failure(store.create("log/1", b"one")).contains("secret"));
}

#[test]
fn nothing_is_waited_for_without_end() {
    let service = Service::start(|_| Fate::Slow(Duration::from_secs(30)));
    let store = store(&service).patience(Duration::from_millis(200));
    let clock = Clock::system();
    let told = store.read("log/1").unwrap_err().to_string();
    assert!(told.contains("no answer within 200ms") && told.contains("credentials"), "{told}");
    assert!(failure(store.create("log/1", b"one")).contains("no answer"));
    assert!(store.list("").is_err() && store.delete("log/1").is_err() && check(&store).is_err());
    assert!(clock.now() < Duration::from_secs(10), "{:?}", clock.now());
    // A port that nobody listens at.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = [("aws_endpoint_url", format!("http://{free}")), ("aws_allow_http", "true".to_owned())];
    let keys = [("aws_access_key_id", "a".to_owned()), ("aws_secret_access_key", "b".to_owned())];
    let nobody = Remote::s3("s3://bucket/x", settings.into_iter().chain(keys)).unwrap();
    let told = nobody.patience(Duration::from_secs(1)).read("log/1").unwrap_err().to_string();
    assert!(told.contains("look at the network"), "{told}");
}

#[test]
fn a_caller_that_is_asynchronous_is_blocked_and_does_not_panic() {
    let service = Service::start(|_| Fate::Well);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { check(&store(&service)).unwrap() });
}

const COUNT: u64 = 20_000;

/// Counts the numbers of each key, and passes them on.
#[derive(Clone, Default)]
struct Count(Value<u64>);

impl Process<u64, u64> for Count {
    type Out = u64;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("count");
    }

    fn process(&mut self, value: u64, cx: &mut Context<'_, u64, u64>) {
        let count = self.0.get(cx).copied().unwrap_or_default();
        self.0.set(cx, count + 1);
        cx.emit(value);
    }
}

/// Numbers on their way to a ledger, at a rate.
fn paced(rate: f64, out: Ledger<u64>) -> Job {
    let job = Job::new();
    let numbers = Generator::new(3, |n| (n < COUNT).then_some(n)).rate(rate);
    let numbers = job.source(numbers, Watermarks::monotone(|n: &u64| *n as i64));
    numbers.key_by(|n| n % 97).process(Count::default()).uid("counts").sink(out);
    job
}

/// The same in no time.
fn job(out: Ledger<u64>) -> Job {
    paced(1e9, out)
}

fn options(store: Arc<dyn Store>, workers: usize) -> Options {
    let every = Duration::from_millis(150);
    let snapshots = Snapshots::in_store(store).every(every).restore(Restore::Latest);
    Options::default().workers(workers).snapshots(snapshots)
}

#[test]
fn a_job_in_a_bucket_goes_on_through_faults_of_all_kinds() {
    let requests = AtomicU64::new(0);
    let service = Service::start(move |_| match requests.fetch_add(1, Ordering::SeqCst) % 23 {
        3 | 14 => Fate::FailsAfter,
        7 => Fate::Fails,
        11 => Fate::Slow(Duration::from_millis(30)),
        _ => Fate::Well,
    });
    let out = Ledger::new();
    for workers in [2, 1, 3] {
        let running = paced(2_000.0, out.clone()).start(options(Arc::new(store(&service)), workers)).unwrap();
        thread::sleep(Duration::from_millis(500));
        running.suspend().unwrap();
    }
    let seen = out.visible().len() as u64;
    assert!(0 < seen && seen < COUNT, "it was suspended in the middle: {seen}");
    job(out.clone()).run_with(options(Arc::new(store(&service)), 2)).unwrap();
    assert!(out.visible().into_iter().eq(0..COUNT), "each number is there once");
    let repository = Repository::open(Arc::new(store(&service)));
    assert!(repository.verify().unwrap().findings.is_empty());
    let counts =
        repository.state::<u64, (), u64>(&Selector::Latest, "counts", "count").unwrap().all().unwrap();
    assert_eq!((counts.len(), counts.values().sum::<u64>()), (97, COUNT), "each number was counted once");
}

#[cfg(feature = "cli")]
#[test]
fn the_program_takes_snapshots_into_a_bucket_and_looks_at_them_there() {
    let service = Service::start(|_| Fate::Well);
    let run = |line: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_highwater"));
        let output = command.args(line.split_whitespace()).envs(service.settings()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let place = "s3://bucket/nexmark";
    let (code, _, told) = run(&format!("snapshot list {place}"));
    assert!(code == Some(64) && told.contains("no snapshots in s3://bucket/nexmark"), "{code:?} {told}");
    let (code, _, told) = run(&format!("nexmark q5 --events 20k --snapshots {place} --every 10ms"));
    assert_eq!(code, Some(0), "{told}");
    let (code, listed, told) = run(&format!("snapshot list {place}"));
    assert!(code == Some(0) && listed.contains(" end "), "{listed} {told}");
    let (code, ..) = run(&format!("snapshot verify {place}"));
    assert_eq!(code, Some(0));
    let (code, _, told) = run(&format!("nexmark q5 --events 20k --snapshots {place} --restore latest"));
    assert_eq!(code, Some(0), "{told}");
}
