//! A stream as it came: when each record arrived, when it happened, its key, and the split it came in.
//!
//! A recording is read from and written to a file with a record in each line: as CSV, with the names of the
//! columns in the first line, if the file's name ends in `.csv`, and otherwise as JSON lines.
//!
//! | column | what |
//! |---|---|
//! | `arrival` | when the record arrived, in milliseconds |
//! | `event` | when it happened, in milliseconds on the same scale |
//! | `key` | text or a number |
//! | `split` | text or a number: what it arrived in, such as a partition |
//! | `value` | what is summed up, a whole number; 1 where it is left out |
//!
//! Other columns are ignored. Records are taken in the order of their arrival, and among those of one moment
//! in the order of the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::connector::value_of;
use crate::error::{Error, Result};
use crate::time::EventTime;

/// The most splits of a recording: each has a watermark under each strategy.
pub(super) const MOST_SPLITS: u32 = 1_000;

/// A record of a stream that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the order of arrival, from 0.
    pub number: u64,
    /// When it arrived, in milliseconds.
    pub arrival: EventTime,
    /// When it happened, in milliseconds, as it says itself.
    pub event: EventTime,
    /// What is summed up.
    pub value: i64,
    /// The number of its key among the names of the keys.
    pub key: u32,
    /// The number of its split among the names of the splits.
    pub split: u32,
}

/// A stream in the order of arrival.
#[derive(Clone, Debug)]
pub struct Recording {
    events: Arc<Vec<Event>>,
    keys: Vec<String>,
    splits: Vec<String>,
    origin: String,
}

/// A line of a file.
#[derive(Serialize, Deserialize)]
struct Row {
    arrival: EventTime,
    event: EventTime,
    key: Label,
    split: Label,
    #[serde(default)]
    value: Option<i64>,
}

/// A line of a CSV file, whose names are as they stand there.
#[derive(Deserialize)]
struct CsvRow {
    arrival: EventTime,
    event: EventTime,
    key: String,
    split: String,
    #[serde(default)]
    value: Option<i64>,
}

/// A name, or a number that serves as one.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Label {
    Text(String),
    Number(serde_json::Number),
}

impl Recording {
    /// A stream of some records, which are put in the order of arrival and numbered here.
    pub(super) fn of(
        mut events: Vec<Event>,
        keys: Vec<String>,
        splits: Vec<String>,
        origin: String,
    ) -> Recording {
        events.sort_by_key(|event| event.arrival);
        for (event, number) in events.iter_mut().zip(0..) {
            event.number = number;
        }
        Recording { events: Arc::new(events), keys, splits, origin }
    }

    /// The records, in the order of arrival.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The names of the keys.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The names of the splits.
    pub fn splits(&self) -> &[String] {
        &self.splits
    }

    /// Where it comes from, in words.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Reads a recording from a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, a line is not a record, or there are no records or too many splits.
    pub fn read(path: impl AsRef<Path>) -> Result<Recording> {
        let path = path.as_ref();
        let file =
            File::open(path).map_err(|error| Error::io(format!("cannot read {}", path.display()), error))?;
        Recording::read_from(file, path)
    }

    /// Reads a recording from what is in a file.
    pub(crate) fn read_from(file: impl Read, path: &Path) -> Result<Recording> {
        let mut names = (Names::default(), Names::default());
        let mut events = Vec::new();
        let mut take = |row: Row| {
            let (key, split) = (names.0.number(row.key), names.1.number(row.split));
            let (arrival, event, value) = (row.arrival, row.event, row.value.unwrap_or(1));
            events.push(Event { number: 0, arrival, event, value, key, split });
        };
        if is_csv(path) {
            read_csv(path, file, &mut take)?;
        } else {
            read_json(path, file, &mut take)?;
        }
        let (keys, splits) = (names.0.list, names.1.list);
        if events.is_empty() {
            return Err(Error::data(format!("{} has no records", path.display())));
        }
        if splits.len() > MOST_SPLITS as usize {
            return Err(Error::data(format!(
                "{} has {} splits, and {MOST_SPLITS} are the most: is the right column named split?",
                path.display(),
                splits.len()
            )));
        }
        Ok(Recording::of(events, keys, splits, path.display().to_string()))
    }

