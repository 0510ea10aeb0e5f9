//! What can go wrong, told by what to do next.
//!
//! # What goes wrong, and what then
//!
//! Nothing that a program says or its input contains makes a job hang or end the process. What makes no sense
//! is refused when the job starts, if it can be seen by then; what user code does wrong ends the job, on all
//! workers, with an error from [`join`](crate::runtime::Running::join); and what is merely odd has an
//! outcome:
//!
//! | what | then |
//! |---|---|
//! | windows, slides, gaps, counts, bounds of patterns or times to live of zero; more than two million years | [`Config`](ErrorKind::Config) |
//! | a pattern that cannot be meant | [`Config`](ErrorKind::Config), with the pattern |
//! | streams of different jobs put together, two operators of one `uid`, a job without a sink | [`Config`](ErrorKind::Config) |
//! | options out of their range | [`Config`](ErrorKind::Config), with the range |
//! | two states of one name, a handle that is not registered, another function's handle, a reader of another type or of no state | [`Config`](ErrorKind::Config), once the job runs |
//! | a time to live by event time, where nothing that is read has any, so that nothing would ever be over | [`Config`](ErrorKind::Config), once the job runs |
//! | a time to live by event time, and times that are no milliseconds: more than 36 million years from 1970 | [`Data`](ErrorKind::Data), with the operator |
//! | a loop that does not come to rest | [`Data`](ErrorKind::Data), after so many rounds |
//! | a panic in any function of the user's, wherever the engine calls it | [`Panic`](ErrorKind::Panic), with the message |
//! | a sum, a count or an average that does not fit in its type, in every build | [`Data`](ErrorKind::Data), with the operator |
//! | a source, sink or call that fails | its own error |
//! | a negative time, or one at the end of time | it is a time like others; windows are computed without overflow, and end with time |
//! | a time in sliding windows of which several end after the last time there is, so that they could not be told apart | [`Data`](ErrorKind::Data), with the windows |
//! | a lateness, a disorder or a time to live beyond all bounds | for ever |
//! | a gap of zero that a record says | one millisecond |
//! | an interval join whose lower bound is above the upper one | no pairs; an outer side's records are all alone |
//! | a timer in the past | it fires at the latest when the epoch closes |
//! | timers that register timers when the input has ended | [so many](crate::process::LAST_TIMERS) of those fire, the rest is counted as `timers_dropped` |
//! | a record emitted at a time that has passed | it is late downstream, and what is late there is dropped and counted, or told |
//! | a side that no one reads, or that no one gives anything to | what is given is dropped; the stream is empty |
//! | a worker number out of range in `partition_with` | it is taken modulo the number of workers |
//! | a job that is run again | it reads its sources again; what was gathered before stays |
//!
//! A function that never returns, though, keeps its worker, and with it the job: the engine does not
//! interrupt user code.

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
    /// A setting or an argument makes no sense: correct it and run again.
    Config,
    /// A file, a socket or a device failed: look there, then run again.
    Io,
    /// A record could not be read and its source was told to fail: mend the input, or choose to skip.
    Data,
    /// A [simulated](crate::harness::Simulation) job can make no step any more, or has made as many as it
    /// may, and has not ended: the message says which.
    Stuck,
    /// User code or the engine panicked: the message says where. The job's output is not complete.
    Panic,
}

impl Error {
    /// An error with a message that says what happened and, where it can, what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    /// A wrong setting.
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, message)
    }

    /// A failed read or write; `what` says of what, as in "cannot read a.csv".
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        Error::new(ErrorKind::Io, what).because(source)
    }

    /// An unreadable record.
    pub fn data(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Data, message)
    }

    /// A panic of `who`, with the message that it left.
    pub(crate) fn panic(who: impl fmt::Display, panic: &(dyn Any + Send)) -> Error {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        Error::new(ErrorKind::Panic, format!("{who} panicked: {text}"))
    }

    /// The same error with the error that caused it.
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
