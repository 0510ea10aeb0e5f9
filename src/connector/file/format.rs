//! Formats of files: how lines become records.
//!
//! A format is a set of settings; for each file it makes a decoder, which takes lines and answers with
//! records or with what is wrong with them. Nothing a file holds can do more than that: JSON that is nested
//! deeper than 128 levels is refused by `serde_json` before the stack is in danger, and the length of a
//! record is limited before it is decoded.

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
    /// What comes out.
    type Item: Data;
    /// Decodes one file.
    type Decoder: Decoder<Item = Self::Item>;
    /// What to call it.
    const NAME: &'static str;

    /// A decoder for a file.
    fn decoder(&self) -> Self::Decoder;
}

/// What comes next in a file.
pub enum Next<T> {
    /// A record.
    Record(T),
    /// Something that is not one.
    Malformed(Malformed),
    /// Nothing for the stream: call again.
    Busy,
    /// No more now.
    Nothing,
    /// No more at all.
    End,
}

/// Decodes one file.
#[allow(private_interfaces)]
pub trait Decoder: 'static {
    /// What comes out.
    type Item: Data;

    /// Takes as many lines as a record needs.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or nothing in it can be understood.
    fn next(&mut self, lines: &mut Lines<Input>) -> Result<Next<Self::Item>>;

    /// Where the next record begins.
    fn position(&self, lines: &Lines<Input>) -> LinePosition {
        lines.after()
    }

    /// Goes to where a record begins.
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

/// Text: each line is a record, without what ends it.
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
