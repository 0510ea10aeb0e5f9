//! The windows of a comparison, as one writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::text::{parse_millis, show_millis};
use crate::error::{Error, Result};
use crate::window::{Aligned, Sliding};

/// Windows of a size, one beginning each slide; in milliseconds. Written `10s` if they do not overlap, and
/// `10s/2s` if they slide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How long each is.
    pub size: u64,
    /// From the beginning of one to the beginning of the next.
    pub slide: u64,
}

/// The most windows that a record may fall into: each of them would be told of a late record.
const MOST_OVERLAP: u64 = 1_000;

impl Windows {
    pub(super) fn aligned(&self) -> Aligned {
        Sliding::of(Duration::from_millis(self.size), Duration::from_millis(self.slide))
    }

    pub(super) fn check(&self) -> Result<()> {
        self.aligned().check()?;
        match self.size.div_ceil(self.slide) <= MOST_OVERLAP {
            true => Ok(()),
            false => Err(Error::config(format!(
                "{self} lets each record fall into more than {MOST_OVERLAP} windows"
            ))),
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size == self.slide {
            true => f.write_str(&show_millis(self.size)),
            false => write!(f, "{}/{}", show_millis(self.size), show_millis(self.slide)),
        }
    }
}

impl FromStr for Windows {
    type Err = Error;

    fn from_str(text: &str) -> Result<Windows> {
        let (size, slide) = text.split_once('/').unwrap_or((text, text));
        let windows = Windows { size: parse_millis(size)?, slide: parse_millis(slide)? };
        windows.check().map(|()| windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_as_they_are_written() {
        for text in ["10s", "10s/2s", "1m/90s", "1ms"] {
            assert_eq!(text.parse::<Windows>().unwrap().to_string(), text);
        }
        for text in ["", "0s", "10s/0s", "10", "10s/2s/1s", "1h/1ms"] {
            assert!(text.parse::<Windows>().is_err(), "{text:?}");
        }
    }
}
