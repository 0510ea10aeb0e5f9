//! Ours against the `nexmark` crate, event by event and field by field.

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event as theirs;

use super::*;

fn reference(config: &Config) -> NexmarkConfig {
    NexmarkConfig {
        base_time: config.base_time as u64,
        first_rate: config.rate as usize,
        next_rate: config.rate as usize,
        out_of_order_group_size: config.out_of_order_group_size as usize,
        active_people: config.active_people as usize,
        avg_bid_byte_size: config.avg_bid_byte_size as usize,
        hot_auction_ratio: config.hot_auction_ratio as usize,
        ..NexmarkConfig::default()
    }
}

fn converted(event: theirs::Event) -> Event {
    match event {
        theirs::Event::Person(p) => Event::Person(Person {
            id: p.id as u64,
            name: p.name.into(),
            email_address: p.email_address.into(),
            credit_card: p.credit_card.into(),
            city: p.city.into(),
            state: p.state.into(),
            date_time: p.date_time as i64,
            extra: p.extra.into(),
        }),
        theirs::Event::Auction(a) => Event::Auction(Auction {
            id: a.id as u64,
            item_name: a.item_name.into(),
            description: a.description.into(),
            initial_bid: a.initial_bid as u64,
            reserve: a.reserve as u64,
            date_time: a.date_time as i64,
            expires: a.expires as i64,
            seller: a.seller as u64,
            category: a.category as u64,
            extra: a.extra.into(),
        }),
        theirs::Event::Bid(b) => Event::Bid(Bid {
            auction: b.auction as u64,
            bidder: b.bidder as u64,
            price: b.price as u64,
            channel: b.channel.into(),
            url: b.url.into(),
            date_time: b.date_time as i64,
            extra: b.extra.into(),
        }),
    }
}

fn compare(config: &Config, numbers: Range<u64>) {
    let ours = Generator::new(config.clone());
    let theirs = EventGenerator::new(reference(config)).with_offset(numbers.start);
    for (number, expected) in numbers.zip(theirs) {
        assert_eq!(ours.event(number), converted(expected), "event {number}");
    }
}

#[test]
fn the_first_events_are_those_of_the_crate() {
    compare(&Config::default(), 0..100_000);
}

#[test]
fn far_events_are_those_of_the_crate() {
    for start in [1_000_000, 9_999_950, 20_000_000, 50_000_003, 1_000_000_007] {
        compare(&Config::default(), start..start + 1_000);
    }
}

#[test]
fn other_configurations_are_those_of_the_crate() {
    let disordered = Config { out_of_order_group_size: 1000, rate: 3_000, ..Config::default() };
    compare(&disordered, 0..10_000);
    let varied =
        Config { active_people: 10, avg_bid_byte_size: 20, hot_auction_ratio: 7, ..Config::default() };
    compare(&varied, 0..10_000);
}

#[test]
fn a_stepped_range_visits_every_nth_event() {
    let generator = Generator::new(Config::default());
    let stepped: Vec<_> = generator.events(5..60, 7).collect();
    let picked: Vec<_> = (5..60).step_by(7).map(|number| generator.event(number)).collect();
    assert_eq!(stepped, picked);
    assert_eq!(generator.events(0..3, 0).count(), 3);
}
