//! The watermark strategies that a recording can be read under.

use std::fmt;
use std::str::FromStr;

use super::recording::{Event, Recording};
use super::text::{parse_millis, parse_number, show_millis, split_spec};
use crate::error::{Error, Result};
use crate::time::{EventTime, WatermarkGenerator, Watermarks};

/// A rule for the watermark of each split, and whether silent splits count.
///
/// Written as the rule, and `+idle:TIME` after it if splits that give nothing for longer than this, on the
/// arrival clock, stop holding the others back: `bounded:1s+idle:5s`.
///
/// ```
/// use highwater::lab::{Rule, Strategy};
/// let strategy: Strategy = "bounded:1s+idle:5s".parse()?;
/// assert_eq!(strategy, Strategy { rule: Rule::Bounded { disorder: 1_000 }, idle_after: Some(5_000) });
/// # Ok::<(), highwater::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strategy {
    /// How the watermark of a split follows its records.
    pub rule: Rule,
    /// After how long a silent split no longer counts, in milliseconds; never, if `None`.
    pub idle_after: Option<u64>,
}

/// How the watermark of a split follows its records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `monotone`: it is the greatest event time so far.
    Monotone,
    /// `bounded:DISORDER`: it keeps this distance to that, in milliseconds.
    Bounded {
        /// The distance.
        disorder: u64,
    },
    /// `punctuated:EVERY`: every so many records, one promises the greatest event time so far.
    Punctuated {
        /// How many.
        every: u64,
    },
    /// `percentile:PERCENT`: the distance follows the disorder, so that this share of the recent records is
    /// within it: see [`LatenessQuantile`](crate::time::LatenessQuantile).
    Percentile {
        /// The share in percent.
        percent: f64,
    },
    /// `perfect`: it knows the recording, and promises the least event time that is still to come in its
    /// split, but no more than the greatest so far. Nothing is late under it, unless a timeout for silence
    /// lets others go on without a split.
    Perfect,
}

impl Strategy {
    /// The strategy as the engine knows it.
    pub(super) fn watermarks(&self, recording: &Recording) -> Watermarks<Event> {
        let timestamp: fn(&Event) -> EventTime = |event| event.event;
        match self.rule {
            Rule::Monotone => Watermarks::monotone(timestamp),
            Rule::Bounded { disorder } => {
                Watermarks::bounded(std::time::Duration::from_millis(disorder), timestamp)
            }
            Rule::Punctuated { every } => {
                Watermarks::custom(timestamp, move || Punctuating { every, seen: 0, newest: EventTime::MIN })
            }
            Rule::Percentile { percent } => Watermarks::quantile(percent / 100.0, timestamp),
            Rule::Perfect => {
                let promises = perfect(recording);
                Watermarks::punctuated(timestamp, move |event, _| {
                    promises.get(event.number as usize).copied()
                })
            }
        }
    }
}

/// Promises the newest event time with each n-th record.
struct Punctuating {
    every: u64,
    seen: u64,
    newest: EventTime,
}

impl WatermarkGenerator<Event> for Punctuating {
    fn on_record(&mut self, _: &Event, timestamp: EventTime) -> Option<EventTime> {
        self.seen += 1;
        self.newest = self.newest.max(timestamp);
        self.seen.is_multiple_of(self.every).then_some(self.newest)
    }
}

