//! Nexmark events by number: a faster twin of the `nexmark` crate.
//!
//! Event `n` is a pure function of the configuration and `n`, because the crate seeds its random numbers
//! with `n`. So any event can be made without making those before it, and a range of events can be
//! divided among threads. What is made must be what the crate makes, bit for bit: published results refer to
//! it. That fixes the generator of random numbers, the order of the draws, the width of each draw, and that
//! event time is computed in single precision (which makes it advance in steps at high numbers).
//!
//! What is ours is the strings. Those from a fixed set are constants; the ten thousand channels and their
//! pages, and every pair of first and last name, are made once and kept for the life of the process; the
//! others are written straight into the allocation that the [`Text`] shares. An event takes 380 ns where the
//! crate takes 1,210 (one core of a Xeon at 2.5 GHz, default configuration, the first million events). What
//! is left is mostly the drawing of letters, one step of the generator each.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::event::{Auction, Bid, Event, Person};
use crate::data::Text;

/// Of every 50 events, the first is a person, the next three are auctions, the others are bids.
const PEOPLE: u64 = 1;
const AUCTIONS: u64 = 3;
const ALL: u64 = 50;

/// The first id of each kind, and how far beyond the last id a reference may lie.
const FIRST_PERSON: u64 = 1000;
const FIRST_AUCTION: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
const LEAD: u64 = 10;

/// One person, and one auction, in so many is hot: it stays so until the next one is.
const HOT_EVERY: u64 = 100;

const CHANNELS: u64 = 10_000;
const STATES: [&str; 6] = ["az", "ca", "id", "or", "wa", "wy"];
const CITIES: [&str; 10] = [
    "phoenix",
    "los angeles",
    "san francisco",
    "boise",
    "portland",
    "bend",
    "redmond",
    "seattle",
    "kent",
    "cheyenne",
];
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const FIRST_NAMES: [&str; 11] =
    ["peter", "paul", "luke", "john", "saul", "vicky", "kate", "julie", "sarah", "deiter", "walter"];
const LAST_NAMES: [&str; 9] =
    ["shultz", "abrams", "spencer", "white", "bartels", "walton", "smith", "jones", "noris"];

/// What the events look like. The defaults are those of the Nexmark suite, from a fixed day in July 2015.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The time of the first event, in milliseconds since 1970.
    pub base_time: i64,
    /// Events per second of event time.
    pub rate: u64,
    /// Events are shuffled within groups of this size; 1 leaves them in order of time.
    pub out_of_order_group_size: u64,
    /// So many of the last persons bid and sell.
    pub active_people: u64,
    /// About so many auctions are open at any time.
    pub in_flight_auctions: u64,
    /// The average size of a person, in bytes.
    pub avg_person_byte_size: u64,
    /// The average size of an auction, in bytes.
    pub avg_auction_byte_size: u64,
    /// The average size of a bid, in bytes.
    pub avg_bid_byte_size: u64,
    /// One auction in so many is not the hot seller's.
    pub hot_seller_ratio: u64,
    /// One bid in so many is not on the hot auction.
    pub hot_auction_ratio: u64,
    /// One bid in so many is not the hot bidder's.
    pub hot_bidder_ratio: u64,
    /// One bid in so many does not come through a hot channel.
    pub hot_channel_ratio: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            base_time: 1_436_918_400_000,
            rate: 10_000,
            out_of_order_group_size: 1,
            active_people: 1000,
            in_flight_auctions: 100,
            avg_person_byte_size: 200,
            avg_auction_byte_size: 500,
            avg_bid_byte_size: 100,
            hot_seller_ratio: 4,
            hot_auction_ratio: 2,
            hot_bidder_ratio: 4,
            hot_channel_ratio: 2,
        }
    }
}

/// Makes the events of a configuration.
///
/// ```
/// use highwater::nexmark::{Config, Generator};
/// let generator = Generator::new(Config::default());
/// let events: Vec<_> = generator.events(0..100, 2).collect();
/// assert_eq!(events[21], generator.event(42));
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    config: Config,
    /// Microseconds of event time between two events.
    delay: f32,
    pool: &'static Pool,
}

impl Generator {
    /// A generator. Ratios and sizes of groups that are zero count as one.
    pub fn new(mut config: Config) -> Generator {
        for ratio in [
            &mut config.rate,
            &mut config.out_of_order_group_size,
            &mut config.hot_seller_ratio,
            &mut config.hot_auction_ratio,
            &mut config.hot_bidder_ratio,
            &mut config.hot_channel_ratio,
        ] {
            *ratio = (*ratio).max(1);
        }
        Generator { delay: 1_000_000_f32 / config.rate as f32, config, pool: Pool::get() }
    }

