//! A stream made from a seed.
//!
//! Records happen at a steady rate; which split, key and value each has is drawn, and then each cause of
//! disorder has its say. Each of these draws from a sequence of its own, so that the same seed gives the same
//! records under another disorder. The seed means the same for ever: what it gives is kept by a test.

use std::fmt;

use super::Disorder;
use super::random::Random;
use super::recording::{Event, MOST_SPLITS, Recording};
use crate::error::{Error, Result};

/// A stream to be made.
///
/// ```
/// use highwater::lab::{Disorder, Traffic};
///
/// let traffic = Traffic { events: 1_000, disorder: vec![Disorder::Uniform { most: 50 }], ..Traffic::default() };
/// let recording = traffic.record()?;
/// let events = recording.events();
/// assert_eq!(events.len(), 1_000);
/// assert!(events.iter().all(|event| (0..=50).contains(&(event.arrival - event.event))));
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// What all random numbers follow from.
    pub seed: u64,
    /// How many records.
    pub events: u64,
    /// How many of them happen in a second.
    pub rate: f64,
    /// How many splits they are dealt to, at random.
    pub splits: u32,
    /// How many keys they have, each as often.
    pub keys: u32,
    /// Why they come out of order.
    pub disorder: Vec<Disorder>,
}

impl Default for Traffic {
    /// 200 seconds with 1,000 records in each, in 4 splits, with 100 keys, and lognormal delays with a median
    /// of 200 ms.
    fn default() -> Traffic {
        let disorder = vec![Disorder::Lognormal { median: 200, sigma: 1.0 }];
        Traffic { seed: 1, events: 200_000, rate: 1_000.0, splits: 4, keys: 100, disorder }
    }
}

/// The most records that a recording can have: they lie in memory, at 40 bytes each, and more than once.
const MOST_EVENTS: u64 = 50_000_000;

/// The longest stream: a hundred years.
const LONGEST: f64 = 3_153_600_000_000.0;

/// What random numbers are for. The causes of disorder follow.
const PLACES: u64 = 0;
const DISORDER: u64 = 16;

impl Traffic {
    /// Makes the stream.
    ///
    /// # Errors
    ///
    /// If the settings make no sense, or the stream would be too large.
    pub fn record(&self) -> Result<Recording> {
        self.check()?;
        let mut places = Random::of(self.seed, PLACES);
        let mut causes: Vec<Cause> =
            self.disorder.iter().zip(DISORDER..).map(|(d, n)| Cause::new(*d, self, n)).collect();
        let events = (0..self.events)
            .map(|number| {
                let time = (number as f64 * 1_000.0 / self.rate) as i64;
                let mut draw = |n: u32| places.below(u64::from(n)) as u32;
                let (mut split, key, value) = (draw(self.splits), draw(self.keys), i64::from(draw(100)) + 1);
                let spare = 1 + draw(self.splits.max(2) - 1);
                if split == 0 && causes.iter().any(|cause| cause.disorder.silences(time)) {
                    split = spare;
                }
                let delay: i64 = causes.iter_mut().map(|cause| cause.delay(split, time)).sum();
                let error: i64 = causes.iter().map(|cause| cause.errors[split as usize]).sum();
                Event { number, arrival: time + delay, event: time + error, value, key, split }
            })
            .collect();
        let names = |count: u32| (0..count).map(|number| number.to_string()).collect();
        Ok(Recording::of(events, names(self.keys), names(self.splits), self.to_string()))
    }

