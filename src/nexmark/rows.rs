//! The answers of the Nexmark queries: one type of row for each query, shared by all that answers it.
//!
//! Columns are those of the suite's SQL, in its order, because rows are compared and sorted by them.

use serde::{Deserialize, Serialize};

use crate::data::Text;

/// A row of q0, which passes bids through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q0 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// When the bid was placed.
    pub date_time: i64,
    /// The padding of the bid.
    pub extra: Text,
}

/// A row of q1, which converts the prices of bids to another currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q1 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The converted price in thousandths of a cent: 0.908 times the price has three decimals, so this is exact.
    pub price_thousandths: u64,
    /// When the bid was placed.
    pub date_time: i64,
    /// The padding of the bid.
    pub extra: Text,
}

impl Q1 {
    /// 0.908 times a price, in thousandths.
    #[inline]
    pub fn convert(price: u64) -> u64 {
        908 * price
    }
}

/// A row of q2, which selects the bids on every 123rd auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q2 {
    /// The auction.
    pub auction: u64,
    /// The offer, in cents.
    pub price: u64,
}

/// A row of q3: who sells in Oregon, Idaho or California in category 10, and in which auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q3 {
    /// The seller's name.
    pub name: Text,
    /// The seller's city.
    pub city: Text,
    /// The seller's state.
    pub state: Text,
    /// The auction.
    pub id: u64,
}

/// A row of q4: what the auctions of a category bring on average.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q4 {
    /// The category.
    pub id: u64,
    /// The average of the highest offers, in cents, truncated.
    pub average: u64,
}

/// A row of q5: an auction that had the most bids in some ten seconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q5 {
    /// The auction.
    pub auction: u64,
    /// The number of its bids in that time.
    pub num: u64,
}

/// A row of q6: what a seller's last auctions brought on average, after one more auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q6 {
    /// The seller.
    pub seller: u64,
    /// The average of the winning bids, in cents, truncated.
    pub average: u64,
}

/// A row of q7: a highest bid of some ten seconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q7 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// When the bid was placed.
    pub date_time: i64,
    /// The padding of the bid.
    pub extra: Text,
}

/// A row of q8: a person who registered and sold within the same ten seconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q8 {
    /// The person.
    pub id: u64,
    /// The person's name.
    pub name: Text,
    /// Where the ten seconds begin.
    pub start: i64,
}
