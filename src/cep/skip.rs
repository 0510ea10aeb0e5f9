//! What a match does to others: the strategies after a match.
//!
//! All of them come to the same: a match names one of its events, and whatever begins before it (or also with
//! it) is discarded. Events are told apart by their numbers, which ascend in the order in which a key's
//! events were taken.

use std::fmt;

/// A strategy, as a user says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    None,
    ToNext,
    PastLast,
    ToFirst(String),
    ToLast(String),
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::None => f.write_str("no skip"),
            Skip::ToNext => f.write_str("skip to next"),
            Skip::PastLast => f.write_str("skip past last"),
            Skip::ToFirst(stage) => write!(f, "skip to first {stage}"),
            Skip::ToLast(stage) => write!(f, "skip to last {stage}"),
        }
    }
}

/// A strategy with the number of the stage that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterMatch {
    NoSkip,
    SkipToNext,
    SkipPastLast,
    SkipToFirst(u8),
    SkipToLast(u8),
}

impl AfterMatch {
    /// The number of the first event that a match may begin with, after one that took these: stages and the
    /// numbers of events, in order.
    pub(super) fn resume(self, takes: &[(u8, u64)]) -> u64 {
        let of = |stage: u8| takes.iter().filter(move |(s, _)| *s == stage).map(|(_, number)| *number);
        match self {
            AfterMatch::NoSkip => 0,
            AfterMatch::SkipToNext => takes.first().map_or(0, |(_, first)| first + 1),
            AfterMatch::SkipPastLast => takes.last().map_or(0, |(_, last)| last + 1),
            AfterMatch::SkipToFirst(stage) => of(stage).next().unwrap_or(0),
            AfterMatch::SkipToLast(stage) => of(stage).next_back().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_tells_where_to_go_on() {
        let takes = [(0, 3), (1, 5), (1, 6), (2, 9)];
        assert_eq!(AfterMatch::NoSkip.resume(&takes), 0);
        assert_eq!(AfterMatch::SkipToNext.resume(&takes), 4);
        assert_eq!(AfterMatch::SkipPastLast.resume(&takes), 10);
        assert_eq!(AfterMatch::SkipToFirst(1).resume(&takes), 5);
        assert_eq!(AfterMatch::SkipToLast(1).resume(&takes), 6);
        assert_eq!(AfterMatch::SkipToLast(3).resume(&takes), 0, "it took none");
    }
}