    /// What the events look like.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Every `step`-th event of a range of numbers; a step of zero counts as one.
    pub fn events(&self, numbers: Range<u64>, step: usize) -> impl Iterator<Item = Event> + '_ {
        numbers.step_by(step.max(1)).map(|number| self.event(number))
    }

    /// The event with this number.
    pub fn event(&self, number: u64) -> Event {
        let group = self.config.out_of_order_group_size;
        let number = number / group * group + number * 953 % group;
        let mut draw = Draw(SmallRng::seed_from_u64(number));
        match number % ALL {
            rest if rest < PEOPLE => Event::Person(self.person(number, &mut draw)),
            rest if rest < PEOPLE + AUCTIONS => Event::Auction(self.auction(number, &mut draw)),
            _ => Event::Bid(self.bid(number, &mut draw)),
        }
    }

    fn time(&self, number: u64) -> i64 {
        self.config.base_time + (number as f32 * self.delay / 1000.0).round() as i64
    }

    fn person(&self, number: u64, draw: &mut Draw) -> Person {
        let first = draw.index(FIRST_NAMES.len());
        let last = draw.index(LAST_NAMES.len());
        let name = Text::constant(self.pool.names[first * LAST_NAMES.len() + last]);
        let email_address = draw.email();
        let credit_card = draw.credit_card();
        let city = Text::constant(CITIES[draw.index(CITIES.len())]);
        let state = Text::constant(STATES[draw.index(STATES.len())]);
        let size =
            8 + [&name, &email_address, &credit_card, &city, &state].map(Text::len).iter().sum::<usize>();
        Person {
            id: FIRST_PERSON + last_person(number),
            name,
            email_address,
            credit_card,
            city,
            state,
            date_time: self.time(number),
            extra: draw.extra(size as u64, self.config.avg_person_byte_size),
        }
    }

    fn auction(&self, number: u64, draw: &mut Draw) -> Auction {
        let date_time = self.time(number);
        let item_name = draw.letters(20);
        let description = draw.letters(100);
        let initial_bid = draw.price();
        let reserve = initial_bid + draw.price();
        let horizon = self.time(number + self.config.in_flight_auctions * ALL / AUCTIONS) - date_time;
        let expires = date_time + 1 + draw.below((2 * horizon.max(0) as u64).max(1)) as i64;
        let seller = if draw.below(self.config.hot_seller_ratio) > 0 {
            last_person(number) / HOT_EVERY * HOT_EVERY
        } else {
            self.some_person(number, draw)
        };
        let category = FIRST_CATEGORY + draw.below(CATEGORIES);
        let size = 8 + 20 + 100 + 8 + 8 + 8 + 8 + 8;
        Auction {
            id: FIRST_AUCTION + last_auction(number),
            item_name,
            description,
            initial_bid,
            reserve,
            date_time,
            expires,
            seller: FIRST_PERSON + seller,
            category,
            extra: draw.extra(size, self.config.avg_auction_byte_size),
        }
    }

    fn bid(&self, number: u64, draw: &mut Draw) -> Bid {
        let auction = if draw.below(self.config.hot_auction_ratio) > 0 {
            last_auction(number) / HOT_EVERY * HOT_EVERY
        } else {
            let last = last_auction(number);
            let first = last.saturating_sub(self.config.in_flight_auctions);
            first + draw.below(last - first + 1 + LEAD)
        };
        // One past the hot seller, so that nobody bids on what they sell.
        let bidder = if draw.below(self.config.hot_bidder_ratio) > 0 {
            last_person(number) / HOT_EVERY * HOT_EVERY + 1
        } else {
            self.some_person(number, draw)
        };
        let price = draw.price();
        let (channel, url) = if draw.below(self.config.hot_channel_ratio) > 0 {
            let hot = draw.below(HOT_CHANNELS.len() as u64) as usize;
            (HOT_CHANNELS[hot], self.pool.hot_pages[hot])
        } else {
            self.pool.channels[draw.index(CHANNELS as usize)]
        };
        Bid {
            auction: FIRST_AUCTION + auction,
            bidder: FIRST_PERSON + bidder,
            price,
            channel: Text::constant(channel),
            url: Text::constant(url),
            date_time: self.time(number),
            extra: draw.extra(32, self.config.avg_bid_byte_size),
        }
    }

    /// An active person, or one who is about to register.
    fn some_person(&self, number: u64, draw: &mut Draw) -> u64 {
        let people = last_person(number) + 1;
        let active = people.min(self.config.active_people);
        people - active + draw.below(active + LEAD)
    }
}

