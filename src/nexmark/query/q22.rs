//! q22, directories: every bid with the directories of the page that it was placed on.

use super::super::Event;
use super::super::rows::Q22;
use super::bids;
use crate::data::Text;
use crate::stream::{Chain, Stream};

/// `SELECT auction, bidder, price, channel, SPLIT_INDEX(url, '/', 3) AS dir1, SPLIT_INDEX(url, '/', 4) AS dir2, SPLIT_INDEX(url, '/', 5) AS dir3 FROM bid`
pub fn q22<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q22, impl Chain<Out = Q22>> {
    bids(events).map(|bid| {
        let [dir1, dir2, dir3] = directories(&bid.url);
        Q22 {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            channel: bid.channel,
            dir1,
            dir2,
            dir3,
        }
    })
}

/// The parts between slashes from the fourth on: the first three are the scheme, nothing, and the host.
fn directories(url: &Text) -> [Option<Text>; 3] {
    let mut start = 0;
    let parts = url.as_bytes().split(|byte| *byte == b'/').map(|part| {
        let range = start..start + part.len();
        start = range.end + 1;
        range
    });
    let mut directories = parts.skip(3);
    std::array::from_fn(|_| url.get(directories.next()?))
}
