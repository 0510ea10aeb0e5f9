//! q21, channel ids: every bid through a channel that has an id, which is known or is part of the address of
//! the bid's page.

use super::super::Event;
use super::super::rows::Q21;
use super::bids;
use crate::data::Text;
use crate::stream::{Chain, Stream};

/// The channels whose ids are known, in lower case.
const KNOWN: [(&[u8], Text); 4] = [
    (b"apple", Text::constant("0")),
    (b"google", Text::constant("1")),
    (b"facebook", Text::constant("2")),
    (b"baidu", Text::constant("3")),
];

const PARAMETER: &[u8] = b"channel_id=";

/// `SELECT auction, bidder, price, channel, CASE WHEN lower(channel) = 'apple' THEN '0' WHEN ... ELSE
/// REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id FROM bid` where that is not null
pub fn q21<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q21, impl Chain<Out = Q21>> {
    bids(events).filter_map(|bid| {
        let channel_id = known_id(&bid.channel).or_else(|| id_in(&bid.url))?;
        let (auction, bidder, price, channel) = (bid.auction, bid.bidder, bid.price, bid.channel);
        Some(Q21 { auction, bidder, price, channel, channel_id })
    })
}

fn known_id(channel: &Text) -> Option<Text> {
    let mut known = KNOWN.into_iter();
    known.find(|(name, _)| channel.as_bytes().eq_ignore_ascii_case(name)).map(|(_, id)| id)
}

/// The value of the first parameter of that name. The expression lets one begin at the start of the text or
/// after `&`, and end before the next `&`: that is one of the parts between them.
fn id_in(url: &Text) -> Option<Text> {
    let mut start = 0;
    for part in url.as_bytes().split(|byte| *byte == b'&') {
        let end = start + part.len();
        if part.starts_with(PARAMETER) {
            return url.get(start + PARAMETER.len()..end);
        }
        start = end + 1;
    }
    None
}
