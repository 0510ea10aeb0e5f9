//! What keeps a stream from coming in order: delays on the way, splits that fall silent, clocks that are
//! wrong.

use std::fmt;
use std::str::FromStr;

use super::random::Random;
use super::text::{parse_millis, parse_number, show_millis, split_spec};
use crate::error::{Error, Result};
use crate::time::EventTime;

/// A cause of disorder. Written and read as in `lognormal:200ms:1`; times in milliseconds.
///
/// Several together add up: the delays of a record are summed, and so are the errors of a clock.
///
/// ```
/// use highwater::lab::Disorder;
/// let disorder: Disorder = "pareto:50ms:1.5".parse()?;
/// assert_eq!(disorder, Disorder::Pareto { least: 50, alpha: 1.5 });
/// assert_eq!(disorder.to_string(), "pareto:50ms:1.5");
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Disorder {
    /// `none`: records arrive when they happen.
    None,
    /// `uniform:MOST`: a delay of 0 to `most`, each as often.
    Uniform {
        /// The longest delay.
        most: u64,
    },
    /// `lognormal:MEDIAN:SIGMA`: most delays near the median, and some many times as long.
    Lognormal {
        /// The delay that half of the records exceed.
        median: u64,
        /// The standard deviation of the logarithm: at 1, one record in 40 takes 7 times the median.
        sigma: f64,
    },
    /// `pareto:LEAST:ALPHA`: a heavy tail. One record in 10^alpha takes 10 times the least delay, and so on
    /// without end.
    Pareto {
        /// The shortest delay.
        least: u64,
        /// How fast the tail falls off.
        alpha: f64,
    },
    /// `bursty:EVERY:LENGTH`: each split has an outage in each stretch of `every`, somewhere within it; what
    /// happens then arrives at its end, all at once.
    Bursty {
        /// How often.
        every: u64,
        /// How long.
        length: u64,
    },
    /// `idle:FROM:LENGTH`: the first split gives nothing for a while, and others have its records instead.
    Idle {
        /// From when on, counted from the beginning of the stream.
        from: u64,
        /// How long.
        length: u64,
    },
    /// `skew:MOST`: the clock of each split is wrong, by something between `most` slow and `most` fast, so
    /// its event times are.
    Skew {
        /// The greatest error.
        most: u64,
    },
}

/// The greatest delay: a hundred years. It keeps heavy tails within what numbers can tell.
const MOST_DELAY: f64 = 3_153_600_000_000.0;

impl Disorder {
    /// The delay of a record of `split` that happens at `time`, in milliseconds. One call for each record, in
    /// order.
    pub(super) fn delay(&self, random: &mut Random, seed: u64, split: u32, time: EventTime) -> i64 {
        let delay = match *self {
            Disorder::None | Disorder::Idle { .. } | Disorder::Skew { .. } => return 0,
            Disorder::Uniform { most } => return random.below(most + 1).cast_signed(),
            Disorder::Bursty { every, length } => return outage(seed, split, time, every, length),
            Disorder::Lognormal { median, sigma } => random.lognormal(median as f64, sigma),
            Disorder::Pareto { least, alpha } => random.pareto(least as f64, alpha),
        };
        delay.round().min(MOST_DELAY) as i64
    }

    /// By how much the clock of a split is fast.
    pub(super) fn error(&self, seed: u64, split: u32) -> i64 {
        match *self {
            Disorder::Skew { most } => {
                let mut random = Random::of(seed, u64::from(split));
                random.below(2 * most + 1).cast_signed() - most.cast_signed()
            }
            _ => 0,
        }
    }

    /// True if the first split is silent at `time`.
    pub(super) fn silences(&self, time: EventTime) -> bool {
        match *self {
            Disorder::Idle { from, length } => (from..from + length).contains(&time.unsigned_abs()),
            _ => false,
        }
    }

    /// Refuses what is not possible, or so extreme that times would leave their range.
    pub(super) fn check(&self, splits: u32) -> Result<()> {
        self.to_string().parse::<Disorder>()?;
        match *self {
            Disorder::Idle { .. } if splits < 2 => Err(Error::config(
                "idle silences the first split and leaves its records to others: choose at least 2 splits",
            )),
            Disorder::Bursty { every, length } if length > every || every == 0 => Err(Error::config(
                format!("{self} is not possible: an outage cannot be longer than the time between two"),
            )),
            _ => Ok(()),
        }
    }
}

/// How long until the outage ends in which a record of a split happens.
fn outage(seed: u64, split: u32, time: EventTime, every: u64, length: u64) -> i64 {
    let every_signed = every.cast_signed();
    let number = time.div_euclid(every_signed);
    let stretch = Random::of(seed, u64::from(split)).next() ^ number.cast_unsigned();
    let start = number * every_signed + Random::new(stretch).below(every - length + 1).cast_signed();
    let end = start + length.cast_signed();
    if (start..end).contains(&time) { end - time } else { 0 }
}

