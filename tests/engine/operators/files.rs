//! Files: round trips, replay from every position, files that appear and grow, and input of every kind of
//! badness.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use highwater::ErrorKind;
use highwater::config::Options;
use highwater::connector::{
    Collection, CsvFile, JsonFile, Malformed, OnMalformed, Position, Reader, Source, Status, TextFile,
};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("highwater-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    id: u32,
    name: String,
}

fn rows(count: u32) -> Vec<Row> {
    let name = |id: u32| {
        ["plain", "with, comma", "with \"quotes\"", "two\nlines", "ünïcödé", ""][id as usize % 6].to_owned()
    };
    (0..count).map(|id| Row { id, name: name(id) }).collect()
}

/// What a reader gives in steps of `limit` until it has no more, with the positions after each step.
#[allow(clippy::type_complexity)]
fn drain<S: Source>(
    source: &S,
    from: Option<Position<S>>,
    limit: usize,
) -> (Vec<S::Item>, Vec<Malformed>, Vec<(usize, usize, Position<S>)>) {
    let splits = source.splits().unwrap();
    let mut reader = source.open(&splits[0], from).unwrap();
    let (mut items, mut malformed, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let status = reader.read(limit, &mut |item| items.push(item)).unwrap();
        malformed.extend(reader.malformed());
        positions.push((items.len(), malformed.len(), reader.position()));
        if status != Status::More {
            return (items, malformed, positions);
        }
    }
}

fn replays<S: Source<Item: PartialEq + std::fmt::Debug>>(source: &S) {
    let (items, malformed, positions) = drain(source, None, 1);
    for (count, bad, position) in positions {
        let (rest, rest_bad, _) = drain(source, Some(position), 7);
        assert_eq!((&rest[..], &rest_bad[..]), (&items[count..], &malformed[bad..]));
    }
}

#[test]
fn what_is_written_is_read_again() {
    for workers in 1..=3 {
        let dir = Dir::new();
        let path = |name: &str| dir.0.join(name);
        let input = rows(1000);
        let job = Job::new();
        let splits: Vec<Vec<Row>> = input.chunks(300).map(<[Row]>::to_vec).collect();
        let stream = job.source(Collection::splits(splits), Watermarks::none());
        stream.clone().write_csv(path("rows.csv"));
        stream.clone().write_json(path("rows.json"));
        stream.map(|row| row.id).write_text(path("ids.txt"));
        let options = Options::default().workers(workers).epochs(Epochs::records(50));
        job.run_with(options.clone()).unwrap();

        let job = Job::new();
        let csv = job.csv_file(path("rows.csv"), Watermarks::<Row>::none()).collect();
        let json = job.json_file(path("rows.json"), Watermarks::<Row>::none()).collect();
        let ids = job.text_file(path("ids.txt")).map(|id| id.parse::<u32>().unwrap()).collect();
        job.run_with(options).unwrap();
        assert_eq!(csv.sorted(), input);
        assert_eq!(json.sorted(), input);
        assert_eq!(ids.sorted(), (0..1000).collect::<Vec<_>>());
    }
}

#[test]
fn a_directory_is_its_files_in_order_without_hidden_and_temporary_ones() {
    let dir = Dir::new();
    for name in ["b.txt", "a.txt", "c", ".hidden", "_started", "d.tmp"] {
        dir.file(name, format!("{name}\n"));
    }
    fs::create_dir(dir.0.join("e")).unwrap();
    let splits = TextFile::new(&dir.0).splits().unwrap();
    let names: Vec<_> =
        splits.iter().map(|split| split.path().file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.txt", "b.txt", "c"]);
    for workers in 1..=3 {
        let job = Job::new();
        let lines = job.text_file(&dir.0).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        assert_eq!(lines.sorted(), ["a.txt", "b.txt", "c"]);
    }
}

#[test]
fn each_csv_file_of_a_directory_has_its_own_header() {
    let dir = Dir::new();
    dir.file("a.csv", "id,name\n1,x\n");
    dir.file("b.csv", "name,id\r\ny,2\r\n");
    let job = Job::new();
    let rows = job.csv_file(&dir.0, Watermarks::<Row>::none()).map(|row| (row.id, row.name)).collect();
    job.run().unwrap();
    assert_eq!(rows.sorted(), [(1, "x".to_owned()), (2, "y".to_owned())]);
}

/// Waits until `done`, at most ten seconds.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never happened that {what}");
}

