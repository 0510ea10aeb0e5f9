//! The queries by name, each with the job that answers it and the recomputation that it can be compared with.

use std::fmt::Debug;
use std::sync::Arc;

use highwater::data::{Change, Data};
use highwater::nexmark::{Event, Nexmark, oracle, query};
use highwater::stream::{Chain, Job, Stream};
use serde::Serialize;

use super::answer::{Answered, Answers, Changing, Checked, Form, Plain, Settings};

/// A query.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// True if rows are of windows: then it is the first event after a window that lets its rows appear.
    pub(crate) is_windowed: bool,
    /// Adds the query and the sink for its answer to a job.
    pub(crate) add: fn(&Job, Nexmark, Settings) -> Box<dyn Answered>,
}

/// The events that a recomputation reads.
pub(crate) type Events = Box<dyn Iterator<Item = Event>>;

/// All queries, in order.
pub(crate) const QUERIES: [Query; 9] = [
    Query {
        name: "q0",
        about: "every bid",
        is_windowed: false,
        add: |job, source, settings| rows(query::q0(source.read(job)), settings, oracle::q0),
    },
    Query {
        name: "q1",
        about: "every bid, its price in euros",
        is_windowed: false,
        add: |job, source, settings| rows(query::q1(source.read(job)), settings, oracle::q1),
    },
    Query {
        name: "q2",
        about: "the bids on every 123rd auction",
        is_windowed: false,
        add: |job, source, settings| rows(query::q2(source.read(job)), settings, oracle::q2),
    },
    Query {
        name: "q3",
        about: "who sells in category 10 in three states: a join",
        is_windowed: false,
        add: |job, source, settings| rows(query::q3(source.read(job)), settings, oracle::q3),
    },
    Query {
        name: "q4",
        about: "the average price of each category: a join and two aggregates, corrected as bids come",
        is_windowed: false,
        add: |job, source, settings| changes(query::q4(source.read(job)), settings, oracle::q4),
    },
    Query {
        name: "q5",
        about: "the auctions with the most bids in ten seconds, every two: sliding windows",
        is_windowed: true,
        add: |job, source, settings| rows(query::q5(source.read(job)), settings, oracle::q5),
    },
    Query {
        name: "q6",
        about: "each seller's average over the last auctions, corrected as bids come",
        is_windowed: false,
        add: |job, source, settings| changes(query::q6(source.read(job)), settings, oracle::q6),
    },
    Query {
        name: "q7",
        about: "the highest bid of each ten seconds: tumbling windows",
        is_windowed: true,
        add: |job, source, settings| rows(query::q7(source.read(job)), settings, oracle::q7),
    },
    Query {
        name: "q8",
        about: "who registered and sold within ten seconds: a join of windows",
        is_windowed: true,
        add: |job, source, settings| rows(query::q8(source.read(job)), settings, oracle::q8),
    },
];

/// Answers with rows that stay.
fn rows<T: Data + Serialize + Ord + Debug>(
    rows: Stream<T, impl Chain<Out = T>>,
    settings: Settings,
    oracle: fn(Events) -> Vec<T>,
) -> Box<dyn Answered> {
    answered::<T, Plain>(rows, settings, oracle)
}

/// Answers with rows that come and go.
fn changes<T: Data + Serialize + Ord + Debug>(
    changes: Stream<Change<T>, impl Chain<Out = Change<T>>>,
    settings: Settings,
    oracle: fn(Events) -> Vec<T>,
) -> Box<dyn Answered> {
    answered::<Change<T>, Changing>(changes, settings, oracle)
}

fn answered<I: Data + Serialize, F: Form<I>>(
    answers: Stream<I, impl Chain<Out = I>>,
    settings: Settings,
    oracle: fn(Events) -> Vec<F::Row>,
) -> Box<dyn Answered> {
    let sink = Arc::new(Answers::<I, F>::new(settings));
    answers.sink(Arc::clone(&sink));
    Box::new(Checked { answers: sink, oracle })
}
