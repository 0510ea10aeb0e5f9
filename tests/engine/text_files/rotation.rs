//! Followed files that are renamed, replaced, deleted, rewritten and away, while they are read and between
//! two runs: each line that was ever written comes once, on any number of workers, or an error tells why not.

use std::fs;
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::{OnRewritten, TextFile};
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

use crate::text_files::logs::{Place, append};

#[test]
fn a_file_that_is_renamed_away_is_read_to_its_end_and_the_next_one_from_its_start() {
    for workers in 1..=3 {
        for is_one in [true, false] {
            let mut place = Place::new();
            place.write("a.log", "1\n2\n");
            let source = if is_one { place.one("a.log") } else { place.all() };
            let reading = place.start(source, workers);
            reading.sees(&["1", "2"]);
            fs::rename(place.log("a.log"), place.away("a.log")).unwrap();
            append(&place.away("a.log"), "3\n");
            reading.rests();
            place.write("a.log", "4\n");
            append(&place.away("a.log"), "5\n");
            reading.sees(&["1", "2", "3", "4", "5"]);
            place.append("a.log", "6\n");
            reading.sees(&["1", "2", "3", "4", "5", "6"]);
            place.end(reading);
            assert_eq!(place.given(), ["1", "2", "3", "4", "5", "6"]);
        }
    }
}

#[test]
fn a_file_goes_on_under_another_name_in_the_directory() {
    for workers in 1..=3 {
        let mut place = Place::new();
        place.write("a.log", "1\n");
        let reading = place.start(place.all(), workers);
        reading.sees(&["1"]);
        let mut want = vec!["1".to_owned()];
        for round in 2..6 {
            for number in (1..round - 1).rev() {
                place.rename(&format!("a.log.{number}"), &format!("a.log.{}", number + 1));
            }
            place.rename("a.log", "a.log.1");
            place.write("a.log", &format!("{round}\n"));
            place.append("a.log.1", &format!("{round} old\n"));
            want.extend([format!("{round}"), format!("{round} old")]);
            reading.sees_all(&want);
        }
        place.end(reading);
        // And while nobody reads.
        place.rename("a.log.1", "b.log");
        place.rename("a.log", "c.log");
        place.write("a.log", "new\n");
        place.append("b.log", "more of b\n");
        place.append("c.log", "more of c\n");
        let reading = place.start(place.all(), 4 - workers);
        reading.sees(&["more of b", "more of c", "new"]);
        place.end(reading);
    }
}

#[test]
fn a_file_that_is_deleted_or_replaced_is_followed_by_the_one_at_its_place() {
    for workers in 1..=3 {
        for is_one in [true, false] {
            let mut place = Place::new();
            place.write("a.log", "1\n2\n");
            let source = if is_one { place.one("a.log") } else { place.all() };
            let reading = place.start(source, workers);
            reading.sees(&["1", "2"]);
            fs::remove_file(place.log("a.log")).unwrap();
            place.write("a.log", "3\n");
            reading.sees(&["1", "2", "3"]);
            // Of the same length, in one step.
            place.write(".next", "4\n");
            place.rename(".next", "a.log");
            reading.sees(&["1", "2", "3", "4"]);
            place.write(".next", "5\n6\n7\n");
            place.rename(".next", "a.log");
            reading.sees(&["1", "2", "3", "4", "5", "6", "7"]);
            place.end(reading);
            // And while nobody reads.
            fs::remove_file(place.log("a.log")).unwrap();
            place.write("a.log", "8\n9\n10\n11\n");
            let source = if is_one { place.one("a.log") } else { place.all() };
            let reading = place.start(source, workers);
            reading.sees(&["10", "11", "8", "9"]);
            reading.rests();
            place.end(reading);
            let reading = place.start(if is_one { place.one("a.log") } else { place.all() }, 1);
            place.append("a.log", "12\n");
            reading.sees(&["12"]);
        }
    }
}

/// Longer than what is compared of its beginning.
fn long(first: &str) -> String {
    (0..200).fold(format!("{first}\n"), |text, line| text + &format!("line {line}\n"))
}

