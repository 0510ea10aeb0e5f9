//! Files that are in the way: of other sinks, of sources, of other jobs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{FileSink, Generator, JsonLines, TextFile, TextLines};
use highwater::object::Memory;
use highwater::snapshot::Snapshots;
use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::{Error, ErrorKind};

/// Runs a job with snapshots in memory, or without.
fn run<R>(has_snapshots: bool, build: impl Fn(&Job) -> R) -> Result<(), Error> {
    let job = Job::new();
    build(&job);
    let options = match has_snapshots {
        true => Options::default().snapshots(Snapshots::in_store(Arc::new(Memory::default()))),
        false => Options::default(),
    };
    job.run_with(options.workers(2)).map(drop)
}

fn refused<R>(has_snapshots: bool, words: &str, build: impl Fn(&Job) -> R) {
    let error = run(has_snapshots, build).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

/// All files below a folder that are not hidden, with what is in them.
fn contents(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(contents(&path)),
            false if name.to_str().unwrap().starts_with('.') => {}
            false => files.push((path.clone(), fs::read_to_string(&path).unwrap())),
        }
    }
    files.sort();
    files
}

#[test]
fn two_sinks_on_one_path() {
    let place = tempfile::tempdir().unwrap();
    for has_snapshots in [false, true] {
        refused(has_snapshots, "two sinks write to", |job| {
            let numbers = job.collection(0..100);
            numbers.clone().write_text(place.path().join("out"));
            numbers.sink(FileSink::new(place.path().join(".").join("out"), JsonLines).overwrite());
        });
    }
    assert_eq!(contents(place.path()), []);
    // Elsewhere it matters to no one.
    run(false, |job| {
        let numbers = job.collection(0..100);
        numbers.clone().write_text("/dev/null");
        numbers.write_text("/dev/null");
    })
    .unwrap();
}

#[test]
fn an_output_that_is_an_input() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("in")).unwrap();
    fs::write(place.path().join("in/a.txt"), "a\nb\n").unwrap();
    let before = contents(place.path());
    for output in ["in/a.txt", "in/new.txt", "in"] {
        refused(false, "the job reads", |job| {
            let lines = job.text_file(place.path().join("in"));
            lines.sink(FileSink::new(place.path().join(output), TextLines).overwrite());
        });
    }
    refused(true, "the job reads", |job| {
        let followed = TextFile::new(place.path().join("in")).follow(Duration::from_millis(5));
        job.source(followed, Watermarks::none()).write_text(place.path().join("in"));
    });
    refused(false, "the job reads", |job| {
        let (good, bad) =
            job.source_checked(TextFile::new(place.path().join("in/a.txt")), Watermarks::none());
        good.sink(FileSink::new(place.path().join("in/a.txt"), TextLines).overwrite());
        bad.discard();
    });
    assert_eq!(contents(place.path()), before);
}

#[test]
fn a_file_that_is_not_empty() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.txt");
    fs::write(&path, "").unwrap();
    run(false, |job| job.collection([1, 2]).write_text(&path)).unwrap();
    refused(false, "is not empty", |job| job.collection([3]).write_text(&path));
    refused(false, "is not empty", |job| job.collection([3]).write_json(&path));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    run(false, |job| job.collection([3]).sink(FileSink::new(&path, TextLines).overwrite())).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
}

#[test]
fn a_file_that_another_job_writes_to() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out.txt");
    let first = Job::new();
    first.source(Generator::new(1, Some).rate(1000.0), Watermarks::none()).write_text(&path);
    let running = first.start(Options::default()).unwrap();
    refused(false, "another job", |job| {
        job.collection([3]).sink(FileSink::new(&path, TextLines).overwrite());
    });
    running.stop();
    running.join().unwrap();
    // The job is still there, and has let the file go.
    run(false, |job| job.collection([3]).sink(FileSink::new(&path, TextLines).overwrite())).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
}

#[test]
fn a_directory_of_another_job() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    run(true, |job| job.collection([1, 2]).write_text(&path)).unwrap();
    let before = contents(&path);
    for overwrite in [false, true] {
        refused(true, "name another output", |job| {
            let sink = FileSink::new(&path, TextLines);
            job.collection([3]).sink(if overwrite { sink.overwrite() } else { sink });
        });
    }
    refused(false, "is a directory", |job| job.collection([3]).write_text(&path));
    assert_eq!(contents(&path), before);
}
