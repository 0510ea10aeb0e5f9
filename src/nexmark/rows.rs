//! The answers of the Nexmark queries: one type of row for each query, shared by all that answers it.
//!
//! Columns are those of the suite's SQL, in its order, because rows are compared and sorted by them.

use serde::{Deserialize, Serialize};

use super::calendar::{Day, Minute};
use super::event::{Auction, Bid};
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
    /// The converted price in thousandths of a cent: 0.908 times the price has three decimals, so this is
    /// exact.
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

/// A row of q9: an auction and the bid that wins it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q9 {
    /// The auction.
    pub id: u64,
    /// The item.
    pub item_name: Text,
    /// What is said about it.
    pub description: Text,
    /// Where bidding starts, in cents.
    pub initial_bid: u64,
    /// The least price at which the item is sold, in cents.
    pub reserve: u64,
    /// When the auction opened.
    pub date_time: i64,
    /// When the auction closes.
    pub expires: i64,
    /// The seller.
    pub seller: u64,
    /// The category of the item.
    pub category: u64,
    /// The padding of the auction.
    pub extra: Text,
    /// The auction, as the bid names it.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// When the bid was placed.
    pub bid_date_time: i64,
    /// The padding of the bid.
    pub bid_extra: Text,
}

/// A row of q11: a session of a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q11 {
    /// The person who bids.
    pub bidder: u64,
    /// Bids in the session.
    pub bid_count: u64,
    /// When the first of them was placed.
    pub start: i64,
    /// Ten seconds after the last.
    pub end: i64,
}

/// A row of q12: the bids of a person in ten seconds of the wall clock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q12 {
    /// The person who bids.
    pub bidder: u64,
    /// Bids that were processed.
    pub bid_count: u64,
    /// Where the ten seconds begin.
    pub start: i64,
    /// Where they end.
    pub end: i64,
}

/// A row of q13: a bid, with what a side input says of its auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q13 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// When the bid was placed.
    pub date_time: i64,
    /// What the side input has for the auction.
    pub value: Text,
}

/// A row of q14: a bid within some bounds, with what is computed from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q14 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The converted price in thousandths of a cent, as in q1.
    pub price_thousandths: u64,
    /// `dayTime`, `nightTime` or `otherTime`.
    pub bid_time_type: Text,
    /// When the bid was placed.
    pub date_time: i64,
    /// The padding of the bid.
    pub extra: Text,
    /// How often the letter c is in the padding.
    pub c_counts: u64,
}

/// A row of q15: the bids of a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q15 {
    /// The day.
    pub day: Day,
    /// Bids, in all.
    pub total_bids: u64,
    /// Bids below 10,000 cents.
    pub rank1_bids: u64,
    /// Bids from 10,000 cents on, below 1,000,000.
    pub rank2_bids: u64,
    /// Bids from 1,000,000 cents on.
    pub rank3_bids: u64,
    /// Persons who bid.
    pub total_bidders: u64,
    /// Persons who bid below 10,000 cents.
    pub rank1_bidders: u64,
    /// Persons who bid from 10,000 cents on, below 1,000,000.
    pub rank2_bidders: u64,
    /// Persons who bid from 1,000,000 cents on.
    pub rank3_bidders: u64,
    /// Auctions that were bid on.
    pub total_auctions: u64,
    /// Auctions with a bid below 10,000 cents.
    pub rank1_auctions: u64,
    /// Auctions with a bid from 10,000 cents on, below 1,000,000.
    pub rank2_auctions: u64,
    /// Auctions with a bid from 1,000,000 cents on.
    pub rank3_auctions: u64,
}

