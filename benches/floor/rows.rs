//! A number for each row, so that the rows of two answers can be compared in any order.
//!
//! Padding counts by its length only: reading every byte of it would measure memory, and nothing but
//! q0, q1, q7 and q20 has any.

use highwater::data::Text;
use highwater::nexmark::rows::{Q0, Q1, Q2, Q3, Q4, Q5, Q7, Q8, Q20};

/// Spreads a key over all bits. Timely routes by the lowest, in which the hot auctions all agree.
#[inline]
pub fn mix(key: u64) -> u64 {
    let product = u128::from(key ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    (product >> 64) as u64 ^ product as u64
}

/// A row's number.
pub trait Digest {
    /// The number.
    fn digest(&self) -> u64;
}

/// The products do not wait for each other: q0 has a row for nearly every event.
#[inline]
fn fold<const N: usize>(fields: [u64; N]) -> u64 {
    let weigh = |(sum, weight): (u64, u64), field: u64| {
        let next = weight.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (sum.wrapping_add(field.wrapping_mul(next)), next)
    };
    mix(fields.into_iter().fold((0, 0xD6E8_FEB8_6659_FD93), weigh).0)
}

fn text(text: &Text) -> u64 {
    text.as_bytes().iter().fold(0, |sum, &byte| sum * 31 % 0xFFFF_FFFB + u64::from(byte))
}

impl Digest for Q0 {
    #[inline]
    fn digest(&self) -> u64 {
        fold([self.auction, self.bidder, self.price, self.date_time as u64, self.extra.len() as u64])
    }
}

impl Digest for Q1 {
    #[inline]
    fn digest(&self) -> u64 {
        let price = self.price_thousandths;
        fold([self.auction, self.bidder, price, self.date_time as u64, self.extra.len() as u64])
    }
}

impl Digest for Q2 {
    #[inline]
    fn digest(&self) -> u64 {
        fold([self.auction, self.price])
    }
}

impl Digest for Q3 {
    fn digest(&self) -> u64 {
        fold([text(&self.name), text(&self.city), text(&self.state), self.id])
    }
}

impl Digest for Q4 {
    fn digest(&self) -> u64 {
        fold([self.id, self.average])
    }
}

impl Digest for Q5 {
    fn digest(&self) -> u64 {
        fold([self.auction, self.num])
    }
}

impl Digest for Q7 {
    fn digest(&self) -> u64 {
        fold([self.auction, self.bidder, self.price, self.date_time as u64, self.extra.len() as u64])
    }
}

impl Digest for Q8 {
    fn digest(&self) -> u64 {
        fold([self.id, text(&self.name), self.start as u64])
    }
}

impl Digest for Q20 {
    fn digest(&self) -> u64 {
        let texts = self.url.len() + self.bid_extra.len() + self.item_name.len() + self.auction_extra.len();
        let times = [self.bid_date_time, self.auction_date_time, self.expires].map(|time| time as u64);
        let [bid, opens, closes] = times;
        fold([self.auction, self.bidder, self.price, bid, opens, closes, self.seller, texts as u64])
    }
}
