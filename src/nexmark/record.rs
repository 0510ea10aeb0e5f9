//! One event as bytes: its numbers in one place, its strings in another.
//!
//! A query that looks at no strings should not pull them through the cache, and most of an event is strings.
//! So a record has two parts, and a block of the file holds the first parts of all its events and then the
//! second parts. The first part is a head of 16-bit fields, namely the kind and the length of each string,
//! and then the numbers, all little-endian and of a size that the kind decides. The second part is the bytes
//! of the strings, one after another.

use super::event::{Auction, Bid, Event, Person};
use crate::data::{Text, Visit};

const PERSON: u16 = 1;
const AUCTION: u16 = 2;
const BID: u16 = 3;

/// The two places that records are taken from, or what is left of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) numbers: &'static [u8],
    pub(super) strings: &'static [u8],
}

impl Parts {
    /// Shows the next event to `then`; `None` if the bytes do not hold one.
    ///
    /// The checks are one per part of fixed size and one per group of strings, whose bytes are not read.
    /// `then` is called at one place for each kind of event, where the compiler knows the kind: so what is
    /// not used is not decoded, and an event is not put together only to be told apart again. That, and the
    /// inlining it needs, is what makes the difference between 100 and 200 million events per second.
    #[inline(always)]
    pub(super) fn decode(&mut self, then: &mut impl Visit<Event>) -> Option<()> {
        let (&head, rest) = self.numbers.split_first_chunk::<8>()?;
        let [kind, lengths @ ..] = fields16(head);
        match kind {
            BID => {
                let (numbers, rest) = rest.split_first_chunk::<32>()?;
                let [auction, bidder, price, date_time] = fields64(numbers);
                let [a, b, c] = lengths;
                let (channel, url, extra) = (self.text(a)?, self.text(b)?, self.text(c)?);
                self.numbers = rest;
                let date_time = date_time as i64;
                then.visit(Event::Bid(Bid { auction, bidder, price, channel, url, date_time, extra }));
            }
            AUCTION => then.visit(Event::Auction(self.auction(rest, lengths)?)),
            PERSON => then.visit(Event::Person(self.person(rest, lengths)?)),
            _ => return None,
        }
        Some(())
    }

    #[inline(always)]
    fn auction(&mut self, rest: &'static [u8], [a, b, c]: [u16; 3]) -> Option<Auction> {
        let (numbers, rest) = rest.split_first_chunk::<56>()?;
        let [id, initial_bid, reserve, date_time, expires, seller, category] = fields64(numbers);
        let (item_name, description, extra) = (self.text(a)?, self.text(b)?, self.text(c)?);
        self.numbers = rest;
        let (date_time, expires) = (date_time as i64, expires as i64);
        Some(Auction {
            id,
            item_name,
            description,
            initial_bid,
            reserve,
            date_time,
            expires,
            seller,
            category,
            extra,
        })
    }

    #[inline(always)]
    fn person(&mut self, rest: &'static [u8], [a, b, c]: [u16; 3]) -> Option<Person> {
        let (&more, rest) = rest.split_first_chunk::<8>()?;
        let (numbers, rest) = rest.split_first_chunk::<16>()?;
        let [id, date_time] = fields64(numbers);
        let (name, email_address, credit_card) = (self.text(a)?, self.text(b)?, self.text(c)?);
        let [a, b, c, _] = fields16(more);
        let (city, state, extra) = (self.text(a)?, self.text(b)?, self.text(c)?);
        self.numbers = rest;
        let date_time = date_time as i64;
        Some(Person { id, name, email_address, credit_card, city, state, date_time, extra })
    }

    /// The next string, of this length.
    ///
    /// One at a time: an array of texts would pass through memory, where wide loads wait for the narrow
    /// stores before them.
    #[inline(always)]
    fn text(&mut self, length: u16) -> Option<Text> {
        let (text, rest) = self.strings.split_at_checked(usize::from(length))?;
        self.strings = rest;
        Some(Text::from_static_bytes(text))
    }
}

#[inline(always)]
fn fields16(bytes: [u8; 8]) -> [u16; 4] {
    let all = u64::from_le_bytes(bytes);
    [all as u16, (all >> 16) as u16, (all >> 32) as u16, (all >> 48) as u16]
}

#[inline(always)]
fn fields64<const BYTES: usize, const N: usize>(bytes: &[u8; BYTES]) -> [u64; N] {
    const { assert!(BYTES == 8 * N) };
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|field| u64::from_le_bytes(words[field]))
}

/// Records in the making.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    pub(super) numbers: Vec<u8>,
    pub(super) strings: Vec<u8>,
}

impl Encoder {
    /// Appends an event; `None` if one of its strings is too long for the format.
    pub(super) fn push(&mut self, event: &Event) -> Option<()> {
        match event {
            Event::Person(p) => {
                let first = self.texts([&p.name, &p.email_address, &p.credit_card])?;
                let [city, state, extra] = self.texts([&p.city, &p.state, &p.extra])?;
                self.head(PERSON, first);
                self.head(city, [state, extra, 0]);
                self.numbers([p.id, p.date_time as u64]);
            }
            Event::Auction(a) => {
                let lengths = self.texts([&a.item_name, &a.description, &a.extra])?;
                self.head(AUCTION, lengths);
                let (from, to) = (a.date_time as u64, a.expires as u64);
                self.numbers([a.id, a.initial_bid, a.reserve, from, to, a.seller, a.category]);
            }
            Event::Bid(b) => {
                let lengths = self.texts([&b.channel, &b.url, &b.extra])?;
                self.head(BID, lengths);
                self.numbers([b.auction, b.bidder, b.price, b.date_time as u64]);
            }
        }
        Some(())
    }

    fn head(&mut self, first: u16, others: [u16; 3]) {
        self.numbers.extend(first.to_le_bytes());
        self.numbers.extend(others.iter().flat_map(|field| field.to_le_bytes()));
    }

    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        self.numbers.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn texts<const N: usize>(&mut self, texts: [&Text; N]) -> Option<[u16; N]> {
        let mut lengths = [0; N];
        for (length, text) in lengths.iter_mut().zip(texts) {
            *length = u16::try_from(text.len()).ok()?;
            self.strings.extend(text.as_bytes());
        }
        Some(lengths)
    }
}
