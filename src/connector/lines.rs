//! The reading of lines from bytes, within limits, which all text sources share.
//!
//! A line ends with a newline; a carriage return before it belongs to the terminator, and a byte order mark
//! at the very beginning is not part of the first line. The greatest length is checked before memory is
//! allocated: a longer line is skipped in pieces, and only its first few hundred bytes are kept, for the
//! message. So memory is bounded by the limit, whatever the input is.
//!
//! The position after a line is where the next one begins. It advances only when a line has been returned, or
//! skipped, as a whole. So a reader that starts there reads exactly the rest, even if the input ended in the
//! middle of a line and has grown since.
//!
//! Costs two copies of each line: out of the buffer, and into the record. The search for the end of the line
//! costs less than these.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek};

use serde::{Deserialize, Serialize};

use super::Malformed;

/// The default for the greatest length of a record, in bytes.
pub(crate) const MAX_LENGTH: usize = 1 << 20;

/// Bytes read from the operating system at a time.
const BUFFER: usize = 64 << 10;

/// Characters of malformed input that messages quote.
const TOLD: usize = 200;

/// Bytes after which a reader returns and reports that there is more, so that long lines do not keep a worker
/// from its other work.
pub(crate) const TURN: u64 = 4 << 20;

/// A position between two lines of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinePosition {
    /// The number of bytes before it.
    pub offset: u64,
    /// The number of lines before it.
    pub line: u64,
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A line, which [`Lines::body`] shows until the next call.
    Line,
    /// A line that is longer than the limit; all of it has been skipped.
    TooLong,
    /// A part of a line that is too long has been skipped: call again.
    Busy,
    /// No more is available now.
    Nothing,
    /// The input has ended.
    End,
}

/// Reads lines.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    name: String,
    max: usize,
    /// True if the input may grow after it has ended.
    grows: bool,
    /// The current line with its terminator, or as much of it as has been read; of one that is too long, the
    /// beginning.
    line: Vec<u8>,
    /// True if the current line has been returned.
    given: bool,
    /// The bytes read of the current line, if it is too long.
    skipped: Option<u64>,
    /// Where the current line begins.
    start: LinePosition,
    /// Where the line after the last whole one begins.
    after: LinePosition,
}

impl<R: Read> Lines<R> {
    /// Lines of `input`, which is at its beginning and is called `name` in messages. None is longer than
    /// `max` bytes.
    pub(crate) fn new(input: R, name: String, max: usize, grows: bool) -> Lines<R> {
        Lines {
            input: BufReader::with_capacity(BUFFER, input),
            name,
            // The length of the terminator is added to it, which must not overflow.
            max: max.min(usize::MAX - 2),
            grows,
            line: Vec::new(),
            given: false,
            skipped: None,
            start: LinePosition::default(),
            after: LinePosition::default(),
        }
    }

    /// Goes to the next line.
    pub(crate) fn next(&mut self) -> io::Result<Piece> {
        if std::mem::take(&mut self.given) {
            self.line.clear();
            self.start = self.after;
        }
        if self.skipped.is_some() {
            return self.skip();
        }
        // Two more bytes for the terminator.
        let room = self.max + 2 - self.line.len();
        match self.input.by_ref().take(room as u64).read_until(b'\n', &mut self.line) {
            Ok(_) => {}
            // What has been read stays in `line`, and the next call continues from there.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Piece::Nothing),
            Err(error) => return Err(error),
        }
        if self.line.ends_with(b"\n") {
            return Ok(self.give(self.line.len() as u64));
        }
        // No newline within the room: the line is too long, even if a terminator comes next.
        if self.line.len() == self.max + 2 {
            self.skipped = Some(self.line.len() as u64);
            // A character has up to 4 bytes.
            self.line.truncate(4 * TOLD);
            return self.skip();
        }
        if self.grows {
            // The rest of the line may still be written.
            return Ok(Piece::Nothing);
        }
        Ok(if self.line.is_empty() { Piece::End } else { self.give(self.line.len() as u64) })
    }