#[test]
fn a_file_that_is_rewritten_in_place_is_an_error_with_the_choices() {
    let cases = [
        ("1\n2\n", "3\n".to_owned()),
        ("1\n2\n", "3\n4\n".to_owned()),
        ("1\n2\n", "3\n4\n5\n6\n".to_owned()),
        ("1\n2\n", "1\n3\n4\n".to_owned()),
        ("1\npart", "1\nother part\n".to_owned()),
    ];
    for (old, new) in cases {
        for is_running in [true, false] {
            let mut place = Place::new();
            place.write("a.log", old);
            let reading = place.start(place.all(), 2);
            reading.until(|lines| lines.len() >= old.matches('\n').count(), &[]);
            reading.rests();
            let reading = if is_running {
                place.write("a.log", &new);
                reading
            } else if old.ends_with('\n') {
                place.end(reading);
                place.write("a.log", &new);
                place.start(place.all(), 1)
            } else {
                // Nothing of the last line was read then.
                continue;
            };
            let told = reading.fails();
            assert!(told.contains("a.log") && told.contains("on_rewritten"), "{told}");
        }
    }
    // With the same beginning.
    let place = Place::new();
    place.write("a.log", &long("1"));
    let reading = place.start(place.all(), 1);
    reading.until(|lines| lines.len() == 201, &[]);
    place
        .write("a.log", &(long("1").replace("line 150", "LINE 150") + "2\n").replace("line 199", "LINE 199"));
    assert!(reading.fails().contains("what was read last"));
}