/// What each record can promise: its split's least event time after it, or its greatest up to it, whichever
/// is less.
fn perfect(recording: &Recording) -> Vec<EventTime> {
    let events = recording.events();
    let mut to_come = vec![EventTime::MAX; recording.splits().len()];
    let mut promises: Vec<EventTime> = events
        .iter()
        .rev()
        .map(|event| {
            let least = &mut to_come[event.split as usize];
            std::mem::replace(least, event.event.min(*least))
        })
        .collect();
    promises.reverse();
    let mut newest = vec![EventTime::MIN; recording.splits().len()];
    for (event, promise) in events.iter().zip(&mut promises) {
        let newest = &mut newest[event.split as usize];
        *newest = event.event.max(*newest);
        *promise = newest.min(promise).to_owned();
    }
    promises
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Rule::Monotone => f.write_str("monotone"),
            Rule::Bounded { disorder } => write!(f, "bounded:{}", show_millis(disorder)),
            Rule::Punctuated { every } => write!(f, "punctuated:{every}"),
            Rule::Percentile { percent } => write!(f, "percentile:{percent}"),
            Rule::Perfect => f.write_str("perfect"),
        }?;
        self.idle_after.map_or(Ok(()), |silence| write!(f, "+idle:{}", show_millis(silence)))
    }
}

impl FromStr for Strategy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Strategy> {
        let (rule, idle) = match text.split_once('+') {
            Some((rule, idle)) => (rule, Some(idle)),
            None => (text, None),
        };
        let idle_after = match idle {
            Some(idle) if idle.starts_with("idle:") => {
                let [silence] = split_spec(idle, ["time"])?;
                Some(parse_millis(silence)?)
            }
            Some(_) => return Err(Error::config(format!("{text:?}: only +idle:TIME can follow a strategy"))),
            None => None,
        };
        Ok(Strategy { rule: rule.parse()?, idle_after })
    }
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Rule> {
        match text.split(':').next().unwrap_or_default() {
            "monotone" => split_spec(text, []).map(|[]| Rule::Monotone),
            "perfect" => split_spec(text, []).map(|[]| Rule::Perfect),
            "bounded" => {
                let [disorder] = split_spec(text, ["disorder"])?;
                Ok(Rule::Bounded { disorder: parse_millis(disorder)? })
            }
            "punctuated" => {
                let [every] = split_spec(text, ["every"])?;
                let every = every.parse().ok().filter(|every| *every > 0);
                let every = every.ok_or_else(|| {
                    Error::config(format!("{text:?}: write after how many records, as in punctuated:100"))
                })?;
                Ok(Rule::Punctuated { every })
            }
            "percentile" => {
                let [percent] = split_spec(text, ["percent"])?;
                Ok(Rule::Percentile { percent: parse_number(percent, "percentage", 0.0, 100.0)? })
            }
            _ => Err(Error::config(format!(
                "there is no strategy {text:?}: choose monotone, bounded:DISORDER, punctuated:EVERY, percentile:PERCENT or perfect"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Traffic;

    #[test]
    fn strategies_are_read_as_they_are_written() {
        let all = [
            "monotone",
            "bounded:1500ms",
            "punctuated:100",
            "percentile:99.9",
            "perfect",
            "bounded:1s+idle:5s",
        ];
        for text in all {
            assert_eq!(text.parse::<Strategy>().unwrap().to_string(), text);
        }
        let wrong = [
            "",
            "guess",
            "monotone:1",
            "bounded",
            "bounded:5",
            "punctuated:0",
            "punctuated:-1",
            "percentile:101",
        ];
        for text in
            wrong.into_iter().chain(["percentile:x", "monotone+idle", "monotone+idle:1", "monotone+late:1s"])
        {
            assert!(text.parse::<Strategy>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_perfect_watermark_is_never_wrong_and_never_waits_without_need() {
        let recording = Traffic { events: 5_000, ..Traffic::default() }.record().unwrap();
        let promises = perfect(&recording);
        let events = recording.events();
        for split in 0..4 {
            let mine: Vec<&Event> = events.iter().filter(|event| event.split == split).collect();
            for (at, event) in mine.iter().enumerate().step_by(37) {
                let newest = mine[..=at].iter().map(|event| event.event).max().unwrap();
                let to_come = mine[at + 1..].iter().map(|event| event.event).min().unwrap_or(EventTime::MAX);
                assert_eq!(promises[event.number as usize], newest.min(to_come));
            }
        }
    }
}
