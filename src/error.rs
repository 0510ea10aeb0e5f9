//! Errors, by what the caller should do next, and the outcome of everything that can go wrong.
//!
//! # Outcomes
//!
//! No program and no input makes a job hang or ends the process. A job that makes no sense is refused when it
//! is built or started, if that can be seen by then. A fault of user code ends the job on all workers, with
//! an error from [`join`](crate::runtime::Running::join). What is merely unusual has a defined outcome:
//!
//! | situation | outcome |
//! |---|---|
//! | windows, slides, gaps, counts, bounds of patterns or times to live of zero, or of more than two million years | [`Config`](ErrorKind::Config) |
//! | an evictor of windows whose results are corrected | it does not compile, and the compiler says why |
//! | a pattern that is contradictory or can never match | [`Config`](ErrorKind::Config), with the pattern |
//! | streams of different jobs combined, two operators with one `uid`, a job without a sink | [`Config`](ErrorKind::Config) |
//! | options out of range | [`Config`](ErrorKind::Config), with the range |
//! | two states of one name, a handle that lies in a function and that its `open` has not registered, a reader of another type or of no state | [`Config`](ErrorKind::Config) |
//! | another function's handle; a handle that is not registered in a function that is `Copy`; a side output that is given to and not registered | [`Config`](ErrorKind::Config), when it is used |
//! | a side output that is read of an operator that has no such one | [`Config`](ErrorKind::Config), with those that it has |
//! | a time to live by event time, where no input has event times, so that nothing would ever expire | [`Config`](ErrorKind::Config), once the job runs |
//! | a time to live by event time, and times that are not milliseconds: more than 36 million years from 1970 | [`Data`](ErrorKind::Data), with the operator |
//! | a loop that does not converge | [`Data`](ErrorKind::Data), after a number of rounds |
//! | a panic in any user function, wherever the engine calls it | [`Panic`](ErrorKind::Panic), with the message |
//! | a sum, a count or an average that overflows its type, in every build | [`Data`](ErrorKind::Data), with the operator |
//! | a source, sink or call that fails | its own error |
//! | a negative event time, or one at the end of time | a time like others; windows are computed without overflow, and end with time |
//! | an event time in sliding windows of which several end after the last time there is, and would be equal | [`Data`](ErrorKind::Data), with the windows |
//! | a lateness, a disorder or a time to live that exceeds the range of times | unlimited |
//! | a gap of zero that a record asks for | one millisecond |
//! | an interval join whose lower bound is above the upper one | no pairs; records of an outer side are all unmatched |
//! | a timer in the past | it fires at the latest when the epoch closes |
//! | timers that register timers when the input has ended | [a limited number](crate::process::LAST_TIMERS) of those fire, the rest is counted as `timers_dropped` |
//! | a record emitted at a time that has passed | it is late downstream, and late records there are dropped and counted, or go to a side output |
//! | a side output that no one reads, or that no one gives anything to; any that is read of a function without `open` | what is given is dropped; the stream is empty |
//! | a worker number out of range in `partition_with` | it is taken modulo the number of workers |
//! | a job that is run again | it reads its sources again; what was collected before stays |
//!
//! A function that never returns keeps its worker, and with it the job: the engine does not interrupt user
//! code.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: its kind says what the caller should do, its message what happened.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the caller should do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an argument is invalid: correct it and run again.
    Config,
    /// A file, a socket or a device failed: check it, then run again.
    Io,
    /// A record could not be decoded and its source is configured to fail: repair the input, or let the
    /// source skip such records.
    Data,
    /// A [simulated](crate::harness::Simulation) job has not ended, and can make no step or has made as many
    /// as it may: the message says which.
    Stuck,
    /// User code or the engine panicked: the message says where. The job's output is not complete.
    Panic,
}

impl Error {
    /// An error with a message that says what happened and, where it can, what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    /// An invalid setting.
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, message)
    }

    /// A failed read or write; `what` says of what, as in "cannot read a.csv".
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        Error::new(ErrorKind::Io, what).because(source)
    }

    /// A record that cannot be decoded.
    pub fn data(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Data, message)
    }

    /// A panic of `who`, with the panic's message.
    pub(crate) fn panic(who: impl fmt::Display, panic: &(dyn Any + Send)) -> Error {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        Error::new(ErrorKind::Panic, format!("{who} panicked: {text}"))
    }

    /// Adds the error that caused this one.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The exit code of a program that ends with this error, after `sysexits.h`.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Config => 64,
            ErrorKind::Data => 65,
            ErrorKind::Io => 74,
            ErrorKind::Stuck | ErrorKind::Panic => 70,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