#[test]
fn following_sees_files_that_grow_and_files_that_appear() {
    let dir = Dir::new();
    let first = dir.file("1.txt", "a\nb");
    let append = |path: &Path, text: &str| {
        OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let job = Job::new();
    let source = TextFile::new(&dir.0).follow(Duration::from_millis(5));
    let lines = job.source(source, Watermarks::none()).collect();
    let running =
        job.start(Options::default().workers(2).epochs(Epochs::every(Duration::from_millis(1)))).unwrap();
    wait_until("the first line came", || lines.values() == ["a"]);
    append(&first, "c\nd\n");
    wait_until("the file grew", || lines.values() == ["a", "bc", "d"]);
    fs::write(dir.0.join("2.tmp"), "e\n").unwrap();
    fs::rename(dir.0.join("2.tmp"), dir.0.join("2.txt")).unwrap();
    wait_until("a file appeared", || lines.values().len() == 4);
    append(&dir.0.join("2.txt"), "f\n");
    wait_until("the new file grew", || lines.values().len() == 5);
    running.stop();
    running.join().unwrap();
    assert_eq!(lines.sorted(), ["a", "bc", "d", "e", "f"]);
}

#[test]
fn a_followed_file_that_shrinks_ends_the_job() {
    let dir = Dir::new();
    let path = dir.file("a.txt", "first\nsecond\n");
    let source = TextFile::new(&path).follow(Duration::from_millis(5));
    let mut reader = source.open(&source.splits().unwrap()[0], None).unwrap();
    assert_eq!(reader.read(9, &mut |_| {}).unwrap(), Status::Wait(Duration::from_millis(5)));
    fs::write(&path, "x\n").unwrap();
    let error = reader.read(9, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("a.txt"), "{error}");
}

#[test]
fn a_followed_csv_record_waits_for_its_closing_quote() {
    let dir = Dir::new();
    let path = dir.file("a.csv", "id,name\n1,\"two\nli");
    let source = CsvFile::<Row>::new(&path).follow(Duration::from_millis(5));
    let split = &source.splits().unwrap()[0];
    let mut reader = source.open(split, None).unwrap();
    let mut names = Vec::new();
    assert!(matches!(reader.read(9, &mut |row: Row| names.push(row.name)).unwrap(), Status::Wait(_)));
    assert_eq!((names.len(), reader.position().offset), (0, 8));
    let mut second = source.open(split, Some(reader.position())).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"nes\"\n").unwrap();
    reader.read(9, &mut |row: Row| names.push(row.name)).unwrap();
    second.read(9, &mut |row: Row| names.push(row.name)).unwrap();
    assert_eq!(names, ["two\nlines", "two\nlines"]);
}

#[test]
fn a_followed_csv_file_waits_for_its_header() {
    let dir = Dir::new();
    let path = dir.file("a.csv", "\nid,na");
    let source = CsvFile::<Row>::new(&path).follow(Duration::from_millis(5));
    let split = &source.splits().unwrap()[0];
    let mut reader = source.open(split, None).unwrap();
    assert!(matches!(reader.read(9, &mut |_| {}).unwrap(), Status::Wait(_)));
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"me\n1,a\n").unwrap();
    for mut reader in [source.open(split, Some(reader.position())).unwrap(), reader] {
        let mut names = Vec::new();
        reader.read(9, &mut |row: Row| names.push(row.name)).unwrap();
        assert_eq!(names, ["a"]);
    }
}

#[test]
fn a_replay_from_every_position_gives_the_rest() {
    let dir = Dir::new();
    replays(&TextFile::new(dir.file("a.txt", "a\r\n\nb\n\0\nlonger than 8\nc")).max_length(8));
    replays(&JsonFile::<u32>::new(dir.file("a.json", "1\n\nx\n2\n  \n3")));
    let csv = "id,name\n1,\"two\nlines\"\n\n2,b\nx,y\n3,\"open\n4,d\r\n5\n6,\"\"\"\"\n";
    replays(&CsvFile::<Row>::new(dir.file("a.csv", csv)));
    replays(&CsvFile::<(u32, String)>::new(dir.file("b.csv", &csv[8..])).header(false));
}

