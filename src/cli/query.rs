//! The Nexmark queries by name, each with its job and the recomputation that it can be compared with.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use highwater::data::{Change, Data, Diff};
use highwater::nexmark::query::{self, SideInput};
use highwater::nexmark::rows::Q12;
use highwater::nexmark::{Event, Nexmark, oracle};
use highwater::stream::{Chain, Job, Stream};
use serde::Serialize;

use super::answer::{Answered, Answers, Changing, Checked, Form, Plain, Settings, View};

/// A query.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// True if rows are of windows: then the first event after a window completes its rows.
    pub(crate) is_windowed: bool,
    /// Adds the query and the sink for its result to a job.
    pub(crate) add: fn(&Job, Nexmark, Settings) -> Box<dyn Answered>,
}

/// The events that a recomputation reads.
pub(crate) type Events = Box<dyn Iterator<Item = Event>>;

/// All queries, in order.
pub(crate) const QUERIES: [Query; 22] = [
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
    Query {
        name: "q9",
        about: "each auction with the bid that wins it: a join and the first row of each group",
        is_windowed: false,
        add: |job, source, settings| changes(query::q9(source.read_numbered(job)), settings, oracle::q9),
    },
    Query {
        name: "q11",
        about: "how many bids each person places in a session: sessions of ten seconds",
        is_windowed: true,
        add: |job, source, settings| rows(query::q11(source.read(job)), settings, oracle::q11),
    },
    Query {
        name: "q12",
        about: "how many bids of each person are processed in ten seconds: windows of the wall clock",
        is_windowed: false,
        add: |job, source, settings| {
            let all_at_once = |events: Events| oracle::q12(events.map(|event| (0, event)));
            answered_by::<_, Plain>(query::q12(source.read(job)), settings, all_at_once, totals)
        },
    },
    Query {
        name: "q13",
        about: "every bid, with what a small table says of its auction: a join with a side input",
        is_windowed: false,
        add: |job, source, settings| {
            rows(query::q13(source.read(job), SideInput::of_suite()), settings, oracle::q13)
        },
    },
    Query {
        name: "q14",
        about: "the bids within some bounds, with what is computed from each",
        is_windowed: false,
        add: |job, source, settings| rows(query::q14(source.read(job)), settings, oracle::q14),
    },
    Query {
        name: "q15",
        about: "how many bids, bidders and auctions each day has, by price: distinct counts",
        is_windowed: false,
        add: |job, source, settings| changes(query::q15(source.read(job)), settings, oracle::q15),
    },
    Query {
        name: "q16",
        about: "the same for each channel and day",
        is_windowed: false,
        add: |job, source, settings| changes(query::q16(source.read(job)), settings, oracle::q16),
    },
    Query {
        name: "q17",
        about: "how many bids each auction has a day, and their prices: an aggregate for each group",
        is_windowed: false,
        add: |job, source, settings| changes(query::q17(source.read(job)), settings, oracle::q17),
    },
    Query {
        name: "q18",
        about: "the last bid of each person on each auction: the last row of each group",
        is_windowed: false,
        add: |job, source, settings| changes(query::q18(source.read_numbered(job)), settings, oracle::q18),
    },
    Query {
        name: "q19",
        about: "the ten highest bids on each auction: the first rows of each group",
        is_windowed: false,
        add: |job, source, settings| changes(query::q19(source.read_numbered(job)), settings, oracle::q19),
    },
    Query {
        name: "q20",
        about: "every bid on an item of category 10, with its auction: a join",
        is_windowed: false,
        add: |job, source, settings| rows(query::q20(source.read(job)), settings, oracle::q20),
    },
    Query {
        name: "q21",
        about: "every bid through a channel that has an id, which may be part of an address",
        is_windowed: false,
        add: |job, source, settings| rows(query::q21(source.read(job)), settings, oracle::q21),
    },
    Query {
        name: "q22",
        about: "every bid, with the directories of its page's address",
        is_windowed: false,
        add: |job, source, settings| rows(query::q22(source.read(job)), settings, oracle::q22),
    },
];

/// A result of rows that are final.
fn rows<T: Data + Serialize + Ord + Debug>(
    rows: Stream<T, impl Chain<Out = T>>,
    settings: Settings,
    oracle: fn(Events) -> Vec<T>,
) -> Box<dyn Answered> {
    answered::<T, Plain>(rows, settings, oracle)
}

/// A result of rows that are inserted and retracted.
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
    answered_by::<I, F>(answers, settings, oracle, |rows| rows)
}

/// The result is correct if `view` of it equals `view` of the recomputation.
fn answered_by<I: Data + Serialize, F: Form<I>>(
    answers: Stream<I, impl Chain<Out = I>>,
    settings: Settings,
    oracle: fn(Events) -> Vec<F::Row>,
    view: View<F::Row>,
) -> Box<dyn Answered> {
    let sink = Arc::new(Answers::<I, F>::new(settings));
    answers.sink(Arc::clone(&sink));
    Box::new(Checked { answers: sink, oracle, view })
}

/// The bids of each person, whenever they were processed: all that two runs of q12 have in common.
fn totals(rows: Vec<(Q12, Diff)>) -> Vec<(Q12, Diff)> {
    let mut totals: BTreeMap<u64, u64> = BTreeMap::new();
    for (row, diff) in rows {
        *totals.entry(row.bidder).or_default() += row.bid_count * diff.unsigned_abs();
    }
    totals.into_iter().map(|(bidder, bid_count)| (Q12 { bidder, bid_count, start: 0, end: 0 }, 1)).collect()
}