    /// Skips the rest of a line that is too long, or one buffer of it.
    fn skip(&mut self) -> io::Result<Piece> {
        let mut skipped = self.skipped.unwrap_or(0);
        let buffer = match self.input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Piece::Nothing),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Piece::Busy),
            Err(error) => return Err(error),
        };
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let at_end = buffer.is_empty();
        let count = end.map_or(buffer.len(), |end| end + 1);
        let told = &buffer[..count.min((4 * TOLD).saturating_sub(self.line.len()))];
        self.line.extend_from_slice(told);
        self.input.consume(count);
        skipped += count as u64;
        self.skipped = Some(skipped);
        if end.is_none() && (self.grows || !at_end) {
            return Ok(if at_end { Piece::Nothing } else { Piece::Busy });
        }
        self.skipped = None;
        self.give(skipped);
        Ok(Piece::TooLong)
    }

    /// Completes the current line, which has `length` bytes with its terminator.
    fn give(&mut self, length: u64) -> Piece {
        self.given = true;
        self.after = LinePosition { offset: self.start.offset + length, line: self.start.line + 1 };
        // The room for a terminator of two bytes lets a line with a shorter one be too long by a byte.
        if self.body().len() > self.max { Piece::TooLong } else { Piece::Line }
    }

    /// The current line without its terminator.
    pub(crate) fn body(&self) -> &[u8] {
        let line = self.line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = line.unwrap_or(&self.line);
        match self.start.offset {
            0 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            _ => line,
        }
    }

    /// The terminator of the current line.
    pub(crate) fn terminator(&self) -> &[u8] {
        let end = self.line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line).len());
        &self.line[end.unwrap_or(self.line.len())..]
    }

    /// The current line as text.
    ///
    /// # Errors
    ///
    /// The reason why it is not text.
    pub(crate) fn text(&self) -> Result<&str, String> {
        if self.start.offset == 0
            && let Some(encoding) = encoding_of(&self.line)
        {
            return Err(format!(
                "the text is {encoding}, as its byte order mark says: convert it to UTF-8, with `iconv -f {encoding} -t UTF-8`"
            ));
        }
        let body = self.body();
        if let Some(at) = body.iter().position(|byte| *byte == 0) {
            return Err(format!("there is a NUL byte at byte {at} of the line"));
        }
        std::str::from_utf8(body)
            .map_err(|error| format!("the line is not UTF-8 from its byte {} on", error.valid_up_to()))
    }

    /// Where the current line begins.
    pub(crate) fn start(&self) -> LinePosition {
        self.start
    }

    /// Where the next line begins.
    pub(crate) fn after(&self) -> LinePosition {
        self.after
    }

    /// The number of input bytes that have been read, an incomplete line included.
    pub(crate) fn looked_at(&self) -> u64 {
        if self.given {
            self.after.offset
        } else {
            self.start.offset + self.skipped.unwrap_or(self.line.len() as u64)
        }
    }

    /// The greatest length of a line.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// The name of the input.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Changes the name of the input.
    pub(crate) fn rename(&mut self, name: &str) {
        if self.name != name {
            name.clone_into(&mut self.name);
        }
    }

    /// Declares that the input does not grow any more.
    pub(crate) fn finish(&mut self) {
        self.grows = false;
    }

    /// The input.
    pub(crate) fn input(&self) -> &R {
        self.input.get_ref()
    }

    /// The current line as malformed input.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Malformed {
        Malformed { place: self.told_place(self.start), reason: reason.into(), input: self.told() }
    }

    /// The current line, which is too long, as malformed input.
    pub(crate) fn too_long(&self) -> Malformed {
        self.malformed(format!("the line is longer than {} bytes", self.max))
    }

    /// The name that messages use for the line that begins at `place`.
    pub(crate) fn told_place(&self, place: LinePosition) -> String {
        format!("{}:{}", self.name, place.line + 1)
    }

    /// The beginning of the current line, for messages.
    pub(crate) fn told(&self) -> String {
        let body = self.body();
        let start = &body[..body.len().min(4 * TOLD)];
        String::from_utf8_lossy(start).chars().take(TOLD).collect()
    }
}

/// The encoding of a text that begins with a byte order mark, unless it is UTF-8.
fn encoding_of(start: &[u8]) -> Option<&'static str> {
    match start {
        // Before UTF-16LE, whose mark is a prefix of this one.
        [0xff, 0xfe, 0, 0, ..] => Some("UTF-32LE"),
        [0, 0, 0xfe, 0xff, ..] => Some("UTF-32BE"),
        [0xff, 0xfe, ..] => Some("UTF-16LE"),
        [0xfe, 0xff, ..] => Some("UTF-16BE"),
        _ => None,
    }
}

