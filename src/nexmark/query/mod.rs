//! The Nexmark queries, each in a file that reads like its definition.
//!
//! The definitions are the Flink SQL of the public Nexmark suite. A query that answers with a plain result
//! gives a stream of rows; one whose answer is corrected as more events come gives a stream of changes.
//!
//! # Order of arrival
//!
//! Where the SQL takes the first rows by `ROW_NUMBER` (q9, q18, q19), rows can be alike in what they are
//! ordered by: a millisecond has ten events. Flink then goes by the order in which they arrive, and the
//! fields of a bid do not tell that. So these queries want the events with their numbers, from
//! [`Nexmark::read_numbered`](super::Nexmark::read_numbered), as one would order by the offset in a log. What
//! they answer depends on the numbers and not on which worker read what, and is what one reader of all events
//! in order finds.
//!
//! # Memory
//!
//! | queries | keep |
//! |---|---|
//! | q0, q1, q2, q14, q21, q22 | nothing |
//! | q13 | its table, which all workers share |
//! | q5, q7, q8, q11, q12 | the open windows |
//! | q9; q4 and six numbers for its categories | auctions that are open, and bids that wait for theirs |
//! | q3 | for ever: sellers in three states and auctions of a category |
//! | q6 | for ever: the winning price of each auction |
//! | q15, q16 | for ever: for each group, which persons and auctions were in it |
//! | q17 | for ever: ten numbers for each auction and day |
//! | q18 | for ever: a bid for each pair of a person and an auction, which is every third bid of the generator's |
//! | q19 | for ever: up to ten bids for each auction |
//! | q20 | for ever: every bid |
//!
//! What is kept for ever grows with the input, as it does in Flink unless one sets a time to live, and then
//! the answers are others.

mod q0;
mod q1;
mod q2;
mod q3;
mod q5;
mod q7;
mod q8;
mod q11;
mod q12;
mod q13;
mod q14;
mod q18;
mod q19;
mod q20;
mod q21;
mod q22;
mod statistics;
mod q15;
mod q16;
mod q17;
mod winning;
mod q4;
mod q6;
mod q9;

pub use q0::q0;
pub use q1::q1;
pub use q2::q2;
pub use q3::q3;
pub use q4::q4;
pub use q5::q5;
pub use q6::q6;
pub use q7::q7;
pub use q8::q8;
pub use q9::q9;
pub use q11::q11;
pub use q12::q12;
pub use q13::{SideInput, q13};
pub use q14::q14;
pub use q15::q15;
pub use q16::q16;
pub use q17::q17;
pub use q18::q18;
pub use q19::q19;
pub use q20::q20;
pub use q21::q21;
pub use q22::q22;

use super::{Bid, Event};
use crate::stream::{Chain, Stream};

/// The bids among the events.
fn bids<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Bid, impl Chain<Out = Bid>> {
    events.filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}

/// The bids among the events, with the events' numbers.
fn numbered_bids<C: Chain<Out = (u64, Event)>>(
    events: Stream<(u64, Event), C>,
) -> Stream<(u64, Bid), impl Chain<Out = (u64, Bid)>> {
    events.filter_map(|(number, event)| match event {
        Event::Bid(bid) => Some((number, bid)),
        _ => None,
    })
}
