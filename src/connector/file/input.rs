//! The bytes of a file, unpacked if it is compressed.
//!
//! The first bytes of a file, not its name, determine its compression: text does not begin with these bytes.
//! All members of a gzip file and all frames of a Zstandard file are read. Checksums are compared, and a file
//! that is damaged or was cut short is an error.
//!
//! A position is an offset in the unpacked content. A seek unpacks and skips the content up to the position,
//! at some 300 MB a second; from the beginning, if the position is behind.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::connector::file::compression::{self, Kind};

/// A file, open to be read from its beginning on.
pub struct Input {
    file: Arc<File>,
    kind: Option<Kind>,
    content: Content,
    /// Bytes of the content that were read.
    at: u64,
}

enum Content {
    Plain,
    Compressed(Box<dyn Read>),
}

impl Input {
    /// Reads a file from its beginning. No other reader may use the open file, because they would share its
    /// offset.
    pub(super) fn new(file: Arc<File>) -> io::Result<Input> {
        let mut start = [0; 4];
        let mut length = 0;
        while length < start.len() {
            match file.read_at(&mut start[length..], length as u64) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A directory or a pipe: if it cannot be read, that shows later.
                Err(_) => break,
            }
        }
        let kind = Kind::of(&start[..length]);
        let mut input = Input { file, kind, content: Content::Plain, at: 0 };
        input.rewind_content()?;
        Ok(input)
    }

    fn rewind_content(&mut self) -> io::Result<()> {
        let mut file = &*self.file;
        if file.rewind().is_err() && self.kind.is_none() {
            // A file that cannot be rewound is at its beginning, or cannot be read.
            return Ok(());
        }
        if let Some(kind) = self.kind {
            self.content = Content::Compressed(compression::unpack(kind, Arc::clone(&self.file))?);
        }
        self.at = 0;
        Ok(())
    }

    /// How it is compressed, if it is.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Skips this many bytes of the content.
    fn pass(&mut self, mut bytes: u64) -> io::Result<()> {
        let mut passed = vec![0; 1 << 16];
        while bytes > 0 {
            let most = bytes.min(passed.len() as u64) as usize;
            match self.read(&mut passed[..most]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => bytes -= count as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.content {
            Content::Plain => (&*self.file).read(buffer)?,
            Content::Compressed(content) => content.read(buffer)?,
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let Content::Plain = self.content {
            self.at = (&*self.file).seek(to)?;
            return Ok(self.at);
        }
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
            // The length of the content is not known before all of it is unpacked.
            SeekFrom::End(_) => None,
        };
        let to = to.ok_or(ErrorKind::Unsupported)?;
        if to < self.at {
            self.rewind_content()?;
        }
        self.pass(to - self.at)?;
        Ok(self.at)
    }
}