    fn check(&self) -> Result<()> {
        if self.events == 0 || self.splits == 0 || self.keys == 0 {
            return Err(Error::config("a stream needs at least one record, one split and one key"));
        }
        if self.events > MOST_EVENTS {
            return Err(Error::config(format!(
                "{} records are too many to be held in memory: choose up to {MOST_EVENTS}",
                self.events
            )));
        }
        if u64::from(self.keys) > MOST_EVENTS {
            return Err(Error::config(format!(
                "{} keys are too many: choose up to {MOST_EVENTS}",
                self.keys
            )));
        }
        if self.splits > MOST_SPLITS {
            return Err(Error::config(format!(
                "{} splits are too many: choose up to {MOST_SPLITS}",
                self.splits
            )));
        }
        let span = self.events as f64 * 1_000.0 / self.rate;
        if !(self.rate > 0.0 && span <= LONGEST) {
            return Err(Error::config(format!(
                "{} records at {} per second would take more than a hundred years",
                self.events, self.rate
            )));
        }
        self.disorder.iter().try_for_each(|disorder| disorder.check(self.splits))
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disorder: Vec<String> = self.disorder.iter().map(Disorder::to_string).collect();
        let disorder = if disorder.is_empty() { Disorder::None.to_string() } else { disorder.join(" + ") };
        write!(f, "{disorder}, {} records/s, seed {}", self.rate, self.seed)
    }
}

/// A cause of disorder with its random numbers.
struct Cause {
    disorder: Disorder,
    random: Random,
    seed: u64,
    /// By how much the clock of each split is fast.
    errors: Vec<i64>,
}

impl Cause {
    fn new(disorder: Disorder, traffic: &Traffic, purpose: u64) -> Cause {
        let mut random = Random::of(traffic.seed, purpose);
        let seed = random.next();
        let errors = (0..traffic.splits).map(|split| disorder.error(seed, split)).collect();
        Cause { disorder, random, seed, errors }
    }

