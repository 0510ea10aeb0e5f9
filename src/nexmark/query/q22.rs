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
    let mut slashes = memchr::memchr_iter(b'/', url.as_bytes());
    let mut start = slashes.nth(2).map(|slash| slash + 1);
    std::array::from_fn(|_| {
        let begin = start?;
        let end = slashes.next();
        start = end.map(|slash| slash + 1);
        url.get(begin..end.unwrap_or(url.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_what_lies_between_slashes() {
        let of = |url: &'static str| {
            directories(&Text::constant(url)).map(|part| part.map(|part| part.to_string()))
        };
        let some = |part: &str| Some(part.to_owned());
        assert_eq!(of("https://www.nexmark.com/a/bc/d/item.htm?query=1"), [some("a"), some("bc"), some("d")]);
        assert_eq!(of("https://www.nexmark.com/a//"), [some("a"), some(""), some("")]);
        assert_eq!(of("https://www.nexmark.com/a"), [some("a"), None, None]);
        assert_eq!(of("https://www.nexmark.com"), [None, None, None]);
        assert_eq!(of(""), [None, None, None]);
    }
}