impl fmt::Display for Disorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |millis: &u64| show_millis(*millis);
        match self {
            Disorder::None => f.write_str("none"),
            Disorder::Uniform { most } => write!(f, "uniform:{}", time(most)),
            Disorder::Lognormal { median, sigma } => write!(f, "lognormal:{}:{sigma}", time(median)),
            Disorder::Pareto { least, alpha } => write!(f, "pareto:{}:{alpha}", time(least)),
            Disorder::Bursty { every, length } => write!(f, "bursty:{}:{}", time(every), time(length)),
            Disorder::Idle { from, length } => write!(f, "idle:{}:{}", time(from), time(length)),
            Disorder::Skew { most } => write!(f, "skew:{}", time(most)),
        }
    }
}

impl FromStr for Disorder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Disorder> {
        match text.split(':').next().unwrap_or_default() {
            "none" => split_spec(text, []).map(|[]| Disorder::None),
            "uniform" => {
                let [most] = split_spec(text, ["most"])?;
                Ok(Disorder::Uniform { most: parse_millis(most)? })
            }
            "lognormal" => {
                let [median, sigma] = split_spec(text, ["median", "sigma"])?;
                let sigma = parse_number(sigma, "sigma", 0.0, 10.0)?;
                Ok(Disorder::Lognormal { median: parse_millis(median)?, sigma })
            }
            "pareto" => {
                let [least, alpha] = split_spec(text, ["least", "alpha"])?;
                let alpha = parse_number(alpha, "alpha", 0.1, 100.0)?;
                Ok(Disorder::Pareto { least: parse_millis(least)?, alpha })
            }
            "bursty" => {
                let [every, length] = split_spec(text, ["every", "length"])?;
                Ok(Disorder::Bursty { every: parse_millis(every)?, length: parse_millis(length)? })
            }
            "idle" => {
                let [from, length] = split_spec(text, ["from", "length"])?;
                Ok(Disorder::Idle { from: parse_millis(from)?, length: parse_millis(length)? })
            }
            "skew" => {
                let [most] = split_spec(text, ["most"])?;
                Ok(Disorder::Skew { most: parse_millis(most)? })
            }
            _ => Err(Error::config(format!(
                "there is no disorder {text:?}: choose none, uniform:MOST, lognormal:MEDIAN:SIGMA, pareto:LEAST:ALPHA, \
                 bursty:EVERY:LENGTH, idle:FROM:LENGTH or skew:MOST"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_read_as_they_are_written() {
        let all = [
            "none",
            "uniform:2s",
            "lognormal:200ms:1.25",
            "pareto:50ms:1.5",
            "bursty:30s:5s",
            "idle:1m:30s",
            "skew:500ms",
        ];
        for text in all {
            assert_eq!(text.parse::<Disorder>().unwrap().to_string(), text);
        }
        let wrong = [
            "",
            "noise",
            "none:1",
            "uniform",
            "uniform:5",
            "lognormal:1s",
            "lognormal:1s:-1",
            "lognormal:1s:NaN",
        ];
        for text in
            wrong.into_iter().chain(["pareto:1s:0", "pareto:1s:1:1", "bursty:1s", "idle:1s", "skew:-1s"])
        {
            assert!(text.parse::<Disorder>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let check = |text: &str, splits| text.parse::<Disorder>().unwrap().check(splits).is_ok();
        assert!(check("idle:0s:1s", 2) && !check("idle:0s:1s", 1));
        assert!(Disorder::Uniform { most: u64::MAX }.check(1).is_err());
        assert!(Disorder::Lognormal { median: 1, sigma: f64::NAN }.check(1).is_err());
        assert!(check("bursty:1s:1s", 1) && !check("bursty:1s:2s", 1) && !check("bursty:0s:0s", 1));
    }

    #[test]
    fn an_outage_ends_for_all_its_records_at_once() {
        let disorder = Disorder::Bursty { every: 1_000, length: 300 };
        for split in 0..5 {
            let mut ends = Vec::new();
            let mut delayed = 0;
            for time in -10_000..10_000 {
                let delay = disorder.delay(&mut Random::new(0), 7, split, time);
                assert!((0..=300).contains(&delay));
                if delay > 0 {
                    delayed += 1;
                    ends.push(time + delay);
                }
            }
            ends.dedup();
            assert_eq!((delayed, ends.len()), (20 * 300, 20), "one outage in each of 20 seconds");
            let phases: Vec<i64> = ends.iter().map(|end| end.rem_euclid(1_000)).collect();
            assert!(
                phases.windows(2).any(|two| two[0] != two[1]),
                "outages come at the same time each second"
            );
        }
    }

    #[test]
    fn the_heaviest_tail_stays_within_bounds() {
        let heavy: Disorder = "pareto:24h:0.1".parse().unwrap();
        let mut random = Random::new(1);
        let delays: Vec<i64> = (0..10_000).map(|_| heavy.delay(&mut random, 1, 0, 0)).collect();
        assert!(delays.iter().all(|delay| (86_400_000..=MOST_DELAY as i64).contains(delay)));
    }
}
