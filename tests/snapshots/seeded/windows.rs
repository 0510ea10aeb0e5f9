//! Windows over disordered and late events: aligned, corrected, sessions, behind watermarks given anew, by
//! the simulated clock.

use std::collections::BTreeMap;

use highwater::stream::Job;
use highwater::time::Watermarks;
use highwater::window::{Aligned, ProcessingTime, Sessions, Sliding, Tumbling, Windowed};

use super::world::{Ran, World, millis, sorted, under_seeds};
use crate::draws::Event;

/// Key, start, end, sum.
type Row = (u8, i64, i64, i64);

fn row(result: Windowed<u8, i64>) -> Row {
    (result.key, result.window.start, result.window.end, result.value)
}

/// Sums of windows by the definition: a record counts if its own stamp says that it is not too late. Then
/// those that were.
fn aligned(stamped: &[(i64, Event)], windows: Aligned, lateness: i64) -> (Vec<Row>, Vec<Event>) {
    let (mut sums, mut late) = (BTreeMap::<(u8, i64, i64), i64>::new(), Vec::new());
    for (watermark, (key, value, time)) in stamped {
        let all = windows.of_timestamp(*time);
        let open: Vec<_> = all.iter().filter(|window| window.end + lateness > *watermark).collect();
        if open.is_empty() && !all.is_empty() {
            late.push((*key, *value, *time));
        }
        for window in open {
            *sums.entry((*key, window.start, window.end)).or_default() += value;
        }
    }
    (sums.into_iter().map(|((key, start, end), sum)| (key, start, end, sum)).collect(), sorted(late))
}

fn windows(world: &mut World) -> Aligned {
    let size = 1 + world.below(25);
    match world.below(2) {
        0 => Tumbling::of(millis(size)),
        _ => Sliding::of(millis(size), millis(1 + world.below(25))),
    }
}

#[test]
fn aligned_windows() {
    under_seeds("windows::aligned_windows", |world| {
        let (splits, windows) = (world.splits(20), windows(world));
        let job = Job::new();
        let open = world.read(&job, &splits).key_by(|event| event.0).window(windows);
        let late = open.late().map(|(_, event)| event).collect();
        let sums = open.sum(|event| event.1).map(row).collect();
        let trace = world.run(&job);

        let (expected, expected_late) = aligned(&world.stamped(&splits), windows, 0);
        assert_eq!(sums.sorted(), expected);
        assert_eq!(late.sorted(), expected_late);
        Ran::new(trace).and(&sums).and(&late)
    });
}

#[test]
fn corrected_windows() {
    under_seeds("windows::corrected_windows", |world| {
        let (splits, windows, lateness) = (world.splits(30), windows(world), world.below(20));
        let job = Job::new();
        let keyed = world.read(&job, &splits).key_by(|event| event.0);
        let corrected = keyed.window(windows).correct_until(millis(lateness));
        let changes = corrected.sum(|event| event.1).map(|change| change.map(row)).share();
        let (sums, changes) = (changes.clone().materialize(), changes.collect());
        let trace = world.run(&job);

        let (expected, late) = aligned(&world.stamped(&splits), windows, lateness);
        assert_eq!(sums.sorted(), expected);
        assert_eq!(job.metrics().sum("late_dropped"), late.len() as i64);
        Ran::new(trace).and(&changes)
    });
}

/// Sessions by the definition: records taken in order of the watermarks in their stamps; a session is over
/// when its end has passed.
fn sessions(mut stamped: Vec<(i64, Event)>, gap: i64) -> (Vec<Row>, usize) {
    stamped.sort_by_key(|(watermark, event)| (*watermark, event.2));
    let (mut open, mut over, mut late) = (Vec::<Row>::new(), Vec::<Row>::new(), 0);
    for (watermark, (key, value, time)) in stamped {
        over.extend(open.extract_if(.., |session| session.2 <= watermark));
        let mut session = (key, time, time + gap, value);
        let touches = |other: &mut Row| other.0 == key && other.1 < time + gap && time < other.2;
        let touched: Vec<Row> = open.extract_if(.., touches).collect();
        if touched.is_empty() && session.2 <= watermark {
            late += 1;
            continue;
        }
        for other in touched {
            session = (key, session.1.min(other.1), session.2.max(other.2), session.3 + other.3);
        }
        open.push(session);
    }
    over.append(&mut open);
    (sorted(over), late)
}

#[test]
fn session_windows() {
    under_seeds("windows::session_windows", |world| {
        let (splits, gap) = (world.splits(20), 1 + world.below(15));
        let job = Job::new();
        let keyed = world.read(&job, &splits).key_by(|event| event.0);
        let sums = keyed.window(Sessions::with_gap(millis(gap))).sum(|event| event.1).map(row).collect();
        let trace = world.run(&job);

        let (expected, late) = sessions(world.stamped(&splits), gap);
        assert_eq!(sums.sorted(), expected);
        assert_eq!(job.metrics().sum("late_dropped"), late as i64);
        Ran::new(trace).and(&sums)
    });
}

#[test]
fn windows_behind_watermarks_given_anew() {
    under_seeds("windows::windows_behind_watermarks_given_anew", |world| {
        let (splits, windows) = (world.splits(20), windows(world));
        let numbered: Vec<Vec<(usize, Event)>> = splits
            .iter()
            .enumerate()
            .map(|(number, split)| split.iter().map(|event| (number, *event)).collect())
            .collect();
        let job = Job::new();
        let events = job.source(highwater::connector::Collection::splits(numbered), Watermarks::none());
        let strategy = Watermarks::bounded(millis(world.disorder), |(_, event): &(usize, Event)| event.2);
        let events = events.with_watermarks(strategy, splits.len(), |(split, _)| *split);
        let keyed = events.map(|(_, event)| event).key_by(|event| event.0);
        let sums = keyed.window(windows).sum(|event| event.1).map(row).collect();
        let trace = world.run(&job);

        assert_eq!(sums.sorted(), aligned(&world.stamped(&splits), windows, 0).0);
        Ran::new(trace).and(&sums)
    });
}

#[test]
fn windows_of_processing_time() {
    under_seeds("windows::windows_of_processing_time", |world| {
        let (splits, size) = (world.splits(0), 1 + world.below(20));
        let job = Job::new();
        let keyed = world.read(&job, &splits).key_by(|event| event.0);
        let sums =
            keyed.window(ProcessingTime(Tumbling::of(millis(size)))).sum(|event| event.1).map(row).collect();
        let trace = world.run(&job);

        // When a record is read is the schedule's choice, but each is in one window of its key, and none
        // begins after the end.
        let (mut keys, now) = (BTreeMap::<u8, i64>::new(), trace.now.as_millis() as i64);
        for (key, start, end, sum) in sums.values() {
            assert!(end == start + size && start % size == 0 && (0..=now).contains(&start));
            *keys.entry(key).or_default() += sum;
        }
        let mut expected = BTreeMap::<u8, i64>::new();
        splits.iter().flatten().for_each(|event| *expected.entry(event.0).or_default() += event.1);
        assert_eq!(keys, expected);
        let windows = sorted(sums.values().iter().map(|row| (row.0, row.1)));
        assert!(windows.windows(2).all(|pair| pair[0] != pair[1]), "a window came twice: {windows:?}");
        Ran::new(trace).and(&sums)
    });
}