impl<R: Read + Seek> Lines<R> {
    /// Moves to the beginning of a line.
    pub(crate) fn seek(&mut self, to: LinePosition) -> io::Result<()> {
        // A relative seek keeps the buffer if the target is within it.
        let distance = to.offset as i64 - self.looked_at() as i64;
        self.input.seek_relative(distance)?;
        self.line.clear();
        self.given = false;
        self.skipped = None;
        (self.start, self.after) = (to, to);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn all(input: &[u8], max: usize) -> Vec<Result<String, usize>> {
        let mut lines = Lines::new(Cursor::new(input), "in".to_owned(), max, false);
        let mut all = Vec::new();
        loop {
            match lines.next().unwrap() {
                Piece::Line => all.push(Ok(String::from_utf8_lossy(lines.body()).into_owned())),
                Piece::TooLong => all.push(Err(lines.after().offset as usize)),
                Piece::Busy => {}
                Piece::Nothing => unreachable!(),
                Piece::End => break,
            }
        }
        assert_eq!(lines.after().offset as usize, input.len());
        all
    }

    fn ok(line: &str) -> Result<String, usize> {
        Ok(line.to_owned())
    }

    #[test]
    fn both_line_ends_and_the_last_line_without_one() {
        assert_eq!(all(b"a\r\n\nb\nc", 9), [ok("a"), ok(""), ok("b"), ok("c")]);
        assert_eq!(all(b"", 9), []);
        assert_eq!(all(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", 9), [ok("a"), ok("\u{feff}b")]);
    }

    #[test]
    fn a_line_as_long_as_the_limit_passes_and_a_longer_one_is_passed_over() {
        assert_eq!(
            all(b"abc\nabcd\nabc\r\nabcd\r\nx\nabcd", 3),
            [ok("abc"), Err(9), ok("abc"), Err(20), ok("x"), Err(26)]
        );
        let long = [vec![b'x'; 3 * BUFFER], b"\ny\n".to_vec()].concat();
        assert_eq!(all(&long, 100), [Err(3 * BUFFER + 1), ok("y")]);
        assert_eq!(all(&long[..2 * BUFFER], 100), [Err(2 * BUFFER)]);
    }

    #[test]
    fn other_encodings_are_told_by_name() {
        let encoded = [
            (&b"\xff\xfea\0\n\0"[..], "UTF-16LE"),
            (b"\xfe\xff\0a\0\n", "UTF-16BE"),
            (b"\xff\xfe\0\0a\0\0\0\n\0\0\0", "UTF-32LE"),
            (b"\0\0\xfe\xff\0\0\0a\0\0\0\n", "UTF-32BE"),
        ];
        for (text, encoding) in encoded {
            let mut lines = Lines::new(Cursor::new(text), "in".to_owned(), 99, false);
            assert_eq!(lines.next().unwrap(), Piece::Line);
            assert!(lines.text().unwrap_err().contains(encoding), "{encoding}");
        }
    }

    #[test]
    fn a_long_line_is_told_by_its_beginning() {
        let input = "é".repeat(5000);
        let mut lines = Lines::new(Cursor::new(input), "in".to_owned(), 1000, false);
        assert_eq!(lines.next().unwrap(), Piece::Busy);
        assert_eq!(lines.next().unwrap(), Piece::TooLong);
        let malformed = lines.too_long();
        assert_eq!(malformed.place, "in:1");
        assert_eq!(malformed.input, "é".repeat(200));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_standard_library(input in "[ab\n\r]{0,60}") {
            let want: Vec<String> = input.split_inclusive('\n')
                .map(|l| l.strip_suffix('\n').map(|l| l.strip_suffix('\r').unwrap_or(l)).unwrap_or(l).to_owned())
                .collect();
            let got: Vec<String> = all(input.as_bytes(), 100).into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn a_limit_takes_away_only_what_is_longer(input in "[ab\n]{0,60}", max in 0..5usize) {
            let want: Vec<String> = input.lines().filter(|l| l.len() <= max).map(str::to_owned).collect();
            let got: Vec<String> = all(input.as_bytes(), max).into_iter().flatten().collect();
            prop_assert_eq!(got, want);
        }
    }
}
