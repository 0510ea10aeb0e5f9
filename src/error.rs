//! What can go wrong, told by what to do next.

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
    /// A [simulated](crate::harness::Simulation) job can make no step any more, or has made as many as it may, and has not ended: the message says
    /// which.
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
