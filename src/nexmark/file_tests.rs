//! What is written is what is read, and no damage makes the reader panic.

use super::*;

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("highwater-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, events: Range<u64>) -> PathBuf {
        let path = self.0.join("events");
        write(&path, Config::default(), events, &mut |_| Ok(())).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn parsed(bytes: Vec<u8>) -> Result<File, &'static str> {
    File::parse(Path::new("damaged"), bytes.leak())
}

/// Reads to the end, strings and all; says whether anything was found to be wrong.
fn consume(file: &File) -> bool {
    let mut cursor = file.cursor();
    let read =
        std::iter::from_fn(|| cursor.next()).inspect(|event| drop(format!("{event:?}"))).count() as u64;
    assert_eq!(read, cursor.position());
    let mut again = file.cursor();
    assert_eq!(again.read(u64::MAX, &mut |_: Event| ()), read);
    assert_eq!(again.error().is_some(), cursor.error().is_some());
    cursor.error().is_some()
}

#[test]
fn events_are_read_as_they_were_generated() {
    let folder = Folder::new("round-trip");
    let mut reported = Vec::new();
    let path = folder.0.join("events");
    let config = Config { rate: 123, base_time: -5, ..Config::default() };
    write(&path, config.clone(), 100..20_000, &mut |written| {
        reported.push(written);
        Ok(())
    })
    .unwrap();
    assert_eq!(reported, [4096, 8192, 12288, 16384, 19900]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no temporary file is left");

    let file = File::open(&path).unwrap();
    assert_eq!((file.len(), file.first(), file.blocks()), (19_900, 100, 5));
    assert_eq!(*file.config(), config);
    file.verify().unwrap();
    let generator = Generator::new(config);
    let mut cursor = file.cursor();
    for number in 100..20_000 {
        assert_eq!(cursor.next(), Some(generator.event(number)), "event {number}");
    }
    assert!(cursor.next().is_none() && cursor.error().is_none());
    for position in [0, 1, 4095, 4096, 10_000, 19_899, 5] {
        cursor.seek(position);
        assert_eq!(cursor.position(), position);
        assert_eq!(cursor.next(), Some(generator.event(100 + position)));
    }
    cursor.seek(u64::MAX);
    assert_eq!((cursor.position(), cursor.next()), (19_900, None));
    assert!(cursor.error().is_none());
}

#[test]
fn a_file_may_be_empty() {
    let folder = Folder::new("empty");
    let file = File::open(&folder.file(7..7)).unwrap();
    assert!(file.is_empty() && file.cursor().next().is_none());
}

#[test]
fn strings_beyond_the_format_are_refused() {
    let folder = Folder::new("long");
    let config = Config { avg_bid_byte_size: 100_000, ..Config::default() };
    let error = write(&folder.0.join("events"), config, 0..100, &mut |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("64 KiB"));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn errors_name_the_file() {
    let folder = Folder::new("errors");
    let path = folder.0.join("none");
    assert!(File::open(&path).unwrap_err().to_string().contains("none"));
    fs::write(&path, [0; 1000]).unwrap();
    let error = File::open(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().ends_with("none: is not a Nexmark file"));
}

#[test]
fn a_truncated_file_is_refused() {
    let folder = Folder::new("truncated");
    let bytes = fs::read(folder.file(0..5_000)).unwrap();
    for length in (0..bytes.len()).step_by(9_973).chain(bytes.len() - 200..bytes.len()) {
        assert!(parsed(bytes[..length].to_vec()).is_err(), "{length} bytes");
    }
}

#[test]
fn a_damaged_index_is_refused() {
    let folder = Folder::new("index");
    let bytes = fs::read(folder.file(0..5_000)).unwrap();
    let outside = (0..HEADER).chain(bytes.len() - TRAILER - 2 * ENTRY..bytes.len());
    for place in outside {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        assert!(parsed(damaged).is_err(), "byte {place}");
    }
}

#[test]
fn a_damaged_block_is_an_error_or_other_events() {
    let folder = Folder::new("blocks");
    let bytes = fs::read(folder.file(0..200)).unwrap();
    let blocks = HEADER..bytes.len() - TRAILER - ENTRY;
    let mut found = 0;
    for place in blocks.step_by(7) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        let file = parsed(damaged).unwrap();
        found += u32::from(consume(&file));
        assert!(file.verify().is_err(), "byte {place}");
    }
    assert!(found > 0);
}