#[test]
fn a_file_that_is_rewritten_in_place_is_read_anew_if_that_is_wanted() {
    for workers in 1..=3 {
        let mut place = Place::new();
        place.write("a.log", "1\n2\n3\npart");
        let source = |place: &Place| place.all().on_rewritten(OnRewritten::ReadAnew);
        let reading = place.start(source(&place), workers);
        reading.sees(&["1", "2", "3"]);
        reading.rests();
        place.write("a.log", "4\n");
        reading.sees(&["1", "2", "3", "4"]);
        reading.rests();
        place.write("a.log", "5\n");
        reading.sees(&["1", "2", "3", "4", "5"]);
        reading.rests();
        place.write("a.log", "6\n7\n8\n");
        reading.sees(&["1", "2", "3", "4", "5", "6", "7", "8"]);
        place.append("a.log", "9\n");
        reading.sees(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        place.end(reading);
        place.write("a.log", "10\n11\n12\n13\n14\n15\n16\n17\n");
        let reading = place.start(source(&place), workers);
        reading.sees(&["10", "11", "12", "13", "14", "15", "16", "17"]);
    }
}

#[test]
fn a_copy_that_goes_on_is_not_told_from_a_new_file() {
    for is_running in [true, false] {
        let mut place = Place::new();
        place.write("a.log", "1\n2\n");
        let reading = place.start(place.all(), 2);
        reading.sees(&["1", "2"]);
        reading.rests();
        let replace = |place: &Place, text: &str| {
            place.write(".next", text);
            place.rename(".next", "a.log");
        };
        if is_running {
            replace(&place, "1\n2\n3\n");
            let told = reading.fails();
            assert!(told.contains("a copy") && told.contains("on_rewritten"), "{told}");
            continue;
        }
        place.end(reading);
        replace(&place, "1\n2\n3\n");
        let told = place.try_start(place.all(), 2).err().unwrap().to_string();
        assert!(told.contains("a copy") && told.contains("on_rewritten"), "{told}");
        // It can be told of more text: this is the file as it was brought from another machine.
        let mut place = Place::new();
        place.write("a.log", &long("1"));
        let reading = place.start(place.all(), 2);
        reading.until(|lines| lines.len() == 201, &[]);
        place.end(reading);
        replace(&place, &(long("1") + "more\n"));
        place.start(place.all(), 3).sees(&["more"]);
    }
}

#[test]
fn a_file_that_is_away_at_a_restart_goes_on_when_it_is_back() {
    for before in 1..=3 {
        for after in 1..=3 {
            let mut place = Place::new();
            for name in ["a", "b", "c", "d"] {
                place.write(name, &format!("{name}1\n{name}2\n"));
            }
            let reading = place.start(place.all(), before);
            reading.until(|lines| lines.len() == 8, &[]);
            place.end(reading);
            let names = ["a", "b", "c"];
            names.iter().for_each(|name| fs::rename(place.log(name), place.away(name)).unwrap());
            let reading = place.start(place.all(), after);
            place.append("d", "d3\n");
            reading.sees(&["d3"]);
            for name in names {
                append(&place.away(name), &format!("{name}3\n"));
                fs::rename(place.away(name), place.log(name)).unwrap();
            }
            reading.sees(&["a3", "b3", "c3", "d3"]);
            place.end(reading);
            // The position that was kept of the time away does not come back.
            let reading = place.start(place.all(), before);
            reading.rests();
            names.iter().for_each(|name| place.append(name, &format!("{name}4\n")));
            reading.sees(&["a4", "b4", "c4"]);
        }
    }
}

#[test]
fn one_file_that_was_rotated_while_nobody_read_is_read_to_its_end() {
    for workers in 1..=3 {
        let mut place = Place::new();
        place.write("a.log", "1\n2\n");
        let reading = place.start(place.one("a.log"), workers);
        reading.sees(&["1", "2"]);
        place.end(reading);
        place.append("a.log", "3\n");
        place.rename("a.log", "a.log.1");
        // Not a file of the source, whatever is in it.
        place.write("other", "1\n2\nother\n");
        let reading = place.start(place.one("a.log"), workers);
        reading.sees(&["3"]);
        place.write("a.log", "4\n");
        reading.sees(&["3", "4"]);
        place.end(reading);
        let reading = place.start(place.one("a.log"), workers);
        place.append("a.log", "5\n");
        reading.sees(&["5"]);
    }
}

#[test]
fn what_left_is_given_up_after_a_while_with_its_last_line() {
    let mut place = Place::new();
    place.write("a.log", "1\npart");
    place.write("b.log", "2\n");
    let reading = place.start(place.all().linger(Duration::from_millis(100)), 2);
    reading.sees(&["1", "2"]);
    fs::rename(place.log("a.log"), place.away("a.log")).unwrap();
    reading.sees(&["1", "2", "part"]);
    place.end(reading);
    let reading = place.start(place.all(), 1);
    reading.rests();
    // It is not read again, and if there is more of it, that is told.
    fs::rename(place.away("a.log"), place.log("a.log")).unwrap();
    reading.rests();
    reading.sees(&[]);
    place.append("a.log", " and more\n");
    let told = reading.fails();
    assert!(told.contains("a.log") && told.contains("linger"), "{told}");
}

#[test]
fn a_file_that_is_not_followed_must_be_the_same_at_a_restart() {
    let snapshots = tempfile::tempdir().unwrap();
    let place = Place::new();
    let start = |workers, text: &str| {
        // Paused in the middle by a job that fails.
        let job = Job::new();
        let stop = text.to_owned();
        let lines = job
            .source(TextFile::new(place.logs.path()), Watermarks::none())
            .uid("lines")
            .map(move |line| if line == stop { panic!("stop here") } else { line })
            .collect();
        let snapshots = Snapshots::in_directory(snapshots.path()).unwrap().restore(Restore::Latest);
        let options = Options::default().workers(workers).epochs(Epochs::records(10));
        (job.run_with(options.snapshots(snapshots.every_epochs(1))), lines)
    };
    place.write("a.log", &(long("1") + "stop\n" + &long("2")));
    let (ended, lines) = start(1, "stop");
    ended.unwrap_err();
    assert!(!lines.values().is_empty());
    // Another file of the same length, and then with the same beginning.
    for (from, to) in [("1\n", "3\n"), ("line", "LINE")] {
        place.write("a.log", &(long("1") + "stop\n" + &long("2")).replace(from, to));
        let error = start(2, "").0.unwrap_err();
        assert!(error.to_string().contains("on_rewritten"), "{error}");
    }
    // A copy of the file, which has grown.
    place.write(".next", &(long("1") + "stop\n" + &long("2") + "3\n"));
    place.rename(".next", "a.log");
    let (ended, lines) = start(2, "");
    ended.unwrap();
    assert_eq!(lines.values().last().unwrap(), "3");
}
