//! The state in snapshots as users of the program take it elsewhere: as CSV, JSON and Arrow.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use highwater::nexmark::{Auction, Bid, Config, Event, Generator};
use serde_json::{Value, json};
use tempfile::TempDir;

const EVENTS: u64 = 20_000;

/// A folder in which a join of bids with auctions has taken its last snapshot into `state`: of all bids, and
/// of auctions of one category.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.prints(&format!("nexmark q20 --events {EVENTS} --workers 2 --snapshots state --quiet"));
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(line.split_whitespace()).current_dir(self.path()).output().unwrap()
    }

    fn prints(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refuses(&self, line: &str, code: i32, words: &[&str]) {
        let output = self.run(line);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {told}");
        words.iter().for_each(|word| assert!(told.contains(word), "{line} does not say {word:?}: {told}"));
    }
}

/// What the join must hold: all bids, and the auctions of the category that it asks for.
fn expected() -> (Vec<Bid>, Vec<Auction>) {
    let generator = Generator::new(Config::default());
    let (mut bids, mut auctions) = (Vec::new(), Vec::new());
    for number in 0..EVENTS {
        match generator.event(number) {
            Event::Bid(bid) => bids.push(bid),
            Event::Auction(auction) if auction.category == 10 => auctions.push(auction),
            _ => {}
        }
    }
    (bids, auctions)
}

const LEFT: &str = "snapshot export state latest --operator join-1 --table left";

#[test]
fn lines_of_json_have_all_that_the_join_holds() {
    let (place, (bids, auctions)) = (Place::new(), expected());
    let told = place.prints("snapshot export state --format json --output tables");
    assert!(told.contains("join-1.left.jsonl") && told.contains("18,400"), "{told}");
    let read = |name: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(place.path().join("tables").join(name)).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let set: BTreeSet<String> = rows.iter().map(Value::to_string).collect();
        assert_eq!(set.len(), rows.len(), "{name} has rows twice");
        set
    };
    let rows = read("join-1.left.jsonl");
    let sum = |rows: &BTreeSet<String>| -> u64 {
        let count = |row: &String| serde_json::from_str::<Value>(row).unwrap()["count"].as_u64().unwrap();
        rows.iter().map(count).sum()
    };
    assert_eq!(sum(&rows), bids.len() as u64);
    let expected = |key: u64, value: Value, time: i64| {
        let mut value = value;
        // The key is not kept twice.
        value.as_object_mut().unwrap().retain(|name, _| name != "auction");
        json!({ "key": key, "value": value, "time": time, "count": 1 }).to_string()
    };
    let wanted = bids.iter().map(|bid| expected(bid.auction, json!(bid), bid.date_time));
    assert_eq!(rows, wanted.collect());
    let wanted = auctions.iter().map(|item| expected(item.id, json!(item), item.date_time));
    assert_eq!(read("join-1.right.jsonl"), wanted.collect());
}

#[test]
fn csv_has_a_column_for_each_field() {
    let (place, (bids, _)) = (Place::new(), expected());
    let text = place.prints(&format!("{LEFT} --format csv"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!((&*names[0], &*names[names.len() - 1]), ("key", "count"));
    let at = |name: &str| names.iter().position(|other| other == name).unwrap();
    let (price, url) = (at("value.price"), at("value.url"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let mut found: Vec<(u64, u64, &str)> =
        rows.iter().map(|row| (row[0].parse().unwrap(), row[price].parse().unwrap(), &row[url])).collect();
    found.sort_unstable();
    let urls: Vec<_> = bids.iter().map(|bid| bid.url.as_str().into_owned()).collect();
    let mut wanted: Vec<(u64, u64, &str)> =
        bids.iter().zip(&urls).map(|(bid, url)| (bid.auction, bid.price, &**url)).collect();
    wanted.sort_unstable();
    assert_eq!(found, wanted);

    let told = place.prints(&format!("{LEFT} --format csv --output left.csv"));
    assert_eq!(told, "18,400 rows in left.csv\n");
    assert_eq!(fs::read_to_string(place.path().join("left.csv")).unwrap(), text);
}

#[cfg(feature = "arrow")]
#[test]
fn arrow_has_numbers_as_numbers() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt64Type};

    let (place, (bids, _)) = (Place::new(), expected());
    place.prints(&format!("{LEFT} --format arrow --output left.arrow"));
    let file = fs::File::open(place.path().join("left.arrow")).unwrap();
    let mut found = Vec::new();
    for batch in arrow_ipc::reader::FileReader::try_new(file, None).unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let value = column("value").as_struct();
        let keys = column("key").as_primitive::<UInt64Type>();
        let prices = value.column_by_name("price").unwrap().as_primitive::<UInt64Type>();
        let channels = value.column_by_name("channel").unwrap().as_string::<i32>();
        let (times, counts) =
            (column("time").as_primitive::<Int64Type>(), column("count").as_primitive::<Int64Type>());
        for at in 0..batch.num_rows() {
            assert_eq!(counts.value(at), 1);
            found.push((keys.value(at), prices.value(at), times.value(at), channels.value(at).to_owned()));
        }
    }
    found.sort();
    let row = |bid: &Bid| (bid.auction, bid.price, bid.date_time, bid.channel.as_str().into_owned());
    let mut wanted: Vec<_> = bids.iter().map(row).collect();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[cfg(not(feature = "arrow"))]
#[test]
fn arrow_names_the_feature_that_is_missing() {
    Place::new().refuses(&format!("{LEFT} --format arrow"), 64, &["`arrow`", "--features arrow", "csv"]);
}

#[test]
fn what_cannot_be_exported_is_told() {
    let place = Place::new();
    // Nothing takes the place of what is there.
    let left = format!("{LEFT} --format csv --output left.csv");
    fs::write(place.path().join("left.csv"), "mine").unwrap();
    place.refuses(&left, 64, &["left.csv", "--force"]);
    assert_eq!(fs::read_to_string(place.path().join("left.csv")).unwrap(), "mine");
    place.prints(&format!("{left} --force"));
    assert!(fs::read_to_string(place.path().join("left.csv")).unwrap().starts_with("key"));
    place.refuses("snapshot export state --format csv", 64, &["--output", "\"left\" of \"join-1\""]);
    place.refuses("snapshot export state --format csv --operator none", 64, &["no such table", "\"join-1\""]);
    place.refuses(
        "snapshot export state --format csv --operator join-1 --table none",
        64,
        &["\"none\"", "\"left\""],
    );
    place.refuses(
        "snapshot export state 99999 --format csv",
        64,
        &["99999", "highwater snapshot list state"],
    );
    place.refuses("snapshot export state --format xml", 2, &["xml", "csv", "json", "arrow"]);
    place.refuses("snapshot export state --format csv --output state", 64, &["something in state"]);
    place.refuses("snapshot export missing --format csv", 64, &["no directory missing"]);
    assert!(place.prints("snapshot --help").contains("snapshot export state"));
}

#[test]
fn a_flipped_byte_is_an_error_and_leaves_no_file() {
    let place = Place::new();
    let segments = fs::read_dir(place.path().join("state/pages/1")).unwrap();
    for segment in segments {
        let path = segment.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&path, bytes).unwrap();
    }
    place.refuses(
        &format!("{LEFT} --format csv --output left.csv"),
        65,
        &["highwater snapshot verify state"],
    );
    assert!(!place.path().join("left.csv").exists());
}
