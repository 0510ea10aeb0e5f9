//! q13, bounded side input join: every bid, with what a small table says of its auction.
//!
//! The table does not change while the job runs, so the join is a look-up in a map: each worker has the whole
//! table, as each of Flink's tasks has, and no bid is kept or sent anywhere.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;

use super::super::Event;
use super::super::rows::Q13;
use super::bids;
use crate::data::{Hash64, Text};
use crate::stream::{Chain, Stream};

/// The rows of the suite's table, and what the ids of auctions are divided by to find one.
const ROWS: u64 = 10_000;

/// `SELECT B.auction, B.bidder, B.price, B.dateTime, S.value
/// FROM bid B JOIN side_input FOR SYSTEM_TIME AS OF B.p_time S ON MOD(B.auction, 10000) = S.key`
pub fn q13<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
    side: SideInput,
) -> Stream<Q13, impl Chain<Out = Q13>> {
    bids(events).filter_map(move |bid| {
        let value = side.get(bid.auction % ROWS)?.clone();
        Some(Q13 {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            date_time: bid.date_time,
            value,
        })
    })
}

/// A small table that a stream is joined with: values by key. Clones share it.
///
/// It is made of pairs, of which the last one with a key counts.
///
/// ```
/// # use highwater::{data::Text, stream::Job, nexmark::{Config, Nexmark, query}};
/// let side: query::SideInput = (0..5_000).map(|key| (key, Text::from(format!("lot {key}")))).collect();
/// let job = Job::new();
/// let bids = query::q13(Nexmark::generate(Config::default(), 1_000).read(&job), side).collect();
/// job.run()?;
/// assert!(bids.values().iter().all(|bid| bid.value.as_str() == format!("lot {}", bid.auction)));
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SideInput(Arc<HashMap<u64, Text, Hash64>>);

impl SideInput {
    /// The table of the public suite: the numbers below 10,000, each with itself as text.
    ///
    /// It is made once and kept for the life of the process. A value is put into every row, and a text that
    /// is never freed is not counted: workers that count references to the same text wait for each other.
    pub fn of_suite() -> SideInput {
        static TABLE: OnceLock<SideInput> = OnceLock::new();
        let table = || {
            (0..ROWS).map(|key| (key, Text::from_static_bytes(key.to_string().leak().as_bytes()))).collect()
        };
        TABLE.get_or_init(table).clone()
    }

    /// The value for a key.
    #[inline]
    pub fn get(&self, key: u64) -> Option<&Text> {
        self.0.get(&key)
    }
}

impl FromIterator<(u64, Text)> for SideInput {
    fn from_iter<I: IntoIterator<Item = (u64, Text)>>(rows: I) -> SideInput {
        let mut table = HashMap::with_hasher(Hash64::seeded(0));
        table.extend(rows);
        SideInput(Arc::new(table))
    }
}
