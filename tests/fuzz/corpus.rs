//! What fuzzing begins with: real encodings of small things.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::object::{Memory, Store};
use highwater::process::{Context, List, Map, Process, States, Timer, Value};
use highwater::snapshot::{Codec, Compression, PageHead, Repository, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::window::{Sessions, Tumbling};

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

/// Uses every kind of state.
#[derive(Clone, Default)]
struct Everything(Value<(u64, Option<String>)>, List<i64>, Map<String, f64>);

impl Process<String, i64> for Everything {
    type Out = ();

    fn open(&mut self, states: &mut States<'_, String>) {
        *self = Everything(states.value("value"), states.list("list"), states.map("map"));
    }

    fn process(&mut self, n: i64, cx: &mut Context<'_, String, ()>) {
        self.0.set(cx, (n as u64, (n % 2 == 0).then(|| format!("number {n}"))));
        self.1.push(cx, n);
        self.2.insert(cx, format!("half {}", n / 2), n as f64 / 2.0);
        cx.register_timer(1_000_000 + n);
    }

    fn timer(&mut self, _: Timer, _: &mut Context<'_, String, ()>) {}
}

/// A store with a snapshot of some of everything.
fn store(codec: Codec, compression: Compression) -> Arc<dyn Store> {
    let (store, job): (Arc<dyn Store>, _) = (Arc::new(Memory::default()), Job::new());
    let watermarks = Watermarks::bounded(std::time::Duration::from_secs(1), |n: &i64| *n);
    let numbers = job.source(Collection::splits([(0..40).collect::<Vec<i64>>()]), watermarks);
    let keyed = || numbers.clone().key_by(|n| format!("key {}", n % 7));
    keyed().process_in_order(Everything::default()).uid("everything").discard();
    keyed().count().uid("counts").discard();
    keyed().window(Tumbling::of(std::time::Duration::from_millis(30))).count().uid("windows").discard();
    keyed()
        .window(Sessions::with_gap(std::time::Duration::from_millis(30)))
        .count()
        .uid("sessions")
        .discard();
    let snapshots =
        Snapshots::in_store(Arc::clone(&store)).codec(codec).compression(compression).every_epochs(1);
    let options = Options::default().epochs(highwater::time::Epochs::records(20)).snapshots(snapshots);
    let mut running =
        highwater::harness::Simulation::seeded(1).piece(5).options(options).start(&job).unwrap();
    let is_there = |(_, manifest): (u64, highwater::snapshot::Manifest)| manifest.rows() > 40;
    while !Repository::open(Arc::clone(&store)).find(&Selector::Latest).unwrap().is_some_and(is_there) {
        running.steps(1).unwrap();
    }
    store
}

/// Files by the names of their targets.
type Files = Vec<(&'static str, String, Vec<u8>)>;

/// The log, a name, and the pages of each table, with what reads them.
fn snapshots(files: &mut Files) {
    let ways = [(Codec::Columnar, Compression::Lz4, 0), (Codec::Rows, Compression::None, 1)];
    for (codec, compression, number) in ways {
        let store = store(codec, compression);
        let repository = Repository::open(Arc::clone(&store));
        repository.keep(&Selector::Latest, "kept").unwrap();
        let (log, manifest) = repository.find(&Selector::Latest).unwrap().unwrap();
        let read = |name: &str| store.read(name).unwrap().unwrap();
        if number == 0 {
            let logs = store.list("log/").unwrap();
            files.push(("entry", "claim".to_owned(), read(&logs[0].0)));
            files.push(("entry", "manifest".to_owned(), read(&format!("log/{log:020}"))));
            files.push(("name", "kept".to_owned(), read("names/kept")));
        }
        for operator in &manifest.operators {
            for table in &operator.tables {
                let pages = table.shards.iter().flat_map(|shard| &shard.runs).flat_map(|run| &run.pages);
                let Some(page) = pages.max_by_key(|page| page.rows) else { continue };
                let bytes = store.read_range(&page.segment, page.offset, page.len as usize).unwrap().unwrap();
                let (head, body) = PageHead::decode(&bytes).unwrap();
                let name = format!("{} {} {number}", operator.uid, table.name).replace(' ', "-");
                let rows = (head.rows as u16).to_le_bytes();
                let of = format!("{}\n{}\n", table.name, table.schema.text).into_bytes();
                files.push(("table", name.clone(), [&of, &[number][..], &rows, &body].concat()));
                if table.name.starts_with("state") || table.name == "panes" {
                    files.push(("page", name, bytes));
                }
            }
        }
    }
}

/// Rows of the types that pages are read as.
fn bodies(files: &mut Files) {
    let plain = [(7u64, (), Some((3u32, -9i64))), (1 << 40, (), None), (0, (), Some((0, i64::MIN)))];
    let map = std::collections::BTreeMap::from([(-3i16, 0.5f64), (9, -1e300)]);
    let many = [(String::from("text"), vec![(1u8, Some(true)), (2, None)], map)];
    let choice: [Result<(char, [u32; 3]), Option<Box<i128>>>; 3] =
        [Ok(('\u{e9}', [1, 2, 3])), Err(None), Err(Some(Box::new(-(1 << 100))))];
    for (codec, number) in [(Codec::Columnar, 0u8), (Codec::Rows, 1)] {
        let encoded = [
            ("plain", plain.len(), codec.encode(&plain).unwrap()),
            ("many", many.len(), codec.encode(&many).unwrap()),
            ("choice", choice.len(), codec.encode(&choice).unwrap()),
        ];
        for (name, rows, body) in encoded {
            let head = [&[number][..], &(rows as u16).to_le_bytes()].concat();
            files.push(("body", format!("{name}-{number}"), [head.clone(), body.clone()].concat()));
            for compression in [Compression::None, Compression::Lz4] {
                // Long enough to become shorter.
                let long = codec.encode(&vec![plain[0]; 200]).unwrap();
                let head = PageHead {
                    codec,
                    compression,
                    uid: "counts".to_owned(),
                    table: "values".to_owned(),
                    fingerprint: 1,
                    hashes: (2, 3),
                    epochs: (4, 5),
                    rows: 200,
                };
                if name == "plain" {
                    let name = format!("long-{number}-{compression:?}").to_lowercase();
                    files.push(("page", name, head.encode(&long).unwrap()));
                }
            }
        }
    }
}

/// Files and words that people write.
fn texts(files: &mut Files) {
    let mut text =
        |target, name: &str, text: &str| files.push((target, name.to_owned(), text.as_bytes().to_vec()));
    text("lines", "json", "[1,\"a\",0.5]\n\n[2,\"\\u00e9\",null]\r\n[3]\n");
    text("lines", "csv", "n,text,weight\n1,a,0.5\n2,\"b, \"\"c\"\"\nd\",\n3,e\n");
    text("lines", "text", "one\r\ntwo\n\nthree");
    text("recording", "csv", "arrival,event,key,split,value\n5,3,a,0,2\n9, 7 ,b,1,\n7,-4,\"c\",0,1\n");
    text(
        "recording",
        "json",
        "{\"arrival\":5,\"event\":3,\"key\":\"a\",\"split\":0,\"value\":2}\n{\"arrival\":9,\"event\":7,\"key\":1.5,\"split\":\"b\"}\n",
    );
    text(
        "case",
        "window",
        r#"[{"id": "tumble", "operator": "window", "config": {"assigner": {"type": "tumble", "size": 10}, "function": "sum"},
            "input": [["k", 1, 3], {"watermark": 30}], "expected": [{"out": ["k", 1, 0, 10]}, {"watermark": 30}]}]"#,
    );
    text(
        "case",
        "list",
        r#"[{"id": "a", "operator": "cep", "config": {"pattern": [{"name": "s", "match": ["x"], "times": [1, null]}]},
            "input": [[1, "x", 3], "checkpoint_restore"], "expected": [{"out": [1]}], "note": "none"}]"#,
    );
    text(
        "words",
        "amounts",
        "200k 1.5M 1_000_000 0 -1 1e308 1e-308G inf nan 10ms 1s 90m 2h 100000records done 0.0001ms",
    );
    text(
        "words",
        "selectors",
        "latest 17 18446744073709551616 good 0017 -9223372036854775808 9223372036854775807 86400000",
    );
}

