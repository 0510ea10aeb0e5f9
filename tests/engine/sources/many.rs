//! Sources with very many splits: few are open at a time, and no step looks at all of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{Numbered, Reader, Source, Status, TextFile};
use highwater::data::Visit;
use highwater::object::Memory;
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

/// Splits with a few numbers each, of which all know how many readers there are.
#[derive(Clone)]
struct Tiny {
    splits: usize,
    each: usize,
    most: usize,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    open: AtomicUsize,
    most: AtomicUsize,
    opened: AtomicUsize,
}

impl Tiny {
    fn new(splits: usize, each: usize, most: usize) -> Tiny {
        Tiny { splits, each, most, count: Arc::default() }
    }
}

impl Source for Tiny {
    type Item = (usize, i64);
    type Split = Numbered;
    type Reader = TinyReader;

    fn name(&self) -> String {
        "tiny".to_owned()
    }

    fn splits(&self) -> highwater::Result<Vec<Numbered>> {
        Ok((0..self.splits).map(Numbered).collect())
    }

    fn open(&self, split: &Numbered, from: Option<usize>) -> highwater::Result<TinyReader> {
        self.count.opened.fetch_add(1, SeqCst);
        self.count.most.fetch_max(self.count.open.fetch_add(1, SeqCst) + 1, SeqCst);
        Ok(TinyReader {
            split: split.0,
            given: from.unwrap_or(0),
            each: self.each,
            count: Arc::clone(&self.count),
        })
    }

    fn max_open_readers(&self) -> usize {
        self.most
    }
}

struct TinyReader {
    split: usize,
    given: usize,
    each: usize,
    count: Arc<Count>,
}

impl Drop for TinyReader {
    fn drop(&mut self) {
        self.count.open.fetch_sub(1, SeqCst);
    }
}

impl Reader for TinyReader {
    type Item = (usize, i64);
    type Position = usize;

    fn read<V: Visit<(usize, i64)>>(&mut self, limit: usize, visit: &mut V) -> highwater::Result<Status> {
        // A few at a time, lest a split is read at once.
        for _ in 0..limit.min(2) {
            if self.given == self.each {
                return Ok(Status::Done);
            }
            visit.visit((self.split, self.given as i64));
            self.given += 1;
        }
        Ok(Status::More)
    }

    fn position(&self) -> usize {
        self.given
    }
}

#[test]
fn a_hundred_thousand_splits_are_read_without_a_look_at_all_in_each_step() {
    // Were each looked at for each that is read, these would be more than ten thousand million looks.
    for (timed, workers) in [(false, 1), (true, 2)] {
        let source = Tiny::new(100_000, 3, usize::MAX);
        let job = Job::new();
        let counts = if timed {
            let watermarks = Watermarks::monotone(|number: &(usize, i64)| number.1);
            job.source(source, watermarks.idle_after(Duration::from_secs(60)))
                .key_by(|number| number.0 % 10)
                .count()
                .materialize()
        } else {
            job.source(source, Watermarks::none()).key_by(|number| number.0 % 10).count().materialize()
        };
        job.run_with(Options::default().workers(workers)).unwrap();
        assert_eq!(counts.sorted(), (0..10).map(|key| (key, 30_000)).collect::<Vec<_>>());
    }
}

#[test]
fn no_more_readers_are_open_than_may_be() {
    for (timed, most, workers) in [(false, 1, 1), (false, 7, 2), (true, 7, 1), (true, 12, 3), (true, 2, 3)] {
        let (source, job) = (Tiny::new(200, 301, most), Job::new());
        let count = Arc::clone(&source.count);
        let read = match timed {
            true => job.source(source, Watermarks::monotone(|number: &(usize, i64)| number.1)).share(),
            false => job
                .source(source, Watermarks::punctuated(|number: &(usize, i64)| number.1, |_, _| None))
                .share(),
        };
        let numbers =
            read.clone().stamped().filter(|record| record.stamp.watermark > record.value.1).collect();
        let all = read.collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        let mut all = all.sorted();
        all.dedup();
        assert_eq!((all.len(), numbers.values().len()), (200 * 301, 0), "each record once, and none late");
        let (open, most_open, opened) =
            (count.open.load(SeqCst), count.most.load(SeqCst), count.opened.load(SeqCst));
        assert_eq!(open, 0);
        assert!(most_open <= most.max(workers), "{most_open} readers were open, and {most} may be");
        assert!(opened < 200 * 20, "{opened} times was a reader opened for 200 splits");
    }
}