const BAD_JSON: &[u8] = b"1\ntwo\n\xff\n3\n\0\n\"a string\"\n4\n";

#[test]
fn malformed_input_ends_the_job_with_its_place() {
    let dir = Dir::new();
    let path = dir.file("a.json", BAD_JSON);
    let job = Job::new();
    job.json_file(&path, Watermarks::<u32>::none()).discard();
    let error = job.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("a.json:2"), "{error}");
}

#[test]
fn malformed_input_is_skipped_and_counted() {
    let dir = Dir::new();
    let path = dir.file("a.json", BAD_JSON);
    for workers in 1..=2 {
        let job = Job::new();
        let source = JsonFile::<u32>::new(&path);
        let numbers = job.source_with(source, Watermarks::none(), OnMalformed::Skip).collect();
        let summary = job.run_with(Options::default().workers(workers)).unwrap();
        assert_eq!(numbers.values(), [1, 3, 4]);
        assert_eq!(summary.metrics.sum("malformed"), 4);
    }
}

#[test]
fn malformed_input_is_a_stream() {
    let dir = Dir::new();
    let path = dir.file("a.json", BAD_JSON);
    let job = Job::new();
    let (good, bad) = job.source_checked(JsonFile::<u32>::new(&path), Watermarks::none());
    let (good, bad) = (good.collect(), bad.collect());
    job.run().unwrap();
    assert_eq!(good.values(), [1, 3, 4]);
    let bad = bad.values();
    let lines: Vec<_> = bad.iter().map(|bad| bad.place.rsplit(':').next().unwrap()).collect();
    assert_eq!(lines, ["2", "3", "5", "6"]);
    assert_eq!(bad[0].input, "two");
    assert!(bad[1].reason.contains("UTF-8") && bad[2].reason.contains("NUL"), "{bad:?}");
}

#[test]
fn each_kind_of_bad_csv_is_told() {
    let dir = Dir::new();
    let csv = "id,name\n1,a\n2\n3,b,c\nx,d\n4,\"two\n\u{0}lines\"\n5,e\n6,\"open\n7,f\n";
    let (rows, bad, _) = drain(&CsvFile::<Row>::new(dir.file("a.csv", csv)), None, 1000);
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 5, 7]);
    let places: Vec<_> = bad.iter().map(|bad| bad.place.rsplit(':').next().unwrap().to_owned()).collect();
    assert_eq!(places, ["3", "4", "5", "6", "7", "9"]);
    assert!(bad[0].reason.contains("1 fields and the header 2"), "{bad:?}");
    assert!(bad[2].reason.contains("invalid digit"), "{bad:?}");
    assert!(bad[3].reason.contains("NUL"), "{bad:?}");
    assert!(bad[5].reason.contains("not closed") && bad[5].input == "6,\"open", "{bad:?}");
}

#[test]
fn a_header_that_cannot_be_read_ends_the_job() {
    let dir = Dir::new();
    let job = Job::new();
    job.csv_file(dir.file("a.csv", b"id,\xff\n1,a\n"), Watermarks::<Row>::none()).discard();
    let error = job.run().unwrap_err();
    assert!(error.to_string().contains("header"), "{error}");
}

#[test]
fn deep_json_and_long_lines_are_malformed() {
    let dir = Dir::new();
    let deep = "[".repeat(500_000);
    let path = dir.file("a.json", format!("1\n{deep}\n2\n{}\n3\n", "9".repeat(2 << 20)));
    let (values, bad, _) = drain(&JsonFile::<serde_json::Value>::new(path), None, 1000);
    assert_eq!(values, [1, 2, 3]);
    assert!(bad[0].reason.contains("recursion") && bad[1].reason.contains("longer than"), "{bad:?}");
    assert_eq!((bad[0].input.len(), bad[1].input.len()), (200, 200));
}

