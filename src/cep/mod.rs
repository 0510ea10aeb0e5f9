//! Complex event processing: sequences of events of one key that match a pattern.
//!
//! A [`Pattern`] names stages, one after the other, and says of each which events it takes, how many, and
//! what may lie between them and those before. [`detect`](crate::stream::KeyedStream::detect) looks for it
//! among the records of each key, and gives each [`Match`]. The words and their meaning are those of Flink's
//! CEP library.
//!
//! # What matches
//!
//! The records of a key are taken in the order of their event times, and of those with the same time in the
//! order of the records themselves. A *partial match* is a list of takes: this event by that stage, in the
//! order of both. It begins with any event that the first stage takes (or a later one, if those before it are
//! optional), and each of its next takes is one of these:
//!
//! * the same stage takes again, while it has taken fewer than its most;
//! * the next stage takes, once this one has its least; or one after that, if all between them are optional.
//!
//! The list is a whole match when all remaining stages are optional. Two lists are two matches if they differ
//! in a take, so stages that may be left out, or that skip, give several matches that begin with the same
//! event.
//!
//! Between two takes lie events that are *skipped*. Which may be depends on the stage that takes next:
//!
//! * [`next`](Pattern::next): none;
//! * [`followed_by`](Pattern::followed_by): those that do not meet its condition;
//! * [`followed_by_any`](Pattern::followed_by_any): all.
//!
//! Within a loop the second is the rule, [`consecutive`](Pattern::consecutive) makes it the first and
//! [`allow_combinations`](Pattern::allow_combinations) the third. Further:
//!
//! * after a stage with [`not_followed_by`](Pattern::not_followed_by) no event may be skipped that meets the
//!   negated condition, from the stage's first take until the next stage's;
//! * after a stage with [`not_next`](Pattern::not_next) the event directly after a take must not meet it, if
//!   the stage has its least;
//! * after a [`greedy`](Pattern::greedy) stage no event may be skipped or taken that the stage can take,
//!   until the next stage has taken. It can take none when it has its most, nor when a
//!   [`consecutive`](Pattern::consecutive) loop has skipped one;
//! * an event that meets [`until`](Pattern::until) is neither taken nor skipped within the loop, and ends
//!   greed.
//!
//! A negation at the end holds back the match: `not_next` until the next event, `not_followed_by` until
//! [`within`](Pattern::within) has passed. When the input ends no event comes any more, and all time has
//! passed.
//!
//! With `within` of `d`, a match that begins at `t` takes only events before `t + d`. A partial match that is
//! still there at `t + d` has timed out; that is told [by itself](PatternStream::timed_out), with the events
//! it has, even if it could only have become a longer match.
//!
//! # After a match
//!
//! By itself a match changes nothing for others. With one of the other strategies
//! ([`Pattern::skip_past_last`] and its kin) a match discards partial and whole matches that begin before a
//! certain event of it. Then matches are given in the order of their first events, and one waits while a
//! partial match is there that has begun earlier: that could discard it. Without `within` it can wait until
//! the input ends; then nothing can discard it, and it is given, at the last millisecond there is. Among
//! matches that begin with the same event, the one comes first that took an event which the other skipped, or
//! took it with an earlier stage.
//!
//! # Deterministic event time
//!
//! A record waits until the watermark has passed it; then it is taken in order. A record that comes when its
//! own split has promised not to fall behind it is late, as [everywhere](crate::data::Stamp): it is dropped
//! and counted in the metric `late_dropped`, and [`late`](PatternStream::late) gives it as a stream. So
//! matches and time-outs are a function of the input: workers, splits, epochs and disorder play no part.
//! Without event time all records wait until the input ends.
//!
//! # State
//!
//! A record that waits lies in a map by time until a snapshot is taken; then it is a row of an arrangement,
//! in the order of time, and is read by a range scan when the watermark passes it. The partial matches of a
//! key are a list of small [runs](Automaton) over a buffer in which those with a common beginning share it.
//! They are in a table, and rows of a second arrangement, by key. Both are sealed when someone asks for the
//! state; for that the partial matches of each key that has changed are copied.
//!
//! A pattern without `within` keeps partial matches until they match or cannot any more, which may be until
//! the input ends.
//!
//! # State larger than memory
//!
//! With a [limit](crate::config::Options::state_memory), the partial matches of keys that have had no record
//! for a while lie in files, with the records that they hold, and are read back when the key has a record or
//! when its next partial match times out; some sixty bytes of the key stay. Records that wait lie in files if
//! they take more than they may, those that are due last first, and are read back a portion at a time.
//! Nothing of what is found, told, counted or saved depends on that, nor does the order in which it is told.
//! Records of one key, and those of one millisecond, must have room together.
//!
//! # What Flink has and is not here
//!
//! Groups of stages, a bound on the time between two events, processing time, and an error when there is
//! nothing to skip to.

mod buffer;
mod partials;
mod skip;
mod pattern;
mod automaton;
mod compile;
mod keys;
mod waiting_events;
mod matched;
mod operator;
mod select;

pub use automaton::Automaton;
pub use buffer::{Earlier, Taken};
pub use matched::Match;
pub use partials::{Outcome, Partials};
pub use pattern::Pattern;
pub use select::{Late, OnTime, PatternStream};
pub(crate) use waiting_events::WAITING;

#[cfg(test)]
mod case_tests;
#[cfg(test)]
mod test_detector;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod notation;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod oracle_tests;
