//! Faults end a job with an error that names them, on any number of workers, and soon.

use std::io::{Error as IoError, ErrorKind as IoErrorKind};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{Collection, Numbered, Reader, Sink, Source, Status, Writer};
use highwater::data::{Record, Visit};
use highwater::stream::{Aggregate, Job};
use highwater::time::{Epochs, Watermarks};
use highwater::window::Tumbling;
use highwater::{Error, ErrorKind, Result};

/// The longest that a fault may take to end a job.
const SOON: Duration = Duration::from_secs(2);

/// Runs what `build` builds on one to three workers, and expects an error with this message.
pub(crate) fn fails(message: &str, kind: ErrorKind, build: fn(&Job)) {
    for workers in 1..=3 {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let job = Job::new();
            build(&job);
            let options = Options::default().workers(workers).epochs(Epochs::every(Duration::from_millis(2)));
            sender.send(job.run_with(options).map(drop)).unwrap();
        });
        let result =
            receiver.recv_timeout(SOON).unwrap_or_else(|_| panic!("{message}: {workers} workers hang"));
        let error = result.expect_err("the job must fail");
        assert!(error.to_string().contains(message), "{workers} workers: {error}");
        assert_eq!(error.kind(), kind, "{workers} workers: {error}");
    }
}

/// Endless numbers in a few splits, of which the last can fail.
#[derive(Clone, Copy)]
struct Numbers(Option<Fault>);

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Splits,
    Open,
    Read,
    PanicInRead,
    Prepare,
    Write,
    PrepareEpoch,
    Commit,
    PanicInWrite,
}

impl Fault {
    fn happens(self, here: Fault) -> Result<()> {
        match here {
            _ if self != here => Ok(()),
            Fault::PanicInRead | Fault::PanicInWrite => panic!("a stone in the gears"),
            _ => Err(Error::io("the wire is cut", IoError::from(IoErrorKind::BrokenPipe))),
        }
    }
}

const SPLITS: usize = 3;

impl Numbers {
    fn check(&self, here: Fault) -> Result<()> {
        self.0.map_or(Ok(()), |fault| fault.happens(here))
    }
}

impl Source for Numbers {
    type Item = u64;
    type Split = Numbered;
    type Reader = NumbersReader;

    fn name(&self) -> String {
        "numbers".to_owned()
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        self.check(Fault::Splits)?;
        Ok((0..SPLITS).map(Numbered).collect())
    }

    fn open(&self, split: &Numbered, from: Option<u64>) -> Result<NumbersReader> {
        let source = if split.0 + 1 == SPLITS { *self } else { Numbers(None) };
        source.check(Fault::Open)?;
        Ok(NumbersReader { source, next: from.unwrap_or(0) })
    }
}

struct NumbersReader {
    source: Numbers,
    next: u64,
}

impl Reader for NumbersReader {
    type Item = u64;
    type Position = u64;

    fn read<V: Visit<u64>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        if self.next > 10_000 {
            self.source.check(Fault::Read)?;
            self.source.check(Fault::PanicInRead)?;
        }
        let end = self.next + limit.min(1_000) as u64;
        (self.next..end).for_each(|number| visit.visit(number));
        self.next = end;
        Ok(Status::Wait(Duration::from_micros(100)))
    }

    fn position(&self) -> u64 {
        self.next
    }
}

/// A sink that fails on its last worker, in its third epoch.
struct Broken(Fault);

impl Sink<u64> for Broken {
    type Writer = BrokenWriter;

    fn name(&self) -> String {
        "broken".to_owned()
    }

    fn prepare(&self) -> Result<()> {
        self.0.happens(Fault::Prepare)
    }

    fn open(&self, worker: usize, workers: usize) -> Result<BrokenWriter> {
        let fault = (worker + 1 == workers).then_some(self.0);
        fault.map_or(Ok(()), |fault| fault.happens(Fault::Open))?;
        Ok(BrokenWriter { fault, epochs: 0 })
    }
}

struct BrokenWriter {
    fault: Option<Fault>,
    epochs: usize,
}

impl BrokenWriter {
    fn check(&self, here: Fault) -> Result<()> {
        self.fault.filter(|_| self.epochs >= 2).map_or(Ok(()), |fault| fault.happens(here))
    }
}

impl Writer<u64> for BrokenWriter {
    type Prepared = ();

    fn write(&mut self, _: u64, _: &mut Vec<Record<u64>>) -> Result<()> {
        self.check(Fault::Write)?;
        self.check(Fault::PanicInWrite)
    }

