//! Formats of files: how lines become records.
//!
//! A format is a set of settings. For each file it makes a decoder, which reads lines and returns records or
//! the reason why lines are malformed. The content of a file cannot do more than that: `serde_json` rejects
//! JSON that is nested deeper than 128 levels before the stack overflows, and the length of a record is
//! limited before it is decoded.

use std::io;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::input::Input;
use crate::connector::Malformed;
use crate::connector::lines::{LinePosition, Lines, Piece};
use crate::data::Data;
use crate::error::{Error, Result};

/// How the bytes of a file become records.
pub trait Format: Clone + Send + Sync + 'static {
    /// The records.
    type Item: Data;
    /// Decodes one file.
    type Decoder: Decoder<Item = Self::Item>;
    /// Its name in messages and graphs.
    const NAME: &'static str;

    /// A decoder for a file.
    fn decoder(&self) -> Self::Decoder;
}

/// What comes next in a file.
pub enum Next<T> {
    /// A record.
    Record(T),
    /// Input that is not a record.
    Malformed(Malformed),
    /// No result yet: call again.
    Busy,
    /// No more is available now.
    Nothing,
    /// The file has ended.
    End,
}

/// Decodes one file.
#[allow(private_interfaces)]
pub trait Decoder: 'static {
    /// The records.
    type Item: Data;

    /// Takes as many lines as a record needs.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or nothing in it can be decoded.
    fn next(&mut self, lines: &mut Lines<Input>) -> Result<Next<Self::Item>>;

    /// Where the next record begins.
    fn position(&self, lines: &Lines<Input>) -> LinePosition {
        lines.after()
    }

    /// Moves to the beginning of a record.
    ///
    /// # Errors
    ///
    /// If the file cannot be read there.
    fn seek(&mut self, lines: &mut Lines<Input>, to: LinePosition) -> Result<()> {
        lines.seek(to).map_err(|error| cannot_read(lines, error))
    }
}

pub(super) fn cannot_read(lines: &Lines<Input>, error: io::Error) -> Error {
    match lines.input().kind() {
        // An error of the decompression, not of the operating system.
        Some(kind) if error.raw_os_error().is_none() => Error::data(format!(
            "cannot read {}: what {} has compressed there is damaged, or was cut short. A file that is still written must have a name that ends in .tmp, and get another when it is whole",
            lines.name(),
            kind.name()
        ))
        .because(error),
        _ => Error::io(format!("cannot read {}", lines.name()), error),
    }
}

/// Decodes records of one line each.
pub struct EachLine<T>(fn(&str) -> Option<Result<T, String>>);

#[allow(private_interfaces)]
impl<T: Data> Decoder for EachLine<T> {
    type Item = T;

    fn next(&mut self, lines: &mut Lines<Input>) -> Result<Next<T>> {
        Ok(match lines.next().map_err(|error| cannot_read(lines, error))? {
            Piece::Line => match lines.text().and_then(|line| (self.0)(line).transpose()) {
                Ok(Some(record)) => Next::Record(record),
                Ok(None) => Next::Busy,
                Err(reason) => Next::Malformed(lines.malformed(reason)),
            },
            Piece::TooLong => Next::Malformed(lines.too_long()),
            Piece::Busy => Next::Busy,
            Piece::Nothing => Next::Nothing,
            Piece::End => Next::End,
        })
    }
}

/// Text: each line is a record, without its terminator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Format for Plain {
    type Item = String;
    type Decoder = EachLine<String>;
    const NAME: &'static str = "text";

    fn decoder(&self) -> EachLine<String> {
        EachLine(|line| Some(Ok(line.to_owned())))
    }
}

/// JSON lines: each line that is not blank is a JSON value of type `T`.
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Json<T> {
    pub(super) const fn new() -> Json<T> {
        Json(PhantomData)
    }
}

impl<T> Clone for Json<T> {
    fn clone(&self) -> Json<T> {
        Json(PhantomData)
    }
}

impl<T: Data + DeserializeOwned> Format for Json<T> {
    type Item = T;
    type Decoder = EachLine<T>;
    const NAME: &'static str = "json";

    fn decoder(&self) -> EachLine<T> {
        EachLine(|line| match line.trim_ascii().is_empty() {
            true => None,
            false => Some(serde_json::from_str(line).map_err(|error| error.to_string())),
        })
    }
}
