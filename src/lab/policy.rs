//! What becomes of late records.

use std::fmt;
use std::str::FromStr;

use super::text::{parse_millis, show_millis, split_spec};
use crate::data::Stamp;
use crate::error::{Error, Result};
use crate::time::EventTime;

/// What becomes of a record that is late for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `drop`: it is counted, and gone.
    Drop,
    /// `side`: it goes to a side output. The result stays without it.
    Side,
    /// `correct` or `correct:HORIZON`: the result is retracted and restated with it.
    Correct {
        /// For how long, in milliseconds of event time after the window's end; for ever, if `None`.
        horizon: Option<u64>,
    },
}

impl Policy {
    /// True if a record with this stamp, late for the window that ends at `end`, is still accepted: its split
    /// has not promised to be beyond the horizon.
    pub(super) fn corrects(&self, stamp: &Stamp, end: EventTime) -> bool {
        match self {
            Policy::Correct { horizon: Some(horizon) } => {
                !stamp.is_late_for(end.saturating_add_unsigned(*horizon))
            }
            Policy::Correct { horizon: None } => true,
            Policy::Drop | Policy::Side => false,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Drop => f.write_str("drop"),
            Policy::Side => f.write_str("side"),
            Policy::Correct { horizon: None } => f.write_str("correct"),
            Policy::Correct { horizon: Some(horizon) } => write!(f, "correct:{}", show_millis(*horizon)),
        }
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Policy> {
        match text {
            "drop" => Ok(Policy::Drop),
            "side" => Ok(Policy::Side),
            "correct" => Ok(Policy::Correct { horizon: None }),
            _ if text.starts_with("correct:") => {
                let [horizon] = split_spec(text, ["horizon"])?;
                Ok(Policy::Correct { horizon: Some(parse_millis(horizon)?) })
            }
            _ => Err(Error::config(format!(
                "there is no late policy {text:?}: choose drop, side, correct or correct:HORIZON"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for text in ["drop", "side", "correct", "correct:1m"] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), text);
        }
        for text in ["", "keep", "drop:1s", "correct:", "correct:1", "correct:1s:1s"] {
            assert!(text.parse::<Policy>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_horizon_is_counted_from_the_window_s_end() {
        let correct: Policy = "correct:5ms".parse().unwrap();
        let corrects = |watermark| correct.corrects(&Stamp { timestamp: 1, watermark }, 10);
        assert!(corrects(14) && !corrects(15) && !corrects(EventTime::MAX));
        assert!(
            Policy::Correct { horizon: None }
                .corrects(&Stamp { timestamp: 1, watermark: EventTime::MAX }, 10)
        );
        assert!(!Policy::Drop.corrects(&Stamp { timestamp: 1, watermark: 10 }, 10));
    }
}