    fn prepare(&mut self, _: u64) -> Result<()> {
        self.check(Fault::PrepareEpoch)
    }

    fn commit(&mut self, _: u64, (): ()) -> Result<()> {
        self.check(Fault::Commit)?;
        self.epochs += 1;
        Ok(())
    }
}

/// An aggregate that cannot bear the number 13.
#[derive(Clone)]
struct Superstitious;

impl Aggregate<u64> for Superstitious {
    type Acc = u64;
    type Out = u64;

    fn start(&self, value: u64) -> u64 {
        value
    }

    fn add(&self, acc: &mut u64, value: u64) {
        assert!(value != 13, "thirteen is not a number");
        *acc += value;
    }

    fn merge(&self, acc: &mut u64, other: u64) {
        *acc += other;
    }

    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

const CUT: &str = "the wire is cut";
const STONE: &str = "a stone in the gears";

fn read(job: &Job, fault: Fault) {
    let numbers = job.source(Numbers(Some(fault)), Watermarks::none());
    numbers.rebalance().key_by(|n| n % 7).count().discard();
}

fn write(job: &Job, fault: Fault) {
    job.source(Numbers(None), Watermarks::none()).rebalance().sink(Broken(fault));
}

#[test]
fn a_source_that_cannot_be_listed() {
    fails(CUT, ErrorKind::Io, |job| read(job, Fault::Splits));
}

#[test]
fn a_split_that_cannot_be_opened() {
    fails(CUT, ErrorKind::Io, |job| read(job, Fault::Open));
}

#[test]
fn a_split_that_cannot_be_read() {
    fails(CUT, ErrorKind::Io, |job| read(job, Fault::Read));
}

#[test]
fn a_reader_that_panics() {
    fails(STONE, ErrorKind::Panic, |job| read(job, Fault::PanicInRead));
}

#[test]
fn a_sink_that_is_not_there() {
    fails(CUT, ErrorKind::Io, |job| write(job, Fault::Prepare));
}

#[test]
fn a_writer_that_cannot_be_opened() {
    fails(CUT, ErrorKind::Io, |job| write(job, Fault::Open));
}

#[test]
fn a_batch_that_cannot_be_written() {
    fails(CUT, ErrorKind::Io, |job| write(job, Fault::Write));
}

#[test]
fn a_writer_that_panics() {
    fails(STONE, ErrorKind::Panic, |job| write(job, Fault::PanicInWrite));
}

#[test]
fn an_epoch_that_cannot_be_prepared() {
    fails(CUT, ErrorKind::Io, |job| write(job, Fault::PrepareEpoch));
}

#[test]
fn an_epoch_that_cannot_be_committed() {
    fails(CUT, ErrorKind::Io, |job| write(job, Fault::Commit));
}

#[test]
fn a_step_that_panics() {
    fails("the end of my wits", ErrorKind::Panic, |job| {
        let numbers = job.source(Numbers(None), Watermarks::none());
        numbers.map(|n| if n == 30_000 { panic!("the end of my wits") } else { n }).discard();
    });
    fails("the end of my wits", ErrorKind::Panic, |job| {
        // Behind an exchange, on the worker that owns the key.
        let numbers = job.source(Numbers(None), Watermarks::none());
        let counts = numbers.key_by(|n| n % 5).count();
        counts
            .map(|change| {
                if change.record.1 > 9_000 {
                    panic!("the end of my wits")
                }
            })
            .discard();
    });
}

#[test]
fn an_aggregate_that_panics() {
    fails("thirteen is not a number", ErrorKind::Panic, |job| {
        let numbers = job.source(Numbers(None), Watermarks::none());
        numbers.key_by(|n| n % 5).aggregate(Superstitious).discard();
    });
    fails("thirteen is not a number", ErrorKind::Panic, |job| {
        let numbers = job.source(Numbers(None), Watermarks::monotone(|n: &u64| n.cast_signed()));
        let windows = numbers.window_all(Tumbling::of(Duration::from_millis(50)));
        windows.aggregate(Superstitious).discard();
    });
}

#[test]
fn the_exit_code_says_what_to_do() {
    let job = Job::new();
    job.collection([1]).map(|n: i32| assert!(n > 1, "too small")).discard();
    assert_eq!(job.run().unwrap_err().exit_code(), 70);
    let unread = Job::new();
    unread.source(Collection::new([1]), Watermarks::none()).discard();
    assert_eq!(unread.run_with(Options::default().workers(0)).unwrap_err().exit_code(), 64);
    assert_eq!(Job::new().run().unwrap_err().exit_code(), 64, "a job without a sink");
}
