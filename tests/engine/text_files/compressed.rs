//! Files that gzip or Zstandard has compressed are read like others, from every position, and damage is told.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use highwater::ErrorKind;
use highwater::config::Options;
use highwater::connector::{Collected, CsvFile, JsonFile, Reader, Source, Status, TextFile};
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

const PACKERS: [(&str, fn(&[u8]) -> Vec<u8>); 2] = [("gz", gzip), ("zst", zstd)];

fn text(lines: usize) -> String {
    (0..lines).map(|line| format!("{line},{}\n", line * line % 1000)).collect()
}

fn lines_of(path: &Path) -> Result<Vec<String>, highwater::Error> {
    let job = Job::new();
    let lines = job.text_file(path).collect();
    job.run().map(|_| lines.values())
}

#[test]
fn all_members_and_all_frames_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(30_000);
    let want: Vec<&str> = text.lines().collect();
    let (one, other) = text.as_bytes().split_at(text.len() / 3);
    // A frame that says nothing to readers of the content.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for (ending, pack) in PACKERS {
        let mut both = [pack(one), pack(b""), pack(other)].concat();
        if ending == "zst" {
            both = [&skipped, &both[..], &skipped].concat();
        }
        for (name, bytes) in [("one", pack(text.as_bytes())), ("both", both)] {
            // The content tells what it is, and not the name.
            for name in [format!("{name}.{ending}"), format!("{name}-{ending}.log")] {
                let path = folder.path().join(name);
                fs::write(&path, &bytes).unwrap();
                assert_eq!(lines_of(&path).unwrap(), want, "{}", path.display());
            }
        }
    }
    for workers in 1..=3 {
        let job = Job::new();
        let lines = job.text_file(folder.path()).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        assert_eq!(lines.values().len(), 8 * want.len());
    }
    let plain = folder.path().join("plain.gz");
    fs::write(&plain, "not packed\n").unwrap();
    assert_eq!(lines_of(&plain).unwrap(), ["not packed"]);
}

#[test]
fn a_reader_goes_on_from_every_position() {
    let folder = tempfile::tempdir().unwrap();
    let text = "0,\"open\n".to_owned() + &text(20_000);
    for (ending, pack) in PACKERS {
        let path = folder.path().join(format!("a.{ending}"));
        fs::write(&path, pack(text.as_bytes())).unwrap();
        let source = CsvFile::<(u32, String)>::new(&path).header(false).max_length(100_000);
        let split = &source.splits().unwrap()[0];
        let read = |from| {
            let mut reader = source.open(split, from).unwrap();
            let (mut rows, mut positions) = (Vec::new(), Vec::new());
            while reader.read(3_000, &mut |row: (u32, String)| rows.push(row)).unwrap() == Status::More {
                positions.push((rows.len(), reader.position()));
            }
            (rows, positions)
        };
        let (rows, positions) = read(None);
        assert_eq!(rows.len(), 20_000);
        assert!(positions.len() > 5);
        for (count, position) in positions {
            assert_eq!(read(Some(position)).0, rows[count..]);
        }
    }
}

/// Waits until so many lines are there.
fn until(lines: &Collected<String>, count: usize) {
    for _ in 0..4_000 {
        if lines.values().len() >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{:?}", lines.values());
}

#[test]
fn damage_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(20_000);
    for (ending, pack) in PACKERS {
        let whole = pack(text.as_bytes());
        let path = folder.path().join(format!("a.{ending}"));
        let is_refused = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            let error = lines_of(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{ending} {what}");
            let told = error.to_string();
            assert!(told.contains("damaged") && told.contains(&format!("a.{ending}")), "{told}");
        };
        for length in [9, whole.len() / 2, whole.len() - 1] {
            is_refused(&whole[..length], &format!("cut at {length}"));
        }
        is_refused(&[&whole[..], b"and more"].concat(), "more");
        is_refused(&[&whole[..], &whole[..whole.len() / 2]].concat(), "a member cut short");
        let mut turned = whole.clone();
        turned[whole.len() / 2] ^= 0x10;
        is_refused(&turned, "a bit");
    }
}

#[test]
fn a_compressed_file_is_read_once_where_files_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.gz"), gzip(b"1\n2")).unwrap();
    let job = Job::new();
    let source = TextFile::new(folder.path()).follow(Duration::from_millis(2));
    let lines = job.source(source, Watermarks::none()).collect();
    let running = job.start(Options::default().workers(2)).unwrap();
    until(&lines, 2);
    fs::write(folder.path().join(".b"), zstd(b"3\n4\n")).unwrap();
    fs::rename(folder.path().join(".b"), folder.path().join("b.zst")).unwrap();
    until(&lines, 4);
    running.stop();
    running.join().unwrap();
    assert_eq!(lines.sorted(), ["1", "2", "3", "4"]);
}

#[test]
fn a_log_that_is_compressed_after_its_rotation_is_not_read_twice() {
    for lines in [3, 2_000] {
        let (logs, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| logs.path().join(name);
        let content = text(lines);
        fs::write(path("a.log"), &content).unwrap();
        let start = || {
            let job = Job::new();
            let source = TextFile::new(logs.path()).follow(Duration::from_millis(2));
            let lines = job.source(source, Watermarks::none()).uid("lines").collect();
            let snapshots = Snapshots::in_directory(snapshots.path()).unwrap().restore(Restore::Latest);
            job.start(Options::default().workers(2).snapshots(snapshots)).map(|running| (running, lines))
        };
        let compress = |name: &str| {
            fs::write(path(".packed"), gzip(&fs::read(path(name)).unwrap())).unwrap();
            fs::rename(path(".packed"), path(&format!("{name}.gz"))).unwrap();
            fs::remove_file(path(name)).unwrap();
        };
        let (running, seen) = start().unwrap();
        until(&seen, lines);
        fs::rename(path("a.log"), path("a.log.1")).unwrap();
        fs::write(path("a.log"), "next\n").unwrap();
        until(&seen, lines + 1);
        std::thread::sleep(Duration::from_millis(50));
        compress("a.log.1");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(seen.values().len(), lines + 1);
        running.suspend().unwrap();
        // It is known after a restart.
        let (running, seen) = start().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(seen.values(), Vec::<String>::new());
        running.suspend().unwrap();
        // But of what is compressed while nobody reads, nobody has read the rest.
        compress("a.log");
        let told = start().err().unwrap().to_string();
        assert!(told.contains("a.log.gz") && told.contains("unpack"), "{told}");
    }
}

#[test]
fn json_lines_are_unpacked_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json.zst");
    File::create(&path).unwrap().write_all(&zstd(b"1\n\n2\n")).unwrap();
    let job = Job::new();
    let numbers = job.source(JsonFile::<u32>::new(&path), Watermarks::none()).collect();
    job.run().unwrap();
    assert_eq!(numbers.values(), [1, 2]);
}