    fn delay(&mut self, split: u32, time: i64) -> i64 {
        self.disorder.delay(&mut self.random, self.seed, split, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(disorder: &str) -> Traffic {
        let disorder = disorder.split('+').map(|cause| cause.parse().unwrap()).collect();
        Traffic { events: 50_000, disorder, ..Traffic::default() }
    }

    fn events(disorder: &str) -> Vec<Event> {
        traffic(disorder).record().unwrap().events().to_vec()
    }

    fn delays(disorder: &str) -> Vec<i64> {
        let mut delays: Vec<i64> = events(disorder).iter().map(|event| event.arrival - event.event).collect();
        delays.sort_unstable();
        delays
    }

    /// The value below which this share of the values lies.
    fn quantile(sorted: &[i64], q: f64) -> f64 {
        sorted[(sorted.len() as f64 * q) as usize] as f64
    }

    fn assert_near(is: f64, should: f64) {
        assert!((is / should - 1.0).abs() < 0.06, "{is}, not {should}");
    }

    #[test]
    fn without_disorder_records_arrive_when_they_happen() {
        let events = events("none");
        assert!(events.iter().all(|event| event.arrival == event.event));
        assert!(events.is_sorted_by_key(|event| (event.arrival, event.number)));
        assert_eq!((events[0].event, events[49_999].event), (0, 49_999));
    }

    #[test]
    fn delays_have_the_quantiles_of_their_distributions() {
        let uniform = delays("uniform:2s");
        assert_eq!((uniform[0], uniform[49_999]), (0, 2_000));
        assert_near(quantile(&uniform, 0.25), 500.0);
        let lognormal = delays("lognormal:200ms:1");
        assert_near(quantile(&lognormal, 0.5), 200.0);
        assert_near(quantile(&lognormal, 0.977_25), 200.0 * 2f64.exp());
        let pareto = delays("pareto:100ms:1.5");
        assert_eq!(pareto[0], 100);
        assert_near(quantile(&pareto, 0.9), 100.0 * 10f64.powf(1.0 / 1.5));
        assert_near(quantile(&pareto, 0.99), 100.0 * 100f64.powf(1.0 / 1.5));
        let bursty = delays("bursty:10s:2s");
        assert_near(bursty.iter().filter(|delay| **delay > 0).count() as f64, 50_000.0 * 0.2);
        assert_eq!((bursty[0], bursty[49_999]), (0, 2_000));
    }

    #[test]
    fn causes_add_up() {
        let both = delays("uniform:1s+uniform:1s");
        assert_near(quantile(&both, 0.5), 1_000.0);
        assert!(both[49_999] > 1_900);
    }

    #[test]
    fn an_idle_split_is_silent_and_its_records_are_elsewhere() {
        let events = events("idle:10s:20s");
        let silent = |event: &&Event| (10_000..30_000).contains(&event.event);
        let (within, outside): (Vec<&Event>, Vec<&Event>) = events.iter().partition(silent);
        assert_eq!((within.len(), outside.len()), (20_000, 30_000));
        let share =
            |events: &[&Event], split| events.iter().filter(|event| event.split == split).count() as f64;
        assert_eq!(share(&within, 0), 0.0);
        (1..4).for_each(|split| assert_near(share(&within, split), 20_000.0 / 3.0));
        (0..4).for_each(|split| assert_near(share(&outside, split), 30_000.0 / 4.0));
    }

    #[test]
    fn a_skewed_clock_is_wrong_by_the_same_for_all_records_of_its_split() {
        let mut errors: Vec<(u32, i64)> =
            events("skew:3s").iter().map(|e| (e.split, e.event - e.arrival)).collect();
        errors.sort_unstable();
        errors.dedup();
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(errors.iter().all(|(_, error)| error.abs() <= 3_000));
        assert!(errors.iter().any(|(_, error)| *error != errors[0].1));
    }

    #[test]
    fn another_disorder_leaves_the_records_as_they_are() {
        let rest = |disorder: &str| {
            let mut events = events(disorder);
            events.sort_by_key(|event| event.event);
            events.iter().map(|event| (event.event, event.value, event.key, event.split)).collect::<Vec<_>>()
        };
        assert_eq!(rest("none"), rest("pareto:1s:1+bursty:1m:10s"));
    }

    /// A seed means the same for ever. If this test fails, recordings that people have made from seeds can no
    /// longer be made.
    #[test]
    fn a_seed_gives_the_same_stream_as_ever() {
        let disorder = "uniform:1s+lognormal:200ms:1+pareto:50ms:1.2+bursty:10s:1s+idle:5s:5s+skew:1s";
        let events = events(disorder);
        let shown = |e: &Event| [e.arrival, e.event, e.value, i64::from(e.key), i64::from(e.split)];
        let first = [[192, -65, 36, 35, 2], [216, -786, 28, 52, 0], [241, -766, 20, 51, 0]];
        assert_eq!(events[..3].iter().map(shown).collect::<Vec<_>>(), first);
        let all = events.iter().flat_map(shown);
        assert_eq!(
            all.fold(0i64, |sum, number| sum.wrapping_mul(31).wrapping_add(number)),
            6_538_047_701_477_480_840
        );
        let other = Traffic { seed: 2, ..traffic(disorder) }.record().unwrap();
        assert_ne!(other.events(), events);
    }

    #[test]
    fn impossible_streams_are_refused() {
        let refused = |change: &dyn Fn(&mut Traffic)| {
            let mut traffic = Traffic::default();
            change(&mut traffic);
            traffic.record().map(|_| ()).unwrap_err().to_string()
        };
        assert!(refused(&|traffic| traffic.events = 0).contains("at least one"));
        assert!(refused(&|traffic| traffic.keys = 0).contains("at least one"));
        assert!(refused(&|traffic| traffic.events = u64::MAX).contains("too many"));
        assert!(refused(&|traffic| traffic.splits = u32::MAX).contains("too many"));
        for rate in [0.0, -1.0, f64::NAN, 1e-9] {
            assert!(refused(&|traffic| traffic.rate = rate).contains("hundred years"));
        }
        assert!(
            refused(&|traffic| traffic.disorder = vec![Disorder::Bursty { every: 1, length: 2 }])
                .contains("outage")
        );
    }
}
