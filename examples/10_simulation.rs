//! Simulation: a whole job with its workers one after the other, in an order that a seed decides, and on a
//! clock that is moved by hand.
//!
//! The first job keeps the last price of each article that it hears, from two shops. Which price that is
//! depends on which worker is faster, and on a quiet machine it may be the same one for years. Seeds find it
//! out, and each gives the same order again. By event time it is always the same.
//!
//! The second job tells a sensor that has been silent for a second. Its test takes no second.
//!
//! ```text
//! $ cargo run --example 10_simulation
//! by arrival: 4 different results under 100 seeds
//! by arrival, seed 1 again: the same
//! by event time: 1 result under 100 seeds
//! at 1999 ms: []
//! at 2500 ms: ["door is silent at 2001 ms"]
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;

use highwater::connector::Collection;
use highwater::harness::{Feed, Simulation};
use highwater::prelude::*;

/// Article, time, price.
type Offer = (&'static str, i64, u32);

const SHOPS: [[Offer; 3]; 2] = [
    [("tea", 1, 310), ("jam", 4, 450), ("tea", 9, 320)],
    [("jam", 2, 440), ("tea", 6, 300), ("oil", 7, 990)],
];

/// Remembers the price that came last, and tells it when event time ends.
#[derive(Clone, Default)]
struct LastPrice(Value<u32>);

impl Process<String, u32> for LastPrice {
    type Out = (String, u32);

    fn open(&mut self, states: &mut States<'_, String>) {
        self.0 = states.value("price");
    }

    fn process(&mut self, price: u32, cx: &mut Context<'_, String, Self::Out>) {
        self.0.set(cx, price);
        cx.register_timer(100);
    }

    fn timer(&mut self, _: Timer, cx: &mut Context<'_, String, Self::Out>) {
        if let Some(price) = self.0.get(cx).copied() {
            cx.emit((cx.key().clone(), price));
        }
    }
}

/// The last prices on two workers under a seed.
fn last_prices(seed: u64, in_order: bool) -> Result<Vec<(String, u32)>> {
    let job = Job::new();
    let watermarks = Watermarks::bounded(Duration::from_millis(5), |offer: &Offer| offer.1);
    let offers = job.source(Collection::splits(SHOPS), watermarks);
    let keyed = offers.key_by(|offer| offer.0.to_owned()).map_values(|offer| offer.2);
    let last = match in_order {
        true => keyed.process_in_order(LastPrice::default()).collect(),
        false => keyed.process(LastPrice::default()).collect(),
    };
    Simulation::seeded(seed).workers(2).piece(1).run(&job)?;
    Ok(last.sorted())
}

/// Tells sensors that have been silent for a second, by the wall clock.
#[derive(Clone, Default)]
struct Silence(Value<i64>);

impl Process<String, ()> for Silence {
    type Out = String;

    fn open(&mut self, states: &mut States<'_, String>) {
        self.0 = states.value("due");
    }

    fn process(&mut self, (): (), cx: &mut Context<'_, String, String>) {
        if let Some(due) = self.0.take(cx) {
            cx.delete_wall_timer(due);
        }
        let due = cx.processing_time() + 1_000;
        self.0.set(cx, due);
        cx.register_wall_timer(due);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, String, String>) {
        self.0.clear(cx);
        cx.emit(format!("{} is silent at {} ms", cx.key(), timer.time));
    }
}

fn main() -> Result<()> {
    let results = |in_order| {
        let results = (0..100).map(|seed| last_prices(seed, in_order));
        results.collect::<Result<BTreeSet<_>>>()
    };
    println!("by arrival: {} different results under 100 seeds", results(false)?.len());
    let same = last_prices(1, false)? == last_prices(1, false)?;
    println!("by arrival, seed 1 again: {}", if same { "the same" } else { "another" });
    println!("by event time: {} result under 100 seeds", results(true)?.len());

    let (job, sensors) = (Job::new(), Feed::new(1));
    let heard = job.source(sensors.clone(), Watermarks::none());
    let silent =
        heard.key_by(|name: &&str| name.to_string()).map_values(|_| ()).process(Silence::default()).collect();
    let mut run = Simulation::seeded(1).workers(2).start(&job)?;
    for millis in [0, 1_000, 999, 501] {
        run.advance(Duration::from_millis(millis))?;
        if millis < 1_000 && millis > 0 {
            println!("at {} ms: {:?}", run.now().as_millis(), silent.values());
        } else {
            sensors.push(0, "door"); // heard when the clock has moved a millisecond
        }
    }
    sensors.close();
    run.finish()?;
    Ok(())
}
