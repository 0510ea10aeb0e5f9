//! q12, processing-time windows: how many bids of each person are processed in each ten seconds?
//!
//! The windows are those of the wall clock: what falls into which depends on when it is read, so two runs
//! give other rows. Not so the sums over windows: each bid counts once.

use std::time::Duration;

use super::super::Event;
use super::super::rows::Q12;
use super::bids;
use crate::stream::{Chain, Stream};
use crate::window::{ProcessingTime, Tumbling};

const SIZE: Duration = Duration::from_secs(10);

/// `SELECT bidder, COUNT(*) AS bid_count, window_start, window_end FROM TUMBLE(bid, PROCTIME(), 10 s) GROUP BY bidder, window`
///
/// When the input ends, the windows that are open end with it.
pub fn q12<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q12, impl Chain<Out = Q12>> {
    let by_bidder = bids(events).key_by(|bid| bid.bidder).map_values(|_| ());
    let counts = by_bidder.window(ProcessingTime(Tumbling::of(SIZE))).count();
    counts.map(|count| Q12 {
        bidder: count.key,
        bid_count: count.value,
        start: count.window.start,
        end: count.window.end,
    })
}