/// The last person up to an event, counted from zero.
fn last_person(number: u64) -> u64 {
    // The first event of a group is its only person: every event of the group comes after it.
    const { assert!(PEOPLE == 1) };
    number / ALL
}

/// The last auction up to an event that is not the very first, counted from zero.
fn last_auction(number: u64) -> u64 {
    let begun = (number % ALL + 1).saturating_sub(PEOPLE).min(AUCTIONS);
    (number / ALL * AUCTIONS + begun).saturating_sub(1)
}

/// The random numbers of one event.
struct Draw(SmallRng);

impl Draw {
    /// A number below `end`, from 64 bits.
    #[inline]
    fn below(&mut self, end: u64) -> u64 {
        self.0.gen_range(0..end)
    }

    /// An index into something of this length, from 32 bits.
    #[inline]
    fn index(&mut self, length: usize) -> usize {
        self.0.gen_range(0..length as u32) as usize
    }

    #[inline]
    fn letter(&mut self) -> u8 {
        self.0.gen_range(b'a'..=b'z')
    }

    fn letters(&mut self, length: u64) -> Text {
        Text::from((0..length as usize).map(|_| self.letter()).collect::<Arc<[u8]>>())
    }

    /// From a dollar to a million dollars, evenly by the logarithm.
    fn price(&mut self) -> u64 {
        (10_f32.powf(self.0.r#gen::<f32>() * 6.0) * 100.0).round() as u64
    }

    /// What brings an event of `size` bytes to the average size, give or take a fifth.
    fn extra(&mut self, size: u64, average: u64) -> Text {
        let Some(missing) = average.checked_sub(size) else { return Text::constant("") };
        let spread = (missing + 2) / 5;
        let varied = if spread == 0 { 0 } else { self.below(2 * spread) };
        self.letters(missing - spread + varied)
    }

    fn email(&mut self) -> Text {
        let mut email = *b".......@......com";
        for place in (0..7).chain(8..13) {
            email[place] = self.letter();
        }
        Text::from(Arc::from(&email[..]))
    }

    fn credit_card(&mut self) -> Text {
        let mut card = *b".... .... .... ....";
        for group in card.chunks_mut(5) {
            let mut digits = self.0.gen_range(0..10_000_u32);
            for digit in group[..4].iter_mut().rev() {
                *digit = b'0' + (digits % 10) as u8;
                digits /= 10;
            }
        }
        Text::from(Arc::from(&card[..]))
    }

    /// Three or four letters or underscores.
    fn path(&mut self) -> String {
        let length = self.0.gen_range(3..5_usize);
        (0..length).map(|_| if self.0.gen_range(0..13) == 0 { '_' } else { self.letter() as char }).collect()
    }
}

/// The strings that are drawn from sets too large to write down.
#[derive(Debug)]
struct Pool {
    names: Vec<&'static str>,
    hot_pages: Vec<&'static str>,
    channels: Vec<(&'static str, &'static str)>,
}

impl Pool {
    /// The pool of this process. Its strings are never freed: texts refer to them without counting.
    fn get() -> &'static Pool {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(|| Pool {
            names: FIRST_NAMES
                .iter()
                .flat_map(|first| LAST_NAMES.iter().map(move |last| keep(format!("{first} {last}"))))
                .collect(),
            hot_pages: (0..HOT_CHANNELS.len() as u64).map(|seed| keep(page(seed))).collect(),
            channels: (0..CHANNELS).map(channel).collect(),
        })
    }
}

fn keep(text: String) -> &'static str {
    text.leak()
}

/// The page of a channel. The two draw from the same numbers, each from the start.
fn page(seed: u64) -> String {
    let mut draw = Draw(SmallRng::seed_from_u64(seed));
    let [a, b, c] = [draw.path(), draw.path(), draw.path()];
    format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1")
}

fn channel(number: u64) -> (&'static str, &'static str) {
    let mut page = page(number);
    if SmallRng::seed_from_u64(number).gen_range(0..10) > 0 {
        let id = i64::from((number as i32).reverse_bits()).abs();
        page.push_str(&format!("&channel_id={id}"));
    }
    (keep(format!("channel-{number}")), keep(page))
}

#[cfg(test)]
#[path = "generate_tests.rs"]
mod tests;
