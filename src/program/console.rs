//! What a program tells whoever runs it: output, notes and errors, and the exit code in the end.

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::error::{Error, Result};

/// Ends the program with the exit code of what it has done, and tells of the error if it could not.
pub fn end(done: Result<u8>) -> ExitCode {
    match done {
        Ok(code) => code.into(),
        Err(error) => {
            complain(&error);
            error.exit_code().into()
        }
    }
}

/// Tells of an error and of what caused it.
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
    // If that fails, there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to the standard output. A reader who has seen enough, as `head` has, is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to the standard output", error))
        }
        _ => Ok(()),
    }
}
