//! q11, user sessions: how many bids does each person place while they are active, that is, without ten
//! seconds in which they place none?

use std::time::Duration;

use super::super::Event;
use super::super::rows::Q11;
use super::bids;
use crate::stream::{Chain, Stream};
use crate::window::Sessions;

const GAP: Duration = Duration::from_secs(10);

/// `SELECT bidder, COUNT(*) AS bid_count, window_start, window_end FROM SESSION(bid PARTITION BY bidder, 10 s) GROUP BY bidder, window`
pub fn q11<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q11, impl Chain<Out = Q11>> {
    let by_bidder = bids(events).key_by(|bid| bid.bidder).map_values(|_| ());
    let sessions = by_bidder.window(Sessions::with_gap(GAP)).count();
    sessions.map(|session| Q11 {
        bidder: session.key,
        bid_count: session.value,
        start: session.window.start,
        end: session.window.end,
    })
}