/// Some Nexmark events in a file.
#[cfg(feature = "nexmark")]
fn events(files: &mut Files) {
    let directory = tempfile::tempdir().unwrap();
    for count in [1, 12] {
        let path = directory.path().join("events");
        let config = highwater::nexmark::Config::default();
        highwater::nexmark::write(&path, config, 0..count, &mut |_| Ok(())).unwrap();
        files.push(("events", format!("{count}-events"), fs::read(&path).unwrap()));
    }
}

#[cfg(not(feature = "nexmark"))]
fn events(_: &mut Files) {}

fn files() -> Files {
    let mut files = Vec::new();
    snapshots(&mut files);
    bodies(&mut files);
    texts(&mut files);
    events(&mut files);
    // One name among others, so that something can be joined to it.
    let kept = files.iter().find(|(target, ..)| *target == "name").unwrap().2.clone();
    files.push(("name", "short".to_owned(), kept[..30].to_vec()));
    files
}

pub(crate) fn write() {
    for (target, name, bytes) in files() {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), bytes).unwrap();
    }
}

/// Checks that what can be told to be real is understood, of what is read by the names of targets.
pub(crate) fn check(corpus: &dyn Fn(&str) -> Vec<Vec<u8>>) {
    let understood = corpus("page").iter().filter(|bytes| PageHead::decode(bytes).is_ok()).count();
    assert!(understood >= 8, "{understood} pages");
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[6..14].try_into().unwrap());
    let is_entry = |bytes: &[u8]| highwater::snapshot::Entry::decode(number(bytes), bytes, "log/x").is_ok();
    assert!(corpus("entry").iter().filter(|bytes| is_entry(bytes)).count() >= 2);
    let understood = corpus("table").iter().filter(|bytes| highwater::fuzz::rows_of(bytes) > 0).count();
    assert!(understood >= 8, "{understood} tables");
}
