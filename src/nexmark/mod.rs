//! Nexmark: an online auction as a stream of persons, auctions and bids, and the queries over it that
//! streaming systems are compared by.
//!
//! [`Generator`] makes the events, [`write()`] and [`File`] keep them in a file that is read without copying,
//! and [`oracle`] answers the queries slowly and plainly, so that faster answers have something to agree
//! with.

mod calendar;
mod event;
mod generate;
mod record;
mod file;
pub mod rows;
pub mod oracle;
mod pace;
mod source;
mod numbered;
pub mod query;

pub use calendar::{Day, Minute};
pub use event::{Auction, Bid, Event, Person};
pub use file::{BLOCK, Cursor, File, write};
pub use generate::{Config, Generator};
pub use pace::{Pace, latencies};
pub use source::{Nexmark, Place, Share, ShareReader, watermarks};