    /// Writes the recording to a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_as(path.as_ref(), path.as_ref())
    }

    /// Writes the recording to the file at `at`, as it would be at `path`.
    #[doc(hidden)]
    pub fn write_as(&self, at: &Path, path: &Path) -> Result<()> {
        let written = File::create(at).and_then(|file| self.write_to(file, is_csv(path)));
        written.map_err(|error| Error::io(format!("cannot write the recording to {}", path.display()), error))
    }

    fn write_to(&self, file: File, is_csv: bool) -> std::io::Result<()> {
        let mut out = BufWriter::new(file);
        let row = |event: &Event| Row {
            arrival: event.arrival,
            event: event.event,
            key: Label::Text(self.keys[event.key as usize].clone()),
            split: Label::Text(self.splits[event.split as usize].clone()),
            value: Some(event.value),
        };
        if is_csv {
            let mut lines = csv::Writer::from_writer(&mut out);
            for event in self.events() {
                lines.serialize(row(event))?;
            }
            lines.flush()?;
        } else {
            for event in self.events() {
                serde_json::to_writer(&mut out, &row(event))?;
                out.write_all(b"\n")?;
            }
        }
        out.flush()
    }
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

const COLUMNS: &str = "a record has arrival and event, in whole milliseconds, and a key and a split";

fn read_csv(path: &Path, file: impl Read, take: &mut dyn FnMut(Row)) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let line_of = |at: Option<&csv::Position>| at.map_or(1, csv::Position::line);
    let wrong = |line| Error::data(format!("{}, line {line}: {COLUMNS}", path.display()));
    let cannot = |error: csv::Error| match error.kind() {
        csv::ErrorKind::Io(_) => Error::io(format!("cannot read {}", path.display()), error.into()),
        _ => wrong(line_of(error.position())).because(error),
    };
    let header = reader.byte_headers().map_err(cannot)?.clone();
    for record in reader.byte_records() {
        let record = record.map_err(cannot)?;
        let row = value_of::<CsvRow>(&record, Some(&header));
        let CsvRow { arrival, event, key, split, value } =
            row.map_err(|error| wrong(line_of(record.position())).because(error))?;
        take(Row { arrival, event, key: Label::Text(key), split: Label::Text(split), value });
    }
    Ok(())
}

fn read_json(path: &Path, file: impl Read, take: &mut dyn FnMut(Row)) -> Result<()> {
    for (line, number) in BufReader::new(file).lines().zip(1u64..) {
        let line = line.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                Error::data(format!("{}, line {number}: {COLUMNS}", path.display())).because(error)
            }
            _ => Error::io(format!("cannot read {}", path.display()), error),
        })?;
        if !line.trim().is_empty() {
            let row = serde_json::from_str(&line);
            take(row.map_err(|error| {
                Error::data(format!("{}, line {number}: {COLUMNS}", path.display())).because(error)
            })?);
        }
    }
    Ok(())
}

