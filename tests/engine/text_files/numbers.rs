//! Every number that goes out comes back, or an error tells why it cannot; and what is no number in a file is
//! not taken for one.

use std::fs;
use std::path::Path;

use highwater::ErrorKind;
use highwater::config::Options;
use highwater::connector::{CsvFile, JsonFile, OnMalformed, TextFile};
use highwater::stream::Job;
use highwater::time::Watermarks;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    x: f64,
    y: Option<f32>,
    n: u64,
    i: i64,
}

/// All bits of a row: what is not a number is not equal to itself.
fn bits(row: &Row) -> (u64, Option<u32>, u64, i64) {
    let x = if row.x.is_nan() { f64::NAN } else { row.x };
    let y = row.y.map(|y| if y.is_nan() { f32::NAN } else { y });
    (x.to_bits(), y.map(f32::to_bits), row.n, row.i)
}

fn written_as_csv(rows: &[Row], path: &Path) -> Vec<Row> {
    let job = Job::new();
    job.collection(rows.to_vec()).write_csv(path);
    job.run().unwrap();
    let job = Job::new();
    let again = job.csv_file(path, Watermarks::<Row>::none()).collect();
    job.run().unwrap();
    again.values()
}

fn written_as_json(rows: &[Row], path: &Path) -> Vec<Row> {
    let job = Job::new();
    job.collection(rows.to_vec()).write_json(path);
    job.run().unwrap();
    let job = Job::new();
    let again = job.json_file(path, Watermarks::<Row>::none()).collect();
    job.run().unwrap();
    again.values()
}

fn row() -> impl Strategy<Value = Row> {
    (any::<u64>(), any::<Option<u32>>(), any::<u64>(), any::<i64>()).prop_map(|(x, y, n, i)| Row {
        x: f64::from_bits(x),
        y: y.map(f32::from_bits),
        n,
        i,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn numbers_come_back_as_they_were(mut rows in prop::collection::vec(row(), 0..100)) {
        let folder = tempfile::tempdir().unwrap();
        rows.push(Row { x: f64::NAN, y: Some(f32::INFINITY), n: u64::MAX, i: i64::MIN });
        rows.push(Row { x: f64::NEG_INFINITY, y: Some(-0.0), n: 9_007_199_254_740_993, i: i64::MAX });
        rows.push(Row { x: f64::MIN_POSITIVE / 2.0, y: Some(f32::MAX), n: 0, i: 0 });
        let want: Vec<_> = rows.iter().map(bits).collect();
        let again = written_as_csv(&rows, &folder.path().join("a.csv"));
        prop_assert_eq!(again.iter().map(bits).collect::<Vec<_>>(), want);
        rows.retain(|row| row.x.is_finite() && row.y.is_none_or(f32::is_finite));
        let want: Vec<_> = rows.iter().map(bits).collect();
        let again = written_as_json(&rows, &folder.path().join("a.json"));
        prop_assert_eq!(again.iter().map(bits).collect::<Vec<_>>(), want);
    }
}

#[test]
fn what_json_has_no_form_for_ends_the_job() {
    let folder = tempfile::tempdir().unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for workers in 1..=2 {
            let job = Job::new();
            let path = folder.path().join("rows.json");
            job.collection([1.0, bad]).map(|x| (Some(x), ())).write_json(&path);
            let error = job.run_with(Options::default().workers(workers)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            let told = error.to_string();
            assert!(told.contains("rows.json") && told.contains(&bad.to_string()), "{told}");
        }
    }
}

#[test]
fn what_is_no_number_is_malformed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "x,n\n1e400,1\n-1e400,1\n0x10,1\n1,0x10\n1,1e2\n1,18446744073709551616\n2.5,7\ninf,8\n")
        .unwrap();
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Two {
        x: f64,
        n: u64,
    }
    let job = Job::new();
    let source = CsvFile::<Two>::new(&path);
    let good = job.source_with(source.clone(), Watermarks::none(), OnMalformed::Skip).collect();
    let summary = job.run().unwrap();
    assert_eq!(good.values(), [Two { x: 2.5, n: 7 }, Two { x: f64::INFINITY, n: 8 }]);
    assert_eq!(summary.metrics.sum("malformed"), 6);
    let job = Job::new();
    job.source(source, Watermarks::none()).discard();
    let told = job.run().unwrap_err().to_string();
    assert!(told.contains("a.csv:2") && told.contains("column \"x\"") && told.contains("1e400"), "{told}");
}

#[test]
fn lines_that_end_with_a_carriage_return_alone_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let error = |text: &str, header: bool| {
        fs::write(&path, text).unwrap();
        let job = Job::new();
        let source = CsvFile::<(u32, u32)>::new(&path).header(header);
        let rows = job.source(source, Watermarks::none()).collect();
        job.run().map(|_| rows.values()).map_err(|error| error.to_string())
    };
    for header in [true, false] {
        for text in ["a,b\r1,2\r3,4\r", "1,2\r3,4", "1,2\r\r\n3,4\r\r\n"] {
            let told = error(text, header).unwrap_err();
            assert!(told.contains("carriage return") && told.contains("a.csv:1"), "{text:?}: {told}");
        }
    }
    assert_eq!(error("a,b\r\n1,2\r\n3,4", true), Ok(vec![(1, 2), (3, 4)]));
    // Within quotes it is text.
    fs::write(&path, "a,b\n\"x\ry\",2\n").unwrap();
    let job = Job::new();
    let rows = job.csv_file(&path, Watermarks::<(String, u32)>::none()).collect();
    job.run().unwrap();
    assert_eq!(rows.values(), [("x\ry".to_owned(), 2)]);
}

#[test]
fn utf_16_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    let text: Vec<u16> = "\u{feff}a,b\r\n1,2\r\n".encode_utf16().collect();
    let little: Vec<u8> = text.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = text.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for (bytes, name) in [(little, "UTF-16LE"), (big, "UTF-16BE")] {
        fs::write(&path, bytes).unwrap();
        let ends: [fn(&Job, &Path); 3] = [
            |job, path| job.source(TextFile::new(path), Watermarks::none()).discard(),
            |job, path| job.source(CsvFile::<(u8, u8)>::new(path), Watermarks::none()).discard(),
            |job, path| job.source(JsonFile::<u8>::new(path), Watermarks::none()).discard(),
        ];
        for end in ends {
            let job = Job::new();
            end(&job, &path);
            let told = job.run().unwrap_err().to_string();
            assert!(told.contains(name) && told.contains("a.txt") && told.contains("UTF-8"), "{told}");
        }
    }
}
