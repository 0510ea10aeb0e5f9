//! Tests of the file that the workers of a run share.

use super::*;

#[test]
fn a_run_keeps_its_file_from_the_next_one() {
    let place = tempfile::tempdir().unwrap();
    let sink = FileSink::new(place.path().join("out.txt"), TextLines);
    let open = |worker| Sink::<u8>::open(&sink, worker, 2).unwrap();
    Sink::<u8>::prepare(&sink).unwrap();
    let (one, other) = (open(0), open(1));
    for _ in 0..2 {
        let error = Sink::<u8>::prepare(&sink).unwrap_err();
        assert!(error.to_string().contains("another job"), "{error}");
    }
    drop((one, other));
    // A run that ended before its workers opened the file does not keep it.
    for _ in 0..2 {
        Sink::<u8>::prepare(&sink).unwrap();
    }
    drop((open(0), open(1)));
    let file = File::open(place.path().join("out.txt")).unwrap();
    assert!(file.try_lock().is_ok());
}