/// Numbers for names, in the order in which they are first met.
#[derive(Default)]
struct Names {
    list: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Names {
    fn number(&mut self, label: Label) -> u32 {
        let name = match label {
            Label::Text(text) => text,
            Label::Number(number) => number.to_string(),
        };
        *self.numbers.entry(name).or_insert_with_key(|name| {
            self.list.push(name.clone());
            self.list.len() as u32 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::lab::Traffic;

    /// A file that is removed in the end.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str, text: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("highwater-lab-{}-{name}", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let recording = Traffic { events: 3_000, keys: 7, ..Traffic::default() }.record().unwrap();
        for name in ["written.csv", "written.json"] {
            let file = Scratch::new(name, "");
            recording.write(&file.0).unwrap();
            let read = Recording::read(&file.0).unwrap();
            // Names are numbered as they are met, so it is the named records that are the same.
            let named = |recording: &Recording| {
                let name = |event: &Event| {
                    let (key, split) =
                        (&recording.keys[event.key as usize], &recording.splits[event.split as usize]);
                    (event.number, event.arrival, event.event, event.value, key.clone(), split.clone())
                };
                recording.events().iter().map(name).collect::<Vec<_>>()
            };
            assert!(named(&read) == named(&recording), "{name}");
        }
    }

    #[test]
    fn columns_come_in_any_order_and_the_value_may_be_missing() {
        let csv = Scratch::new(
            "columns.csv",
            "split,more,event,key,arrival\na,x,1,k,20\nb,y,2,k,10\na,z,3,\"l,m\",10\n",
        );
        let json = Scratch::new(
            "columns.json",
            "{\"arrival\":20,\"event\":1,\"key\":\"k\",\"split\":\"a\"}\n\n\
             {\"split\":\"b\",\"event\":2,\"key\":\"k\",\"arrival\":10,\"more\":[]}\n\
             {\"arrival\":10,\"event\":3,\"key\":\"l,m\",\"split\":\"a\",\"value\":1}\n",
        );
        for file in [&csv, &json] {
            let read = Recording::read(&file.0).unwrap();
            let event =
                |number, arrival, event, key, split| Event { number, arrival, event, value: 1, key, split };
            assert_eq!(read.events(), [event(0, 10, 2, 0, 1), event(1, 10, 3, 1, 0), event(2, 20, 1, 0, 0)]);
            assert_eq!(
                (read.keys(), read.splits()),
                (&["k".to_owned(), "l,m".to_owned()][..], &["a".to_owned(), "b".to_owned()][..])
            );
        }
        let names = Scratch::new("names.csv", "arrival,event,key,split\n1,1,007,0x10\n1,1,7,1e400\n");
        let read = Recording::read(&names.0).unwrap();
        assert_eq!(
            (read.keys(), read.splits()),
            (&["007".to_owned(), "7".to_owned()][..], &["0x10".to_owned(), "1e400".to_owned()][..])
        );
        let numbers =
            Scratch::new("numbers.json", "{\"arrival\":1,\"event\":1,\"key\":7,\"split\":0,\"value\":-3}\n");
        let read = Recording::read(&numbers.0).unwrap();
        assert_eq!(
            (read.keys()[0].as_str(), read.splits()[0].as_str(), read.events()[0].value),
            ("7", "0", -3)
        );
    }

    #[test]
    fn what_is_no_recording_is_told_with_its_line() {
        let good = "arrival,event,key,split,value\n1,1,a,0,5\n";
        let cases = [
            ("empty.csv", String::new(), "no records"),
            ("header.csv", "arrival,event,key,split\n".into(), "no records"),
            ("missing.csv", "arrival,event,key\n1,2,a\n".into(), "line 2"),
            ("text.csv", format!("{good}1,x,a,0,5\n"), "line 3"),
            ("short.csv", format!("{good}1,2\n"), "line 3"),
            ("fraction.csv", format!("{good}1.5,2,a,0,5\n"), "line 3"),
            ("hexadecimal.csv", format!("{good}0x10,2,a,0,5\n"), "line 3"),
            ("large.csv", format!("{good}99999999999999999999,2,a,0,5\n"), "line 3"),
            ("empty.json", "\n\n".into(), "no records"),
            ("array.json", "[]\n".into(), "line 1"),
            ("half.json", "{\"arrival\":1,\"event\":1,\"key\":\"a\",\"split\":0}\n{\"arriv".into(), "line 2"),
            ("null.json", "{\"arrival\":1,\"event\":null,\"key\":\"a\",\"split\":0}\n".into(), "line 1"),
        ];
        for (name, text, says) in cases {
            let error = Recording::read(&Scratch::new(name, &text).0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{name}");
            assert!(error.to_string().contains(says), "{name}: {error}");
        }
        let rows: String = (0..1_001).map(|n| format!("1,1,a,{n},1\n")).collect();
        let many = Scratch::new("many.csv", &format!("arrival,event,key,split,value\n{rows}"));
        assert!(Recording::read(&many.0).unwrap_err().to_string().contains("1001 splits"));
        let file = Scratch::new("bytes.json", "");
        std::fs::write(&file.0, [0xff, 0xfe, b'\n']).unwrap();
        assert_eq!(Recording::read(&file.0).unwrap_err().kind(), ErrorKind::Data);
        assert_eq!(Recording::read("no/such/file.csv").unwrap_err().kind(), ErrorKind::Io);
    }
}
