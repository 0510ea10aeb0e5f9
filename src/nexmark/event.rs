//! The three kinds of Nexmark events.
//!
//! The fields are those of the reference generator, under its names. Times are milliseconds since 1970,
//! prices are cents, and every string is a [`Text`], so that moving an event never copies one.

use serde::{Deserialize, Serialize};

use crate::data::Text;

/// Something that happened at the auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Event {
    /// A person registered.
    Person(Person),
    /// An item was put up for auction.
    Auction(Auction),
    /// A person bid on an item.
    Bid(Bid),
}

impl Event {
    /// When it happened.
    #[inline(always)]
    pub fn timestamp(&self) -> i64 {
        match self {
            Event::Person(person) => person.date_time,
            Event::Auction(auction) => auction.date_time,
            Event::Bid(bid) => bid.date_time,
        }
    }
}

/// A person who may sell and bid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Person {
    /// Unique among persons.
    pub id: u64,
    /// First and last name.
    pub name: Text,
    /// Where to write to.
    pub email_address: Text,
    /// Four groups of four digits.
    pub credit_card: Text,
    /// The city, in lower case.
    pub city: Text,
    /// The two letters of the state, in lower case.
    pub state: Text,
    /// When the person registered.
    pub date_time: i64,
    /// Padding, which brings the event to its configured size.
    pub extra: Text,
}

/// An item that is for sale for some time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Auction {
    /// Unique among auctions.
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
    /// The person who sells.
    pub seller: u64,
    /// The category of the item.
    pub category: u64,
    /// Padding, which brings the event to its configured size.
    pub extra: Text,
}

/// An offer for an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bid {
    /// The auction, which may not have opened yet or have closed.
    pub auction: u64,
    /// The person who bids, who may not have registered yet.
    pub bidder: u64,
    /// The offer, in cents.
    pub price: u64,
    /// The site through which the bid came.
    pub channel: Text,
    /// The page on which it was placed.
    pub url: Text,
    /// When it was placed.
    pub date_time: i64,
    /// Padding, which brings the event to its configured size.
    pub extra: Text,
}