/// A split that no reader was needed for yet is begun after a restart as it would have been, and others go
/// on.
#[test]
fn splits_without_readers_are_in_snapshots() {
    let store = Arc::new(Memory::default());
    let run = |stop: bool| {
        let (source, job) = (Tiny::new(500, 401, 3), Job::new());
        let watermarks = Watermarks::punctuated(|number: &(usize, i64)| number.1, |_, _| None);
        let counts = job
            .source(source, watermarks)
            .uid("tiny")
            .key_by(|number| number.0)
            .count()
            .uid("counts")
            .materialize();
        let snapshots = Snapshots::in_store(store.clone()).every_epochs(1).restore(Restore::Latest);
        let options = Options::default().workers(if stop { 1 } else { 2 }).epochs(Epochs::records(1_000));
        let running = job.start(options.snapshots(snapshots)).unwrap();
        if stop {
            crate::operators::scripted::wait_until("some records", || counts.sorted().len() > 20);
            running.suspend().unwrap();
            assert!(counts.sorted().len() < 500, "all splits were begun");
        } else {
            running.join().unwrap();
        }
        counts.sorted()
    };
    run(true);
    assert!(run(false).into_iter().all(|(_, count)| count == 401));
}

const FILES: usize = 2_500;

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("highwater-many-{}", std::process::id()))
}

/// In a process of its own, for the limit is the process's.
#[test]
fn a_directory_of_more_files_than_a_process_may_open_is_read() {
    const HERE: &str = "HIGHWATER_MANY_FILES";
    if let Some(directory) = std::env::var_os(HERE) {
        let limit = rustix::process::Rlimit { current: Some(96), maximum: Some(96) };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        return few_at_a_time(&PathBuf::from(directory));
    }
    let directory = directory();
    fs::create_dir_all(&directory).unwrap();
    for file in 0..FILES {
        let lines: String = (0..4).map(|line| format!("{}\n", line * 1_000 + file)).collect();
        fs::write(directory.join(format!("{file:05}.txt")), lines).unwrap();
    }
    let test = "sources::many::a_directory_of_more_files_than_a_process_may_open_is_read";
    let run =
        Command::new(std::env::current_exe().unwrap()).args([test, "--exact"]).env(HERE, &directory).output();
    fs::remove_dir_all(&directory).unwrap();
    let run = run.unwrap();
    assert!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(
        String::from_utf8_lossy(&run.stdout).contains("1 passed"),
        "{}",
        String::from_utf8_lossy(&run.stdout)
    );
}

fn few_at_a_time(directory: &std::path::Path) {
    let times = || Watermarks::monotone(|line: &String| line.parse::<i64>().unwrap_or(0));
    for workers in [1, 3] {
        let job = Job::new();
        let ordered = job.source(TextFile::new(directory), times()).collect();
        let unordered = job.text_file(directory).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        let mut expected: Vec<String> =
            (0..FILES).flat_map(|file| (0..4).map(move |line| (line * 1_000 + file).to_string())).collect();
        expected.sort();
        assert!(ordered.sorted() == expected && unordered.sorted() == expected, "{workers} workers");
    }
    // Followed files wait for more, and are asked again.
    let job = Job::new();
    let followed =
        job.source(TextFile::new(directory).follow(Duration::from_millis(200)), Watermarks::none()).collect();
    let running = job.start(Options::default().workers(2)).unwrap();
    crate::operators::scripted::wait_until("all lines", || followed.values().len() == FILES * 4);
    running.stop();
    running.join().unwrap();
}