/// A row of q16: the bids that came through a channel in a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q16 {
    /// The site through which the bids came.
    pub channel: Text,
    /// The day.
    pub day: Day,
    /// The minute of the last bid.
    pub minute: Minute,
    /// Bids, in all.
    pub total_bids: u64,
    /// Bids below 10,000 cents.
    pub rank1_bids: u64,
    /// Bids from 10,000 cents on, below 1,000,000.
    pub rank2_bids: u64,
    /// Bids from 1,000,000 cents on.
    pub rank3_bids: u64,
    /// Persons who bid.
    pub total_bidders: u64,
    /// Persons who bid below 10,000 cents.
    pub rank1_bidders: u64,
    /// Persons who bid from 10,000 cents on, below 1,000,000.
    pub rank2_bidders: u64,
    /// Persons who bid from 1,000,000 cents on.
    pub rank3_bidders: u64,
    /// Auctions that were bid on.
    pub total_auctions: u64,
    /// Auctions with a bid below 10,000 cents.
    pub rank1_auctions: u64,
    /// Auctions with a bid from 10,000 cents on, below 1,000,000.
    pub rank2_auctions: u64,
    /// Auctions with a bid from 1,000,000 cents on.
    pub rank3_auctions: u64,
}

/// A row of q17: the bids on an auction in a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q17 {
    /// The auction.
    pub auction: u64,
    /// The day.
    pub day: Day,
    /// Bids, in all.
    pub total_bids: u64,
    /// Bids below 10,000 cents.
    pub rank1_bids: u64,
    /// Bids from 10,000 cents on, below 1,000,000.
    pub rank2_bids: u64,
    /// Bids from 1,000,000 cents on.
    pub rank3_bids: u64,
    /// The lowest offer, in cents.
    pub min_price: u64,
    /// The highest offer, in cents.
    pub max_price: u64,
    /// The average offer, in cents, truncated.
    pub avg_price: u64,
    /// The sum of the offers, in cents.
    pub sum_price: u64,
}

/// A row of q18: the last bid of a person on an auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q18 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// The site through which the bid came.
    pub channel: Text,
    /// The page on which it was placed.
    pub url: Text,
    /// When the bid was placed.
    pub date_time: i64,
    /// The padding of the bid.
    pub extra: Text,
}

/// A row of q19: one of the ten highest bids on an auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q19 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// The site through which the bid came.
    pub channel: Text,
    /// The page on which it was placed.
    pub url: Text,
    /// When the bid was placed.
    pub date_time: i64,
    /// The padding of the bid.
    pub extra: Text,
    /// Its place among them, from 1 on.
    pub rank_number: u64,
}

/// A row of q20: a bid on an item of category 10, with the item's auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q20 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// The site through which the bid came.
    pub channel: Text,
    /// The page on which it was placed.
    pub url: Text,
    /// When the bid was placed.
    pub bid_date_time: i64,
    /// The padding of the bid.
    pub bid_extra: Text,
    /// The item.
    pub item_name: Text,
    /// What is said about it.
    pub description: Text,
    /// Where bidding starts, in cents.
    pub initial_bid: u64,
    /// The least price at which the item is sold, in cents.
    pub reserve: u64,
    /// When the auction opened.
    pub auction_date_time: i64,
    /// When the auction closes.
    pub expires: i64,
    /// The seller.
    pub seller: u64,
    /// The category of the item.
    pub category: u64,
    /// The padding of the auction.
    pub auction_extra: Text,
}

impl Q20 {
    /// The row of a bid and its auction.
    pub fn of(bid: Bid, item: Auction) -> Q20 {
        let Bid { auction, bidder, price, channel, url, date_time: bid_date_time, extra: bid_extra } = bid;
        let Auction { item_name, description, initial_bid, reserve, expires, seller, category, .. } = item;
        let (auction_date_time, auction_extra) = (item.date_time, item.extra);
        Q20 {
            auction,
            bidder,
            price,
            channel,
            url,
            bid_date_time,
            bid_extra,
            item_name,
            description,
            initial_bid,
            reserve,
            auction_date_time,
            expires,
            seller,
            category,
            auction_extra,
        }
    }
}

/// A row of q21: a bid through a channel that has an id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q21 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// The site through which the bid came.
    pub channel: Text,
    /// The id of the channel.
    pub channel_id: Text,
}

/// A row of q22: a bid, with the directories of its page. A page with a shorter address has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Q22 {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// The site through which the bid came.
    pub channel: Text,
    /// The first directory.
    pub dir1: Option<Text>,
    /// The second directory.
    pub dir2: Option<Text>,
    /// The third directory.
    pub dir3: Option<Text>,
}
