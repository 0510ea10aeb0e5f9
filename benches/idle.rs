//! What an epoch costs in which nothing happens: `cargo bench --bench idle`.
//!
//! A source that has nothing to say feeds Nexmark's query 5, and for comparison a sink that drops everything.
//! Printed is the CPU time of the worker threads, for each worker and epoch of the wall clock, as the
//! scheduler counts it; nothing is subtracted from it.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::thread;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{Numbered, Reader, Source, Status};
use highwater::data::Visit;
use highwater::nexmark::{Event, query};
use highwater::stream::{Chain, Job, Stream};
use highwater::time::{Epochs, Watermarks};

const SECONDS: u64 = 3;

/// As many splits as workers, none of which gives anything.
#[derive(Clone)]
struct Silence(usize);

struct Silent;

impl Source for Silence {
    type Item = Event;
    type Split = Numbered;
    type Reader = Silent;

    fn name(&self) -> String {
        "silence".to_owned()
    }

    fn splits(&self) -> highwater::Result<Vec<Numbered>> {
        Ok((0..self.0).map(Numbered).collect())
    }

    fn open(&self, _: &Numbered, _: Option<()>) -> highwater::Result<Silent> {
        Ok(Silent)
    }
}

impl Reader for Silent {
    type Item = Event;
    type Position = ();

    fn read<V: Visit<Event>>(&mut self, _: usize, _: &mut V) -> highwater::Result<Status> {
        Ok(Status::Wait(Duration::from_secs(1)))
    }

    fn position(&self) {}
}

fn silence(job: &Job, workers: usize) -> Stream<Event, impl Chain<Out = Event> + use<>> {
    job.source(Silence(workers), Watermarks::monotone(|event: &Event| event.timestamp()))
}

/// The nanoseconds that this process's worker threads have run, and their number.
fn worked() -> Result<(u64, usize), Box<dyn Error>> {
    let (mut nanos, mut threads) = (0, 0);
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.starts_with("timely:work") {
            let times = std::fs::read_to_string(task.join("schedstat"))?;
            nanos += times.split(' ').next().unwrap_or_default().parse::<u64>()?;
            threads += 1;
        }
    }
    Ok((nanos, threads))
}

/// Microseconds of CPU for each worker and epoch, and epochs completed in a second.
fn measure(build: fn(&Job, usize), workers: usize, epoch: Duration) -> Result<(f64, f64), Box<dyn Error>> {
    let job = Job::new();
    build(&job, workers);
    let running = job.start(Options::default().workers(workers).epochs(Epochs::every(epoch)))?;
    // What happens at the start is not what is asked for.
    thread::sleep(Duration::from_millis(200));
    let (before, first) = (worked()?.0, running.open_epoch());
    thread::sleep(Duration::from_secs(SECONDS));
    let ((after, threads), last) = (worked()?, running.open_epoch());
    assert_eq!(threads, workers, "worker threads are found by their name");
    running.stop();
    running.join()?;
    let epochs = SECONDS as f64 / epoch.as_secs_f64();
    let micros = (after - before) as f64 / 1e3 / epochs / workers as f64;
    Ok((micros, (last - first) as f64 / SECONDS as f64))
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("graph    workers   epoch   us of CPU per worker and epoch   epochs completed per second");
    let builds: [(&str, fn(&Job, usize)); 2] = [
        ("discard", |job, workers| silence(job, workers).discard()),
        ("q5", |job, workers| query::q5(silence(job, workers)).discard()),
    ];
    for (name, build) in builds {
        for workers in [1, 2] {
            for millis in [10, 1] {
                let (micros, epochs) = measure(build, workers, Duration::from_millis(millis))?;
                println!("{name:<8} {workers:>7}   {millis:>2} ms   {micros:>30.1}   {epochs:>27.0}");
            }
        }
    }
    Ok(())
}
