//! The Nexmark queries against a plain batch recomputation, at every worker count.

use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Collected;
use highwater::data::{Change, Data, consolidate};
use highwater::nexmark::{Config, Event, Generator, Nexmark, oracle, query};
use highwater::stream::Job;
use highwater::time::Epochs;

const EVENTS: u64 = 100_000;

fn events() -> impl Iterator<Item = Event> {
    let generator = Generator::new(Config::default());
    (0..EVENTS).map(move |number| generator.event(number))
}

/// The runs that each query must answer alike.
fn runs() -> Vec<(usize, usize, Epochs)> {
    vec![
        (1, 1, Epochs::records(EVENTS * 2)),
        (1, 3, Epochs::records(777)),
        (2, 2, Epochs::every(Duration::from_millis(2))),
        (3, 5, Epochs::records(5_000)),
        (4, 4, Epochs::when_done()),
    ]
}

/// What a query answered, in order.
fn rows<T: Data + Ord>(answers: &Collected<T>) -> Vec<T> {
    answers.sorted()
}

/// What is there after all changes that a query answered with, in order; nothing may be there less than not
/// at all.
fn changes<T: Data + Ord>(answers: &Collected<Change<T>>) -> Vec<T> {
    let rows = consolidate(answers.values()).into_iter();
    rows.flat_map(|(row, diff)| vec![row; usize::try_from(diff).unwrap()]).collect()
}

macro_rules! agrees {
    ($name:ident, $answer:ident) => {
        #[test]
        fn $name() {
            let expected = oracle::$name(events());
            assert!(!expected.is_empty());
            for (workers, splits, epochs) in runs() {
                let job = Job::new();
                let source = Nexmark::generate(Config::default(), EVENTS).splits(splits);
                let answers = query::$name(source.read(&job)).collect();
                job.run_with(Options::default().workers(workers).epochs(epochs)).unwrap();
                assert!($answer(&answers) == expected, "{workers} workers, {splits} splits, {epochs:?}");
            }
        }
    };
}

agrees!(q0, rows);
agrees!(q1, rows);
agrees!(q2, rows);
agrees!(q3, rows);
agrees!(q4, changes);
agrees!(q5, rows);
agrees!(q6, changes);
agrees!(q7, rows);
agrees!(q8, rows);
