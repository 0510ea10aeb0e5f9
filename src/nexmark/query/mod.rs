//! The Nexmark queries, each in a file that reads like its definition.
//!
//! The definitions are the Flink SQL of the public Nexmark suite. A query that answers with a plain result gives a stream of
//! rows; one whose answer is corrected as more events come gives a stream of changes.

mod q0;
mod q1;
mod q2;
mod q3;
mod q4;
mod q5;
mod q6;
mod q7;
mod q8;
mod winning;

pub use q0::q0;
pub use q1::q1;
pub use q2::q2;
pub use q3::q3;
pub use q4::q4;
pub use q5::q5;
pub use q6::q6;
pub use q7::q7;
pub use q8::q8;

use super::{Bid, Event};
use crate::stream::{Chain, Stream};

/// The bids among the events.
fn bids<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Bid, impl Chain<Out = Bid>> {
    events.filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}
