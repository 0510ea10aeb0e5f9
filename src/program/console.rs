//! The output of a program: standard output, notes, errors, and the exit code.

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::error::{Error, Result};

/// Turns the outcome of a program into its exit code, and prints the error if there is one.
pub fn end(done: Result<u8>) -> ExitCode {
    match done {
        Ok(code) => code.into(),
        Err(error) => {
            complain(&error);
            error.exit_code().into()
        }
    }
}

/// Prints an error and its causes.
fn complain(error: &Error) {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("  because: {error}\n"));
        cause = error.source();
    }
    warn(&text);
}

/// Writes to the standard error.
pub fn warn(text: &str) {
    // If that fails, there is nowhere left to report it.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to the standard output. A closed pipe, as behind `head`, is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to the standard output", error))
        }
        _ => Ok(()),
    }
}