#[test]
fn what_is_not_there_is_told_before_the_job_starts() {
    let dir = Dir::new();
    let job = Job::new();
    job.text_file(dir.0.join("none.txt")).discard();
    let error = job.start(Options::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("none.txt"), "{error}");

    let job = Job::new();
    job.collection([1]).write_text(dir.0.join("none/out.txt"));
    let error = job.start(Options::default()).err().unwrap();
    assert!(error.to_string().contains("none/out.txt"), "{error}");
}

#[test]
fn a_value_that_csv_cannot_hold_ends_the_job() {
    let dir = Dir::new();
    let job = Job::new();
    job.collection([std::collections::BTreeMap::from([(1, 2)])]).write_csv(dir.0.join("out.csv"));
    let error = job.run().unwrap_err();
    assert!(error.to_string().contains("out.csv"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_ends_the_job_with_the_path() {
    let job = Job::new();
    job.collection(0..100_000).write_text("/dev/full");
    let error = job.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("/dev/full"), "{error}");
}

#[test]
fn printed_lines_and_callbacks_see_every_record_once() {
    let dir = Dir::new();
    for workers in 1..=3 {
        let path = dir.0.join("printed");
        let (sender, receiver) = std::sync::mpsc::channel();
        let job = Job::new();
        let input = job.source(Collection::splits([0..500u32, 500..1000, 1000..1500]), Watermarks::none());
        input.clone().print_to(fs::File::create(&path).unwrap());
        input.for_each(move |epoch, record| sender.send((epoch, record.value)).unwrap());
        job.run_with(Options::default().workers(workers).epochs(Epochs::records(100))).unwrap();
        let mut printed: Vec<u32> =
            fs::read_to_string(&path).unwrap().lines().map(|l| l.parse().unwrap()).collect();
        printed.sort();
        let mut seen: Vec<u32> = receiver.try_iter().map(|(_, value)| value).collect();
        seen.sort();
        assert_eq!((printed, seen), ((0..1500).collect(), (0..1500).collect()));
    }
}

/// Bytes that are likely to mean something to a parser.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(&b",\"\n\r\0\xff\xc3[{1a"[..]), any::<u8>(),];
    vec(byte, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_bytes_never_panic_and_positions_hold(bytes in nasty(), max in 1..40usize) {
        let dir = Dir::new();
        let path = dir.file("a", bytes);
        replays(&TextFile::new(&path).max_length(max));
        replays(&JsonFile::<serde_json::Value>::new(&path).max_length(max));
        replays(&CsvFile::<Vec<String>>::new(&path).header(false).max_length(max));
    }

    #[test]
    fn no_good_line_is_lost_among_bad_ones(chunks in vec((nasty(), any::<bool>()), 0..12)) {
        // Bad input is kept from reaching into a good line, which is longer than any quoted field may be.
        let dir = Dir::new();
        let (mut bytes, mut good) = (Vec::new(), Vec::new());
        for (number, (bad, is_good)) in chunks.into_iter().enumerate() {
            if is_good {
                let line = format!("[{number},{}]", "7,".repeat(49) + "8");
                bytes.extend_from_slice(line.as_bytes());
                good.push(line);
            } else {
                bytes.extend(bad);
            }
            bytes.push(b'\n');
        }
        let path = dir.file("a", bytes);
        let is_good = |line: &String| line.len() > 90 && line.ends_with("7,8]");
        let (lines, _, _) = drain(&TextFile::new(&path), None, 100);
        prop_assert_eq!(lines.into_iter().filter(is_good).collect::<Vec<_>>(), good.clone());
        let (values, _, _) = drain(&JsonFile::<Vec<u32>>::new(&path), None, 100);
        prop_assert_eq!(values.into_iter().filter(|v| v.len() == 51).count(), good.len());
        let (records, _, _) = drain(&CsvFile::<Vec<String>>::new(&path).header(false).max_length(110), None, 100);
        let whole = records.into_iter().map(|record| record.join(",")).filter(is_good);
        prop_assert_eq!(whole.collect::<Vec<_>>(), good);
    }
}
