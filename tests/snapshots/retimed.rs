//! Event time given anew on the way: what is late is so whatever crashes, and however many workers keep the
//! splits.

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::object::{Memory, Store};
use highwater::snapshot::{Restore, Snapshots};
use highwater::stream::{Job, Stream};
use highwater::time::{Epochs, Watermarks};
use highwater::window::Sliding;

use crate::draws::Event;
use crate::ledger::Ledger;
use crate::world::{World, millis, under_seeds};

/// An event with the number of its split.
type Numbered = (usize, Event);

type Strategy = Watermarks<Numbered, fn(&Numbered) -> i64>;

fn numbered(splits: Vec<Vec<Event>>) -> Vec<Vec<Numbered>> {
    let number =
        |(number, split): (usize, Vec<Event>)| split.into_iter().map(|event| (number, event)).collect();
    splits.into_iter().enumerate().map(number).collect()
}

/// A strategy with something to remember, or none.
fn strategy(world: &mut World) -> Strategy {
    let time: fn(&Numbered) -> i64 = |event| event.1.2;
    match world.below(3) {
        0 => Watermarks::bounded(millis(world.disorder), time),
        1 => Watermarks::quantile(0.3 + 0.1 * world.below(6) as f64, time),
        _ => Watermarks::punctuated(time, |event, time| (event.1.1 % 4 == 0).then_some(time)),
    }
}

/// Windows over records with new times, and the records that are late: of each key the end of the window, its
/// sum, and whether it is one.
fn windows(timed: Stream<Numbered>, windows: highwater::window::Aligned, out: Ledger<(u8, i64, i64, bool)>) {
    let windowed = timed.key_by(|event| event.1.0).window(windows);
    let late = windowed.late().map(|(key, event)| (key, event.1.2, event.1.1, false));
    let sums = windowed.sum(|event| event.1.1).map(|w| (w.key, w.window.end, w.value, true));
    sums.union(late).sink(out);
}

#[test]
fn windows_and_late_records_by_watermarks_given_anew() {
    under_seeds("windows_and_late_records_by_watermarks_given_anew", |world| {
        let splits = numbered(world.splits(30));
        let (strategy, extra) = (strategy(world), world.below(3) as usize);
        let (slide, slides) = (1 + world.below(20), 1 + world.below(4));
        let aligned = Sliding::of(millis(slide * slides), millis(slide));
        world.check(|job, out| {
            let source = job.source(Collection::splits(splits.clone()), Watermarks::none());
            // There may be splits from which nothing comes, and they hold all back.
            let count = splits.len() + extra / 2;
            windows(source.with_watermarks(strategy.clone(), count, |event| event.0), aligned, out);
        });
    });
}

/// Which splits are silent is for the clock to say; but no record is lost, and none counts twice.
#[test]
fn splits_that_may_be_silent() {
    under_seeds("splits_that_may_be_silent", |world| {
        let splits = numbered(world.splits(30));
        let strategy = strategy(world).idle_after(millis(1 + world.below(20)));
        let size = millis(1 + world.below(20));
        let build = |job: &Job, out| {
            let source = job.source(Collection::splits(splits.clone()), Watermarks::none());
            windows(
                source.with_watermarks(strategy.clone(), splits.len() + 2, |event| event.0),
                Sliding::of(size, size),
                out,
            );
        };
        world.check_by(build, |results| {
            let mut sums = BTreeMap::<u8, i64>::new();
            results.into_iter().for_each(|(key, _, sum, _)| *sums.entry(key).or_default() += sum);
            sums
        });
    });
}

#[test]
fn the_number_of_splits_cannot_change() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let run = |splits: usize| {
        let job = Job::new();
        let watermarks = Watermarks::monotone(|n: &i64| *n);
        job.collection(0..100).with_watermarks(watermarks, splits, |n| *n as usize).uid("times").discard();
        let snapshots = Snapshots::in_store(Arc::clone(&store)).every_epochs(1).restore(Restore::Latest);
        job.run_with(Options::default().workers(2).epochs(Epochs::records(10)).snapshots(snapshots))
    };
    run(3).unwrap();
    run(3).unwrap();
    let error = run(4).unwrap_err().to_string();
    assert!(
        error.contains("\"times\"") && error.contains("of 3 splits") && error.contains("of 4"),
        "{error}"
    );
}
