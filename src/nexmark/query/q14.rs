//! q14, calculation: the bids within some bounds, the time of day they came at, and how many letters c their
//! padding has.

use super::super::rows::{Q1, Q14};
use super::super::{Event, Minute};
use super::bids;
use crate::data::Text;
use crate::stream::{Chain, Stream};
use crate::time::EventTime;

/// Between these prices, in thousandths of a cent, both excluded.
const ABOVE: u64 = 1_000_000_000;
const BELOW: u64 = 50_000_000_000;

/// `SELECT auction, bidder, 0.908 * price, CASE ... END AS bidTimeType, dateTime, extra, count_char(extra, 'c') FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000`
pub fn q14<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q14, impl Chain<Out = Q14>> {
    let bids = bids(events).filter(|bid| (ABOVE + 1..BELOW).contains(&Q1::convert(bid.price)));
    bids.map(|bid| Q14 {
        auction: bid.auction,
        bidder: bid.bidder,
        price_thousandths: Q1::convert(bid.price),
        bid_time_type: time_type(bid.date_time),
        date_time: bid.date_time,
        c_counts: bid.extra.as_bytes().iter().filter(|byte| **byte == b'c').count() as u64,
        extra: bid.extra,
    })
}

/// `CASE WHEN HOUR(dateTime) >= 8 AND HOUR(dateTime) <= 18 THEN 'dayTime'
/// WHEN HOUR(dateTime) <= 6 OR HOUR(dateTime) >= 20 THEN 'nightTime' ELSE 'otherTime' END`, in UTC.
fn time_type(time: EventTime) -> Text {
    Text::constant(match Minute::of(time).hour() {
        8..=18 => "dayTime",
        ..=6 | 20.. => "nightTime",
        _ => "otherTime",
    })
}
